"""The `edge` command: one thin module per verb in `edge_cli.commands`."""
