"""`auditdeck completion`: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_AUDITDECK_COMPLETE"
"""By which the shell asks this program (click: "Shell Completion")."""


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options and values.

    \b
    bash   auditdeck completion bash > /etc/bash_completion.d/auditdeck
    zsh    auditdeck completion zsh > /usr/local/share/zsh/site-functions/_auditdeck
    fish   auditdeck completion fish > /etc/fish/completions/auditdeck.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "auditdeck", VARIABLE).source(), nl=False)
