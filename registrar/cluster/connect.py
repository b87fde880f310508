"""Finds the cluster as kubectl finds it, and makes a client for it. Nothing is sent yet."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from registrar.cluster.client import Client
from registrar.cluster.transport import HttpTransport
from registrar.errors import ClusterError

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where the kubelet puts it, beside the token."""


async def connect(kubeconfig: str | None, context: str | None, user_agent: str) -> Client:
    """Return a client for a cluster.

    `kubeconfig` is a path, or several joined by `:` as in $KUBECONFIG; None looks for
    ~/.kube/config, then for the pod's service account. Raise ClusterError if none can be used.
    """
    paths = _locate(kubeconfig)
    # Each watch keeps a connection to itself: a limit would starve what is written.
    # aiohttp would look for proxies and a netrc in threads, twice for each request.
    session = {"trust_env": False}
    configuration = Configuration(connection_pool_maxsize=0, client_session_kwargs=session)
    try:
        if paths is None:
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(
                paths, context, client_configuration=configuration, persist_config=False
            )
        if configuration.proxy is None:
            configuration.proxy = _proxy_for(configuration.host)
        api = ApiClient(configuration)
    except ConfigException as error:
        where = paths or "there is no kubeconfig, and no service account of a pod"
        raise ClusterError(f"{where}: {error}; give --kubeconfig FILE") from None
    except Exception as error:  # noqa: BLE001  the package raises whatever a wrong file leads to
        raise ClusterError(
            f"{paths}: not a kubeconfig that can be used ({type(error).__name__}); "
            "see what kubectl says of it"
        ) from None
    api.user_agent = user_agent
    return Client(HttpTransport(api))


def pod_namespace(kubeconfig: str | None) -> str | None:
    """Return the namespace of the pod in which this runs; None where a kubeconfig is used."""
    if _locate(kubeconfig) is not None or not POD_NAMESPACE.is_file():
        return None
    return POD_NAMESPACE.read_text().strip() or None


def _proxy_for(server: str) -> str | None:
    """Return the proxy that $HTTPS_PROXY and its kin name, as kubectl heeds them."""
    url = urlsplit(server)
    if url.hostname is None or proxy_bypass(url.hostname):
        return None
    return getproxies().get(url.scheme)


def _locate(kubeconfig: str | None) -> str | None:
    if kubeconfig is None:
        default = Path.home() / ".kube" / "config"
        return str(default) if default.is_file() else None
    if not any(Path(path).expanduser().is_file() for path in kubeconfig.split(os.pathsep)):
        raise ClusterError(f"{kubeconfig}: there is no such kubeconfig; check --kubeconfig")
    return kubeconfig
