"""`registrar ipvs`: holds a node's own IPVS table against what is published."""

from __future__ import annotations

import asyncio
import sys
import time

import click
from rich.console import Console

import registrar
from registrar.admin.words import service_key
from registrar.cluster.connect import connect
from registrar.commands.arguments import services_argument
from registrar.commands.examples import examples
from registrar.ipvs.cluster import read_expected
from registrar.ipvs.drift import Drift, Expected, drift
from registrar.ipvs.kernel import read_table
from registrar.model import ServiceKey
from registrar.options import context_option, kubeconfig_option, output_option, wait_option
from registrar.output import console, print_data, table_of

DRIFTS = 1
LOOK_S = 0.5


@click.command(
    epilog=examples(
        "registrar ipvs --kubeconfig /var/lib/kube-proxy/kubeconfig",
        "registrar ipvs shop/web                        just this Service",
        "registrar ipvs -o json",
        of="Examples, on a node",
    )
)
@services_argument
@kubeconfig_option
@context_option
@wait_option
@output_option
def ipvs(
    services: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    wait: float,
    output: str,
) -> None:
    """Say what this node's IPVS table lacks, or has too much, of what is published.

    Looks at the Services that registrar publishes, SERVICE or all of them. Needs root on a node
    whose kube-proxy is in the mode ipvs, and a kubeconfig that may list Services and
    EndpointSlices, as kube-proxy's may. Ends with 1 if something differs.
    """
    keys = tuple(map(service_key, services))
    with Console(stderr=True).status("looking at the node and at what is published"):
        expected, found = asyncio.run(_look(keys, kubeconfig, context, wait))
    if unknown := sorted(set(keys) - {one.key for one in expected}):
        raise click.UsageError(f"registrar publishes nothing for {', '.join(map(str, unknown))}")
    _print(expected, found, output)
    if found:
        sys.exit(DRIFTS)


async def _look(
    keys: tuple[ServiceKey, ...], kubeconfig: str | None, context: str | None, wait: float
) -> tuple[tuple[Expected, ...], tuple[Drift, ...]]:
    """Return what differs after a while: kube-proxy needs a moment for each change."""
    await asyncio.to_thread(read_table)  # whoever can't read that needs no API server
    client = await connect(kubeconfig, context, f"registrar/{registrar.__version__} (ipvs)")
    try:
        deadline = time.monotonic() + wait
        while True:
            expected = await read_expected(client, keys)
            found = drift(expected, await asyncio.to_thread(read_table))
            if not found or time.monotonic() >= deadline:
                return expected, found
            await asyncio.sleep(LOOK_S)
    finally:
        await client.aclose()


def _print(expected: tuple[Expected, ...], found: tuple[Drift, ...], output: str) -> None:
    if output != "table":
        print_data(found, output)
        return
    if not found:
        servers = sum(len(one.servers) for one in expected)
        click.echo(f"in place: {len(expected)} Service(s), {servers} virtual server(s)")
        return
    table = table_of("SERVICE", "VIRTUAL SERVER", "WHAT", "BACKEND", "WEIGHT")
    for one in found:
        weight = "" if one.weight is None else str(one.weight)
        table.add_row(one.service, one.server, one.what, one.backend, weight)
    console().print(table)
