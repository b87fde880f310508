"""Hears the status line of an HTTP/1.1 answer (RFC 9112, section 4), and nothing after it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from registrar.model import CheckResult
from registrar.probe.results import failed, passed

MOST_STATUS_LINE = 4096
MOST_INTERIM = 64
ONLY_INTERIM = failed(f"more than {MOST_INTERIM} interim answers (1xx)")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
_HTTP2_SETTINGS = re.compile(rb"HTTP/2|\x00..\x04.\x00\x00\x00\x00", re.DOTALL)
"""What a server of HTTP/2 begins with (RFC 9113, section 3.4), or a status line in its name."""


class Statuses:
    """The results that statuses stand for, made beforehand."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        expected = tuple(ranges)
        self._results: dict[bytes, CheckResult] = {}
        for status in range(200, 600):
            is_expected = any(first <= status <= last for first, last in expected)
            self._results[b"%d" % status] = (passed if is_expected else failed)(
                f"HTTP status {status}"
            )

    def of(self, status: bytes) -> CheckResult | None:
        """Return what a status of three digits stands for; None for one that is no final answer."""
        return self._results.get(status)


class StatusConversation:
    """Sends a request, and hears the status line of the answer."""

    __slots__ = ("_heard", "_interim", "_request", "_statuses")

    def __init__(self, request: bytes, statuses: Statuses) -> None:
        self._request = request
        self._statuses = statuses
        self._heard = b""
        self._interim = 0

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
            self._interim += 1
            if self._interim > MOST_INTERIM:
                return ONLY_INTERIM
        if match is None and (b"\n" in heard or not may_become_status(heard)):
            return no_http(heard)
        if len(heard) > MOST_STATUS_LINE:
            return failed(f"no status line within {MOST_STATUS_LINE} bytes")
        return b""

    def ended(self) -> CheckResult:
        """Return that the answer broke off."""
        return failed("closed without an answer" if not self._heard else "answer broke off")


def no_http(heard: bytes) -> CheckResult:
    """Return that an answer is not HTTP, and what it seems to be."""
    if heard.startswith(_TLS_RECORDS):
        return failed("answered in TLS: type https is for that")
    if _HTTP2_SETTINGS.match(heard):
        return failed("answered in HTTP/2")
    return failed("not HTTP")


def may_become_status(heard: bytes) -> bool:
    """Return whether an answer begins like one of HTTP/1."""
    return heard[:7] == b"HTTP/1."[: len(heard)]
