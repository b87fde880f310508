"""What faults befall: drawn by a number below 1, which a seed stands for.

It must never draw by itself.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from tests.integration.chaos.replica import Replica
from tests.integration.chaos.site import HTTP, LIST, ROUGH, Served
from tests.integration.chaos.world import World
from tests.lab import Backend

Target: TypeAlias = "Replica | Backend | Served | None"
Drawn: TypeAlias = tuple[Target, str]
"""What a fault befalls, and the name of that."""

_T = TypeVar("_T")


def process(world: World, draw: float) -> Drawn:
    found = world.replica(draw)
    return found, f"process {found.name}"


def network(world: World, draw: float) -> Drawn:
    found = world.replica(draw)
    return found, f"network {found.name}"


def disk(world: World, draw: float) -> Drawn:
    found = world.replica(draw)
    return found, f"disk {found.name}"


def control_plane(world: World, draw: float) -> Drawn:
    del world, draw
    return None, "control plane"


def controllers(world: World, draw: float) -> Drawn:
    del world, draw
    return None, "controllers"


def backend(world: World, draw: float) -> Drawn:
    rough = [b for one in ROUGH for b in world.site.backends[one.group]]
    found = _one_of(rough, draw)
    return found, f"backend {found.name}"


def web_backend(world: World, draw: float) -> Drawn:
    asked = [b for one in ROUGH if one.check is HTTP for b in world.site.backends[one.group]]
    found = _one_of(asked, draw)
    return found, f"backend {found.name}"


def lists(world: World, draw: float) -> Drawn:
    del world, draw
    return None, LIST


def service(world: World, draw: float) -> Drawn:
    del world
    found = _one_of(ROUGH, draw)
    return found, f"service {found.name}"


def mirrored(world: World, draw: float) -> Drawn:
    del world
    found = _one_of([one for one in ROUGH if one.publish == "endpoints"], draw)
    return found, f"service {found.name}"


def _one_of(found: list[_T], draw: float) -> _T:
    return found[int(draw * len(found))]
