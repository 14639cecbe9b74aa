"""What the init job says: a line a step, what it changed and what was right already."""

from __future__ import annotations

import click


class Progress:
    """Prints as it goes, unless `quiet`; `changed` counts what was not as it should be."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.changed = 0
        self.right = 0

    def step(self, text: str) -> None:
        if not self.quiet:
            click.echo(text)

    def note(self, what: str, *, changed: bool, done: str = "created") -> None:
        """One object: changed (and how), or right already."""
        if changed:
            self.changed += 1
        else:
            self.right += 1
        self.step(f"  {'+' if changed else '='} {what}{f': {done}' if changed else ''}")

    def warn(self, text: str) -> None:
        self.step(f"  ! {text}")
