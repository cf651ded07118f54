"""edge predict: labels and probabilities of images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.console import Console, print_json
from edge_cli.model import choose_model
from edge_cli.options import JsonFlag, ModelOption, QuietFlag, RunOption, ThreadsOption
from edge_runtime import ImageError, UsageError, find_images

if TYPE_CHECKING:
    from edge_runtime import Classifier, Prediction

app = typer.Typer(add_completion=False)

BAR_WIDTH = 20


@app.command(name="predict", help="Classify images with an exported model, without torch.")
def predict(
    more: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE", help="More images, or folders.")] = None,
    image: Annotated[
        list[Path] | None, typer.Option("--image", metavar="IMAGE", help="An image or a folder; may be repeated.")
    ] = None,
    model: ModelOption = None,
    run: RunOption = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Labels to print per image.")] = 5,
    json_: JsonFlag = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object per image and line.")] = False,
    threads: ThreadsOption = None,
    quiet: QuietFlag = False,
) -> int:
    """Classify `--image` and any further paths."""
    from edge_runtime import Classifier

    if json_ and jsonl:
        raise UsageError("--json and --jsonl exclude each other", "choose one")
    console = Console(quiet=quiet)
    paths = _images([*(image or []), *(more or [])])
    classifier = Classifier(choose_model(model, run, console)[0], threads=threads)
    answers: list[Prediction] = []
    failed = 0
    with console:
        if len(paths) > 1 and not sys.stdout.isatty():
            console.begin("classifying", len(paths))
        # One image needs no thread to decode ahead of it.
        stream = classifier.predict_many(paths, on_error="return") if len(paths) > 1 else _one(classifier, paths[0])
        for answer in stream:
            console.advance()
            if isinstance(answer, ImageError):
                failed += 1
                sys.stderr.write(f"error: {answer}\n")
            elif json_:
                answers.append(answer)
            else:
                line = json.dumps(answer.to_json(top), ensure_ascii=False) if jsonl else _drawn(answer, top)
                sys.stdout.write(f"{line}\n")
    if json_:
        print_json({"model": str(classifier.path), "predictions": [answer.to_json(top) for answer in answers]})
    return 1 if failed else 0


def _one(classifier: Classifier, path: Path) -> list[Prediction | ImageError]:
    try:
        return [classifier.predict(path)]
    except ImageError as error:
        return [error]


def _images(paths: list[Path]) -> list[Path]:
    """The images named and those in the folders named, in the order given."""
    if not paths:
        raise UsageError("no image is named", "edge predict --image x.png")
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = find_images(path)
            if not inside:
                raise UsageError(f"{path} has no images in it", "name an image, or another folder")
            found += inside
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            raise UsageError(f"{path} does not exist", "name an image or a folder of images")
    return found


def _drawn(answer: Prediction, top: int) -> str:
    """One image's answer as a person reads it: a line and a bar per label."""
    rows = answer.top(top)
    block = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    width = max(len(label) for label, _ in rows)
    lines = [answer.image]
    for label, probability in rows:
        bar = block * round(probability * BAR_WIDTH)
        lines.append(f"  {label:<{width}}  {probability:7.2%}  {bar}".rstrip())
    return "\n".join(lines)
