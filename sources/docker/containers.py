"""What a list of containers says: which are meant, where each is reached, and how it is.

It must never take a container for gone that its daemon may have stopped by going away itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

import msgspec

from registrar.errors import MALFORMED
from registrar.model import Address, Answer, Backend, Dropped, Verdict
from sources.docker.host import DockerHost
from sources.docker.listing import Container

TELLING = ("start", "die", "stop", "pause", "unpause", "rename", "destroy", "health_status")
"""The events of a container after which it may be reached elsewhere or otherwise."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which containers are meant, and which of their ports."""

    labels: tuple[tuple[str, str], ...]
    name: str | None
    network: str | None
    container_port: int | None
    protocol: str

    def filters(self, *states: str) -> dict[str, list[str]]:
        """Return what narrows a list, as the Engine API has it."""
        found = {"status": list(states), **self._label_filter()}
        if self.name is not None:
            found["name"] = [re.escape(self.name)]  # anywhere within: `means` is exact
        if self.network is not None:
            found["network"] = [self.network]
        return found

    def event_filters(self) -> dict[str, list[str]]:
        """Return what narrows the events to those after which to list."""
        if self.network is not None:  # whose events bear no labels of a container
            return {"type": ["container", "network"], "event": [*TELLING, "connect", "disconnect"]}
        return {"type": ["container"], "event": list(TELLING), **self._label_filter()}

    def means(self, found: Container) -> bool:
        """Return whether a container is meant."""
        return (
            dict(self.labels).items() <= (found.labels or {}).items()
            and (self.name is None or f"/{self.name}" in (found.names or ()))
            and (self.network is None or self.network in found.networks)
        )

    def _label_filter(self) -> dict[str, list[str]]:
        return {"label": [f"{key}={value}" for key, value in self.labels]} if self.labels else {}


class Unreachable(Exception):
    """A container that is meant can't be reached; the reason, and the remedy."""


class Recall:
    """What is remembered of the containers of one part, from one list to the next.

    A container that restarts, or that has ended while its daemon could not be heard, keeps the
    places where it last served, as down: it is about to return, and lists none meanwhile.
    """

    def __init__(self, host: DockerHost, wanted: Wanted) -> None:
        self.wanted = wanted
        self._host = host
        self._served: dict[str, tuple[Backend, ...]] = {}
        self._excused: set[str] = set()
        self.losses = 0
        """How often the daemon went away."""

    def filters(self) -> dict[str, list[str]]:
        """Return the filters of the list that `answer` needs."""
        ended = ("exited",) if self._excused else ()
        return self.wanted.filters("running", "paused", "restarting", *ended)

    def lose(self) -> None:
        """Note that the daemon is away: a list that was asked for before is not to be believed."""
        self.losses += 1
        self.excuse()

    def excuse(self) -> None:
        """Note that the daemon may be away, so that what ends now may end because of that."""
        self._excused |= self._served.keys()

    def answer(self, listed: Iterable[msgspec.Raw]) -> Answer:
        """Return what a list says."""
        dropped: list[Dropped] = []
        served: dict[str, tuple[Backend, ...]] = {}
        kept: dict[str, tuple[Backend, ...]] = {}
        for raw in listed:
            try:
                found = msgspec.json.decode(raw, type=Container)
            except MALFORMED as error:
                dropped.append(Dropped("a container", f"a container is malformed: {error}"))
                continue
            if not self.wanted.means(found):
                continue
            if found.state in {"running", "paused"}:
                try:
                    served[found.id] = tuple(self._backends(found))
                except Unreachable as error:
                    dropped.append(Dropped(found.title, f"container {found.title} {error}"))
            elif found.state == "restarting" or found.id in self._excused:
                kept[found.id] = tuple(
                    replace(backend, health=Verdict.DOWN)
                    for backend in self._served.get(found.id, ())
                )
        self._excused &= kept.keys()
        self._served = served | kept
        # Where two claim a place, it belongs to the one that runs.
        by_place = {
            (backend.address, backend.port): backend
            for backends in (*kept.values(), *served.values())
            for backend in backends
        }
        return Answer(tuple(by_place.values()), tuple(dropped))

    def _backends(self, found: Container) -> Iterator[Backend]:
        health, zone = _health(found), self._host.zone
        for address, port in self._places(found):
            yield Backend(address, port, zone=zone, health=health)

    def _places(self, found: Container) -> list[tuple[Address, int]]:
        port = self.wanted.container_port
        if self.wanted.network is not None and port is not None:
            return [(own, port) for own in _own_addresses(found, self.wanted.network)]
        if found.host.network_mode == "host":
            if port is None:
                raise Unreachable("is on the host's own network; give its port as containerPort")
            return [(self._host.reached_at, port)]
        return self._published(found)

    def _published(self, found: Container) -> list[tuple[Address, int]]:
        wanted = self.wanted.container_port
        published = [
            port
            for port in found.ports or ()
            if port.public and port.type == self.wanted.protocol and wanted in {None, port.private}
        ]
        numbers = sorted({port.private for port in published})
        if not published:
            which = "no port" if wanted is None else f"no port {wanted}"
            raise Unreachable(
                f"publishes {which} over {self.wanted.protocol}; publish it, or name a network"
            )
        if len(numbers) > 1:
            raise Unreachable(
                f"publishes several ports ({', '.join(map(str, numbers))}); "
                "choose one as containerPort"
            )
        reached = {(self._reached(port.ip), port.public): None for port in published}
        places = [(address, number) for address, number in reached if address is not None]
        if not places:
            where = ", ".join(sorted({port.ip for port in published}))
            raise Unreachable(
                f"publishes its port on {where} alone, not at {self._host.reached_at}; "
                "publish it there, or on all addresses"
            )
        return places

    def _reached(self, ip: str) -> Address | None:
        host = self._host.reached_at
        if not ip:
            return host
        try:
            address = ip_address(ip)
        except ValueError:
            raise Unreachable(f"publishes its port on {ip!r}, which is no address") from None
        if address.is_unspecified:
            return host if host.version == address.version else None
        return None if address.is_loopback else address


def _own_addresses(found: Container, network: str) -> Sequence[Address]:
    own = found.networks[network]
    try:
        addresses = [ip_address(text) for text in (own.ipv4, own.ipv6) if text]
    except ValueError:
        raise Unreachable(f"has no IP address in network {network}") from None
    if not addresses:
        raise Unreachable(f"has no address in network {network}")
    return addresses


def _health(found: Container) -> Verdict:
    if found.state == "paused" or found.status.endswith("(unhealthy)"):
        return Verdict.DOWN
    # `starting`, and none at all, say nothing.
    return Verdict.UP if found.status.endswith("(healthy)") else Verdict.UNKNOWN
