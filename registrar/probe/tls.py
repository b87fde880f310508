"""Holds a conversation in TLS: handshake, session, and what may be wrong with a certificate.

A resumed session costs a fraction of a full handshake and verifies nothing, so that every so often
there is a full one.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from registrar.file_reader import file_signature
from registrar.model import CheckResult, Outcome, ProbeTls
from registrar.probe.exchange import Conversation, Place
from registrar.probe.results import failed, not_run
from registrar.probe.stream import CHUNK, MOST_PIECES, TOO_MANY
from registrar.tls import identify, revoke, trust

NOT_READ = not_run("certificates were not read yet")
FULL_EVERY = 10
"""Of so many handshakes one is full, at least."""

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
    8: "the revocation list in crlFile is not signed by the certificate's authority",
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

_REFUSED = re.compile("ALERT_(.+)|(UNRECOGNIZED_NAME)")
"""What OpenSSL says of an alert of the other side, TLSV1_ALERT_PROTOCOL_VERSION for one."""


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


class Contexts:
    """The context of settings: the same for as long as their files hold the same.

    A new one has every session forgotten, and files are looked at whenever a neighbour changes.
    """

    def __init__(self, tls: ProbeTls, protocols: list[str] | None = None) -> None:
        self._tls = tls
        self._protocols = protocols
        self._last: tuple[bytes, ssl.SSLContext] | None = None

    def read(self) -> ssl.SSLContext:
        """Return it. Raise SourceError where a file can't be used."""
        held = _digest(self._tls.files)
        if self._last is None or self._last[0] != held:
            self._last = held, context_of(self._tls, self._protocols)
        return self._last[1]


def _digest(files: Iterable[Path]) -> bytes:
    found = blake2b()
    for file in files:
        with suppress(OSError):  # which context_of puts into words
            file_signature(file)  # to open a pipe would be to wait for a writer
            found.update(file.read_bytes())
        found.update(bytes(1))
    return found.digest()


@dataclass(slots=True)
class Session:
    """What is kept of a backend's last full handshake, for so many more."""

    context: ssl.SSLContext
    session: ssl.SSLSession
    left: int


class TlsConversation:
    """Shakes hands, and holds a conversation within. It does no I/O: OpenSSL gets what was heard.

    Else it would read on by itself for as long as there is something that is not for us: a peer
    that sends sessions without end would have all other checks wait.
    """

    __slots__ = (
        "_context",
        "_conversation",
        "_incoming",
        "_is_shaken",
        "_left",
        "_name",
        "_outgoing",
        "_place",
        "_session",
        "_tls",
    )

    def __init__(
        self, context: ssl.SSLContext, name: str | None, place: Place, conversation: Conversation
    ) -> None:
        self._context = context
        self._conversation = conversation
        self._name = name or place.at[0]
        self._place = place
        self._left = MOST_PIECES
        self._session = self._taken()
        self._is_shaken = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_hostname=self._name,
            session=None if self._session is None else self._session.session,
        )

    @property
    def awaited(self) -> str:
        """What it waits for."""
        return self._conversation.awaited if self._is_shaken else "TLS handshake"

    def opening(self) -> bytes:
        """Return the beginning of the handshake."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def heard(self, data: bytes) -> CheckResult | bytes:
        """Go on with the handshake, or with what is said after it."""
        self._incoming.write(data)
        return self._go_on()

    def ended(self) -> CheckResult:
        """Have what was heard before the end stand for all."""
        self._incoming.write_eof()
        said = self._go_on()
        return self._conversation.ended() if isinstance(said, bytes) else said

    def _go_on(self) -> CheckResult | bytes:
        try:
            if not self._is_shaken:
                self._tls.do_handshake()
                self._is_shaken = True
                self._tls.write(self._conversation.opening())
            return self._talk()
        except ssl.SSLWantReadError:
            return self._outgoing.read()
        except ssl.SSLError as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                return of_verification(error.verify_code, error.verify_message)
            return of_tls(error, self.awaited)

    def _talk(self) -> CheckResult:
        """Talk until there is a result. Raise SSLWantReadError where more has to come."""
        while True:
            try:
                data = self._tls.read(CHUNK)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                data = b""
            self._left -= 1
            if self._left < 0:
                return TOO_MANY
            said = self._conversation.heard(data) if data else self._conversation.ended()
            if not isinstance(said, bytes):
                if data or said.outcome is Outcome.PASSED:
                    self._keep()
                return said
            if said:
                self._tls.write(said)

    def _taken(self) -> Session | None:
        """Take the session that is kept: whatever goes wrong with it, the next check has none."""
        kept, self._place.kept = self._place.kept, None
        if isinstance(kept, Session) and kept.context is self._context and kept.left:
            kept.left -= 1
            return kept
        return None

    def _keep(self) -> None:
        if self._tls.session_reused:
            self._place.kept = self._session
        elif (session := self._tls.session) is not None:
            self._place.kept = Session(self._context, session, FULL_EVERY - 1)


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
    if (refused := _REFUSED.search(reason)) is not None:
        alert = refused[1] or refused[2]
        if "CERTIFICATE" in alert or alert == "UNKNOWN_CA":
            return failed("refused our client certificate, or the lack of one")
        return failed(f"refused the TLS handshake: {alert.lower().replace('_', ' ')}")
    return failed(f"TLS failed: {reason.lower().replace('_', ' ') or 'no handshake'}")
