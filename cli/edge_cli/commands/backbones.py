"""edge backbones: what there is to choose from, and how to choose."""

from __future__ import annotations

import typer

from edge_cli.console import print_json, print_table
from edge_cli.options import JsonFlag

app = typer.Typer(add_completion=False)


@app.command(name="backbones", help="List the backbones with what each costs, and advice on choosing.")
def backbones(json_: JsonFlag = False) -> int:
    """Print the registry."""
    from edge_train import BACKBONES

    if json_:
        shown = ("name", "parameters", "gflops", "imagenet_top1", "image_size_px", "stages", "advice")
        listed = [{key: getattr(item, key) for key in shown} for item in BACKBONES.values()]
        print_json([{**each, "stages": [stage.name for stage in each["stages"]]} for each in listed])
        return 0
    print_table(
        ("backbone", "M params", "GFLOPs", "ImageNet top-1", "input px"),
        [
            (
                item.name,
                f"{item.parameters / 1e6:.1f}",
                f"{item.gflops:.2f}",
                f"{item.imagenet_top1:.1f} %",
                str(item.image_size_px),
            )
            for item in BACKBONES.values()
        ],
    )
    for item in BACKBONES.values():
        print(f"{item.name:<19} {item.advice}")
    print("Parameters, GFLOPs and accuracy are torchvision's, with 1,000 classes. edge bench measures them here.")
    return 0
