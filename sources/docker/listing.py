"""What the Engine API lists of a container, as far as it matters here.

A value of the wrong type is an error of its container alone.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

_Number = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class Port(msgspec.Struct, frozen=True):
    """A port of the container; `public` is 0 where it is not published."""

    private: _Number = msgspec.field(name="PrivatePort")
    type: str = msgspec.field(name="Type")
    public: _Number = msgspec.field(name="PublicPort", default=0)
    ip: str = msgspec.field(name="IP", default="")


class Network(msgspec.Struct, frozen=True):
    """The addresses of a container in one network, empty while it doesn't run."""

    ipv4: str = msgspec.field(name="IPAddress", default="")
    ipv6: str = msgspec.field(name="GlobalIPv6Address", default="")


class _Networks(msgspec.Struct, frozen=True):
    by_name: dict[str, Network] | None = msgspec.field(name="Networks", default=None)


class _HostConfig(msgspec.Struct, frozen=True):
    network_mode: str = msgspec.field(name="NetworkMode", default="")


class Container(msgspec.Struct, frozen=True):
    """One entry of /containers/json."""

    id: str = msgspec.field(name="Id")
    state: str = msgspec.field(name="State")
    status: str = msgspec.field(name="Status", default="")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)
    ports: list[Port] | None = msgspec.field(name="Ports", default=None)
    host: _HostConfig = msgspec.field(name="HostConfig", default=_HostConfig())
    network: _Networks = msgspec.field(name="NetworkSettings", default=_Networks())

    @property
    def networks(self) -> dict[str, Network]:
        """The networks that it is in, by name."""
        return self.network.by_name or {}

    @property
    def title(self) -> str:
        """What a person calls it."""
        return (self.names or [self.id[:12]])[0].removeprefix("/")
