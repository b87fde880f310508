"""The objects that the contract is about, each as small as it may be."""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]


def endpoints(name: str = "", *ips: str, **meta: object) -> Item:
    subsets = [{"addresses": [{"ip": ip} for ip in ips or ("10.1.1.1",)], "ports": [{"port": 80}]}]
    return with_subsets(name, subsets, **meta)


def with_subsets(name: str, subsets: object, **meta: object) -> Item:
    metadata = {"name": name, **meta} if name else meta
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}


def service(name: str, *ports: object, **spec: object) -> Item:
    spec = {"ports": list(ports), **spec} if ports else spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def slice_(name: str, *addresses: str, **fields: object) -> Item:
    body = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]} for address in addresses],
        "ports": [{"name": "http", "port": 80}],
        **fields,
    }
    version = "discovery.k8s.io/v1"
    return {"apiVersion": version, "kind": "EndpointSlice", "metadata": {"name": name}, **body}


def lease(name: str, **spec: object) -> Item:
    version = "coordination.k8s.io/v1"
    return {"apiVersion": version, "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def event(name: str, namespace: str, **fields: object) -> Item:
    about = {"kind": "Service", "name": "web", "namespace": namespace, "apiVersion": "v1"}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name},
        "involvedObject": about,
        "reason": "Held",
        "message": "no answer",
        "type": "Warning",
        "source": {"component": "registrar"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
        **fields,
    }
