from __future__ import annotations

import pytest
from msgspec.structs import replace

from registrar.cluster.endpoints import decode
from registrar.cluster.objects import Endpoints
from registrar.cluster.publisher import EndpointsPublisher
from registrar.errors import Conflict, NotFound
from registrar.model import Desired
from tests.fake_cluster import FakeCluster
from tests.fakes import KEY, endpoint

ONE, TWO = endpoint("10.0.0.1"), endpoint("10.0.0.2")


def desired(*addresses: str) -> Desired:
    return Desired(frozenset(endpoint(address) for address in addresses))


async def test_what_it_writes_is_what_the_cluster_then_holds() -> None:
    cluster = FakeCluster()
    publisher = EndpointsPublisher(cluster, "office")
    first = await publisher.publish(KEY, desired("10.0.0.1"), None)
    second = await publisher.publish(KEY, desired("10.0.0.1", "10.0.0.2"), first)
    assert cluster.find(Endpoints, KEY.name, KEY.namespace) == second
    published = decode(second, "office")
    assert published.endpoints == {ONE, TWO}
    assert published.ours
    assert published.canonical
    assert cluster.requests == ["create endpoints", "replace endpoints"]


async def test_it_never_writes_over_what_it_has_not_seen() -> None:
    cluster = FakeCluster()
    publisher = EndpointsPublisher(cluster, "office")
    seen = await publisher.publish(KEY, desired("10.0.0.1"), None)
    changed = cluster.set(replace(seen, subsets=()))
    with pytest.raises(Conflict):
        await publisher.publish(KEY, desired("10.0.0.2"), seen)
    with pytest.raises(Conflict):
        await publisher.publish(KEY, desired("10.0.0.2"), None)
    assert cluster.find(Endpoints, KEY.name, KEY.namespace) == changed


async def test_it_never_writes_over_what_was_made_again() -> None:
    cluster = FakeCluster()
    publisher = EndpointsPublisher(cluster, "office")
    seen = await publisher.publish(KEY, desired("10.0.0.1"), None)
    cluster.drop(Endpoints, KEY.name)
    with pytest.raises(NotFound):
        await publisher.publish(KEY, desired("10.0.0.2"), seen)
    made_again = await publisher.publish(KEY, desired("10.0.0.1"), None)
    assert made_again.metadata.uid != seen.metadata.uid
    with pytest.raises(Conflict):
        await publisher.publish(KEY, desired("10.0.0.2"), seen)
