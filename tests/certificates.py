"""Certificates for the tests: an authority, and what it issues, made by the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

VALID = ("-days", "2")
EXPIRED = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
NOT_YET = ("-startdate", "20990101000000Z", "-enddate", "20990102000000Z")

LISTED = ("-crldays", "2")
LIST_EXPIRED = ("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200102000000Z")

_RULES = """\
[ca]
default_ca = own
[own]
database = {index}
default_md = sha256
policy = names
unique_subject = no
rand_serial = yes
[names]
commonName = supplied
"""


class Authority:
    """An authority whose certificate is `file`; each key is a file beside its certificate."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._keep_books(folder, name)
        _openssl(
            *("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.file),
            *("-days", "2", "-subj", f"/CN={name}"),
        )

    def issue(self, name: str, *subjects: str, valid: Sequence[str] = VALID) -> tuple[Path, Path]:
        """Return certificate and key for what is written as `DNS:host` or `IP:10.0.0.1`."""
        named = ",".join(subjects or (f"DNS:{name}",))
        return self._sign(name, f"subjectAltName={named}\n", valid)

    def delegate(self, name: str) -> Authority:
        """Return an authority that this one vouches for."""
        made = Authority.__new__(Authority)
        made._keep_books(self._folder, name)  # noqa: SLF001  it is one of us
        self._sign(name, "basicConstraints=critical,CA:true\nsubjectKeyIdentifier=hash\n", VALID)
        return made

    def revoke(self, cert: Path) -> None:
        """Have its next list name a certificate."""
        self._ca("-revoke", cert)

    def list_revoked(self, *, valid: Sequence[str] = LISTED) -> str:
        """Return the list of what it has revoked."""
        listed = self._folder / f"{self.file.stem}.crl"
        self._ca("-gencrl", *valid, "-out", listed)
        return listed.read_text()

    def server(self, cert: Path, key: Path, *, asks_clients: bool = False) -> ssl.SSLContext:
        """Return what a server presents; with `asks_clients` it wants one of ours in return."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(cert, key)
        if asks_clients:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(self.file)
        return made

    def _keep_books(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.file, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        index, self._rules = folder / f"{name}.index", folder / f"{name}.rules"
        index.touch()
        self._rules.write_text(_RULES.format(index=index))

    def _sign(self, name: str, extensions: str, valid: Sequence[str]) -> tuple[Path, Path]:
        cert, key, request = (self._folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        _openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extended = self._folder / f"{name}.ext"
        extended.write_text(extensions)
        files: tuple[str | Path, ...] = ("-in", request, "-out", cert, "-extfile", extended)
        self._ca("-batch", "-notext", *files, "-outdir", self._folder, *valid)
        return cert, key

    def _ca(self, *arguments: str | Path) -> None:
        ours: tuple[str | Path, ...] = ("-cert", self.file, "-keyfile", self._key)
        _openssl("ca", "-config", self._rules, *ours, *arguments)


def lock(key: Path, locked: Path) -> None:
    """Write a key once more, with a passphrase."""
    _openssl("ec", "-aes256", "-passout", "pass:x", "-in", key, "-out", locked)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
