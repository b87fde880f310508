"""TLS settings on real handshakes: whom they trust, who they say we are, and files that rotate."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from registrar.document import parse_document
from registrar.errors import ConfigError, SourceError
from registrar.problems import read_settings
from registrar.source import Context, HttpClient, Tls, TlsReader, fetch
from registrar.threads import in_thread
from tests.certificates import Authority, lock
from tests.fakes import NoFiles
from tests.loopback import Loopback, loopback

BOTH = "give both, or neither"
T = TypeVar("T")

TRUSTING = Tls.model_validate({"caFile": "ca.pem"})


class Site:
    """A server with a certificate for its address, and a client of these settings."""

    def __init__(self, base: Path, server: Loopback, authority: Authority) -> None:
        self.base = base
        self.server = server
        self.authority = authority

    def context(self) -> Context:
        return Context(self.base, NoFiles(), in_thread)

    async def ask(self, client: HttpClient) -> str:
        """Return what became of a question."""
        try:
            async with client.lent() as lent:
                return str((await fetch(lent, self.server.url)).status)
        except SourceError as error:
            return re.sub(r"^https://127.0.0.1:\d+: ", "", str(error)).replace(f"{self.base}/", "")

    async def once(self, **settings: str) -> str:
        return await self.ask(HttpClient(self.context(), Tls.model_validate(settings)))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def site(tmp_path: Path, authority: Authority) -> AsyncIterator[Site]:
    tls = authority.server(*authority.issue("server", "IP:127.0.0.1"))
    (tmp_path / "ca.pem").write_bytes(authority.file.read_bytes())
    async with loopback(tls) as server:
        yield Site(tmp_path, server, authority)


async def test_only_the_authority_of_the_file_is_trusted(site: Site) -> None:
    assert await site.once(caFile="ca.pem") == "200"
    said = "its certificate is not trusted: unable to get local issuer certificate"
    assert await site.once() == f"{said}; check caFile, serverName"
    other = Authority(site.base / "other")
    assert (await site.once(caFile=str(other.file))).startswith("its certificate is not trusted")


async def test_the_name_in_the_certificate_is_checked(site: Site) -> None:
    await site.server.stop()
    pair = site.authority.issue("named", "DNS:consul.office.example")
    await site.server.start(site.authority.server(*pair))
    said = await site.once(caFile="ca.pem")
    assert said.startswith("its certificate is not trusted: IP address mismatch")
    assert await site.once(caFile="ca.pem", serverName="consul.office.example") == "200"
    said = await site.once(caFile="ca.pem", serverName="nomad.office.example")
    assert said.startswith("its certificate is not trusted: Hostname mismatch")


async def test_a_client_certificate(site: Site) -> None:
    await site.server.stop()
    pair = site.authority.issue("server-2", "IP:127.0.0.1")
    await site.server.start(site.authority.server(*pair, asks_clients=True))
    cert, key = site.authority.issue("client")
    assert await site.once(caFile="ca.pem", certFile=str(cert), keyFile=str(key)) == "200"
    assert await site.once(caFile="ca.pem") != "200"


async def test_files_that_rotate_are_read_again(site: Site) -> None:
    client = HttpClient(site.context(), TRUSTING)
    other = Authority(site.base / "other")
    assert await site.ask(client) == "200"
    await site.server.stop()
    await site.server.start(other.server(*other.issue("server", "IP:127.0.0.1")))
    assert (await site.ask(client)).startswith("its certificate is not trusted")
    (site.base / "ca.pem").write_bytes(other.file.read_bytes())
    assert await site.ask(client) == "200"
    # Half of a rotation, or a mistake, is not knowing; what is right again is used again.
    (site.base / "ca.pem").write_bytes(b"")
    assert await site.ask(client) == "ca.pem: holds no certificates in PEM form; check the file"
    (site.base / "ca.pem").write_bytes(site.authority.file.read_bytes() + other.file.read_bytes())
    assert await site.ask(client) == "200"


async def test_files_that_cannot_be_used(site: Site) -> None:
    cert, key = (str(one) for one in site.authority.issue("client"))
    _, other_key = (str(one) for one in site.authority.issue("other"))
    (site.base / "directory").mkdir()
    (site.base / "junk.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    unread = "can't be read: {}; check the path and permissions"
    for settings, said in (
        ({"caFile": "no.pem"}, "no.pem: " + unread.format("No such file or directory")),
        ({"caFile": "directory"}, "directory: " + unread.format("not a regular file")),
        ({"caFile": "junk.pem"}, "junk.pem: holds no certificates in PEM form; check the file"),
        ({"certFile": cert, "keyFile": other_key}, "is no certificate in PEM form to which"),
        ({"certFile": cert, "keyFile": cert}, "is no certificate in PEM form to which"),
        ({"certFile": "junk.pem", "keyFile": key}, "junk.pem: is no certificate in PEM form"),
    ):
        found = await site.once(**settings)
        assert said in found
        assert "\n" not in found


async def test_a_key_with_a_passphrase_is_an_error_and_asks_for_none(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = site.authority.issue("client")
    lock(key, site.base / "locked.key")
    monkeypatch.setattr("getpass.getpass", lambda *_: pytest.fail("it asks for a passphrase"))
    said = await site.once(certFile=str(cert), keyFile="locked.key")
    assert "without a passphrase; check the file" in said


async def test_one_context_while_nothing_has_changed(site: Site) -> None:
    reader = TlsReader(TRUSTING, site.context())
    first = await reader.read()
    assert await reader.read() is first
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert first.check_hostname


class Looks:
    """Runs calls in threads; what they return is held back while `go_on` is not set."""

    def __init__(self) -> None:
        self.count = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, call: Callable[[], T]) -> T:
        self.count += 1
        found = await in_thread(call)
        await self.go_on.wait()
        return found


async def test_many_who_ask_at_once_share_one_look_at_the_files(site: Site) -> None:
    looks = Looks()
    reader = TlsReader(TRUSTING, Context(site.base, NoFiles(), looks))
    first = await reader.read()
    looks.count = 0
    assert set(await asyncio.gather(*(reader.read() for _ in range(50)))) == {first}
    assert looks.count <= 2


async def test_a_look_that_began_before_one_asked_is_not_good_enough(site: Site) -> None:
    looks = Looks()
    reader = TlsReader(TRUSTING, Context(site.base, NoFiles(), looks))
    first = await reader.read()
    looks.go_on.clear()
    earlier = asyncio.create_task(reader.read())
    while looks.count < 3:  # noqa: ASYNC110  it has begun to look then
        await asyncio.sleep(0)
    (site.base / "ca.pem").write_bytes(Authority(site.base / "other").file.read_bytes())
    later = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    looks.go_on.set()
    await earlier
    assert await later is not first


async def test_without_files_nothing_is_looked_at(site: Site) -> None:
    looks = Looks()
    reader = TlsReader(Tls(), Context(site.base, NoFiles(), looks))
    first = await reader.read()
    looks.count = 0
    assert await reader.read() is first
    assert looks.count == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{certFile: c.pem}",
            f"c.yaml:1:1: the file: a mapping is incomplete: certFile without keyFile; {BOTH}",
        ),
        ("{keyFile: k.pem}", "keyFile without certFile"),
        ("{cafile: c.pem}", "c.yaml:1:2: unknown key 'cafile'; did you mean 'caFile'?"),
        ("{caFile: 5}", "caFile: 5 is not text"),
        (
            "{serverName: a..b}",
            "is not a name that a certificate bears; write one such as",
        ),
        ("{serverName: a b}", "is not a name that a certificate bears"),
        ('{serverName: "a\\0"}', "is not a name that a certificate bears"),
    ],
)
def test_settings_are_checked(text: str, said: str) -> None:
    document = parse_document(text, Path("c.yaml"))
    with pytest.raises(ConfigError) as caught:
        read_settings(Tls, document, (), document.value)
    assert said in str(caught.value)
