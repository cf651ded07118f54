"""edge data: look at a data folder, list it, find labels that are likely wrong, or draw the synthetic one."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_cli.console import Console, print_json, print_table
from edge_cli.flags import flag, said_as_flags
from edge_cli.options import JsonFlag, LabelFromOption, QuietFlag, RunOption, SeedOption, ThreadsOption
from edge_cli.quantities import parse_counts
from edge_data import AugmentationName
from edge_runtime import UsageError, one_line

if TYPE_CHECKING:
    from edge_data import DataReport, Suspects

SHOWN = 5
SUSPECTS_SHOWN = 20

DataArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA…",
        help="Folder of class folders or of train/ val/ (test/), or a list of labelled images; several are one set.",
    ),
]

MultiLabelFlag = Annotated[
    bool, typer.Option("--multi-label", help="The list's cells have any number of labels, such as cat|dog.")
]
TasksOption = Annotated[
    str, flag("--tasks", "Columns of the list that are labels, each of another question.", "NAME,…", default="label")
]

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Check or list labelled images, or draw the shapes set."
)


@app.command(name="check", help="Find what would harm training in labelled images. Changes nothing; exit 1 if any.")
def check(
    data: DataArgument,
    out: Annotated[
        Path | None, flag("--out", "Draw a contact sheet of what was found, or of every class.", "FILE.png")
    ] = None,
    model: Annotated[
        Path | None,
        flag("--model", "Also tell pictures of no class, by the embedding of this export --with-embedding.", "FILE"),
    ] = None,
    label_from: LabelFromOption = "top",
    multi_label: MultiLabelFlag = False,
    tasks: TasksOption = "",
    threads: ThreadsOption = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Scan, decode and compare every image."""
    from edge_data import check_data, find_data

    with Console(quiet=quiet) as console:
        places = find_data(data).places
        found = check_data(
            places,
            console,
            label_from=label_from,
            multi_label=multi_label,
            tasks=_names(tasks),
            sheet=out,
            model=model,
            threads=threads,
        )
    if json_:
        print_json(found.to_json())
    else:
        _print_report(found)
    return 1 if found.harmful else 0


def _names(tasks: str) -> list[str]:
    return [name.strip() for name in tasks.split(",") if name.strip()]


def _print_report(found: DataReport) -> None:
    """The classes, then the findings by kind, then the verdict."""
    splits = list(found.counts)
    total = ("all classes", *(f"{found.sizes[split]:,}" for split in splits))
    rows = [(label, *(f"{found.counts[split][label]:,}" for split in splits)) for label in found.labels]
    print_table(("class", *splits), [*rows, total])
    for kind, findings in found.by_kind.items():
        harms = any(finding.harmful for finding in findings)
        count = f" ×{len(findings):,}" if len(findings) > 1 else ""
        print(f"{'HARM' if harms else 'note'}  {kind}{count}")
        for finding in findings[:SHOWN]:
            print(f"      {said_as_flags(finding.text)}")
        if len(findings) > SHOWN:
            print(f"      and {len(findings) - SHOWN:,} more; --json lists all")
    harmful = sum(finding.harmful for finding in found.findings)
    things = (
        f"{harmful:,} thing{'' if harmful == 1 else 's'} that would harm training" if harmful else "nothing harmful"
    )
    print(f"{found.images:,} images, {things}" + (f", contact sheet {found.sheet}" if found.sheet else ""))


@app.command(
    name="list",
    help="Write the list of labelled images that folders are, path,label and split where there are splits, as "
    "edge train --data takes it. On standard output paths are relative to the folder you are in. Of one list all "
    "columns are kept.",
)
def list_(
    data: DataArgument,
    out: Annotated[
        Path | None,
        flag("--out", "New file, .csv or .tsv; paths are relative to its folder.", "FILE", default="standard output"),
    ] = None,
    relabel_: Annotated[
        Path | None,
        flag("--relabel", "List of some of the images whose labels take the place of the data's.", "FILE"),
    ] = None,
    label_from: LabelFromOption = "top",
    multi_label: MultiLabelFlag = False,
    tasks: TasksOption = "",
    quiet: QuietFlag = False,
) -> int:
    """Scan, and write a line for each image."""
    from edge_data import check_new_file, columns_of, delimiter_of, find_data, list_images, relabel
    from edge_runtime import scan, write_text

    with Console(quiet=quiet) as console:
        if out is not None:
            check_new_file(out)
        places = find_data(data).places
        folders = scan(places, label_from=label_from, multi_label=multi_label, tasks=_names(tasks))
        others = columns_of(places, _names(tasks), multi_label=multi_label)
        for note in folders.notes:
            console.say(f"note: {note.text}")
        if relabel_ is not None:
            folders, changed = relabel(folders, relabel_)
            thing = "label" if folders.kind == "single-label" else "row"
            console.say(f"{relabel_} changes {changed:,} {thing}{'' if changed == 1 else 's'}")
        if out is None:
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8")  # a list is, whatever the terminal
            for line in list_images(folders, Path.cwd(), others=others):
                print(line, end="")
        else:
            lines = list_images(folders, out.absolute().parent, delimiter=delimiter_of(out), others=others)
            write_text(out, "".join(lines))
            count = sum(map(len, folders.splits.values()))
            classes = "classes" if folders.kind == "single-label" else "labels"
            console.say(f"{out}: {count:,} images of {len(folders.labels)} {classes}")
    return 0


