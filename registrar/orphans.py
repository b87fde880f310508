"""Takes away what is published for Services whose mapping was removed, and nothing else.

Only objects with our marks, and only once the configuration has stood for a while: a mapping that
is missing for a moment, or forty that are missing at once, are a mistake until a person says so.
"""

from __future__ import annotations

import asyncio

import structlog

from registrar.cluster.forms import all_of_ours
from registrar.config import Config
from registrar.decide.orphans import too_many
from registrar.errors import ClusterError
from registrar.model import ServiceKey
from registrar.publication import Cluster

STANDS_S = 30.0
"""How long a configuration has to stand before it takes anything away."""

LOOK_S = 60.0
LOGGED = 10

log = structlog.get_logger()


class Orphans:
    """Looks for orphans of one instance, in the namespaces that mappings name."""

    def __init__(self, cluster: Cluster, config: Config) -> None:
        self._view = cluster.view
        self._publisher = cluster.publisher
        self._instance = config.instance
        self._is_named = config.instance_is_given
        self._mapped = frozenset(mapping.key for mapping in config.mappings)
        self._said: frozenset[ServiceKey] = frozenset()

    async def run(self) -> None:
        """Take orphans away, until cancelled."""
        await asyncio.sleep(STANDS_S)
        while True:
            await self.sweep()
            await asyncio.sleep(LOOK_S)

    def found(self) -> frozenset[ServiceKey]:
        """Return the Services that we have published something for and that no mapping names."""
        return frozenset(
            key
            for key in self._view.services_of_ours() - self._mapped
            if self._view.is_listed(key.namespace)
            and all_of_ours(self._view.held(key), self._instance)
        )

    async def sweep(self) -> None:
        """Take away what is there, unless it is so much that a person has to look first."""
        orphans = self.found()
        if not self._is_named:
            # Another registrar that was given no name either may be at home here.
            self._keep(orphans, "give the configuration an `instance` that no other registrar has")
        elif too_many(orphans, self._mapped):
            self._keep(orphans, "restore the mappings, or delete by hand what they published")
        else:
            for key in sorted(orphans):
                await self._remove(key)

    def _keep(self, orphans: frozenset[ServiceKey], remedy: str) -> None:
        if orphans and orphans != self._said:
            log.warning(
                "orphans-kept",
                count=len(orphans),
                mappings=len(self._mapped),
                services=sorted(map(str, orphans))[:LOGGED],
                remedy=remedy,
            )
        self._said = orphans

    async def _remove(self, key: ServiceKey) -> None:
        held = self._view.held(key)
        try:
            await self._publisher.carry_out(key, held, all_of_ours(held, self._instance))
        except ClusterError as error:  # the next look finds what is left
            log.warning("orphan-kept", service=str(key), error=str(error))
        else:
            log.info("orphan-removed", service=str(key))
