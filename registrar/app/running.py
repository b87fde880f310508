"""Everything that runs against a cluster: connected, started, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import registrar
from registrar.admin.server import serving
from registrar.app.app import App
from registrar.app.construction import Ends, EngineMaker, Mode, Parts, construct
from registrar.cluster.client import Client
from registrar.cluster.connect import connect, pod_namespace
from registrar.cluster.election import RELEASE_S
from registrar.cluster.lease import LeaseTerms
from registrar.config import Config
from registrar.errors import ConfigError
from registrar.probe.engine import CheckEngine
from registrar.reload import Reload, outcomes

LAST_WRITE_S = 1.5
HANGS_S = 0.1
"""An API server that has left so much time unused is not waited for a second time."""


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Which cluster, as kubectl's options of these names say; `is_own` if nobody else uses it."""

    kubeconfig: str | None = None
    context: str | None = None
    is_own: bool = False


@contextlib.asynccontextmanager
async def running(
    config: Config,
    cluster: ClusterOptions,
    mode: Mode,
    engine: EngineMaker = CheckEngine,
    file: Path | None = None,
) -> AsyncGenerator[App]:
    """Run everything within the block. On leaving it the write in flight is finished first.

    Where the configuration's file is given, changes of it are applied. Raise ConfigError where a
    leader has to be elected, and the Lease for that has no namespace.
    """
    lease = _lease(config, cluster) if mode is Mode.STAY and not cluster.is_own else None
    agent = f"registrar/{registrar.__version__} ({config.instance})"
    client = await connect(cluster.kubeconfig, cluster.context, agent)
    ends = Ends(engine, lease=lease)
    async with running_with(client, config, mode, ends, file) as app:
        if mode is not Mode.STAY:
            yield app
            return
        async with serving(app, config.admin):
            yield app


@contextlib.asynccontextmanager
async def running_with(
    client: Client, config: Config, mode: Mode, ends: Ends, file: Path | None = None
) -> AsyncGenerator[App]:
    """As `running`, with a client that is there; it is closed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.aclose)
        app, parts = construct(config, client, mode, ends)
        stack.push_async_callback(parts.files.aclose)
        parts.schedule.start()
        stack.callback(parts.schedule.stop)
        stack.push_async_callback(parts.engine.aclose)
        app.checks.start(parts.engine)
        stack.push_async_callback(app.feeds.aclose)
        app.feeds.start()
        patience = RELEASE_S
        try:
            async with asyncio.TaskGroup() as group:
                parts_of_it = (app.view, app.ranges, app.reconciler)
                tasks = [group.create_task(part.run()) for part in parts_of_it]
                tasks.append(group.create_task(parts.announcer.run()))
                if app.election is not None:
                    tasks.append(group.create_task(app.election.run()))
                if parts.relay is not None:
                    tasks.append(group.create_task(parts.relay.run(app.orders.handle)))
                if mode is Mode.STAY:
                    tasks.append(group.create_task(app.orphans.run()))
                    tasks.append(group.create_task(app.wishes.run()))
                    tasks.append(group.create_task(app.periodic.run()))
                if file is not None:
                    reader = outcomes(file, config)
                    stack.push_async_callback(reader.aclose)
                    reload = Reload(file, config, parts.files, reader, app)
                    tasks.append(group.create_task(reload.run()))
                for mapping in config.mappings:
                    app.due.mark(mapping.key)
                try:
                    yield app
                    patience = await _finished(app, parts)
                finally:
                    for task in tasks:
                        task.cancel()
        except BaseExceptionGroup as group_of_errors:
            # Whoever called knows what to say of the error itself, not of a group of them.
            error: BaseException = group_of_errors
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None
        finally:
            if app.election is not None:
                await app.election.resign(patience)


async def _finished(app: App, parts: Parts) -> float:
    """End what is under way; return how long the Lease may take to be given back, in seconds."""
    try:
        async with asyncio.timeout(LAST_WRITE_S):
            await app.due.close()
            await parts.announcer.finish()
    except TimeoutError:
        return HANGS_S
    return RELEASE_S


def _lease(config: Config, cluster: ClusterOptions) -> LeaseTerms | None:
    """Return by which Lease to stand for election; None where there is to be no election.

    Raise ConfigError where there has to be one, and its Lease has no namespace.
    """
    election = config.election
    if election is None:
        return None
    namespace = election.namespace or pod_namespace(cluster.kubeconfig)
    if namespace is None:
        if config.unplaced is not None:
            raise ConfigError(config.unplaced)
        return None
    return LeaseTerms(
        namespace,
        election.name or f"registrar-{config.instance}",
        # Unique to this process: one that was killed may still have writes on their way.
        f"{socket.gethostname()}_{secrets.token_hex(4)}",
        election.lease_duration,
        election.renew_deadline,
        election.retry_period,
    )
