"""Reads a kubeconfig, by the kubernetes package: contexts, merging, plugins.

Import it where there is one: what the package brings along takes 10 MB, for which a pod has no use.
What the package reads once, a `tokenFile`, is read here for those who ask when it has changed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger

from registrar.cluster.login import Login, Tls, bearer, proxy_for
from registrar.errors import ClusterError
from registrar.yaml_values import refuse_huge


class Kubeconfig:
    """One context of a kubeconfig: the one that was the current one when it was first read."""

    def __init__(self, paths: str, context: str | None) -> None:
        self._paths = paths
        self._context = context

    async def load(self) -> Login:
        """Read it. Raise ClusterError if it can't be used."""
        said = Configuration()
        try:
            for file in map(Path, self._paths.split(os.pathsep)):
                if (path := file.expanduser()).is_file():
                    # The package's own reader takes minutes for what is deep enough.
                    refuse_huge(path.read_text(), path)
            merged = KubeConfigMerger(self._paths)
            self._context = self._context or str(merged.config["current-context"])
            token_file = _take_token_file(merged.config, self._context)
            loader = KubeConfigLoader(merged.config, self._context, config_base_path=None)
            await loader.load_and_set(said)
            proxy = said.proxy or proxy_for(said.host)
        except ConfigException as error:
            raise ClusterError(f"{self._paths}: {error}; give --kubeconfig FILE") from None
        except Exception as error:  # noqa: BLE001  the package raises whatever a wrong file leads to
            raise unusable(self._paths, error) from None
        tls = Tls(
            ca_file=said.ssl_ca_cert,
            cert_file=said.cert_file,
            key_file=said.key_file,
            verify=bool(said.verify_ssl),
            server_name=said.tls_server_name,
            proxy=proxy,
        )
        token = said.api_key.get("BearerToken")
        files = (*map(Path, merged.paths), *tls.files)
        if token_file is not None:
            token, files = await bearer(token_file), (*files, token_file)
        expires = getattr(loader, "exec_plugin_expiry", None)
        return Login(str(said.host), tls, token, files, expires)


def unusable(paths: str, error: Exception) -> ClusterError:
    """Return what is said of a kubeconfig that can't be used; no more of it than its name."""
    return ClusterError(
        f"{paths}: not a kubeconfig that can be used ({type(error).__name__}); "
        "see what kubectl says of it"
    )


def _take_token_file(merged: Any, context: str) -> Path | None:  # noqa: ANN401  the package's
    """Take the user's `tokenFile`, which wins over `token`, as for kubectl."""
    name = merged["contexts"].get_with_name(context)["context"].safe_get("user")
    entry = merged["users"].get_with_name(name, safe=True) if name else None
    user = None if entry is None else entry.safe_get("user")
    if entry is None or not user or not {"exec", "auth-provider"}.isdisjoint(user):
        return None
    file = user.pop("tokenFile", None)
    return None if file is None else Path(str(entry.path)).parent.absolute() / str(file)
