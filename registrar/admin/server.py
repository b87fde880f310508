"""Serves the ways in while the program runs: on an address, on a unix socket, or on both."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from registrar.admin.access import Access
from registrar.admin.browsers import only_known_hosts
from registrar.admin.connections import Connections
from registrar.admin.handlers import Handlers
from registrar.admin.program import Program
from registrar.model import Admin
from registrar.options import DEFAULT_SOCKET
from registrar.threads import in_thread

SHUTDOWN_S = 0.5

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def serving(program: Program, admin: Admin) -> AsyncGenerator[None]:
    """Serve within the block. What can't be served is logged, and ends nothing."""
    async with contextlib.AsyncExitStack() as stack:
        if admin.listen is not None:
            handlers, connections = Handlers(program, Access(admin.token_file)), Connections()
            guards = (connections.handling, only_known_hosts(admin.hosts))
            runner = await _runner(stack, handlers, *guards)
            host, port = admin.listen
            try:
                served = await asyncio.get_running_loop().create_server(
                    connections.watching(_protocols(runner)),
                    host or None,
                    port,
                    reuse_address=True,
                )
                stack.callback(served.close)
            except OSError as error:
                words = os.strerror(error.errno or 0).lower()
                log.warning("admin-not-served", listen=f"{host}:{port}", error=words)
        if (path := _socket(admin)) is not None:
            runner = await _runner(stack, Handlers(program, None))
            try:
                await _listen(runner, path)
                stack.callback(path.unlink, missing_ok=True)
            except OSError as error:
                words = os.strerror(error.errno or 0).lower()
                log.warning("socket-not-served", socket=str(path), error=words)
        yield


def _socket(admin: Admin) -> Path | None:
    if admin.socket is not None:
        return admin.socket
    return DEFAULT_SOCKET if DEFAULT_SOCKET.parent.is_dir() else None


def _protocols(runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
    assert runner.server is not None  # noqa: S101  it has been set up
    return runner.server


async def _runner(
    stack: contextlib.AsyncExitStack, handlers: Handlers, *guards: Middleware
) -> web.AppRunner:
    app = handlers.application()
    app.middlewares.extend(guards)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


async def _listen(runner: web.AppRunner, path: Path) -> None:
    await in_thread(partial(_clear, path))
    before = os.umask(0o177)  # nobody but the same user gets in
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)


def _clear(path: Path) -> None:
    """Take away the socket of a program that was killed. Raise OSError if one serves there."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(1)
        try:
            asked.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(errno.EADDRINUSE, "")
