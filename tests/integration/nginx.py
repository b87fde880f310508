"""A real nginx on the loopback address, as the backend of checks."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.certificates import Authority
from tests.lab.parts import NGINX_PACKAGES, install
from tests.lab.waiting import wait_for

ADDRESS = "127.0.0.1"
NAME = "web.test"

CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    log_format sessions "$ssl_protocol $ssl_session_reused";
    access_log {folder}/access.log sessions;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_session_cache shared:tls:1m;

    server {{
        listen {address}:{http};
        listen {address}:{https} ssl;
        root {folder}/files;
        location = /ok {{ return 200 "all is well"; }}
        location = /gone {{ return 404; }}
        location = /moved {{ return 301 /gone; }}
        location = /token {{
            if ($http_x_token = "first") {{ return 204; }}
            if ($http_x_token = "second") {{ return 200; }}
            return 403;
        }}
        location = /agent {{ if ($http_user_agent = "probe/1") {{ return 204; }} return 403; }}
        location = /method {{ if ($request_method = HEAD) {{ return 204; }} return 405; }}
        location = /chunked {{ ssi on; ssi_types *; }}
    }}
    server {{
        listen {address}:{http};
        server_name shop.test;
        return 204;
    }}
    server {{
        listen {address}:{clients} ssl;
        ssl_client_certificate {authority};
        ssl_verify_client on;
        return 200;
    }}
    server {{
        listen {address}:{nameless} ssl;
        ssl_reject_handshake on;
    }}
}}
"""
CHUNKED = 'all is <!--#echo var="request_method" --> well'


class Nginx:
    """What it serves, at which ports, and by whose certificate."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "certificates")
        self.http, self.https, self.clients, self.nameless = _free_ports(4)
        self.log = folder / "access.log"
        cert, key = self.authority.issue("nginx", f"DNS:{NAME}")
        files = folder / "files"
        files.mkdir()
        (files / "chunked").write_text(CHUNKED)
        self.configuration = folder / "nginx.conf"
        self.configuration.write_text(
            CONFIG.format(
                folder=folder,
                address=ADDRESS,
                cert=cert,
                key=key,
                authority=self.authority.file,
                http=self.http,
                https=self.https,
                clients=self.clients,
                nameless=self.nameless,
            )
        )

    def logged(self) -> list[tuple[str, str]]:
        """Return protocol and `r` (resumed) or `.` of each request over TLS, in order."""
        return re.findall(r"^(TLSv\S+) (\S)$", self.log.read_text(), re.MULTILINE)

    def is_there(self) -> bool:
        with socket.socket() as opened:
            return opened.connect_ex((ADDRESS, self.nameless)) == 0


@contextmanager
def nginx(folder: Path) -> Iterator[Nginx]:
    """Run Debian's nginx within the block."""
    install(NGINX_PACKAGES)
    made = Nginx(folder)
    command = shutil.which("nginx")
    assert command is not None
    argv: list[str | Path] = [command, "-p", folder, "-e", "stderr", "-c", made.configuration]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: made.is_there() or process.poll() is not None, 30, "nginx")
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield made
    finally:
        process.kill()
        process.wait()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in taken:
            one.bind((ADDRESS, 0))
        return [int(one.getsockname()[1]) for one in taken]
