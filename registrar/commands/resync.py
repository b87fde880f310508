"""`registrar resync`: has everything looked at again, and says what came of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from registrar.admin.handlers import OrderBody, OutcomeBody
from registrar.admin.local import Local
from registrar.commands.arguments import services_argument
from registrar.commands.examples import examples
from registrar.options import output_option, socket_option, timeout_option
from registrar.output import console, print_data, table_of
from registrar.resync import State

HELD = 1


@click.command(
    epilog=examples(
        "registrar resync                               all Services",
        "registrar resync shop/web shop/mysql           just these",
        "registrar resync shop/web --accept-removals    and believe what has gone",
        "kubectl exec deploy/registrar -- registrar resync",
    )
)
@services_argument
@click.option(
    "--accept-removals",
    is_flag=True,
    help="Take away what the sources no longer list, however much it is.",
)
@timeout_option
@socket_option
@output_option
def resync(
    services: tuple[str, ...], socket: Path, timeout: float, output: str, *, accept_removals: bool
) -> None:
    """Have sources, backends and the cluster looked at again, and what differs corrected.

    SERVICE is NAMESPACE/NAME; without one it is all of them. Asks the registrar that runs here; one
    that doesn't lead passes it on. Ends with 1 if something is held or has failed.
    """
    order = OrderBody(services, accept_removals, timeout)
    with Console(stderr=True).status("looking at everything again"):
        found = Local(socket).resync(order)
    _print(found, output)
    if any(one.state in {State.HELD.value, State.FAILED.value} for one in found):
        sys.exit(HELD)


def _print(found: list[OutcomeBody], output: str) -> None:
    if output != "table":
        print_data(found, output)
        return
    table = table_of("SERVICE", "OUTCOME", "DETAIL")
    for one in found:
        table.add_row(one.service, one.state, one.detail)
    console().print(table)
