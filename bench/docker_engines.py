"""Scripted Docker daemons in a process of their own, for bench.source_costs.

Its arguments: how many, and how many containers each has. It prints their ports. To each line
`HOST CONTAINER PORT` that it reads, it publishes that container at that port and tells so. It ends
when there is nothing more to read.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.sources.docker_engine import Engine, container, published


def listed(number: int, port: int) -> dict[str, Any]:
    """Return the container of Service `s<number>`."""
    return container(f"c{number}", published(port), labels={"app": f"s{number}"})


class Labelled(Engine):
    """A daemon that lists and tells only what it is asked for by labels, as a real one does."""

    def _filtered(self, filters: dict[str, list[str]]) -> list[Any]:
        wanted = dict(label.split("=") for label in filters.get("label", ()))
        return [
            one for one in super()._filtered(filters) if wanted.items() <= one["Labels"].items()
        ]


async def serve(hosts: int, containers: int) -> None:
    """Run them."""
    engines = [Labelled([listed(n, 8000 + n) for n in range(containers)]) for _ in range(hosts)]
    for engine in engines:
        await engine.start()
    print(json.dumps([int(engine.url.rpartition(":")[2]) for engine in engines]), flush=True)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        host, number, port = map(int, line.split())
        engine = engines[host]
        engine.listed = [
            listed(number, port) if one["Labels"] == {"app": f"s{number}"} else one
            for one in engine.listed
        ]
        engine.requests.clear()
        engine.tell(about={"label": [f"app=s{number}"]})


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))
