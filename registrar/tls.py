"""TLS settings of a source, and the ssl context that its files stand for at present."""

from __future__ import annotations

import asyncio
import re
import ssl
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from registrar.context import Context
from registrar.errors import SourceError
from registrar.file_reader import Signature, file_signature
from registrar.settings import Settings, Text, wrong


def _server_name(name: str) -> str:
    try:
        encoded = name.encode("idna")
    except UnicodeError:
        encoded = b""
    if re.fullmatch(rb"[!-~]+", encoded):
        return name
    raise wrong("not a name that a certificate bears", "write one such as web.example")


ServerName = Annotated[Text, AfterValidator(_server_name)]


class Tls(Settings):
    """Whom to trust, and who we are. Paths are relative to the configuration.

    Without `caFile` it is the system's authorities that are trusted. `serverName` is the name
    that the server's certificate must bear, where that is not the host that is connected to.
    """

    ca_file: Text | None = None
    cert_file: Text | None = None
    key_file: Text | None = None
    server_name: ServerName | None = None

    @model_validator(mode="after")
    def _has_both_halves(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            given, absent = ("certFile", "keyFile") if self.cert_file else ("keyFile", "certFile")
            raise wrong(f"incomplete: {given} without {absent}", "give both, or neither")
        return self


class TlsReader:
    """Keeps the ssl context of Tls settings up to date: certificates rotate."""

    def __init__(self, tls: Tls, context: Context) -> None:
        self._tls = tls
        self._files = (tls.ca_file, tls.cert_file, tls.key_file)
        self._one_at_a_time = asyncio.Lock()
        self._context = context
        self._read: tuple[tuple[Signature, ...], ssl.SSLContext] | None = None
        self._begun = 0  # how many times the files have been looked at
        self._good = 0  # the last of those that has succeeded

    async def read(self) -> ssl.SSLContext:
        """Return the same ssl context as before, or a new one if a file has changed since.

        Raise SourceError if the files can't be used.
        """
        if not any(self._files) and self._read is not None:
            return self._read[1]
        begun = self._begun
        async with self._one_at_a_time:
            # Many ask at once, and what another has begun to look at since is fresh enough.
            if self._read is None or self._good <= begun:
                self._begun = number = self._begun + 1
                signatures = await self._context.in_thread(self._signatures)
                if self._read is None or self._read[0] != signatures:
                    self._read = signatures, await self._context.in_thread(self._load)
                self._good = number
            return self._read[1]

    def _path(self, file: str | None) -> Path | None:
        return None if file is None else self._context.base / file

    def _signatures(self) -> tuple[Signature, ...]:
        found: list[Signature] = []
        for file in self._files:
            if (path := self._path(file)) is not None:
                try:
                    found.append(file_signature(path))
                except OSError as error:
                    raise _unreadable(path, error) from None
        return tuple(found)

    def _load(self) -> ssl.SSLContext:
        if self._tls == Tls():
            return _system_trust()
        name = self._tls.server_name
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if name is None else _Named(name)
        ca, cert, key = map(
            self._path, (self._tls.ca_file, self._tls.cert_file, self._tls.key_file)
        )
        if ca is None:
            made.load_default_certs()
        else:
            trust(made, ca)
        if cert is not None and key is not None:
            identify(made, cert, key)
        return made


@cache
def _system_trust() -> ssl.SSLContext:
    # Once for all: it costs 40 ms, and most of those who ask for it use no TLS at all.
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_default_certs()
    return made


class _Named(ssl.SSLContext):
    """Asks every server for the certificate of one name, whatever the host is called."""

    _name: str

    def __new__(cls, name: str) -> Self:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._name = name
        return made

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002  the signature is ssl's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        del server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, self._name, session)


def trust(context: ssl.SSLContext, ca: Path) -> None:
    """Have a context trust the authorities of a file. Raise SourceError if it can't be used."""
    _load(ca, "holds no certificates in PEM form", partial(context.load_verify_locations, ca))


def identify(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Have a context say who we are. Raise SourceError if the files can't be used."""
    # A password is given so that OpenSSL doesn't ask for one on the terminal.
    _load(
        cert,
        f"is no certificate in PEM form to which {key} is the key, without a passphrase",
        partial(context.load_cert_chain, cert, key, password=""),
    )


def revoke(context: ssl.SSLContext, crl: Path) -> None:
    """Have a context refuse what the lists of a file revoke. Raise SourceError as above."""
    wrong = "holds no certificate revocation list in PEM form"
    _load(crl, wrong, partial(context.load_verify_locations, crl))
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load(path: Path, wrong: str, load: partial[None]) -> None:
    try:
        load()
    except ssl.SSLError:
        raise SourceError(f"{path}: {wrong}; check the file") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"{path}: can't be read: {error.strerror}; check the path and permissions")
