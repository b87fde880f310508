"""Serves until told to stop: what every way to run has in common."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import sys
from pathlib import Path

import structlog

import registrar
from registrar.app.construction import EngineMaker, Mode
from registrar.app.running import ClusterOptions, running
from registrar.config import Config
from registrar.probe.engine import CheckEngine
from registrar.resync import Order

PATIENCE_S = 30.0
SWITCH_S = 0.001
DESCRIPTORS = 65_536
GENERATIONS = 50_000, 20, 50
"""When the garbage collector looks: hardly anything here is garbage that it takes it to find."""

log = structlog.get_logger()


def stop_at_signals() -> asyncio.Event:
    """Return an event that SIGTERM and Ctrl-C set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def settle_in() -> None:
    """Have this process run well for long, with thousands of checks."""
    # What was loaded stays: the garbage collector need not look at it again and again.
    gc.freeze()
    gc.set_threshold(*GENERATIONS)
    # The thread of the checks is not to wait for long while the main loop is busy.
    sys.setswitchinterval(SWITCH_S)
    # The soft limit is often 1,024, for the sake of programs that are older than poll().
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def serve(
    file: Path, config: Config, cluster: ClusterOptions, engine: EngineMaker = CheckEngine
) -> None:
    """Serve a configuration that stands in a file."""
    settle_in()
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
