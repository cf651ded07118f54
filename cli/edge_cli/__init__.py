"""The `edge` command: one thin module per verb in `edge_cli.commands`."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit."""
    from edge_cli.main import main as run

    run()
