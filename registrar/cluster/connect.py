"""Finds the cluster as kubectl finds it, and makes a client for it. Nothing is sent yet.

What the kubernetes package reads once (a `tokenFile`, the pod's token) is read here, for those who
ask again when it has changed.
"""

from __future__ import annotations

import os
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import structlog
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config
from kubernetes.aio.config.incluster_config import SERVICE_TOKEN_FILENAME
from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger

from registrar.cluster.client import Client
from registrar.cluster.credentials import Credentials, Login
from registrar.cluster.transport import HttpTransport
from registrar.errors import ClusterError, SourceError
from registrar.files import in_thread
from registrar.tokens import secret_in

log = structlog.get_logger()

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where the kubelet puts it, beside the token."""


async def connect(kubeconfig: str | None, context: str | None, user_agent: str) -> Client:
    """Return a client for a cluster.

    `kubeconfig` is a path, or several joined by `:` as in $KUBECONFIG; None looks for
    ~/.kube/config, then for the pod's service account. Raise ClusterError if none can be used.
    """
    paths = _locate(kubeconfig)
    load = _of_pod if paths is None else Kubeconfig(paths, context).load
    try:
        credentials = await Credentials.read(load)
    except OSError as error:
        raise _unusable(paths, error) from None
    if not credentials.is_verified:
        log.warning("api-server-unverified", server=credentials.server)
    return Client(HttpTransport(credentials, user_agent))


class Kubeconfig:
    """One context of a kubeconfig: the one that was the current one when it was first read."""

    def __init__(self, paths: str, context: str | None) -> None:
        self._paths = paths
        self._context = context

    async def load(self) -> Login:
        """Read it. Raise ClusterError if it can't be used."""
        configuration = _configuration()
        try:
            merged = KubeConfigMerger(self._paths)
            self._context = self._context or str(merged.config["current-context"])
            token_file = _take_token_file(merged.config, self._context)
            loader = KubeConfigLoader(merged.config, self._context, config_base_path=None)
            await loader.load_and_set(configuration)
        except ConfigException as error:
            raise ClusterError(f"{self._paths}: {error}; give --kubeconfig FILE") from None
        except Exception as error:  # noqa: BLE001  the package raises whatever a wrong file leads to
            raise _unusable(self._paths, error) from None
        files = tuple(map(Path, merged.paths))
        expires = getattr(loader, "exec_plugin_expiry", None)
        return await _login(configuration, files, token_file, expires)


async def _of_pod() -> Login:
    configuration = _configuration()
    try:
        load_incluster_config(configuration, try_refresh_token=False)
    except ConfigException as error:
        raise ClusterError(
            "there is no kubeconfig, and no service account of a pod: "
            f"{error}; give --kubeconfig FILE"
        ) from None
    return await _login(configuration, (), Path(SERVICE_TOKEN_FILENAME))


async def _login(
    configuration: Configuration,
    files: tuple[Path, ...],
    token_file: Path | None,
    expires: datetime | None = None,
) -> Login:
    token = configuration.api_key.get("BearerToken")
    if token_file is not None:
        try:
            token = f"Bearer {await in_thread(partial(secret_in, token_file))}"
        except SourceError as error:
            raise ClusterError(str(error)) from None
        files = (*files, token_file)
    if configuration.proxy is None:
        configuration.proxy = _proxy_for(configuration.host)
    said = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    files = (*files, *(Path(file) for file in said if file))
    return Login(configuration, token, files, expires)


def _configuration() -> Configuration:
    # aiohttp would look for proxies and a netrc in threads, twice for each request.
    return Configuration(client_session_kwargs={"trust_env": False})


def _take_token_file(merged: Any, context: str) -> Path | None:  # noqa: ANN401  the package's
    """Take the user's `tokenFile`, which wins over `token`, as for kubectl."""
    name = merged["contexts"].get_with_name(context)["context"].safe_get("user")
    entry = merged["users"].get_with_name(name, safe=True) if name else None
    user = None if entry is None else entry.safe_get("user")
    if entry is None or not user or not {"exec", "auth-provider"}.isdisjoint(user):
        return None
    file = user.pop("tokenFile", None)
    return None if file is None else Path(str(entry.path)).parent.absolute() / str(file)


def _unusable(paths: str | None, error: Exception) -> ClusterError:
    return ClusterError(
        f"{paths}: not a kubeconfig that can be used ({type(error).__name__}); "
        "see what kubectl says of it"
    )


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
