"""What people do: they edit and delete our objects, make a Service again, change their minds.

It must never touch what is calm. Where the API server is away, a hand gives up.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx

from tests.integration.chaos.site import Served
from tests.integration.chaos.world import World
from tests.lab import LabError, wait_for
from tests.simulation.cluster import NAMESPACE, OURS, SERVICE_NAME

PATIENCE_S = 60.0
SLOW_S = 3.0
STRAY = "10.77.0.1"
"""What a hand adds to our objects."""


@contextlib.contextmanager
def in_two_minds(world: World, served: Served) -> Iterator[None]:
    """Have a form be changed and changed back while the leader hears of none of what follows."""
    leader = world.replica(0)
    with leader.deaf():
        with world.site.in_other_form(served):
            yield
            world.lab.controller_manager.freeze()  # they are slow where there is much to do
        world.passes(SLOW_S)
        world.lab.controller_manager.thaw()


@contextlib.contextmanager
def edited(world: World, served: Served) -> Iterator[None]:
    with contextlib.suppress(httpx.HTTPError):
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
def deleted(world: World, served: Served) -> Iterator[None]:
    with contextlib.suppress(httpx.HTTPError):
        for item in _objects(world, served):
            world.lab.api.delete(_path(item))
    yield


@contextlib.contextmanager
def service_remade(world: World, served: Served) -> Iterator[None]:
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
