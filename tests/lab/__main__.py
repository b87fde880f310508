"""The lab by hand: `make lab` starts one that stays, `make lab-down` ends it.

It must never touch a lab that a test has started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from tests.lab import image, parts
from tests.lab.backend import Backend
from tests.lab.build import CONSUL, HELM, built
from tests.lab.errors import LabError
from tests.lab.lab import Lab, prepare
from tests.lab.ownership import sweep

USAGE = """\
The lab is up: a control plane, and a node with IPVS. It stays until `make lab-down`.

  alias lab="{lab}"

  lab kubectl get services              kubectl, as admin
  lab backend add web1                  a host outside the cluster that answers on port 80
  lab backend kill web1                 or: start, freeze, thaw, cut, heal, sicken, cure, remove
  lab backend list                      their addresses, and what was done to them
  lab exec registrar run --config FILE  any command on the cluster's network, with its kubeconfig
  lab node ipvsadm -Ln                  any command on the node
  lab node curl -s http://CLUSTER-IP:PORT/
"""
DEEDS: dict[str, Callable[[Backend], None]] = {
    "start": Backend.start,
    "kill": Backend.kill,
    "freeze": Backend.freeze,
    "thaw": Backend.thaw,
    "cut": Backend.cut,
    "heal": Backend.heal,
    "sicken": lambda backend: backend.set_healthy(False),
    "cure": lambda backend: backend.set_healthy(True),
}
_passed_on = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Use the lab by hand."""


@main.command("prepare")
def prepare_all() -> None:
    """Install the system parts and build the programs, before several tests need them at once."""
    prepare()
    parts.require(parts.POD_PACKAGES)
    built(CONSUL)
    built(HELM)
    image.built()


@main.command()
def up() -> None:
    """Start the lab that stays, and say how to use it."""
    if Lab.persistent() is None:
        Lab.up_persistent()
    click.echo(USAGE.format(lab=f"{os.path.relpath(sys.executable)} -m tests.lab"))


@main.command()
def down() -> None:
    """End the lab that stays, and whatever crashed tests have left."""
    if (lab := Lab.persistent()) is not None:
        lab.down()
    sweep()


@main.command(context_settings=_passed_on)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(arguments: tuple[str, ...]) -> None:
    """Run kubectl as admin."""
    _become("kubectl", *arguments)


@main.command("exec", context_settings=_passed_on)
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(argv: tuple[str, ...]) -> None:
    """Run a command on the cluster's network, with its KUBECONFIG."""
    _become(*argv)


@main.command(context_settings=_passed_on)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def node(command: tuple[str, ...]) -> None:
    """Run a shell command on the node."""
    done = _lab().node.run(" ".join(command))
    click.echo(done.output, nl=False)
    sys.exit(done.status)


@main.group()
def backend() -> None:
    """Add and use hosts outside the cluster."""


@backend.command()
@click.argument("name")
@click.option("--port", type=click.IntRange(1, 65535), default=80, show_default=True)
def add(name: str, port: int) -> None:
    """Add a host that answers HTTP with its name."""
    click.echo(_lab().backend(name, port))


@backend.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a host."""
    _lab().remove(_backend(name))


@backend.command("list")
def list_all() -> None:
    """Say where they are, and what was done to them."""
    for known in _lab().backends().values():
        click.echo(f"{known}: {known.state}")


def _add_deed(name: str, deed: Callable[[Backend], None]) -> None:
    @backend.command(name, help=(deed.__doc__ or f"Make its /healthz change: {name}."))
    @click.argument("host")
    def command(host: str) -> None:
        deed(_backend(host))


for _name, _deed in DEEDS.items():
    _add_deed(_name, _deed)


def _lab() -> Lab:
    lab = Lab.persistent()
    if lab is None:
        raise LabError("the lab is not up; start it with `make lab`")
    return lab


def _backend(name: str) -> Backend:
    found = _lab().backends()
    if name not in found:
        raise LabError(f"there is no backend {name}; there are: {', '.join(found) or 'none'}")
    return found[name]


def _become(*argv: str) -> None:
    lab = _lab()
    command = lab.namespace.argv(argv)
    environment = {**os.environ, **lab.environment()}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    os.execvpe(command[0], command, environment)  # noqa: S606  it takes no shell to pass this on


if __name__ == "__main__":
    try:
        main(prog_name="tests.lab")
    except LabError as error:
        click.echo(f"lab: {error}", err=True)
        sys.exit(1)
