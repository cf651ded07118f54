"""`python -m edge_cli` is `edge`."""

from edge_cli.entry import main

main()
