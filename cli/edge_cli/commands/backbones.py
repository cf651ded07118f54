"""edge backbones: what there is to choose from, and how to choose."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edge_cli.console import print_json, print_table
from edge_cli.options import JsonFlag

if TYPE_CHECKING:
    from edge_train import Backbone

app = typer.Typer(add_completion=False)


@app.command(name="backbones", help="List the backbones with what each costs, and advice on choosing.")
def backbones(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="These alone, with their stages; timm:NAME and FILE.py:FUNCTION are looked into, and code is run.",
        ),
    ] = None,
    attention: Annotated[
        Literal["none", "se", "cbam", "eca"],
        typer.Option("--attention", help="With the attention that edge train adds: its sites and parameters."),
    ] = "none",
    json_: JsonFlag = False,
) -> int:
    """Print the registry, or the backbones named."""
    from edge_train import BACKBONES, find_backbone

    chosen = [find_backbone(name) for name in names] if names else list(BACKBONES.values())
    if attention != "none":
        chosen = [_attended(item, attention) for item in chosen]
    for item in chosen:
        if item.maker is not None and item.maker.note:
            print(f"note: {item.maker.note}", file=sys.stderr)
    if json_:
        print_json([_described(item) for item in chosen])
        return 0
    _table(chosen)
    if names:
        for item in chosen:
            print(f"{item.name}: head {item.head}; stages {', '.join(stage.name for stage in item.stages)}")
            if item.attention is not None:
                sites = ", ".join(f"{path} ({channels})" for path, channels in item.attention.sites)
                print(f"  {item.attention.kind} attention behind {sites}")
        return 0
    for item in chosen:
        print(f"{item.name:<19} {item.advice}")
    print("Parameters, GFLOPs and accuracy are torchvision's, with 1,000 classes. edge bench measures them here.")
    print("--backbone timm:NAME takes any classifier of timm (pip install 'edge-vision[timm]'), FILE.py:FUNCTION or")
    print("package.module:FUNCTION a network of your own; edge backbones NAME looks into it.")
    return 0


def _attended(backbone: Backbone, attention: str) -> Backbone:
    """The backbone with attention, its parameters counted with those of the blocks."""
    from edge_train import count_attention, with_attention

    found = with_attention(backbone, attention)
    assert found.attention is not None
    return replace(found, parameters=found.parameters + count_attention(found.attention))


def _described(item: Backbone) -> dict[str, Any]:
    shown = ("name", "parameters", "gflops", "imagenet_top1", "image_size_px")
    return {
        **{key: getattr(item, key) for key in shown},
        "stages": [stage.name for stage in item.stages],
        "advice": item.advice,
        **({} if item.attention is None else {"attention": asdict(item.attention)}),
    }


def _table(chosen: Sequence[Backbone]) -> None:
    print_table(
        ("backbone", "M params", "GFLOPs", "ImageNet top-1", "input px"),
        [
            (
                item.name,
                f"{item.parameters / 1e6:.1f}",
                f"{item.gflops:.2f}",
                "–" if item.imagenet_top1 is None else f"{item.imagenet_top1:.1f} %",
                str(item.image_size_px),
            )
            for item in chosen
        ],
    )
