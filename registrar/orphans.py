"""Takes away what is published for Services whose mapping was removed, and nothing else.

Only objects with our marks, and only once the configuration has stood for a while: a mapping that
is missing for a moment, or forty that are missing at once, are a mistake until a person says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from registrar.cluster.forms import all_of_ours
from registrar.config import Config
from registrar.decide.reload import Removal, digest, to_accept
from registrar.errors import ClusterError
from registrar.model import ServiceKey
from registrar.publication import Cluster

STANDS_S = 30.0
"""How long a configuration has to stand before it takes anything away."""

LOOK_S = 60.0
LOGGED = 10

log = structlog.get_logger()


class Orphans:
    """Looks for orphans of one instance, in the namespaces that mappings name, or did before.

    `changed` is called with a Service whose mapping has come back while its objects went.
    """

    def __init__(
        self, cluster: Cluster, config: Config, changed: Callable[[ServiceKey], None]
    ) -> None:
        self._view = cluster.view
        self._publisher = cluster.publisher
        self._leadership = cluster.leadership
        self._config = config
        self._mapped = _mapped(config)
        self._changed = changed
        self._accepted: frozenset[ServiceKey] = frozenset()
        self._said: frozenset[ServiceKey] = frozenset()
        self._in_doubt = False
        self._disturbed = asyncio.Event()

    def apply(self, config: Config) -> None:
        """Go over to another configuration, which has to stand for a while first."""
        removed = self._mapped - _mapped(config)
        self._config = config
        self._mapped = _mapped(config)
        self._accept(removed)
        self._accepted -= self._mapped
        self._in_doubt = False
        self._disturbed.set()

    def doubt(self) -> None:
        """Take nothing away until the next `apply`: what is in force may not be what is meant."""
        self._in_doubt = True
        self._disturbed.set()

    async def run(self) -> None:
        """Take orphans away, until cancelled."""
        delay = STANDS_S
        while True:
            try:
                async with asyncio.timeout(delay):
                    await self._disturbed.wait()
            except TimeoutError:
                delay = LOOK_S
                await self.sweep()
            else:
                self._disturbed.clear()
                delay = STANDS_S

    def found(self) -> frozenset[ServiceKey]:
        """Return the Services that we have published something for and that no mapping names."""
        return frozenset(
            key for key in self._view.services_of_ours() - self._mapped if self._view.is_listed(key)
        )

    async def sweep(self) -> None:
        """Take away what is there, unless it is so much that a person has to look first."""
        if self._in_doubt or self._leadership.term is None:
            return
        for key in sorted(self._to_remove()):
            if self._disturbed.is_set():  # it may be mapped again
                return
            await self._remove(key)
        self._view.leave()

    def _to_remove(self) -> frozenset[ServiceKey]:
        orphans = self.found()
        if not self._config.instance_is_given:
            # Another registrar that was given no name either may be at home here.
            remedy = "give the configuration an `instance` that no other registrar has"
            self._say_kept(Removal(orphans, len(orphans | self._mapped)), remedy)
            return frozenset()
        unasked = orphans - self._accepted
        removal = to_accept(unasked | self._mapped, self._mapped, self._config.accept_removed)
        if removal is None:
            self._accept(unasked)
            self._said = frozenset()
            return orphans
        self._say_kept(removal, f"restore the mappings, or write `acceptRemoved: {removal.digest}`")
        return orphans - removal.keys

    def _accept(self, removed: frozenset[ServiceKey]) -> None:
        # Once accepted they are so to the last, also when only some of them are left.
        if digest(removed) == self._config.accept_removed:
            self._accepted |= removed

    def _say_kept(self, removal: Removal, remedy: str) -> None:
        if removal.keys and removal.keys != self._said:
            log.warning(
                "orphans-kept",
                count=len(removal.keys),
                of=removal.of,
                digest=removal.digest,
                services=sorted(map(str, removal.keys))[:LOGGED],
                remedy=remedy,
            )
        self._said = removal.keys

    async def _remove(self, key: ServiceKey) -> None:
        held = self._view.held(key)
        try:
            await self._publisher.carry_out(key, held, all_of_ours(held, self._config.instance))
        except ClusterError as error:  # the next look finds what is left
            log.warning("orphan-kept", service=str(key), error=str(error))
        else:
            log.info("orphan-removed", service=str(key))
        if key in self._mapped:  # it came back too late, and nobody else has seen what went
            self._changed(key)


def _mapped(config: Config) -> frozenset[ServiceKey]:
    return frozenset(mapping.key for mapping in config.mappings)
