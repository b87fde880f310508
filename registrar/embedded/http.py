"""Puts an API server on HTTP, for kubectl and for whatever else is not in this process.

It must never listen on anything but the loopback address.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from aiohttp import web

from registrar.embedded.request import ConnectionLost, Request, Response
from registrar.embedded.server import ApiServer

MOST_BYTES = 3 * 1024 * 1024
"""The real API server takes no larger body either."""


@contextlib.asynccontextmanager
async def serve(server: ApiServer, port: int = 0) -> AsyncGenerator[str]:
    """Serve on a port of 127.0.0.1, any free one for 0; yield the URL. Raise OSError if it's taken."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await server.handle(await _read(request))
            return await _write(request, response)
        except ConnectionLost:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)  # nobody gets it

    runner = web.ServerRunner(web.Server(answer, client_max_size=MOST_BYTES), shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _read(request: web.BaseRequest) -> Request:
    headers = {name.lower(): value for name, value in request.headers.items()}
    # Of a key that is given twice the first counts, as on the real API server.
    query = {key: request.query[key] for key in request.query}
    return Request(request.method, request.path, query, headers, await request.read())


async def _write(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    if isinstance(response.body, bytes):
        return web.Response(status=response.status, body=response.body, headers=response.headers)
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    # The lines are told apart by the client; the connection ends with the watch.
    await stream.prepare(request)
    async with contextlib.aclosing(response.body) as lines:
        async for line in lines:
            await stream.write(line)
    await stream.write_eof()
    return stream
