"""edge info: what a model file says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_cli.console import Console, print_json
from edge_cli.model import choose_model
from edge_cli.options import JsonFlag, QuietFlag, RunOption

if TYPE_CHECKING:
    from edge_runtime import ModelCard

app = typer.Typer(add_completion=False)


@app.command(name="info", help="Show what a model file holds: labels, preprocessing, figures, versions. Any ONNX file.")
def info(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="Model file.", show_default="the newest run's model.onnx")
    ] = None,
    named: Annotated[Path | None, typer.Option("--model", metavar="FILE", help="The same, as an option.")] = None,
    run: RunOption = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Read the file's card, its inputs and outputs."""
    from edge_runtime import METADATA_KEY, ModelCard, open_session

    path, _ = choose_model(model or named, run, Console(quiet=quiet))
    session = open_session(path, threads=1)
    meta = session.get_modelmeta()
    text = meta.custom_metadata_map.get(METADATA_KEY)
    card = None if text is None else ModelCard.loads(text, where=str(path))
    described: dict[str, Any] = {
        "file": str(path),
        "size_bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "made_by_edge": card is not None,
        "producer": meta.producer_name,
        "inputs": [_node(node) for node in session.get_inputs()],
        "outputs": [_node(node) for node in session.get_outputs()],
        "card": None if card is None else card.to_json(),
    }
    if json_:
        print_json(described)
        return 0
    print(f"{path}  {described['size_bytes'] / 1e6:.1f} MB  sha256 {described['sha256'][:16]}…")
    for kind in ("inputs", "outputs"):
        for node in described[kind]:
            print(f"  {kind[:-1]:<14} {node['name']}  {node['type']} {node['shape']}")
    if card is None:
        print("edge export did not make this file: it carries no labels and no preprocessing")
        return 0
    for name, value in _lines(card):
        print(f"  {name:<14} {value}")
    return 0


def _node(node: Any) -> dict[str, Any]:
    return {"name": node.name, "type": node.type, "shape": list(node.shape)}


def _lines(card: ModelCard) -> list[tuple[str, str]]:
    """The card as a person reads it, a name and a value per line."""
    steps = card.preprocessing
    lines = [
        ("labels", f"{len(card.labels)}: {', '.join(card.labels[:20])}{', …' if len(card.labels) > 20 else ''}"),
        ("backbone", f"{card.backbone}, {card.strategy}, {card.precision}"),
        (
            "preprocessing",
            f"upright RGB, alpha on {list(steps.background)}; short side to {steps.resize_px} px "
            f"({steps.interpolation}), centre crop {steps.width_px}×{steps.height_px}",
        ),
        ("temperature", f"{card.temperature:.3f}"),
    ]
    for split, figures in card.metrics.items():
        lines.append((split, _figures(figures)))
    if card.parity:
        lines.append(("parity", _figures(card.parity)))
    lines.append(("data", ", ".join(f"{key} {value}" for key, value in card.data.items() if value is not None)))
    lines.append(("versions", ", ".join(f"{name} {version}" for name, version in card.versions.items())))
    lines.append(("created", card.created))
    return lines


def _figures(figures: Mapping[str, Any]) -> str:
    """Names and values on one line; rows and lists of a card are for programs."""
    return ", ".join(
        f"{key.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else f"{key.replace('_', ' ')} {value}"
        for key, value in figures.items()
        if not isinstance(value, (list, dict))
    )
