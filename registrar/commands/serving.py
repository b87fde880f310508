"""Serves until told to stop: what every way to run has in common."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import structlog

import registrar
from registrar.app.construction import EngineMaker, Mode
from registrar.app.running import ClusterOptions, running
from registrar.config import Config
from registrar.probe.engine import CheckEngine
from registrar.resync import Order

PATIENCE_S = 30.0

log = structlog.get_logger()


def stop_at_signals() -> asyncio.Event:
    """Return an event that SIGTERM and Ctrl-C set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def serve(
    file: Path, config: Config, cluster: ClusterOptions, engine: EngineMaker = CheckEngine
) -> None:
    """Serve a configuration that stands in a file."""
    stop = stop_at_signals()
    async with (
        running(config, cluster, Mode.STAY, engine, file) as app,
        asyncio.TaskGroup() as group,
    ):

        def resync_all() -> None:
            group.create_task(app.resync(Order("SIGUSR1")))

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, resync_all)
        heard = asyncio.create_task(app.heard(PATIENCE_S))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({heard, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if heard.done():
            heard.result()
            log.info("running", mappings=len(config.mappings), version=registrar.__version__)
        heard.cancel()
        await stopped
        log.info("stopping")
