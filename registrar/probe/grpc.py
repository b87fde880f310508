"""A backend is up whose health service says so: gRPC's health checking protocol, over HTTP/2."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from registrar.errors import SourceError
from registrar.model import CheckResult, GrpcProbe, HealthCheck
from registrar.probe.dial import Dialler
from registrar.probe.exchange import Conversation, Exchange, Place
from registrar.probe.grpc_answer import GrpcConversation
from registrar.probe.grpc_call import Call
from registrar.probe.http import host_of
from registrar.probe.results import not_run, of_dialling
from registrar.probe.stream import StreamExchange
from registrar.probe.tls import NOT_READ, Contexts, TlsConversation


class GrpcProber:
    """Begins checks that ask a health service once."""

    def __init__(self, check: HealthCheck, probe: GrpcProbe) -> None:
        self._tls = probe.tls
        self._dialler = Dialler(check, completes=False)
        self._call = Call(probe.service, "http" if probe.tls is None else "https", check.timeout)
        self._contexts = None if probe.tls is None else Contexts(probe.tls, ["h2"])
        self._context: ssl.SSLContext | None = None
        self._unread = None if probe.tls is None else NOT_READ

    @property
    def files(self) -> Sequence[Path] | None:
        """Those of TLS."""
        return None if self._tls is None else self._tls.files

    def read(self) -> None:
        """Read certificates."""
        if self._contexts is None:
            return
        try:
            self._context = self._contexts.read()
        except SourceError as error:
            self._unread = not_run(str(error))
        else:
            self._unread = None

    def begin(self, place: Place) -> Exchange | CheckResult:
        """Begin a check."""
        if self._unread is not None:
            return self._unread
        name = None if self._tls is None else self._tls.server_name
        conversation: Conversation = GrpcConversation(
            self._call, name.encode() if name else host_of(place)
        )
        if self._context is not None:
            conversation = TlsConversation(self._context, name, place, conversation)
        try:
            return self._dialler.tcp(StreamExchange, place).hold(conversation)
        except OSError as error:
            return of_dialling(error.errno or 0)
