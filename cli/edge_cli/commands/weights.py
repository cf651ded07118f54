"""edge weights: the weights files on this machine, for training without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.console import Console, fail, print_json, print_table
from edge_cli.options import JsonFlag, QuietFlag

if TYPE_CHECKING:
    from edge_train import WeightsFile

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Say where pretrained weights are looked for, which there are, and whether they are undamaged. No network.",
)

STATES = {"ok": "as it must be", "damaged": "DAMAGED", "unknown": "no hash known"}


@app.command(
    name="list",
    help="List the folders that edge train looks into, in that order, and the weights in them with their SHA-256.",
)
def list_(json_: JsonFlag = False) -> int:
    """Hash what is there, and print it."""
    from edge_train import BACKBONES, list_weights, weights_places

    places, found = weights_places(), list_weights()
    missing = [name for name in BACKBONES if name not in {file.used_for for file in found}]
    if json_:
        rows = [file.to_json() for file in found]
        print_json({"places": [place.to_json() for place in places], "files": rows, "backbones_without": missing})
        return 0
    for place in places:
        print(f"{place.name:<19} {'not set' if place.folder is None else place.folder}")
    _print(found)
    print(f"no weights here: {', '.join(missing) or 'of none'}")
    return 0


@app.command(
    name="path",
    help="Print the file that edge train takes for a backbone without a network; exit 1 where there is none.",
)
def path_(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A backbone, timm:NAME or hf:OWNER/NAME.", show_default=False)
    ],
    json_: JsonFlag = False,
) -> int:
    """Find it, and print its path alone."""
    from edge_train import look_at, weights_path

    path = weights_path(name)
    if json_:
        print_json({"name": name, **look_at(path).to_json()})
    else:
        print(path)
    return 0


@app.command(
    name="verify",
    help="Hash weights files again, and hold them against SHA256SUMS in EDGE_WEIGHTS_DIR, the hash in torchvision's "
    "file names, and the hub's; exit 1 if one is damaged.",
)
def verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="These alone.", show_default="all that are found"),
    ] = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Hash them, and say which are not what they must be."""
    from edge_train import list_weights, look_at

    found = tuple(look_at(path) for path in files) if files else list_weights()
    damaged = [file for file in found if file.state == "damaged"]
    if json_:
        print_json({"files": [file.to_json() for file in found], "damaged": len(damaged)})
    else:
        _print(found)
        if unknown := sum(file.state == "unknown" for file in found):
            Console(quiet=quiet).say(f"note: of {unknown} nobody says what the hash must be: SHA256SUMS can")
    if not damaged:
        return 0
    first = damaged[0]
    return fail(
        f"{len(damaged)} of {len(found)} files damaged: {first.path} is {first.sha256[:16]}…, by {first.known_by} it "
        f"must be {first.expected[:16]}…",
        "copy them again",
        1,
    )


def _print(found: Sequence[WeightsFile]) -> None:
    if not found:
        print("no weights file")
        return
    rows = [
        (
            str(file.path),
            file.used_for or "–",
            f"{file.size_bytes / 1e6:.1f}",
            f"{file.sha256[:16]}…",
            f"{STATES[file.state]}{f', by {file.known_by}' if file.known_by else ''}",
        )
        for file in found
    ]
    print_table(("file", "for", "MB", "SHA-256", "verified"), rows, left=2)
