"""Certificates that are not to be trusted, and those that are: what a check says of each."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from registrar.model import CheckResult, HealthCheck, HttpProbe, Outcome, ProbeTls
from registrar.probe.results import failed, not_run, passed
from tests.certificates import EXPIRED, LIST_EXPIRED, NOT_YET, Authority
from tests.checking import check, checking
from tests.fakes import CHECK, target
from tests.hostile import Peer, Play, played
from tests.plays import OK, after, within

NAME = "web.test"
UP = passed("HTTP status 200")


class Site:
    """An authority that is trusted, with one that it vouches for, and another that nobody knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Authority(folder, "root")
        self.middle = self.root.delegate("middle")
        self.stranger = Authority(folder, "stranger")

    def presenting(self, cert: Path, key: Path, *chain: Authority) -> ssl.SSLContext:
        """Return what a server presents that also hands out certificates of authorities."""
        whole = self.folder / f"{cert.stem}-{'-'.join(one.file.stem for one in chain)}.pem"
        whole.write_text("".join(file.read_text() for file in (cert, *(a.file for a in chain))))
        return self.root.server(whole, key)

    def crl(self, name: str, *lists: str) -> Path:
        file = self.folder / name
        file.write_text("".join(lists))
        return file

    @property
    def trusting(self) -> ProbeTls:
        return ProbeTls(ca_file=self.root.file, server_name=NAME)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("tls"))


def answering(context: ssl.SSLContext) -> Play:
    return within(context, after(OK + b"\r\n", end=Peer.close))


def https(tls: ProbeTls, interval: float = 5.0) -> HealthCheck:
    return replace(CHECK, probe=HttpProbe(tls=tls), timeout=20.0, interval=interval)


async def result(context: ssl.SSLContext, tls: ProbeTls) -> CheckResult:
    with played(answering(context)) as server:
        return await check(target("127.0.0.1", server.port, https(tls)))


@cache
def good(site: Site) -> ssl.SSLContext:
    return site.presenting(*site.root.issue("good", f"DNS:{NAME}"))


@cache
def by_the_middle(site: Site) -> ssl.SSLContext:
    return site.presenting(*site.middle.issue("by-middle", f"DNS:{NAME}"), site.middle)


@cache
def expired(site: Site) -> ssl.SSLContext:
    return site.presenting(*site.root.issue("expired", f"DNS:{NAME}", valid=EXPIRED))


@cache
def not_valid_yet(site: Site) -> ssl.SSLContext:
    return site.presenting(*site.root.issue("not-yet", f"DNS:{NAME}", valid=NOT_YET))


@cache
def of_another_name(site: Site) -> ssl.SSLContext:
    return site.presenting(*site.root.issue("other", "DNS:other.test", "IP:127.0.0.1"))


@cache
def self_signed(site: Site) -> ssl.SSLContext:
    return site.root.server(site.stranger.file, site.stranger.file.with_suffix(".key"))


@cache
def by_a_stranger(site: Site) -> ssl.SSLContext:
    return site.presenting(*site.stranger.issue("strange", f"DNS:{NAME}"))


@cache
def by_a_stranger_who_shows_himself(site: Site) -> ssl.SSLContext:
    return site.presenting(*site.stranger.issue("strange", f"DNS:{NAME}"), site.stranger)


@cache
def without_the_middle(site: Site) -> ssl.SSLContext:
    return site.presenting(*site.middle.issue("by-middle", f"DNS:{NAME}"))


REFUSED = {
    expired: "certificate has expired",
    not_valid_yet: "certificate is not valid yet",
    of_another_name: "certificate is for another name",
    self_signed: "certificate is self-signed, and not trusted",
    by_a_stranger: "certificate's authority is not known, and not trusted",
    without_the_middle: "certificate's authority is not known, and not trusted",
    by_a_stranger_who_shows_himself: "certificate chain ends in an authority that is not trusted",
}


@pytest.mark.parametrize("presenting", [good, by_the_middle])
async def test_trusted(site: Site, presenting: Callable[[Site], ssl.SSLContext]) -> None:
    assert await result(presenting(site), site.trusting) == UP


@pytest.mark.parametrize(("presenting", "reason"), REFUSED.items())
async def test_refused(
    site: Site, presenting: Callable[[Site], ssl.SSLContext], reason: str
) -> None:
    assert await result(presenting(site), site.trusting) == failed(reason)


@pytest.mark.parametrize("presenting", REFUSED)
async def test_anything_passes_without_verification(
    site: Site, presenting: Callable[[Site], ssl.SSLContext]
) -> None:
    assert await result(presenting(site), replace(site.trusting, verify=False)) == UP


async def test_without_a_name_the_certificate_must_bear_the_address(site: Site) -> None:
    trusting = ProbeTls(ca_file=site.root.file)
    right = site.presenting(*site.root.issue("right", "IP:127.0.0.1"))
    wrong = site.presenting(*site.root.issue("wrong", "IP:127.0.0.2", "DNS:127.0.0.1"))
    assert await result(right, trusting) == UP
    assert await result(wrong, trusting) == failed("certificate is not for this address")


async def test_the_systems_authorities_are_trusted_where_none_is_named(site: Site) -> None:
    found = await result(good(site), ProbeTls(server_name=NAME))
    assert found == failed("certificate's authority is not known, and not trusted")


