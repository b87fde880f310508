"""Reads what a pod is given to reach the API server by: an address, a token, an authority.

Source: kubernetes.io, "Accessing the Kubernetes API from a Pod".
"""

from __future__ import annotations

import os
from pathlib import Path

from registrar.cluster.login import Login, Tls, bearer, proxy_for
from registrar.errors import ClusterError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts files, and renews them."""


async def load() -> Login:
    """Read it. Raise ClusterError if this is no pod with a service account."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    port = os.environ.get("KUBERNETES_SERVICE_PORT")
    token, authority = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    if not host or not port:
        raise _no_pod("$KUBERNETES_SERVICE_HOST and _PORT are not set")
    for file in (token, authority):
        if not file.is_file():
            raise _no_pod(f"{file} is not there")
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    tls = Tls(ca_file=str(authority), proxy=proxy_for(server))
    return Login(server, tls, await bearer(token), (token, *tls.files))


def namespace() -> str | None:
    """Return the pod's namespace; None where this is no pod."""
    file = SERVICE_ACCOUNT / "namespace"
    return (file.read_text().strip() or None) if file.is_file() else None


def _no_pod(reason: str) -> ClusterError:
    return ClusterError(
        f"there is no kubeconfig, and no service account of a pod: {reason}; give --kubeconfig FILE"
    )
