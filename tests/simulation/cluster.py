"""The cluster as kube-proxy and people see it, and the hands and controllers that change it.

It must never decide anything for registrar: it knows objects by what the API server has stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from random import Random

import msgspec

from registrar.embedded import ApiServer, Request, Response
from registrar.embedded.store import Change
from registrar.embedded.values import (
    Json,
    Object,
    as_object,
    metadata,
    objects_at,
    text_at,
    texts_at,
)
from tests.simulation.ends import PORT

NAMESPACE = "shop"
INSTANCE = "office"
HANDS = "hands"
MIRROR = "endpointslicemirroring-controller.k8s.io"
PODS = "endpointslice-controller.k8s.io"
OURS = "registrar.internal"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
CORE = f"/api/v1/namespaces/{NAMESPACE}"


def service_of(resource: str, item: Object) -> str:
    """Return the name of the Service that an object belongs to."""
    if resource == "endpointslices":
        return text_at(item, "metadata", "labels", SERVICE_NAME)
    return text_at(item, "metadata", "name")


def is_ours(resource: str, item: Object) -> bool:
    """Say whether an object bears all marks of this registrar."""
    labels = as_object(metadata(item).get("labels"))
    if text_at(item, "metadata", "annotations", "registrar.internal/instance") != INSTANCE:
        return False
    if resource == "endpointslices":
        owned = bool(objects_at(item, "metadata", "ownerReferences"))
        return labels.get(MANAGED_BY) == OURS and owned
    return labels.get("app.kubernetes.io/managed-by") == "registrar"


def addresses_of(item: Object) -> dict[str, bool]:
    """Return what a slice or Endpoints say: each address, and whether it is ready."""
    found: dict[str, bool] = {}
    for said in objects_at(item, "endpoints"):
        ready = as_object(said.get("conditions")).get("ready") is not False
        for address in texts_at(said, "addresses"):
            found[address] = found.get(address, False) or ready
    for subset in objects_at(item, "subsets"):
        found |= {text_at(a, "ip"): False for a in objects_at(subset, "notReadyAddresses")}
        found |= {text_at(a, "ip"): True for a in objects_at(subset, "addresses")}
    return found


def union(slices: Iterable[Object]) -> dict[str, bool]:
    """Return what kube-proxy makes of slices: ready is whatever one of them says is ready."""
    found: dict[str, bool] = {}
    for one in slices:
        for address, ready in addresses_of(one).items():
            found[address] = found.get(address, False) or ready
    return found


class Hands:
    """Everybody but registrar, through the API server as anybody."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    def ask(self, method: str, path: str, body: Json = None, by: str = HANDS) -> Object:
        sent = Request.to(method, path, body, {"user-agent": by})
        response: Response = at_once(self.server.handle(sent))
        found = as_object(msgspec.json.decode(response.data))
        assert response.status < 300, found
        return found

    def service(self, name: str, **spec: Json) -> None:
        body: Object = {"ports": [{"port": 80}], **spec}
        self.ask("POST", f"{CORE}/services", {"metadata": {"name": name}, "spec": body})

    def patch_service(self, name: str, spec: Json) -> None:
        sent = Request(
            "PATCH",
            f"{CORE}/services/{name}",
            {},
            {"user-agent": HANDS, "content-type": "application/merge-patch+json"},
            msgspec.json.encode({"spec": spec}),
        )
        assert at_once(self.server.handle(sent)).status == 200

    def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        sent = Request.to("DELETE", path, None, {"user-agent": HANDS})
        assert at_once(self.server.handle(sent)).status in {200, 404}

    def slice(
        self,
        name: str,
        service: str,
        addresses: dict[str, bool],
        manager: str,
        owner: Object | None = None,
    ) -> None:
        """Write a slice, whatever is there."""
        meta: Object = {
            "name": name,
            "labels": {SERVICE_NAME: service, MANAGED_BY: manager},
        }
        if owner is not None:
            meta["ownerReferences"] = [owner]
        endpoints: list[Json] = [
            {"addresses": [address], "conditions": {"ready": ready}}
            for address, ready in addresses.items()
        ]
        ports: list[Json] = [{"name": "", "port": PORT, "protocol": "TCP"}]
        body: Object = {
            "metadata": meta,
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": ports,
        }
        self._put(SLICES, name, body, "endpointslices", manager)

    def endpoints(self, name: str, addresses: Iterable[str], **meta: Json) -> None:
        """Write Endpoints of somebody's, whatever is there."""
        told: list[Json] = [{"ip": address} for address in addresses]
        subset: Object = {"addresses": told, "ports": [{"port": PORT, "protocol": "TCP"}]}
        body: Object = {"metadata": {"name": name, **meta}, "subsets": [subset]}
        self._put(f"{CORE}/endpoints", name, body, "endpoints", HANDS)

    def edit(self, resource: str, name: str, change: Callable[[Object], None]) -> None:
        """Edit an object as a person with kubectl would, if it is there."""
        if self.server.get(resource, NAMESPACE, name) is None:
            return
        base = SLICES if resource == "endpointslices" else f"{CORE}/{resource}"
        item = self.ask("GET", f"{base}/{name}")
        change(item)
        self.ask("PUT", f"{base}/{name}", item)

    def label(self, resource: str, name: str, rng: Random) -> None:
        """Put a label of one's own on an object, which nobody minds."""

        def labelled(item: Object) -> None:
            labels = as_object(metadata(item).get("labels"))
            metadata(item)["labels"] = {**labels, "team": f"team-{rng.randrange(1000)}"}

        self.edit(resource, name, labelled)

    def node(self, name: str, pods: str) -> None:
        """Have a node join, whose pods get addresses from a range."""
        body: Object = {"metadata": {"name": name}, "spec": {"podCIDR": pods, "podCIDRs": [pods]}}
        self.ask("POST", "/api/v1/nodes", body)

    def end_namespace(self) -> None:
        """Begin to delete the namespace, which something keeps from going."""
        path = f"/api/v1/namespaces/{NAMESPACE}"
        held: Object = {"name": NAMESPACE, "finalizers": ["registrar.internal/test"]}
        self.ask("PUT", path, {"metadata": held})
        self.delete(path)

    def _put(self, path: str, name: str, body: Object, resource: str, by: str) -> None:
        if self.server.get(resource, NAMESPACE, name) is None:
            self.ask("POST", path, body, by)
        else:
            self.ask("PUT", f"{path}/{name}", body, by)


