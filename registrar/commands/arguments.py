"""The arguments that commands share, with what a shell may complete them to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from registrar.admin.local import Local
from registrar.admin.words import backend, service_key
from registrar.config import read_config
from registrar.errors import ConfigError, NotRunning
from registrar.options import config_option, socket_option


class Word(click.ParamType[str]):
    """A word that is checked before anything is asked, and stays as it was written."""

    def __init__(self, name: str, check: Callable[[str], object]) -> None:
        self.name = name
        self._check = check

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it. Raise BadParameter, which names what is right, if it is none."""
        try:
            self._check(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


def _services(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Return the Services of the configuration that the word may become."""
    try:
        mappings = read_config(_default(config_option)).mappings
    except ConfigError:
        return []
    names = sorted(str(mapping.key) for mapping in mappings)
    return [CompletionItem(name) for name in names if name.startswith(begun)]


def _backends(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Return the backends of the Service, as the running program knows them."""
    socket = context.params.get("socket") or _default(socket_option)
    try:
        status = Local(socket).status()
    except NotRunning:
        return []
    named = context.params.get("service")
    found = [one for one in status.services if f"{one.namespace}/{one.name}" == named]
    words = {
        f"[{b.address}]:{b.port}" if ":" in b.address else f"{b.address}:{b.port}"
        for one in found
        for b in one.backends
    }
    return [CompletionItem(word) for word in sorted(words) if word.startswith(begun)]


def _default(option: Callable[[Any], Any]) -> Path:
    """Return what an option is where it isn't given: by its variable, else by its default."""
    command = click.Command("default", params=[])
    option(command)
    value, _ = command.params[-1].consume_value(click.Context(command), {})
    return Path(str(value))


SERVICE = Word("service", service_key)
BACKEND = Word("backend", backend)

services_argument = click.argument(
    "services", metavar="[SERVICE]...", nargs=-1, type=SERVICE, shell_complete=_services
)
service_argument = click.argument("service", type=SERVICE, shell_complete=_services)
backends_argument = click.argument(
    "backends",
    metavar="BACKEND...",
    nargs=-1,
    required=True,
    type=BACKEND,
    shell_complete=_backends,
)
