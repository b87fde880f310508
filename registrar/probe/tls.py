"""Holds a conversation in TLS: handshake, session, and what may be wrong with a certificate.

A resumed session costs a fraction of a full handshake and verifies nothing, so that every so often
there is a full one.
"""

from __future__ import annotations

import select
import socket
import ssl
from dataclasses import dataclass

from registrar.model import CheckResult, ProbeTls
from registrar.probe.exchange import Conversation, Place
from registrar.probe.results import failed, not_run, of_network, silent
from registrar.probe.stream import CHUNK, MOST_HEARD, TOO_LONG
from registrar.tls import identify, revoke, trust

FULL_EVERY = 10
"""Of so many handshakes one is full, at least."""

_OPEN = select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP
_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

_CERTIFICATES = {
    9: "certificate is not valid yet",
    10: "certificate has expired",
    18: "certificate is self-signed, and not trusted",
    19: "certificate chain ends in an authority that is not trusted",
    2: "certificate's authority is not known, and not trusted",
    20: "certificate's authority is not known, and not trusted",
    21: "certificate's authority is not known, and not trusted",
    23: "certificate, or that of its authority, is revoked",
    62: "certificate is for another name",
    64: "certificate is not for this address",
}
"""OpenSSL's numbers of what is wrong (X509_V_ERR_*)."""

_OUR_LISTS = {
    3: "no revocation list of the certificate's authority is in crlFile",
    11: "the revocation list in crlFile is not valid yet",
    12: "the revocation list in crlFile has expired",
}
"""Without a list that holds nobody knows what is revoked."""

_PLAIN = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "BAD_RECORD_TYPE",
    "INVALID_RECORD_TYPE",
}
"""What OpenSSL says of bytes that are no TLS."""

_WANTS_CERTIFICATE = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "TLSV1_ALERT_UNKNOWN_CA",
}


def context_of(tls: ProbeTls, protocols: list[str] | None = None) -> ssl.SSLContext:
    """Return the context that the files of settings stand for. Raise SourceError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif tls.ca_file is None:
        made.load_default_certs()
    else:
        trust(made, tls.ca_file)
    if tls.crl_file is not None:
        revoke(made, tls.crl_file)
    if tls.cert_file is not None and tls.key_file is not None:
        identify(made, tls.cert_file, tls.key_file)
    if protocols:
        made.set_alpn_protocols(protocols)
    return made


@dataclass(slots=True)
class Session:
    """What is kept of a backend's last full handshake, for so many more."""

    context: ssl.SSLContext
    session: ssl.SSLSession
    left: int


class TlsExchange:
    """Connects, shakes hands, says what is to be said, and hears the answer."""

    __slots__ = (
        "_context",
        "_conversation",
        "_left",
        "_name",
        "_place",
        "_socket",
        "_tls",
        "_unsent",
    )

    def __init__(
        self,
        opened: socket.socket,
        context: ssl.SSLContext,
        name: str | None,
        place: Place,
        conversation: Conversation,
    ) -> None:
        self._socket = opened
        self._context = context
        self._name = name or place.at[0]
        self._place = place
        self._conversation = conversation
        self._left = MOST_HEARD
        self._tls: ssl.SSLSocket | None = None
        self._unsent: bytes | None = None
        """None until the handshake is over."""

    @property
    def wants(self) -> int:
        """To be open first, then to hear."""
        return select.EPOLLOUT if self._tls is None or self._unsent else select.EPOLLIN

    def fileno(self) -> int:
        """Return the descriptor, which stays the same."""
        return self._socket.fileno() if self._tls is None else self._tls.fileno()

    def close(self) -> None:
        """Hang up, without a farewell."""
        (self._tls or self._socket).close()

    def release(self) -> None:
        """Hang up as well: what OpenSSL has wrapped serves no other check."""
        self.close()

    def ready(self, events: int) -> CheckResult | None:
        """Go on as far as it goes."""
        try:
            if self._tls is None:
                if not events & _OPEN:
                    return None
                if code := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return of_network(code)
                self._tls = self._wrapped()
            if self._unsent is None:
                self._tls.do_handshake()
                self._unsent = self._conversation.opening()
            return self._talk(self._tls)
        except _WAITS:
            return None
        except OSError as error:
            return self._failure(error)

    def overdue(self, timeout: float) -> CheckResult:
        """Return that what was awaited hasn't come."""
        return silent(self._awaited if self._tls is not None else "connection", timeout)

    @property
    def _awaited(self) -> str:
        return "TLS handshake" if self._unsent is None else self._conversation.awaited

    def _wrapped(self) -> ssl.SSLSocket:
        kept = self._place.kept
        session = None
        if isinstance(kept, Session) and kept.context is self._context and kept.left:
            kept.left -= 1
            session = kept.session
        return self._context.wrap_socket(
            self._socket,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            server_hostname=self._name,
            session=session,
        )

    def _talk(self, tls: ssl.SSLSocket) -> CheckResult:
        """Talk until there is a result. Raise one of _WAITS where more has to come."""
        while True:
            while self._unsent:
                self._unsent = self._unsent[tls.send(self._unsent) :]
            try:
                data = tls.recv(CHUNK)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                data = b""
            self._left -= len(data)
            if self._left < 0:
                return TOO_LONG
            said = self._conversation.heard(data) if data else self._conversation.ended()
            if not isinstance(said, bytes):
                self._keep(tls)
                return said
            self._unsent = said

    def _keep(self, tls: ssl.SSLSocket) -> None:
        if not tls.session_reused:
            session = tls.session
            kept = None if session is None else Session(self._context, session, FULL_EVERY - 1)
            self._place.kept = kept

    def _failure(self, error: OSError) -> CheckResult:
        self._place.kept = None
        if not isinstance(error, ssl.SSLError):
            return of_network(error.errno or 0, self._awaited)
        if isinstance(error, ssl.SSLCertVerificationError):
            return of_verification(error.verify_code, error.verify_message)
        return of_tls(error, self._awaited)


def of_verification(code: int, message: str) -> CheckResult:
    """Return what it means that a certificate doesn't stand up to verification."""
    if code in _OUR_LISTS:
        return not_run(_OUR_LISTS[code])
    return failed(_CERTIFICATES.get(code) or f"certificate is refused: {message}")


def of_tls(error: ssl.SSLError, awaited: str) -> CheckResult:
    """Return what an error of OpenSSL means, by the words that it has for it."""
    reason = error.reason or ""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or "UNEXPECTED_EOF" in reason:
        return failed(f"closed without {awaited}")
    if reason in _PLAIN:
        return failed("answered without TLS")
    if reason in _WANTS_CERTIFICATE:
        return failed("refused our client certificate, or the lack of one")
    if "ALERT" in reason:
        words = reason.partition("ALERT_")[2].lower().replace("_", " ")
        return failed(f"refused the TLS handshake: {words}")
    return failed(f"TLS: {reason.lower().replace('_', ' ') or 'no handshake'}")
