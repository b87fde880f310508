"""Hears a whole HTTP answer, by h11, where something is expected of its body."""

from __future__ import annotations

import h11

from registrar.expect import MOST_BYTES, Expectation
from registrar.model import CheckResult, Outcome
from registrar.probe.results import failed, passed
from registrar.probe.status import MOST_INTERIM, ONLY_INTERIM, Statuses, may_become_status, no_http

MOST_HEAD = 16_384
MOST_CHUNKS = 4096
"""That are read of a body: the smallest ones take more time than they bring."""

_ENOUGH = 16
_MET = "HTTP status {status}, and a body as expected"


class BodyConversation:
    """Sends a request, and looks into the beginning of the answer's body."""

    __slots__ = (
        "_body",
        "_connection",
        "_events",
        "_expect",
        "_first",
        "_is_whole",
        "_request",
        "_status",
        "_statuses",
    )

    def __init__(self, request: h11.Request, statuses: Statuses, expect: Expectation) -> None:
        self._request = request
        self._statuses = statuses
        self._expect = expect
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
        self._first = b""
        self._status: int | None = None
        self._body = b""
        self._events = 0
        self._is_whole = False

    @property
    def awaited(self) -> str:
        """What it waits for."""
        if not self._first:
            return "answer"
        return "complete header" if self._status is None else "complete body"

    def opening(self) -> bytes:
        """Return the request."""
        head = self._connection.send(self._request) or b""
        return head + (self._connection.send(h11.EndOfMessage()) or b"")

    def heard(self, data: bytes) -> CheckResult | bytes:
        """Go on with the answer."""
        if len(self._first) < _ENOUGH:  # h11 would wait for a whole header
            self._first += data[:_ENOUGH]
            if not may_become_status(self._first):
                return no_http(self._first)
        return self._take(data)

    def ended(self) -> CheckResult:
        """Take the end of the connection, which may be that of the body."""
        if not self._first:
            return failed("closed without an answer")
        said = self._take(b"")
        return failed("answer broke off") if isinstance(said, bytes) else said

    def _take(self, data: bytes) -> CheckResult | bytes:
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if not isinstance(event, h11.Event):  # NEED_DATA, or PAUSED
                    return self._met() or b""
                if (result := self._on(event)) is not None:
                    return result
        except h11.RemoteProtocolError as error:
            if self._status is None and error.error_status_hint == 431:
                return failed(f"header is longer than {MOST_HEAD} bytes")
            if self._status is None:
                return no_http(self._first) if data else failed("answer broke off")
            return self._met() or failed("malformed body" if data else "answer broke off")

    def _on(self, event: h11.Event) -> CheckResult | None:
        self._events += 1
        if isinstance(event, h11.InformationalResponse):
            return ONLY_INTERIM if self._events > MOST_INTERIM else None
        if isinstance(event, h11.Response):
            self._status = event.status_code
            result = self._statuses.of(b"%d" % event.status_code) or failed("not HTTP")
            return None if result.outcome is Outcome.PASSED else result
        if isinstance(event, h11.Data):
            self._body += event.data[: MOST_BYTES - len(self._body)]
            if len(self._body) == MOST_BYTES:
                first = f"the body's first {MOST_BYTES} bytes"
                return self._met() or failed(f"{first} are not as expected")
            if self._events > MOST_CHUNKS:
                return self._met() or failed(f"no expected body in {MOST_CHUNKS} chunks")
        elif isinstance(event, h11.EndOfMessage):
            self._is_whole = True
            return self._met() or failed("another body than expected")
        return None

    def _met(self) -> CheckResult | None:
        """Look for what is expected: once for all that has come together, for it may be long."""
        if (self._body or self._is_whole) and self._expect.is_met(self._body):
            return passed(_MET.format(status=self._status))
        return None
