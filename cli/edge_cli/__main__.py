"""`python -m edge_cli` is `edge`."""

from edge_cli.main import main

main()
