"""--prune: what is not typed is as the run had it whose channels are taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_cli.flags import Options


def with_pruned_run(options: Options) -> Options:
    """The options over the settings of the run in --weights, where --prune is given; else as they are.

    Raises UsageError where --weights names something that is no run to prune.
    """
    given = {**options.filed, **{name: options.typed[name] for name in options.given if name in options.typed}}
    if given.get("prune") is None:
        return options
    # Here, since most commands prune nothing.
    from edge_train import pruning_values

    weights = str(given.get("weights", "default"))
    if weights in {"default", "none"}:
        # The settings themselves say what is missing.
        return options
    return options._replace(filed={**pruning_values(weights), **options.filed})


def pruning_text(pruning: Mapping[str, Any]) -> str:
    """A line on what a run of that summary lost: sizes, and accuracy on each split before, right after and now."""
    (parameters, left), (gflops, gflops_left) = pruning["parameters"], pruning["gflops"]
    sizes = f"parameters {parameters / 1e6:.2f} M to {left / 1e6:.2f} M, GFLOPs {gflops:.3f} to {gflops_left:.3f}"
    scores = (
        f"{split} accuracy {found['before']:.1%} before, {found['pruned']:.1%} right after, {found['tuned']:.1%} now "
        f"(n {found['n']})"
        for split, found in pruning["accuracy"].items()
    )
    return "; ".join((f"pruned {pruning['share']:.0%} of {pruning['run']}: {sizes}", *scores))
