"""What happens in the demo: a backend of the Service web dies, comes back, and dies again."""

from __future__ import annotations

import asyncio

from registrar.demo.backends import DemoBackend

FIRST_S, LIFE_S, DEATH_S = 3.0, 6.0, 4.0


async def tell(hero: DemoBackend) -> None:
    """Let one backend die and come back, again and again, until cancelled."""
    await asyncio.sleep(FIRST_S)
    while True:
        await hero.stop()
        await asyncio.sleep(DEATH_S)
        await hero.start()
        await asyncio.sleep(LIFE_S)
