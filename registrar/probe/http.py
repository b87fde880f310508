"""A backend is up that answers one HTTP/1.1 request (RFC 9112) as is expected of it.

Follows no redirect. Where only the status matters, nothing after the status line is looked at.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import h11

from registrar.errors import SourceError
from registrar.expect import Expectation
from registrar.model import CheckResult, HealthCheck, HttpProbe
from registrar.probe.body import BodyConversation
from registrar.probe.dial import Dialler
from registrar.probe.exchange import Conversation, Exchange, Place
from registrar.probe.results import not_run, of_dialling
from registrar.probe.status import StatusConversation, Statuses
from registrar.probe.stream import StreamExchange
from registrar.probe.tls import NOT_READ, Contexts, TlsConversation
from registrar.tokens import secret_in

_OURS = (("User-Agent", "registrar"), ("Accept", "*/*"))


class HttpProber:
    """Begins checks that send one request."""

    def __init__(self, check: HealthCheck, probe: HttpProbe) -> None:
        self._probe = probe
        self._dialler = Dialler(check, completes=False)
        self._statuses = Statuses(probe.statuses)
        self._expect = None if probe.body is None else Expectation(probe.body)
        # Nothing is to go out without TLS, or without its secrets, by mistake.
        self._unread = None if self.files is None else NOT_READ
        self._contexts = None if probe.tls is None else Contexts(probe.tls)
        self._context: ssl.SSLContext | None = None
        self._request = _Request(probe, {})

    @property
    def files(self) -> Sequence[Path] | None:
        """Those of its headers and of TLS."""
        tls = self._probe.tls
        secret = [header.file for header in self._probe.headers if header.file is not None]
        return None if tls is None and not secret else [*secret, *(tls.files if tls else ())]

    def read(self) -> None:
        """Read headers and certificates."""
        headers = self._probe.headers
        try:
            secrets = {one.file: secret_in(one.file) for one in headers if one.file is not None}
            self._context = self._contexts.read() if self._contexts else None
        except SourceError as error:
            self._unread = not_run(str(error))
        else:
            self._request = _Request(self._probe, secrets)
            self._unread = None

    def begin(self, place: Place) -> Exchange | CheckResult:
        """Begin a check."""
        if self._unread is not None:
            return self._unread
        conversation = self._conversation(place)
        if self._context is not None:
            name = self._probe.tls.server_name if self._probe.tls else None
            conversation = TlsConversation(self._context, name, place, conversation)
        try:
            return self._dialler.tcp(StreamExchange, place).hold(conversation)
        except OSError as error:
            return of_dialling(error.errno or 0)

    def _conversation(self, place: Place) -> Conversation:
        if self._expect is None:
            return StatusConversation(self._request.to(place), self._statuses)
        return BodyConversation(self._request.for_h11(place), self._statuses, self._expect)


class _Made:
    """A request that was made for a backend."""

    __slots__ = ("of", "request")

    def __init__(self, of: _Request, request: bytes) -> None:
        self.of = of
        self.request = request


class _Request:
    """A request of which all but the Host is made beforehand. Its secrets show in no repr."""

    __slots__ = ("_after", "_before", "_headers", "_host", "_probe")

    def __init__(self, probe: HttpProbe, secrets: Mapping[Path, str]) -> None:
        self._probe = probe
        self._host = None if probe.host is None else probe.host.encode("ascii")
        given = {header.name.lower() for header in probe.headers}
        self._headers = [
            (one.name, one.value if one.file is None else secrets.get(one.file, ""))
            for one in probe.headers
        ]
        self._headers += [pair for pair in _OURS if pair[0].lower() not in given]
        self._headers.append(("Connection", "close"))
        lines = [f"{name}: {value}" for name, value in self._headers]
        self._before = f"{probe.method} {probe.path} HTTP/1.1\r\nHost: ".encode("ascii")
        self._after = "\r\n".join(["", *lines, "", ""]).encode("ascii")

    def to(self, place: Place) -> bytes:
        """Return it as it is sent to a backend, which is kept for the next time."""
        kept = place.kept
        if isinstance(kept, _Made) and kept.of is self:
            return kept.request
        request = b"%b%b%b" % (self._before, self._host or host_of(place), self._after)
        if kept is None or isinstance(kept, _Made):  # else it is a session of TLS
            place.kept = _Made(self, request)
        return request

    def for_h11(self, place: Place) -> h11.Request:
        """Return it as h11 has it."""
        headers = [(b"Host", self._host or host_of(place))]
        headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in self._headers]
        return h11.Request(method=self._probe.method, target=self._probe.path, headers=headers)


def host_of(place: Place) -> bytes:
    """Return address and port as a Host (RFC 9110, section 7.2)."""
    address, port = place.at
    return (f"[{address}]:{port}" if ":" in address else f"{address}:{port}").encode("ascii")
