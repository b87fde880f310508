"""What is configured of one Docker host: where its daemon listens, and where its ports are."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, model_validator
from pydantic.json_schema import JsonSchemaValue

from registrar.model import Address
from registrar.source import IPAddress, Settings, Text, wrong

REMEDY = "write tcp://HOST:PORT or unix:///PATH"


def _schema(schema: JsonSchemaValue) -> None:
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", "pattern": "^(tcp|unix)://"}, mapping]


class DockerHost(Settings):
    """A host, written as its URL or as a mapping.

    `address`: where the ports that it publishes are reached; the URL's own by default.
    """

    model_config = ConfigDict(json_schema_extra=_schema)

    url: Text
    address: IPAddress | None = None
    zone: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:  # noqa: ANN401  whatever the file holds
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise wrong("not the URL of a daemon", REMEDY) from None
        if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
            is_whole = parts.path != "/"
        else:
            is_whole = (
                parts.scheme == "tcp" and bool(host) and bool(port) and parts.path in {"", "/"}
            )
        if not is_whole or parts.query or parts.fragment or "@" in parts.netloc:
            raise wrong("not the URL of a daemon", REMEDY)
        if self.address is None and self._own_address() is None:
            raise wrong(
                f"incomplete: {self.url} doesn't say where its containers' ports are reached",
                "give its IP address: {url: ..., address: 10.20.3.7}",
            )
        return self

    @property
    def socket(self) -> str | None:
        """The path of the unix socket, None for TCP."""
        return urlsplit(self.url).path if self.url.startswith("unix:") else None

    @property
    def reached_at(self) -> Address:
        """The address at which the ports that it publishes are reached."""
        address = self.address or self._own_address()
        assert address is not None  # noqa: S101  so it was validated
        return address

    def _own_address(self) -> Address | None:
        try:
            found = ip_address(urlsplit(self.url).hostname or "")
        except ValueError:
            return None  # a name may lead anywhere, and elsewhere tomorrow
        return None if found.is_loopback or found.is_unspecified else found
