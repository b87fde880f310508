"""A backend is up that answers one HTTP/1.1 request (RFC 9112) with a status as expected.

Follows no redirect. Where only the status matters, nothing after the status line is looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

from registrar.model import CheckResult, HealthCheck, HttpProbe
from registrar.probe.dial import Dialler
from registrar.probe.exchange import Place
from registrar.probe.results import failed, of_dialling, passed
from registrar.probe.stream import StreamExchange

MOST_STATUS_LINE = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_TLS_ALERT = b"\x15\x03"


def request_of(probe: HttpProbe, secrets: dict[Path, str]) -> tuple[bytes, bytes]:
    """Return what stands before and after the Host of a request, with the secrets of its files."""
    head = f"{probe.method} {probe.path} HTTP/1.1\r\nHost: "
    given = {header.name.lower() for header in probe.headers}
    lines = [
        f"{one.name}: {one.value if one.file is None else secrets[one.file]}"
        for one in probe.headers
    ]
    lines += [
        f"{name}: {value}"
        for name, value in (("User-Agent", "registrar"), ("Accept", "*/*"))
        if name.lower() not in given
    ]
    return head.encode(), "\r\n".join(["", *lines, "Connection: close", "", ""]).encode()


class Statuses:
    """The results that statuses stand for, made beforehand."""

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self._results = {}
        for status in range(200, 600):
            is_expected = any(first <= status <= last for first, last in ranges)
            self._results[b"%d" % status] = (passed if is_expected else failed)(
                f"HTTP status {status}"
            )

    def of(self, status: bytes) -> CheckResult | None:
        """Return what a status of three digits stands for; None for one that is no final answer."""
        return self._results.get(status)


class StatusConversation:
    """Sends a request, and hears the status line of the answer."""

    __slots__ = ("_heard", "_request", "_statuses")

    def __init__(self, request: bytes, statuses: Statuses) -> None:
        self._request = request
        self._statuses = statuses
        self._heard = b""

    @property
    def awaited(self) -> str:
        """What it waits for."""
        return "complete status line" if self._heard else "answer"

    def opening(self) -> bytes:
        """Return the request."""
        return self._request

    def heard(self, data: bytes) -> CheckResult | bytes:
        """Look at the status line, once it is whole; pass over interim ones (1xx)."""
        self._heard = heard = self._heard + data if self._heard else data
        while (match := _STATUS.match(heard)) is not None:
            if (result := self._statuses.of(match[1])) is not None:
                return result
            end = _END_OF_HEAD.search(heard, match.end() - 1)
            if end is None:
                break
            self._heard = heard = heard[end.end() :]
        if match is None and (b"\n" in heard or not _may_become_status(heard)):
            return no_http(heard)
        if len(heard) > MOST_STATUS_LINE:
            return failed(f"no status line within {MOST_STATUS_LINE} bytes")
        return b""

    def ended(self) -> CheckResult:
        """Return that the answer broke off."""
        return failed("closed without an answer" if not self._heard else "answer broke off")


def no_http(heard: bytes) -> CheckResult:
    """Return that an answer is not HTTP, and what it seems to be."""
    if heard.startswith(_TLS_ALERT):
        return failed("answered in TLS: the check is to be of type https")
    return failed("not HTTP")


def _may_become_status(heard: bytes) -> bool:
    return heard[:7] == b"HTTP/1."[: len(heard)]


class HttpProber:
    """Begins checks that send one request."""

    def __init__(self, check: HealthCheck, probe: HttpProbe) -> None:
        self._dialler = Dialler(check, completes=False)
        self._statuses = Statuses(probe.statuses)
        self._before, self._after = request_of(probe, {})
        self._host = None if probe.host is None else probe.host.encode()

    def begin(self, place: Place) -> StreamExchange | CheckResult:
        """Begin a check."""
        try:
            opened = self._dialler.tcp(StreamExchange, place)
        except OSError as error:
            return of_dialling(error.errno or 0)
        host = self._host or host_of(place)
        request = b"%b%b%b" % (self._before, host, self._after)
        return opened.hold(StatusConversation(request, self._statuses))


def host_of(place: Place) -> bytes:
    """Return address and port as a Host (RFC 9110, section 7.2)."""
    address, port = place.at
    return (f"[{address}]:{port}" if ":" in address else f"{address}:{port}").encode()
