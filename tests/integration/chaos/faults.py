"""The faults: each begins with its block and is healed with it.

It must never touch what is calm, nor leave anything broken behind.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from tests.integration.chaos.replica import Replica
from tests.integration.chaos.site import HTTP, LIST, ROUGH, Served
from tests.integration.chaos.world import World
from tests.lab import Backend, LabError, wait_for
from tests.simulation.cluster import NAMESPACE, OURS, SERVICE_NAME
from tests.simulation.truth import Reach

PATIENCE_S = 60.0
SLOW_S = 3.0
STRAY = "10.77.0.1"
"""What a hand adds to our objects."""

Target: TypeAlias = "Replica | Backend | Served | None"
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
    on: Callable[[World, float], tuple[Target, str]]
    begin: Callable[[World, Any], Healed]
    rest: float = 0.0


# --- what they befall --------------------------------------------------------------------------


def _process(world: World, draw: float) -> tuple[Target, str]:
    found = world.replica(draw)
    return found, f"process {found.name}"


def _network(world: World, draw: float) -> tuple[Target, str]:
    found = world.replica(draw)
    return found, f"network {found.name}"


def _disk(world: World, draw: float) -> tuple[Target, str]:
    found = world.replica(draw)
    return found, f"disk {found.name}"


def _control_plane(world: World, draw: float) -> tuple[Target, str]:
    del world, draw
    return None, "control plane"


def _controllers(world: World, draw: float) -> tuple[Target, str]:
    del world, draw
    return None, "controllers"


def _backend(world: World, draw: float) -> tuple[Target, str]:
    rough = [b for one in ROUGH for b in world.site.backends[one.group]]
    found = _one_of(rough, draw)
    return found, f"backend {found.name}"


def _web_backend(world: World, draw: float) -> tuple[Target, str]:
    asked = [b for one in ROUGH if one.check is HTTP for b in world.site.backends[one.group]]
    found = _one_of(asked, draw)
    return found, f"backend {found.name}"


def _lists(world: World, draw: float) -> tuple[Target, str]:
    del world, draw
    return None, LIST


def _service(world: World, draw: float) -> tuple[Target, str]:
    del world
    found = _one_of(ROUGH, draw)
    return found, f"service {found.name}"


def _mirrored(world: World, draw: float) -> tuple[Target, str]:
    del world
    found = _one_of([one for one in ROUGH if one.publish == "endpoints"], draw)
    return found, f"service {found.name}"


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


# --- people ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _in_two_minds(world: World, served: Served) -> Iterator[None]:
    """Have a form be changed and changed back while the leader hears of none of what follows."""
    leader = world.replica(0)
    with leader.deaf():
        with world.site.in_other_form(served):
            yield
            world.lab.controller_manager.freeze()  # they are slow where there is much to do
        world.passes(SLOW_S)
        world.lab.controller_manager.thaw()


# --- hands -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _edited(world: World, served: Served) -> Iterator[None]:
    with contextlib.suppress(httpx.HTTPError):  # a hand gives up where the API server is away
        _edit(world, _objects(world, served))
    yield


def _edit(world: World, items: list[dict[str, Any]]) -> None:
    for item in items:
        for endpoint in (item.get("endpoints") or [])[:1]:
            endpoint["addresses"] = [STRAY]
        for subset in item.get("subsets") or []:
            for address in (subset.get("addresses") or [])[:1]:
                address["ip"] = STRAY
        world.lab.api.put(_path(item), json=item)


@contextlib.contextmanager
def _deleted(world: World, served: Served) -> Iterator[None]:
    with contextlib.suppress(httpx.HTTPError):
        for item in _objects(world, served):
            world.lab.api.delete(_path(item))
    yield


@contextlib.contextmanager
def _service_remade(world: World, served: Served) -> Iterator[None]:
    def made() -> bool:
        with contextlib.suppress(LabError):
            world.lab.apply(world.site.service(served.name))
            return True
        return False

    with contextlib.suppress(httpx.HTTPError):
        path = f"/api/v1/namespaces/{NAMESPACE}/services/{served.name}"
        world.lab.api.delete(path)
    yield
    wait_for(made, PATIENCE_S, f"the Service {served.name}")


def _objects(world: World, served: Served) -> list[dict[str, Any]]:
    """Return what registrar has published of a Service."""
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
    wanted = {"labelSelector": f"{SERVICE_NAME}={served.name}"}
    listed = world.lab.api.get(slices, params=wanted).raise_for_status().json()["items"]
    found = [
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", **item}
        for item in listed
        if OURS in json.dumps(item["metadata"]["labels"])
    ]
    answer = world.lab.api.get(f"/api/v1/namespaces/{NAMESPACE}/endpoints/{served.name}")
    if answer.status_code == httpx.codes.OK:
        found.append(answer.json())
    return found


def _path(item: dict[str, Any]) -> str:
    is_slice = item["kind"] == "EndpointSlice"
    api, kind = ("apis/discovery.k8s.io", "endpointslices") if is_slice else ("api", "endpoints")
    return f"/{api}/v1/namespaces/{NAMESPACE}/{kind}/{item['metadata']['name']}"


def _one_of(found: list[Any], draw: float) -> Any:  # noqa: ANN401  of whatever they are
    return found[int(draw * len(found))]


FAULTS = [
    Fault("kill -9", 3, 0, 4, _process, _killed),
    Fault("SIGTERM", 2, 0, 3, _process, _terminated),
    Fault("SIGSTOP", 4, 7, 12, _process, _frozen),
    Fault("no descriptors", 1, 3, 10, _process, lambda _, r: r.without_descriptors()),
    Fault("disk full", 1, 3, 10, _disk, lambda _, r: r.with_full_disk()),
    Fault("cut off", 2, 3, 12, _network, lambda _, r: r.cut("in", "out")),
    Fault("answers lost", 2, 3, 12, _network, lambda _, r: r.cut("in")),
    Fault("requests lost", 1, 3, 12, _network, lambda _, r: r.cut("out")),
    Fault("watches deaf", 3, 5, 12, _network, lambda _, r: r.deaf()),
    Fault("slow network", 1, 3, 12, _network, lambda _, r: r.slow()),
    Fault("API server killed", 1, 0, 5, _control_plane, _api_server_killed, 5),
    Fault("API server frozen", 1, 2, 9, _control_plane, _api_server_frozen, 5),
    Fault("etcd killed", 1, 0, 5, _control_plane, _etcd_killed, 5),
    Fault("etcd frozen", 1, 2, 6, _control_plane, _etcd_frozen, 5),
    Fault("controllers frozen", 1, 2, 8, _controllers, _controllers_frozen),
    Fault("backend dead", 6, 2, 8, _backend, _dead),
    Fault("backend lost", 2, 3, 8, _backend, _lost),
    Fault("backend hung", 2, 3, 8, _web_backend, _hung),
    Fault("backend sick", 2, 2, 8, _web_backend, _sick),
    Fault("not listed", 3, 2, 8, _backend, lambda w, b: w.site.without(b)),
    Fault("lists empty by mistake", 2, 3, 10, _lists, lambda w, _: w.site.empty_by_mistake(), 15),
    Fault("list server hangs", 1, 3, 8, _lists, _list_server("hang")),
    Fault("list server trickles", 1, 3, 8, _lists, _list_server("trickle")),
    Fault("list server killed", 1, 1, 8, _lists, _list_server_killed),
    Fault("objects edited", 2, 0, 0, _service, _edited, 10),
    Fault("objects deleted", 2, 0, 0, _service, _deleted, 10),
    Fault("Service remade", 2, 0, 5, _service, _service_remade, 10),
    Fault("another form", 2, 2, 5, _service, lambda w, s: w.site.in_other_form(s)),
    Fault("in two minds", 3, 1, 3, _mirrored, _in_two_minds),
]
