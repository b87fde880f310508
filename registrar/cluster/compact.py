"""Objects in the least room: encoded, and deflated over what most of them say alike.

The deflation costs microseconds, once a change and once a look that finds one.
"""

from __future__ import annotations

import zlib
from ipaddress import ip_address

import msgspec

from registrar.cluster import endpoints
from registrar.cluster.objects import ApiObject, ObjectMeta, Service, ServicePort, ServiceSpec
from registrar.cluster.packing import SliceOwner, pack
from registrar.cluster.services import service_state
from registrar.model import Endpoint, EndpointId, ServiceKey

_WINDOW, _MEMORY, _LEVEL = -12, 4, 1
"""Raw deflate over 4 KiB: the state for it is made anew each time, and larger ones cost more."""


def compact(item: ApiObject) -> bytes:
    """Return an object in little room."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=_USUAL)
    return deflate.compress(msgspec.msgpack.encode(item)) + deflate.flush()


def expand(data: bytes) -> bytes:
    """Return what was made compact as msgpack."""
    return zlib.decompressobj(_WINDOW, zdict=_USUAL).decompress(data)


def _usual() -> bytes:
    """Return a Service, Endpoints and a slice as registrar meets them, encoded."""
    key, instance = ServiceKey("namespace", "service"), "instance"
    port = ServicePort(port=80, target_port=80)
    meta = ObjectMeta(name=key.name, namespace=key.namespace, uid="uid", resource_version="1")
    spec = ServiceSpec(
        ports=(port,),
        ip_families=("IPv4",),
        cluster_ip="10.96.0.1",
        internal_traffic_policy="Cluster",
    )
    service = Service(metadata=meta, spec=spec)
    addresses = map(ip_address, ("10.0.0.1", "10.0.0.2"))
    usual = frozenset(Endpoint(EndpointId("", "TCP", one, 80), ready=True) for one in addresses)
    owner = SliceOwner(key, service_state(service), instance)
    slices = pack(owner, usual, (), "2026-01-01T00:00:00Z").creates
    written = endpoints.encode(key, instance, usual, None, mirrored=False)
    # What is nearest to the end costs least to refer to.
    return b"".join(map(msgspec.msgpack.encode, (service, written, *slices)))


_USUAL = _usual()
