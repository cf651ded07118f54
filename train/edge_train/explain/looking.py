"""Look into a run's network with one picture: where its answer comes from, and what its layers make of the picture."""

from __future__ import annotations

from pathlib import Path

from edge_runtime import Run, UsageError, as_kind, find_run
from edge_train.explain.activations import Layer, LayerActivations, layers_in, look_at_layer
from edge_train.explain.grad_cam import Explainer, Explanation
from edge_train.explain.maps_picture import draw_maps
from edge_train.explain.picture import check_explanation_target, draw_explanation, write_explanation
from edge_train.network.checkpoint import load_checkpoint


def list_layers(run: Run | str | Path) -> tuple[Layer, ...]:
    """The layers of a run's network, named as torch names them, each with the shape it gives for one picture.

    Raises:
        UsageError: there is no such run.
        CheckpointError: best.pt is missing or damaged, or its weights do not fit the backbone.
    """
    checkpoint = load_checkpoint(find_run(run).best)
    expected = checkpoint.card.preprocessing
    return layers_in(checkpoint.build(), expected.height_px, expected.width_px)


def draw_activations(run: Run | str | Path, image: Path | str, layer: str, out: Path | str) -> LayerActivations:
    """Draw what `layer` of a run's network makes of a picture to `out`, a PNG: its maps, and its filters.

    The strongest 64 maps are drawn; the result has all.

    Raises:
        UsageError: there is no such run or layer, it gives no maps, or `out` is no .png or not a drawing of ours.
        ImageError: the picture cannot be decoded.
        CheckpointError: best.pt is missing or damaged.
        OutputError: `out` cannot be written.
    """
    run, target, image = find_run(run), Path(as_kind(out, Path, "`out`")), Path(as_kind(image, Path, "`image`"))
    check_explanation_target(target)
    checkpoint = load_checkpoint(run.best)
    pixels = checkpoint.card.preprocessing(image)
    backbone = checkpoint.card.backbone
    found = look_at_layer(checkpoint.build(), backbone, pixels, layer)
    notes = f"{image.name}, {pixels.shape[1]}×{pixels.shape[0]} pixels, as {run.name} sees it"
    write_explanation(target, draw_maps(pixels, found, f"{layer} of {backbone}", notes))
    return found


def explain_answer(run: Run | str | Path, image: Path | str, out: Path | str) -> Explanation:
    """Draw what in a picture speaks for the answer of a run's network to `out`, a PNG: Grad-CAM.

    Raises:
        UsageError: there is no such run, its pictures have several labels, its network has no feature map, or `out` is
            no .png or not a drawing of ours.
        ImageError: the picture cannot be decoded.
        CheckpointError: best.pt is missing or damaged.
        OutputError: `out` cannot be written.
    """
    run, target, image = find_run(run), Path(as_kind(out, Path, "`out`")), Path(as_kind(image, Path, "`image`"))
    check_explanation_target(target)
    checkpoint = load_checkpoint(run.best)
    if checkpoint.card.kind != "single-label":
        raise UsageError(
            f"Grad-CAM draws what speaks for one label, and {run.name} is a {checkpoint.card.kind} run",
            "look at its layers: edge explain --activations",
        )
    pixels = checkpoint.card.preprocessing(image)
    explanation = Explainer(checkpoint)(pixels)
    title = f"{explanation.label} {explanation.probability:.1%}"
    notes = f"{image.name}: what speaks for {explanation.label}, Grad-CAM of {checkpoint.card.backbone}"
    write_explanation(target, draw_explanation(pixels, explanation.heat, title, notes))
    return explanation
