"""Finds the cluster as kubectl finds it, and makes a client for it. Nothing is sent yet."""

from __future__ import annotations

import contextlib
import os
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from registrar.cluster import pod
from registrar.cluster.client import Client
from registrar.cluster.credentials import Credentials
from registrar.cluster.transport import HttpTransport
from registrar.errors import ClusterError

log = structlog.get_logger()


async def connect(kubeconfig: str | None, context: str | None, user_agent: str) -> Client:
    """Return a client for a cluster.

    `kubeconfig` is a path, or several joined by `:` as in $KUBECONFIG; None looks for
    ~/.kube/config, then for the pod's service account. Raise ClusterError if none can be used.
    """
    paths = _locate(kubeconfig)
    if paths is None:
        credentials = await _of_pod()
    else:
        credentials = await _of_kubeconfig(paths, context)
    if not credentials.is_verified and not _is_this_machine(credentials.server):
        log.warning("api-server-unverified", server=credentials.server)
    return Client(HttpTransport(credentials, user_agent))


def pod_namespace(kubeconfig: str | None) -> str | None:
    """Return the namespace of the pod in which this runs; None where a kubeconfig is used."""
    return None if _locate(kubeconfig) is not None else pod.namespace()


async def _of_pod() -> Credentials:
    try:
        return await Credentials.read(pod.load)
    except OSError as error:
        raise ClusterError(f"{pod.SERVICE_ACCOUNT}: {type(error).__name__}: {error}") from None


async def _of_kubeconfig(paths: str, context: str | None) -> Credentials:
    from registrar.cluster.kubeconfig import Kubeconfig, unusable  # noqa: PLC0415  it says why

    try:
        return await Credentials.read(Kubeconfig(paths, context).load)
    except OSError as error:
        raise unusable(paths, error) from None


def _is_this_machine(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _locate(kubeconfig: str | None) -> str | None:
    if kubeconfig is None:
        default = Path.home() / ".kube" / "config"
        return str(default) if default.is_file() else None
    if not any(Path(path).expanduser().is_file() for path in kubeconfig.split(os.pathsep)):
        raise ClusterError(f"{kubeconfig}: there is no such kubeconfig; check --kubeconfig")
    return kubeconfig
