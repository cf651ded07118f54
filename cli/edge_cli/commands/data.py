"""edge data: look at a data folder, or draw the synthetic one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_cli.console import Console, print_json, print_table
from edge_cli.options import JsonFlag, QuietFlag, SeedOption

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Check a folder of images, or draw the shapes set.")


@app.command(name="check", help="Find what would harm training in a folder of images. Changes nothing; exit 1 if any.")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of class folders, or of train/ val/ [test/].")],
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Scan, decode and compare every image."""
    from edge_train import check_data

    with Console(quiet=quiet) as console:
        found = check_data(folder, console)
    if json_:
        print_json(found.to_json())
    else:
        splits = list(found.counts)
        print_table(
            ("class", *splits),
            [(label, *(str(found.counts[split][label]) for split in splits)) for label in found.labels],
        )
        for finding in found.findings:
            print(f"{'HARM' if finding.harmful else 'note'}  {finding.text}")
        print(f"{found.images} images, {sum(finding.harmful for finding in found.findings)} things that harm training")
    return 1 if found.harmful else 0


@app.command(
    name="shapes", help="Draw the synthetic set of circles, squares and triangles: 300 train, 60 val, 60 test."
)
def shapes(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to make.")] = Path("shapes"),
    size: Annotated[
        int, typer.Option("--image-size", metavar="PX", min=16, max=1024, help="Side of the pictures.")
    ] = 96,
    seed: SeedOption = 0,
) -> int:
    """Draw into `out`, which must not exist."""
    from edge_train import draw_shapes

    print(draw_shapes(out, seed=seed, size_px=size))
    return 0
