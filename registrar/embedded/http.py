"""Puts an API server on HTTP, for kubectl and for whatever else is not in this process.

It must never listen on anything but the loopback address.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from aiohttp import ClientConnectionResetError, web

from registrar.embedded.request import ConnectionLost, Request, Response
from registrar.embedded.server import ApiServer


@contextlib.asynccontextmanager
async def serve(server: ApiServer, port: int = 0) -> AsyncGenerator[str]:
    """Serve on a port of 127.0.0.1, any free one for 0, and yield the URL.

    What is still being answered at the end is broken off. Raise OSError if the port is taken.
    """
    answering: set[asyncio.Task[None] | None] = set()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        answering.add(task)
        try:
            return await _write(request, await server.handle(await _read(request)))
        except ConnectionLost:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)  # nobody gets it
        finally:
            answering.discard(task)

    # Cancelled when the client goes away, or a watch would stay until its next event.
    runner = web.ServerRunner(web.Server(answer, handler_cancellation=True), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        for task in answering:
            if task is not None:
                task.cancel()
        await runner.cleanup()


async def _read(request: web.BaseRequest) -> Request:
    headers = {name.lower(): value for name, value in request.headers.items()}
    # Of a key that is given twice the first counts, as on the real API server.
    query = {key: request.query[key] for key in request.query}
    body = await request.content.read()
    return Request(request.method, request.path, query, headers, body)


async def _write(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    if isinstance(response.body, bytes):
        return web.Response(status=response.status, body=response.body, headers=response.headers)
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    async with contextlib.aclosing(response.body) as lines:
        try:
            await stream.prepare(request)
            async for line in lines:
                await stream.write(line)
            await stream.write_eof()
        except ClientConnectionResetError:
            raise ConnectionLost("the client has gone") from None
    return stream
