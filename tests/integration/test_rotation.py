"""Tokens and certificates that rotate under a running registrar, which needs no restart for it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.certificates import Authority
from tests.integration.site import ROLE, Site
from tests.lab import wait_for
from tests.lab.control_plane import ADDRESS
from tests.lab.fault_proxy import FaultProxy

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"
PLACES = [f"10.91.0.{n}:80" for n in range(1, 9)]


def publishes(site: Site, count: int) -> None:
    site.list_backends(web=PLACES[:count])
    site.wait_for_endpoints("web", dict.fromkeys(PLACES[:count], True), timeout=60)


def token_of(site: Site, user: str) -> str:
    config = json.loads(site.lab.kubeconfig(user).read_text())
    return str(config["users"][0]["user"]["token"])


def test_a_token_file_that_rotates(site: Site, tmp_path: Path) -> None:
    site.service("web")
    site.configure(WEB)
    other = site.lab.new_user()
    site.lab.grant(other, ROLE, site.namespace)
    first, second = token_of(site, site.user), token_of(site, other)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        site.write("token", f"{first}\n")
        token_file = str(site.folder / "token")
        kubeconfig = proxy.kubeconfig(site.user, tokenFile=token_file, token="")
        run = site.start("--kubeconfig", kubeconfig)
        publishes(site, 1)
        site.write("token", f"{second}\n")
        run.wait_for_line("credentials-renewed", token=True, certificates=False)
        publishes(site, 2)
        # One that the API server does not know any more: 401 until the file is written again.
        site.write("token", "revoked\n")
        wait_for(lambda: len(run.lines("credentials-renewed")) == 2, 30, "the next token")
        site.list_backends(web=PLACES[:3])
        line = run.wait_for_line("hold", reason="forbidden")
        assert line["detail"] == "Unauthorized"
        site.write("token", f"{second}\n")
        publishes(site, 3)
        log = run.log.read_text()
    assert run.is_running
    assert [w.code for w in site.writes()] == [201, 201]
    by_other = [w.code for w in site.lab.writes(other) if w.resource != "events"]
    assert by_other == [200, 200, 200, 200]
    assert not any(secret in log for secret in (first, second, "revoked"))


def test_an_authority_and_a_certificate_of_the_api_server_that_rotate(
    site: Site, tmp_path: Path
) -> None:
    site.service("web")
    site.configure(WEB)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        run = site.start("--kubeconfig", proxy.kubeconfig(site.user))
        publishes(site, 1)
        proxy.present(*proxy.issue("renewed"))  # another certificate of the same authority
        publishes(site, 2)
        ca = proxy.authority.file
        old, new = ca.read_text(), Authority(tmp_path / "new", "new")
        ca.write_text(old + new.file.read_text())
        publishes(site, 3)
        proxy.present(*new.issue("server", f"IP:{ADDRESS}"))
        publishes(site, 4)
        run.wait_for_line("credentials-renewed", token=False, certificates=True)
        ca.write_text(new.file.read_text())
        publishes(site, 5)
        proxy.cut()
        publishes(site, 6)
        # What is not trusted is not spoken to, and nothing is lost by it.
        proxy.present(*Authority(tmp_path / "strange", "strange").issue("x", f"IP:{ADDRESS}"))
        words = "its certificate is not trusted"
        wait_for(lambda: words in run.log.read_text(), 60, words)
        proxy.present(*new.issue("again", f"IP:{ADDRESS}"))
        publishes(site, 7)
    assert run.is_running
