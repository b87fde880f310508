from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from registrar.cluster.compact import compact, expand
from registrar.cluster.objects import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    ObjectMeta,
    OwnerReference,
    Service,
    ServicePort,
    ServiceSpec,
    SliceConditions,
    SliceEndpoint,
)

if TYPE_CHECKING:
    from registrar.cluster.objects import ApiObject

META = ObjectMeta(
    name="web",
    namespace="shop",
    uid="1b",
    resource_version="7",
    labels={"team": "büro"},
    annotations={"note": "x" * 100_000, "empty": ""},
    owner_references=(OwnerReference(name="web", controller=True, block_owner_deletion=False),),
)
POD: dict[str, object] = {"kind": "Pod", "name": "web-1"}


@pytest.mark.parametrize(
    "item",
    [
        Service(metadata=META, spec=ServiceSpec(selector={}, cluster_ip="None")),
        Service(spec=ServiceSpec(ports=tuple(ServicePort(target_port=p) for p in (8, "8", None)))),
        Endpoints(
            metadata=META,
            subsets=(
                EndpointSubset(
                    addresses=tuple(
                        EndpointAddress(ip=f"10.0.{n // 250}.{n % 250}", target_ref=POD)
                        for n in range(1000)
                    ),
                    ports=(EndpointPort(name="http", port=80),),
                ),
            ),
        ),
        EndpointSlice(metadata=META, endpoints=None, ports=None),
        EndpointSlice(
            endpoints=(
                SliceEndpoint(addresses=("fd00::1",), conditions=SliceConditions(ready=False)),
                SliceEndpoint(),
            )
        ),
    ],
)
def test_what_is_made_compact_comes_out_as_it_was(item: ApiObject) -> None:
    assert msgspec.msgpack.decode(expand(compact(item)), type=type(item)) == item
