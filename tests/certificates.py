"""Certificates for the tests: an authority, and what it issues, made by the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Authority:
    """An authority whose certificate is `file`; each key is a file beside its certificate."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl(
            *("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.file),
            *("-days", "2", "-subj", f"/CN={name}"),
        )

    def issue(self, name: str, *subjects: str) -> tuple[Path, Path]:
        """Return certificate and key for what is written as `DNS:host` or `IP:10.0.0.1`."""
        cert, key, request = (self._folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        _openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(subjects or (f'DNS:{name}',))}\n")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key),
            *("-days", "2", "-out", cert, "-extfile", extensions),
        )
        return cert, key

    def server(self, cert: Path, key: Path, *, asks_clients: bool = False) -> ssl.SSLContext:
        """Return what a server presents; with `asks_clients` it wants one of ours in return."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(cert, key)
        if asks_clients:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(self.file)
        return made


def lock(key: Path, locked: Path) -> None:
    """Write a key once more, with a passphrase."""
    _openssl("ec", "-aes256", "-passout", "pass:x", "-in", key, "-out", locked)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
