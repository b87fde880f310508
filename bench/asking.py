"""Asks a registrar that runs, through its unix socket, as Prometheus would."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.embedded_program import samples

SOCKET = "admin.sock"
ADMIN = f"admin: {{socket: {SOCKET}}}\n"
"""The section of the configuration that makes the socket, beside it."""


def metrics(folder: Path) -> dict[str, float]:
    """Return every sample of /metrics, by name and labels as Prometheus writes them."""
    transport = httpx.HTTPTransport(uds=str(folder / SOCKET))
    with httpx.Client(transport=transport, base_url="http://registrar", timeout=30) as client:
        return samples(client.get("/metrics").raise_for_status().text)


def total(found: dict[str, float], name: str) -> float:
    """Return a metric summed over all its labels."""
    return sum(value for key, value in found.items() if key.partition("{")[0] == name)
