"""The faults: each begins with its block and is healed with it.

It must never touch what is calm, nor leave anything broken behind.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.integration.chaos import hands, targets
from tests.integration.chaos.replica import Replica
from tests.integration.chaos.targets import Drawn
from tests.integration.chaos.world import World
from tests.lab import Backend
from tests.simulation.truth import Reach

Healed: TypeAlias = AbstractContextManager[object]


@dataclass(frozen=True)
class Fault:
    """One kind of fault. It lasts from `least` to `most` seconds.

    `on` returns what it befalls, drawn by a number below 1, and the name of that: no two faults go
    on under the same name, nor within `rest` seconds.
    """

    name: str
    weight: float
    least: float
    most: float
    on: Callable[[World, float], Drawn]
    begin: Callable[[World, Any], Healed]
    rest: float = 0.0


# --- registrar ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _killed(_: World, replica: Replica) -> Iterator[None]:
    replica.process.stop()
    yield
    replica.start()


@contextlib.contextmanager
def _terminated(_: World, replica: Replica) -> Iterator[None]:
    replica.process.stop(signal.SIGTERM)
    yield
    replica.start()


@contextlib.contextmanager
def _frozen(_: World, replica: Replica) -> Iterator[None]:
    replica.process.freeze()
    yield
    replica.process.thaw()


# --- the control plane -------------------------------------------------------------------------


@contextlib.contextmanager
def _api_server_killed(world: World, _: None) -> Iterator[None]:
    world.lab.api_server.stop()
    yield
    world.lab.api_server.start()


@contextlib.contextmanager
def _api_server_frozen(world: World, _: None) -> Iterator[None]:
    world.lab.api_server.freeze()
    yield
    world.lab.api_server.thaw()


@contextlib.contextmanager
def _etcd_killed(world: World, _: None) -> Iterator[None]:
    world.lab.etcd.stop()
    yield
    world.lab.etcd.start()


@contextlib.contextmanager
def _etcd_frozen(world: World, _: None) -> Iterator[None]:
    world.lab.etcd.freeze()
    yield
    world.lab.etcd.thaw()


@contextlib.contextmanager
def _controllers_frozen(world: World, _: None) -> Iterator[None]:
    world.lab.controller_manager.freeze()
    yield
    world.lab.controller_manager.thaw()


# --- backends ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _dead(world: World, backend: Backend) -> Iterator[None]:
    with world.site.becoming(backend, Reach.REFUSES):
        backend.kill()
        yield
        backend.start()


@contextlib.contextmanager
def _lost(world: World, backend: Backend) -> Iterator[None]:
    with world.site.becoming(backend, Reach.SILENT):
        backend.cut()
        yield
        backend.heal()


@contextlib.contextmanager
def _hung(world: World, backend: Backend) -> Iterator[None]:
    with world.site.becoming(backend, Reach.SILENT):
        backend.freeze()
        yield
        backend.thaw()


@contextlib.contextmanager
def _sick(world: World, backend: Backend) -> Iterator[None]:
    with world.site.becoming(backend, Reach.RESETS):
        backend.set_healthy(False)
        yield
        backend.set_healthy(True)


# --- sources -----------------------------------------------------------------------------------


def _list_server(behaviour: str) -> Callable[[World, None], Healed]:
    @contextlib.contextmanager
    def begin(world: World, _: None) -> Iterator[None]:
        world.site.behave(behaviour)
        yield
        world.site.behave("")

    return begin


@contextlib.contextmanager
def _list_server_killed(world: World, _: None) -> Iterator[None]:
    world.site.list_server.stop()
    yield
    world.site.list_server.start()


FAULTS = [
    Fault("kill -9", 3, 0, 4, targets.process, _killed),
    Fault("SIGTERM", 2, 0, 3, targets.process, _terminated),
    Fault("SIGSTOP", 4, 7, 12, targets.process, _frozen),
    Fault("no descriptors", 1, 3, 10, targets.process, lambda _, r: r.without_descriptors()),
    Fault("disk full", 1, 3, 10, targets.disk, lambda _, r: r.with_full_disk()),
    Fault("cut off", 2, 3, 12, targets.network, lambda _, r: r.cut("in", "out")),
    Fault("answers lost", 2, 3, 12, targets.network, lambda _, r: r.cut("in")),
    Fault("requests lost", 1, 3, 12, targets.network, lambda _, r: r.cut("out")),
    Fault("watches deaf", 3, 5, 12, targets.network, lambda _, r: r.deaf()),
    Fault("slow network", 1, 3, 12, targets.network, lambda _, r: r.slow()),
    Fault("API server killed", 1, 0, 5, targets.control_plane, _api_server_killed, 5),
    Fault("API server frozen", 1, 2, 9, targets.control_plane, _api_server_frozen, 5),
    Fault("etcd killed", 1, 0, 5, targets.control_plane, _etcd_killed, 5),
    Fault("etcd frozen", 1, 2, 6, targets.control_plane, _etcd_frozen, 5),
    Fault("controllers frozen", 1, 2, 8, targets.controllers, _controllers_frozen),
    Fault("backend dead", 6, 2, 8, targets.backend, _dead),
    Fault("backend lost", 2, 3, 8, targets.backend, _lost),
    Fault("backend hung", 2, 3, 8, targets.web_backend, _hung),
    Fault("backend sick", 2, 2, 8, targets.web_backend, _sick),
    Fault("not listed", 3, 2, 8, targets.backend, lambda w, b: w.site.without(b)),
    Fault(
        "lists empty by mistake",
        2,
        3,
        10,
        targets.lists,
        lambda w, _: w.site.empty_by_mistake(),
        15,
    ),
    Fault("list server hangs", 1, 3, 8, targets.lists, _list_server("hang")),
    Fault("list server trickles", 1, 3, 8, targets.lists, _list_server("trickle")),
    Fault("list server killed", 1, 1, 8, targets.lists, _list_server_killed),
    Fault("objects edited", 2, 0, 0, targets.service, hands.edited, 10),
    Fault("objects deleted", 2, 0, 0, targets.service, hands.deleted, 10),
    Fault("Service remade", 2, 0, 5, targets.service, hands.service_remade, 10),
    Fault("another form", 2, 2, 5, targets.service, lambda w, s: w.site.in_other_form(s)),
    Fault("in two minds", 3, 1, 3, targets.mirrored, hands.in_two_minds),
]