# --- what is revoked ------------------------------------------------------------------------------

REVOKED = failed("certificate, or that of its authority, is revoked")


async def test_a_revoked_certificate(site: Site) -> None:
    fine, revoked = (site.root.issue(name, f"DNS:{NAME}") for name in ("fine", "revoked"))
    site.root.revoke(revoked[0])
    tls = replace(site.trusting, crl_file=site.crl("leaf.crl", site.root.list_revoked()))
    assert await result(site.presenting(*fine), tls) == UP
    assert await result(site.presenting(*revoked), tls) == REVOKED


async def test_a_revoked_authority(tmp_path: Path) -> None:
    site = Site(tmp_path)
    presented = by_the_middle(site)
    before = site.crl("before.crl", site.root.list_revoked(), site.middle.list_revoked())
    assert await result(presented, replace(site.trusting, crl_file=before)) == UP
    site.root.revoke(site.middle.file)
    after_it = site.crl("after.crl", site.root.list_revoked(), site.middle.list_revoked())
    assert await result(presented, replace(site.trusting, crl_file=after_it)) == REVOKED


async def test_without_a_list_that_holds_nobody_knows_what_is_revoked(site: Site) -> None:
    expired_list = site.crl("old.crl", site.root.list_revoked(valid=LIST_EXPIRED))
    roots_alone = site.crl("root.crl", site.root.list_revoked())
    of_a_stranger = site.crl("stranger.crl", site.stranger.list_revoked())
    for presented, crl, reason in (
        (good(site), expired_list, "the revocation list in crlFile has expired"),
        (
            by_the_middle(site),
            roots_alone,
            "no revocation list of the certificate's authority is in crlFile",
        ),
        (
            good(site),
            of_a_stranger,
            "no revocation list of the certificate's authority is in crlFile",
        ),
    ):
        found = await result(presented, replace(site.trusting, crl_file=crl))
        assert found == CheckResult(Outcome.UNKNOWN, f"could not be run: {reason}")


# --- files ----------------------------------------------------------------------------------------


async def test_a_file_that_can_not_be_used_is_named_and_never_shown(
    site: Site, tmp_path: Path
) -> None:
    junk, absent = tmp_path / "junk.pem", tmp_path / "absent.pem"
    junk.write_text("s3cret")
    cert, _ = site.root.issue("client")
    no_pair = f"is no certificate in PEM form to which {junk} is the key, without a passphrase"
    for tls, reason in (
        (ProbeTls(ca_file=junk), f"{junk}: holds no certificates in PEM form; check the file"),
        (
            ProbeTls(ca_file=absent),
            f"{absent}: can't be read: No such file or directory; check the path and permissions",
        ),
        (
            replace(site.trusting, crl_file=junk),
            f"{junk}: holds no certificate revocation list in PEM form; check the file",
        ),
        (
            replace(site.trusting, cert_file=cert, key_file=junk),
            f"{cert}: {no_pair}; check the file",
        ),
    ):
        assert await result(good(site), tls) == not_run(reason)


async def test_an_authority_that_rotates_on_disk_is_taken_up(site: Site, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(site.stranger.file.read_text())
    tls = replace(site.trusting, ca_file=ca)
    with played(answering(good(site))) as server:
        asked = target("127.0.0.1", server.port, https(tls, interval=0.05))
        async with checking(asked) as (_, reports):
            found = await reports.wait_until(asked, "certificate")
            assert found == failed("certificate's authority is not known, and not trusted")
            ca.write_text(site.root.file.read_text())
            assert await reports.wait_until(asked, "HTTP") == UP
            ca.write_text("s3cret")
            unusable = f"{ca}: holds no certificates in PEM form; check the file"
            assert await reports.wait_until(asked, "could not") == not_run(unusable)


# --- sessions -------------------------------------------------------------------------------------


async def test_after_a_failure_nothing_is_resumed(site: Site) -> None:
    context, resumed = good(site), list[bool]()

    def play(peer: Peer) -> None:
        peer.shake(context)
        resumed.append(peer.is_resumed)
        peer.hear()
        if not peer.is_resumed:
            peer.say(OK + b"\r\n")

    with played(play) as server:
        asked = target("127.0.0.1", server.port, https(site.trusting))
        async with checking(asked) as (engine, reports):
            await reports.wait_for(asked)
            for _ in range(3):
                await engine.renew([asked])
    assert resumed == [False, True, False, True]


# --- who we are -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate(site: Site, version: ssl.TLSVersion) -> None:
    asking = site.root.server(*site.root.issue("asking", f"DNS:{NAME}"), asks_clients=True)
    asking.maximum_version = version
    ours, strange = site.root.issue("ours"), site.stranger.issue("not-ours")
    refused = failed("refused our client certificate, or the lack of one")
    # Only since TLS 1.3 is there a word for a certificate that isn't there.
    vague = failed("refused the TLS handshake: handshake failure")
    is_old = version is ssl.TLSVersion.TLSv1_2
    for pair, expected in ((ours, UP), (strange, refused), (None, vague if is_old else refused)):
        cert, key = pair or (None, None)
        tls = replace(site.trusting, cert_file=cert, key_file=key)
        assert await result(asking, tls) == expected


async def test_a_server_that_is_too_old(site: Site) -> None:
    old = good(site)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    found = await result(old, site.trusting)
    assert found == failed("refused the TLS handshake: protocol version")
