"""`registrar drain` and `undrain`: take backends of a Service out gently, and back in."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from registrar.admin.drains import DrainBody, DrainedBody
from registrar.admin.local import Local
from registrar.commands.arguments import backends_argument, service_argument
from registrar.commands.examples import examples
from registrar.draining import DrainState
from registrar.options import output_option, socket_option, timeout_option
from registrar.output import complain, console, print_data, table_of

NOT_DONE = 1


@click.command(
    epilog=examples(
        "registrar drain shop/web 10.20.0.7             all ports of an address",
        "registrar drain shop/web 10.20.0.7:8080 10.20.0.8:8080",
        "registrar drain shop/web 10.20.0.7 --force     though nobody else is ready",
        "registrar undrain shop/web 10.20.0.7           back in",
    )
)
@service_argument
@backends_argument
@click.option("--force", is_flag=True, help="Take out even the last backend that is ready.")
@timeout_option
@socket_option
@output_option
def drain(
    service: str,
    backends: tuple[str, ...],
    socket: Path,
    timeout: float,
    output: str,
    *,
    force: bool,
) -> None:
    """Take backends out gently: no new connections, and those that there are go on.

    SERVICE is NAMESPACE/NAME, BACKEND an address or ADDRESS:PORT. It stays so, whatever restarts,
    until `registrar undrain`. Ends with 1 if it is refused or not published in time.
    """
    _ask(DrainBody(service, backends, force, timeout), socket, output, out=True)


@click.command(
    epilog=examples(
        "registrar undrain shop/web 10.20.0.7",
        "registrar status shop/web                      shows who is taken out",
    )
)
@service_argument
@backends_argument
@timeout_option
@socket_option
@output_option
def undrain(
    service: str, backends: tuple[str, ...], socket: Path, timeout: float, output: str
) -> None:
    """Take backends back in that `registrar drain` has taken out.

    They get new connections as soon as their health checks say that they are up.
    """
    _ask(DrainBody(service, backends, timeout=timeout), socket, output, out=False)


def _ask(order: DrainBody, socket: Path, output: str, *, out: bool) -> None:
    with Console(stderr=True).status("waiting until it is published"):
        answer = Local(socket).drain(order, out=out)
    _print(answer, output)
    if answer.outcome != DrainState.DONE.value:
        sys.exit(NOT_DONE)


def _print(answer: DrainedBody, output: str) -> None:
    if output != "table":
        print_data(answer, output)
    elif answer.outcome != DrainState.DONE.value:
        complain(f"registrar: {answer.service}: {answer.outcome}: {answer.detail}")
    else:
        table = table_of("SERVICE", "BACKEND", "PUBLISHED")
        for one in answer.backends:
            table.add_row(answer.service, one.backend, one.published)
        console().print(table)
