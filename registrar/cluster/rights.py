"""Says which folder of config/rbac has the right that the API server finds wanting.

A 403 may have other causes (a quota, an admission rule): its words are left as they are then.
"""

from __future__ import annotations

import re

_WANTING = re.compile(
    r'(?P<own>endpointslices\.discovery\.k8s\.io "kubernetes" )?.*'
    r'cannot (?P<verb>\w+) resource "(?P<resource>\w+)" in API group'
)
_FOLDERS = {
    "nodes": "ranges, or list the cluster's ranges as networks.cluster",
    "servicecidrs": "ranges, or list the cluster's ranges as networks.cluster",
    "leases": "lease there",
}


def with_remedy(message: str) -> str:
    """Return what the API server says of a request that it forbids, and what to grant."""
    found = _WANTING.match(message)
    if found is None:
        return message
    resource = "nodes" if found["own"] else found["resource"]
    is_creation = (found["verb"], resource) == ("create", "services")
    folder = _FOLDERS.get(resource, "create there" if is_creation else "namespace there")
    return f"{message}; grant config/rbac/{folder}"
