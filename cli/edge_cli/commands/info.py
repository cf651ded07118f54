"""edge info: what a model file says of itself, and whether it is still what was exported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_cli.choose_model import choose_model
from edge_cli.console import Console, fail, print_json
from edge_cli.options import JsonFlag, QuietFlag, RunOption, SignatureOption
from edge_cli.several_lines import kind_lines, metric_lines
from edge_cli.split_scores import at_threshold_line, headline_text, threshold_line
from edge_cli.unlike_lines import unlike_lines
from edge_runtime import UsageError, one_line

if TYPE_CHECKING:
    from edge_runtime import ModelCard

app = typer.Typer(add_completion=False)

SHOWN_LABELS = 20


@app.command(name="info", help="Show what a model file holds: labels, preprocessing, figures, versions. Any ONNX file.")
def info(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="Model file.", show_default="the newest run's model.onnx")
    ] = None,
    named: Annotated[Path | None, typer.Option("--model", metavar="FILE", help="The same, as an option.")] = None,
    run: RunOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash graph and weights again; exit 1 if they are not those exported.")
    ] = False,
    require_signature: SignatureOption = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Read the file's card, its inputs and outputs."""
    files = {model, named} - {None}
    if len(files) + (run is not None) > 1:
        raise UsageError("MODEL, --model and --run name one file, and more than one is given", "give one of them")
    path, _ = choose_model(model or named, run, Console(quiet=quiet))
    signer = None
    if require_signature:
        from edge_runtime import read_public_key, read_signed

        # Before anything else reads what may be a stranger's.
        signer = read_signed(path, [read_public_key(key) for key in require_signature])[1]
    described, card = _describe(path)
    if signer is not None:
        described["signature"] = {"key": signer.id, "checked": True}
    fault, hint = _verify(path, card) if verify else ("", "")
    if verify:
        described["verified"] = not fault
    if json_:
        print_json(described)
    else:
        _print(described, card)
        if verify and not fault:
            print("  verified       graph and weights are those that were exported")
    return fail(fault, hint, 1) if fault else 0


def _describe(path: Path) -> tuple[dict[str, Any], ModelCard | None]:
    from edge_runtime import (
        METADATA_KEY,
        SIGNATURE_KEY,
        ModelCard,
        find_engine_choice,
        int8_origin,
        open_quick_load,
        open_session,
        read_header,
        read_signature,
    )

    session = open_session(path, threads=1)
    meta = session.get_modelmeta()
    text = meta.custom_metadata_map.get(METADATA_KEY)
    card = None if text is None else ModelCard.loads(text, where=str(path))
    header = read_header(path)
    quick = open_quick_load(path, threads=1)
    signature = read_signature(meta.custom_metadata_map.get(SIGNATURE_KEY), where=str(path))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "file": str(path),
        "size_bytes": path.stat().st_size,
        "sha256": digest,
        "made_by_edge": card is not None,
        "producer": meta.producer_name,
        "ir_version": header.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in sorted(header.opsets.items())},
        "inputs": [_node(node) for node in session.get_inputs()],
        "outputs": [_node(node) for node in session.get_outputs()],
        "signature": None if signature is None else {"key": signature.key, "checked": False},
        "quick_load": None if quick is None else str(quick[0]),
        "engine": None if (choice := find_engine_choice(path)) is None else {**choice.to_json(), "says": str(choice)},
        "int8": None if (origin := int8_origin(path)) is None else origin.to_json(),
        "card": None if card is None else card.to_json(),
    }, card


def _verify(path: Path, card: ModelCard | None) -> tuple[str, str]:
    """What is wrong with the file's graph and weights, and what to do; both empty where they are as exported."""
    from edge_runtime import graph_sha256

    if card is None:
        return f"{path} cannot be verified: edge export did not make it", ""
    if not card.graph_sha256:
        return f"{path} holds no hash to verify: an older edge exported it", "export it again with edge export"
    found = graph_sha256(path)
    if found != card.graph_sha256:
        return (
            f"{path} is not as it was exported: its graph and weights hash to {found[:16]}…, "
            f"the export noted {card.graph_sha256[:16]}…",
            "copy it again from where it was exported, or export it again",
        )
    return "", ""


def _node(node: Any) -> dict[str, Any]:
    return {"name": node.name, "type": node.type, "shape": list(node.shape)}


