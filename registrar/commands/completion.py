"""`registrar completion`: prints what makes a shell complete registrar's commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from registrar.commands.examples import examples

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=examples(
        'eval "$(registrar completion bash)"      in ~/.bashrc',
        'eval "$(registrar completion zsh)"       in ~/.zshrc',
        "registrar completion fish > ~/.config/fish/completions/registrar.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options, Services and backends."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  click has these three
    root = context.find_root()
    made = kind(root.command, {}, "registrar", "_REGISTRAR_COMPLETE")
    click.echo(made.source_template % made.source_vars())
