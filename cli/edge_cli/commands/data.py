"""edge data: look at a data folder, or draw the synthetic one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_cli.console import Console, print_json, print_table
from edge_cli.flags import flag
from edge_cli.options import JsonFlag, QuietFlag, SeedOption, ThreadsOption
from edge_data import AugmentationName

if TYPE_CHECKING:
    from edge_data import DataReport

SHOWN = 5

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Check a folder of images, or draw the shapes set.")


@app.command(name="check", help="Find what would harm training in a folder of images. Changes nothing; exit 1 if any.")
def check(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of class folders, or of train/ val/ (test/).")],
    out: Annotated[
        Path | None, flag("--out", "Draw a contact sheet of what was found, or of every class.", "FILE.png")
    ] = None,
    threads: ThreadsOption = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Scan, decode and compare every image."""
    from edge_data import check_data, find_data

    with Console(quiet=quiet) as console:
        found = check_data(find_data(folder).root, console, sheet=out, threads=threads)
    if json_:
        print_json(found.to_json())
    else:
        _print_report(found)
    return 1 if found.harmful else 0


def _print_report(found: DataReport) -> None:
    """The classes, then the findings by kind, then the verdict."""
    splits = list(found.counts)
    total = ("all classes", *(f"{sum(found.counts[split].values()):,}" for split in splits))
    rows = [(label, *(f"{found.counts[split][label]:,}" for split in splits)) for label in found.labels]
    print_table(("class", *splits), [*rows, total])
    for kind, findings in found.by_kind.items():
        harms = any(finding.harmful for finding in findings)
        count = f" ×{len(findings):,}" if len(findings) > 1 else ""
        print(f"{'HARM' if harms else 'note'}  {kind}{count}")
        for finding in findings[:SHOWN]:
            print(f"      {finding.text}")
        if len(findings) > SHOWN:
            print(f"      and {len(findings) - SHOWN:,} more; --json lists all")
    harmful = sum(finding.harmful for finding in found.findings)
    things = (
        f"{harmful:,} thing{'' if harmful == 1 else 's'} that would harm training" if harmful else "nothing harmful"
    )
    print(f"{found.images:,} images, {things}" + (f", contact sheet {found.sheet}" if found.sheet else ""))


@app.command(
    name="shapes", help="Draw the synthetic set of circles, squares and triangles: 300 train, 60 val, 60 test."
)
def shapes(
    out: Annotated[Path, flag("--out", "Folder to make.", "DIR")] = Path("shapes"),
    size: Annotated[int, flag("--image-size", "Side of the pictures.", "PX", min=16, max=1024)] = 96,
    seed: SeedOption = 0,
) -> int:
    """Draw into `out`, which must not exist."""
    from edge_data import draw_shapes

    print(draw_shapes(out, seed=seed, size_px=size))
    return 0


@app.command(
    name="preview", help="Draw what augmentation makes of a few training images, to choose with your own eyes."
)
def preview(
    data: Annotated[
        str, flag("--data", "Folder of class folders or of train/ and val/; shapes, cifar10.", "DIR")
    ] = "shapes",
    augment: Annotated[
        Literal["all", AugmentationName], flag("--augment", "Preset to draw six times, or all of them once each.")
    ] = "all",
    image_size: Annotated[
        int | None,
        flag("--image-size", "Side of the model's input.", "PX", default="the data's, or 224", min=16, max=1024),
    ] = None,
    out: Annotated[Path, flag("--out", "PNG to write; it replaces nothing but another PNG.", "FILE")] = Path(
        "augmentation.png"
    ),
    seed: SeedOption = 0,
    quiet: QuietFlag = False,
) -> int:
    """Draw `out` and print where it is."""
    from edge_data import write_preview

    with Console(quiet=quiet) as console:
        made = write_preview(data, out, augment=augment, image_size=image_size, seed=seed, progress=console)
        console.say(f"{len(made.images)} training images as a model of {made.preprocessing.width_px} px sees them")
    print(made.path)
    return 0