def _print(described: Mapping[str, Any], card: ModelCard | None) -> None:
    print(f"{described['file']}  {described['size_bytes'] / 1e6:.1f} MB  sha256 {described['sha256'][:16]}…")
    for kind in ("inputs", "outputs"):
        for node in described[kind]:
            _line(kind[:-1], f"{node['name']}  {node['type']} {node['shape']}")
    opsets = ", ".join(f"{domain} {version}" for domain, version in described["opsets"].items())
    _line("onnx", f"IR {described['ir_version']}, opset {opsets}, producer {described['producer'] or 'not stated'}")
    if signature := described["signature"]:
        how = "checked" if signature["checked"] else "not checked: --require-signature KEY.pub does"
        _line("signed by", f"{signature['key']} ({how})")
    if described["quick_load"]:
        _line("quick load", f"{described['quick_load']} fits this machine and is opened in its place")
    if described["engine"]:
        _line("engine", described["engine"]["says"])
    if described["int8"]:
        _line("int8", described["int8"]["says"])
    if card is None:
        print("edge export did not make this file: it carries no labels and no preprocessing")
        return
    for name, value in _lines(card):
        _line(name, value)


def _line(name: str, value: str) -> None:
    print(f"  {one_line(name):<14} {one_line(value)}")


def _lines(card: ModelCard) -> list[tuple[str, str]]:
    """The card as a person reads it, a name and a value per line."""
    steps = card.preprocessing
    more = ", …" if len(card.labels) > SHOWN_LABELS else ""
    lines = [
        *kind_lines(card),
        *([] if card.tasks else [("labels", f"{len(card.labels)}: {', '.join(card.labels[:SHOWN_LABELS])}{more}")]),
        ("backbone", f"{card.backbone}, {card.strategy}"),
        *((("architecture", _figures(card.architecture)),) if card.architecture else ()),
        ("precision", ", ".join(filter(None, (card.precision, _figures(card.quantization))))),
        (
            "preprocessing",
            f"upright {'sRGB' if steps.to_srgb else 'RGB'}, alpha on {list(steps.background)}; "
            f"short side to {steps.resize_px} px ({steps.interpolation}), "
            f"centre crop {steps.width_px}×{steps.height_px}",
        ),
        *([] if card.tasks else [("temperature", f"{card.temperature:.3f}")]),
    ]
    if card.tta:
        lines.append(("averaged", f"{_figures(card.tta)}: the answers to several views of each picture"))
    if card.embedding_size:
        lines.append(("embedding", f"{card.embedding_size} numbers"))
    if card.unlike is not None:
        lines += unlike_lines(card.unlike)
    for member in card.members:
        figures = _mapping(_mapping(member.get("metrics")).get("val"))
        lines.append(("member", f"{member.get('run')}: {member.get('backbone')}, val {_figures(figures) or 'unknown'}"))
    if quoted := headline_text(card.metrics):
        lines.append(("headline", quoted))
    for split, figures in card.metrics.items():
        lines += metric_lines(split, figures, _figures)
    if card.operating_point is not None:
        lines.append(("threshold", threshold_line(card.operating_point.to_json(), card.metrics)))
        for split, figures in card.metrics.items():
            shown = figures.get("at_threshold")
            lines += [("", f"{split}: {at_threshold_line(shown)}")] if isinstance(shown, dict) else []
    lines += _parity_lines(card.parity)
    lines.append(("data", ", ".join(f"{key} {value}" for key, value in card.data.items() if value is not None)))
    lines.append(("versions", ", ".join(f"{name} {version}" for name, version in card.versions.items())))
    if card.graph_sha256:
        lines.append(("graph sha256", card.graph_sha256))
    lines.append(("created", card.created))
    return lines


def _parity_lines(parity: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [("parity", _figures(parity))] if parity else []
    for key, name in (("training", "on training"), ("drawn", "on drawn ones")):
        if isinstance(compared := parity.get(key), dict):
            lines.append((name, _figures(compared)))
    if isinstance(whole := parity.get("validation"), dict):
        lines.append(("whole split", _whole_split(whole)))
    return lines


def _whole_split(whole: Mapping[str, Any]) -> str:
    return f"file {_figures(whole)}; checkpoint {_figures(_mapping(whole.get('checkpoint')))}"


def _mapping(value: Any) -> Mapping[str, Any]:
    """What should be one: a card comes with a file, whoever wrote it."""
    return value if isinstance(value, Mapping) else {}


def _figures(figures: Mapping[str, Any]) -> str:
    """Names and values on one line; rows and lists of a card are for programs."""
    return ", ".join(
        f"{key.replace('_', ' ')} {value:.4g}"
        if isinstance(value, float)
        else f"{key.replace('_', ' ')} {'–' if value is None else value}"
        for key, value in figures.items()
        if not isinstance(value, (list, dict))
    )
