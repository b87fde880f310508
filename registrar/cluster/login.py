"""What is known of an API server, and of who we are to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from registrar.errors import ClusterError, SourceError
from registrar.threads import in_thread
from registrar.tokens import secret_in


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom we trust, and by which certificate we are known: files in PEM form.

    Without `verify` anybody may answer. `server_name` is what a certificate has to be for, where it
    isn't the server's own; `proxy` is a URL.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that there are."""
        named = (self.ca_file, self.cert_file, self.key_file)
        return tuple(Path(file) for file in named if file)


@dataclass(frozen=True, slots=True)
class Login:
    """What was read: the server's URL, how connections are made, the header that says who we are.

    `files` are all that it was read from; `expires` is when a plugin says that it has to be asked
    again.
    """

    server: str
    tls: Tls
    authorization: str | None = field(repr=False)
    files: tuple[Path, ...]
    expires: datetime | None = None


async def bearer(token_file: Path) -> str:
    """Return the header that a file's token makes. Raise ClusterError if there is none in it."""
    try:
        return f"Bearer {await in_thread(partial(secret_in, token_file))}"
    except SourceError as error:
        raise ClusterError(str(error)) from None


def proxy_for(server: str) -> str | None:
    """Return the proxy that $HTTPS_PROXY and its kin name, as kubectl heeds them."""
    url = urlsplit(server)
    if url.hostname is None or proxy_bypass(url.hostname):
        return None
    return getproxies().get(url.scheme)
