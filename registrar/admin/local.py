"""Asks the running program through its unix socket, for the commands."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from registrar.admin.drains import DrainBody, DrainedBody
from registrar.admin.handlers import OrderBody, OutcomeBody
from registrar.errors import MALFORMED, NotRunning
from registrar.status import Status

ANSWER_S = 10.0

_T = TypeVar("_T")


class Local:
    """The running program behind a socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def status(self) -> Status:
        """Return the state of everything. Raise NotRunning."""
        return self._read(self._ask("GET", "/status", None, ANSWER_S), Status)

    def check(self) -> None:
        """Raise NotRunning unless it answers."""
        self._ask("GET", "/healthz", None, ANSWER_S)

    def resync(self, order: OrderBody) -> list[OutcomeBody]:
        """Have a resync done; return what came of it. Raise NotRunning."""
        answer = self._ask("POST", "/resync", order, order.timeout + ANSWER_S)
        return self._read(answer, list[OutcomeBody])

    def drain(self, order: DrainBody, *, out: bool) -> DrainedBody:
        """Have backends taken out, or back in; return what came of it. Raise NotRunning."""
        path = "/drain" if out else "/undrain"
        answer = self._ask("POST", path, order, order.timeout + ANSWER_S)
        return self._read(answer, DrainedBody)

    def _read(self, answer: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except MALFORMED:
            raise NotRunning(
                f"{self._socket}: its answer can't be read; is it a registrar of this version?"
            ) from None

    def _ask(self, method: str, path: str, body: object, timeout: float) -> bytes:
        if not self._socket.is_socket():
            raise NotRunning(_nobody(self._socket))
        transport = httpx.HTTPTransport(uds=str(self._socket))
        content = None if body is None else msgspec.json.encode(body)
        try:
            with httpx.Client(transport=transport, timeout=timeout) as client:
                answer = client.request(method, f"http://registrar{path}", content=content)
        except httpx.TransportError as error:
            raise NotRunning(_words(self._socket, error)) from None
        if answer.status_code != 200:
            raise NotRunning(f"{self._socket}: {answer.text.strip()}")
        return answer.content


def _words(socket: Path, error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"{socket}: no answer in time"
    return _nobody(socket)


def _nobody(socket: Path) -> str:
    remedy = "is `registrar run` running here? name its socket with --socket"
    return f"{socket}: nobody answers there; {remedy}"