@app.command(
    name="suspects",
    help="Rank the labels that are likely wrong, by the answers of edge train --folds K to images its networks had not "
    "seen (confident learning), copies under two labels first. Changes nothing.",
)
def suspects(
    run: RunOption = None,
    out: Annotated[
        Path | None,
        flag("--out", "New list of all of them, .csv or .tsv, for edge label.", "FILE"),
    ] = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Rank, print the first and write them all."""
    from edge_data import OUT_OF_FOLD, check_new_file, find_suspects, write_suspects
    from edge_runtime import find_run, newest_run

    console = Console(quiet=quiet)
    if out is not None:
        check_new_file(out)
    if run is None:
        try:
            chosen = newest_run(needs=(OUT_OF_FOLD,))
        except UsageError as error:
            raise UsageError(error.message, "edge train --folds 5 makes one") from None
        console.say(f"using the newest cross-validated run, {chosen.path}")
    else:
        chosen = find_run(run)
    found = find_suspects(chosen)
    for note in found.notes:
        console.say(f"note: {note}")
    if out is not None:
        write_suspects(out, found.suspects)
        console.say(f"{out}: {len(found.suspects):,} images to look at")
    if json_:
        print_json(found.to_json())
    else:
        _print_suspects(found)
    return 0


def _print_suspects(found: Suspects) -> None:
    """How many labels are likely wrong, which for which, and the first images."""
    wrong, copies = found.errors.estimated_wrong, found.copies
    print(
        f"{found.images:,} images: {len(found.suspects) - copies:,} whose labels the answers contradict"
        + (f", {copies:,} that are copies under two labels" if copies else "")
        + (f", {found.mended:,} more that have another label by now" if found.mended else "")
    )
    print(f"estimated: {wrong:,.0f} labels are wrong ({wrong / found.images:.1%}), or harder than the model can tell")
    pairs = sorted(found.pairs().items(), key=lambda pair: -pair[1])[:SHOWN]
    if pairs:
        print_table(("label", "like", "images"), [(*map(one_line, names), f"{n:,}") for names, n in pairs], left=2)
        rows = [
            (
                f"{rank}",
                one_line(found.name(each)),
                one_line(each.label),
                one_line(each.answer),
                f"{each.label_probability:.1%}",
                f"{each.probability:.1%}",
                "copy" if each.copy_of else "",
            )
            for rank, each in enumerate(found.suspects[:SUSPECTS_SHOWN], start=1)
        ]
        print_table(("", "image", "label", "like", "p(label)", "p(like)", ""), rows, left=4)
        if len(found.suspects) > SUSPECTS_SHOWN:
            print(f"and {len(found.suspects) - SUSPECTS_SHOWN:,} more; --out FILE.csv writes all, for edge label")


@app.command(
    name="shapes", help="Draw the synthetic set of circles, squares and triangles, as train, val and test folders."
)
def shapes(
    out: Annotated[Path, flag("--out", "Folder to make.", "DIR")] = Path("shapes"),
    size: Annotated[int, flag("--image-size", "Side of the pictures.", "PX", min=32, max=1024)] = 96,
    counts: Annotated[str, flag("--counts", "How many pictures to train, validate and test with.", "N,N,N")] = (
        "300,60,60"
    ),
    seed: SeedOption = 0,
) -> int:
    """Draw into `out`, which must not exist."""
    from edge_data import draw_shapes

    of_splits = parse_counts("--counts", counts, least=0)
    if len(of_splits) != 3:
        raise UsageError(f"--counts {counts} is not three numbers", "train,val,test: --counts 300,60,60")
    print(draw_shapes(out, counts=of_splits, seed=seed, size_px=size))
    return 0


@app.command(
    name="preview", help="Draw what augmentation makes of a few training images, to choose with your own eyes."
)
def preview(
    data: Annotated[
        list[str] | None,
        flag("--data", "As in edge train: folder, manifest, shapes or cifar10.", "DIR|FILE", default="shapes"),
    ] = None,
    augment: Annotated[
        Literal["all", AugmentationName], flag("--augment", "Preset to draw six times, or all of them once each.")
    ] = "all",
    image_size: Annotated[
        int | None,
        flag("--image-size", "Side of the model's input.", "PX", default="the data's, or 224", min=16, max=1024),
    ] = None,
    label_from: LabelFromOption = "top",
    multi_label: MultiLabelFlag = False,
    tasks: TasksOption = "",
    out: Annotated[Path, flag("--out", "PNG to write; it replaces nothing but another PNG.", "FILE")] = Path(
        "augmentation.png"
    ),
    seed: SeedOption = 0,
    quiet: QuietFlag = False,
) -> int:
    """Draw `out` and print where it is."""
    from edge_data import write_preview

    with Console(quiet=quiet) as console:
        made = write_preview(
            data or "shapes",
            out,
            augment=augment,
            image_size=image_size,
            label_from=label_from,
            multi_label=multi_label,
            tasks=_names(tasks),
            seed=seed,
            progress=console,
        )
        console.say(f"{len(made.images)} training images as a model of {made.preprocessing.width_px} px sees them")
    print(made.path)
    return 0
