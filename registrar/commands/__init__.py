"""The commands, one idea a file."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "completion": "completion:completion",
    "demo": "embedded:demo",
    "drain": "drain:drain",
    "health": "health:health",
    "ipvs": "ipvs:ipvs",
    "once": "once:once",
    "plan": "once:plan",
    "render": "offline:render",
    "resync": "resync:resync",
    "run": "run:run",
    "schema": "offline:schema",
    "status": "status:status",
    "undrain": "drain:undrain",
    "validate": "offline:validate",
    "version": "version:version",
}


class Commands(click.Group):
    """All of them, each imported when it is asked for: `run` in a pod pays for no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's
        """Return their names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return one, None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"registrar.commands.{module}"), name)
        return command