class Mirror:
    """The mirroring controller: a little later a slice says what Endpoints do, unless labelled."""

    def __init__(self, hands: Hands, delay: Callable[[], float]) -> None:
        self.is_on = True
        self._hands = hands
        self._delay = delay
        hands.server.listen(self._note)

    def switch_on(self) -> None:
        """Begin, with what is there."""
        self.is_on = True
        for change in list(self._hands.server.history):
            self._note(change)

    def _note(self, change: Change) -> None:
        is_meddled = change.name.endswith("-mirrored") and change.by != MIRROR
        if self.is_on and (change.resource == "endpoints" or is_meddled):
            name = service_of(change.resource, change.object)
            asyncio.get_running_loop().call_later(self._delay(), self._follow, name)

    def _follow(self, name: str) -> None:
        server, slice_name = self._hands.server, f"{name}-mirrored"
        found = server.get("endpoints", NAMESPACE, name)
        service = server.get("services", NAMESPACE, name)
        labels = as_object(metadata(found).get("labels")) if found else {}
        if found is None or service is None or SKIP_MIRROR in labels:
            if server.get("endpointslices", NAMESPACE, slice_name) is not None:
                self._hands.ask("DELETE", f"{SLICES}/{slice_name}", by=MIRROR)
            return
        owner: Object = {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "name": name,
            "uid": text_at(found, "metadata", "uid"),
        }
        self._hands.slice(slice_name, name, addresses_of(found), MIRROR, owner)


def at_once(work: Coroutine[object, object, Response]) -> Response:
    # Without a fault the server answers in one step, so hands act between two of registrar's.
    try:
        work.send(None)
    except StopIteration as done:
        response: Response = done.value
        return response
    raise AssertionError("a request of a hand's met a fault")
