"""Where the process begins: nothing that takes time is imported before Ctrl-C is heeded."""

from __future__ import annotations

from edge_cli.early_interrupt import end_on_interrupt


def main() -> None:
    """Run `edge` with the process's arguments."""
    end_on_interrupt()
    from edge_cli.main import main as run_command

    run_command()
