"""edge explain: look into a run's network with one picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.choose_model import choose_run
from edge_cli.console import Console, print_json, print_table
from edge_cli.drawing_target import beside_picture
from edge_cli.flags import flag, paragraphs
from edge_cli.options import JsonFlag, QuietFlag, RunOption
from edge_runtime import Run, UsageError, require_extra

if TYPE_CHECKING:
    from edge_train import Layer

app = typer.Typer(add_completion=False)

LIST = "list"
TEXT = """Draw where the answer to a picture comes from (Grad-CAM), or with --activations what a layer makes of it.

--activations LAYER draws the picture, the strongest 64 maps of that layer with their numbers, and the filters of its
first convolution: in colour where they look at the picture's red, green and blue, else in grey. --activations list
prints the layers that there are, named as torch names them.

It looks into best.pt of the run, and needs the extra train; edge predict --explain does the first for a model file.
"""


@app.command(name="explain", help=paragraphs(TEXT))
def explain(
    image: Annotated[
        Path | None, typer.Argument(metavar="IMAGE", help="The picture; none for --activations list.")
    ] = None,
    activations: Annotated[
        str | None,
        flag("--activations", "Draw this layer's maps and filters; list prints the layers.", "LAYER|list"),
    ] = None,
    run: RunOption = None,
    out: Annotated[
        Path | None,
        flag("--out", "The drawing, .png.", "FILE", default="IMAGE.explained.png, or IMAGE.LAYER.explained.png"),
    ] = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """List the layers, or draw."""
    require_extra("train")
    console = Console(quiet=quiet)
    if activations == LIST:
        if image is not None or out is not None:
            raise UsageError("--activations list draws nothing, and takes no picture and no --out", "leave them out")
        return _list(choose_run(run, console), json_=json_)
    if image is None:
        raise UsageError("there is no picture to look at", "edge explain x.jpg, or edge explain --activations list")
    if activations is None:
        return _draw_answer(choose_run(run, console), image, out, console, json_=json_)
    return _draw_layer(choose_run(run, console), image, activations, out, console, json_=json_)


def _list(chosen: Run, *, json_: bool) -> int:
    from edge_train import list_layers

    layers = list_layers(chosen)
    if json_:
        print_json([_described(layer) for layer in layers])
        return 0
    print_table(
        ("layer", "kind", "gives", ""),
        [(each.name, each.kind, _shape(each.shape), "" if each.has_maps else "no maps") for each in layers],
        left=2,
    )
    return 0


def _draw_answer(chosen: Run, image: Path, out: Path | None, console: Console, *, json_: bool) -> int:
    from edge_train import explain_answer

    target = out or beside_picture(image)
    found = explain_answer(chosen, image, target)
    if json_:
        answer = {"label": found.label, "probability": found.probability}
        print_json({"image": str(image), **answer, "drawing": str(target)})
    else:
        print(f"{found.label} {found.probability:.1%}")
        console.say(f"explained in {target}")
    return 0


def _draw_layer(chosen: Run, image: Path, layer: str, out: Path | None, console: Console, *, json_: bool) -> int:
    from edge_train import draw_activations

    # A name that is no layer's may be no file's either.
    plain = re.sub(r"[^\w.-]+", "-", layer)
    target = out or beside_picture(image, f".{plain}")
    found = draw_activations(chosen, image, layer, target)
    count, *size = found.maps.shape
    filters = None if found.filters is None else {"of": found.filters_of, "count": len(found.filters)}
    if json_:
        figures = {"shape": list(found.maps.shape), "strongest": list(found.by_strength), "filters": filters}
        print_json({"image": str(image), "layer": layer, **figures, "drawing": str(target)})
    else:
        beside = f", and {filters['count']} filters of {filters['of']}" if filters else ""
        strongest = ", ".join(map(str, found.by_strength[:5]))
        print(f"{layer}: {count} maps of {_shape(size)}{beside}; strongest {strongest}")
        console.say(f"drawn in {target}")
    return 0


def _shape(lengths: tuple[int, ...] | list[int]) -> str:
    return "×".join(map(str, lengths))


def _described(layer: Layer) -> dict[str, object]:
    return {"name": layer.name, "kind": layer.kind, "shape": list(layer.shape), "maps": layer.has_maps}
