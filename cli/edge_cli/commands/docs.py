"""edge docs: the page of the documentation that fits a command, from this disk."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from edge_cli.console import Console
from edge_cli.doc_pages import find_doc_page
from edge_cli.options import QuietFlag

app = typer.Typer(add_completion=False)


@app.command(
    name="docs",
    help="Open the page of the documentation that fits a command, from this disk, and print its address.",
)
def docs(
    topic: Annotated[
        str,
        typer.Argument(
            metavar="[COMMAND]",
            help="A command, a page's name such as int8, or what edge train said of a run, such as overfitting.",
            show_default="the first page",
        ),
    ] = "",
    print_: Annotated[bool, typer.Option("--print", help="Print the address alone; open nothing.")] = False,
    quiet: QuietFlag = False,
) -> int:
    """Find it, print it, open it."""
    page = find_doc_page(topic)
    print(page.address, flush=True)
    console = Console(quiet=quiet)
    if page.path.suffix == ".md":
        console.say("note: the site is not built here, this is its source; make docs builds it")
    elif not print_ and not _opened(page.address):
        console.say("note: there is no browser here to open it with")
    return 0


def _opened(address: str) -> bool:
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
