"""edge evaluate: the exported file, scored on labelled images through the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edge_cli.choose_model import choose_model
from edge_cli.chosen_engine import EngineOption, say_engine
from edge_cli.console import Console, fail, print_json
from edge_cli.flags import flag
from edge_cli.metrics_table import print_metrics
from edge_cli.options import JsonFlag, ModelOption, QuietFlag, RunOption, ThreadsOption
from edge_cli.split_scores import at_threshold_line, calibration_error, threshold_line
from edge_runtime import LabelFrom, UsageError

if TYPE_CHECKING:
    from edge_data import EvaluationData
    from edge_runtime import (
        Classifier,
        Drift,
        Evaluation,
        ImageError,
        ModelCard,
        OtherColumns,
        ViewsEvaluation,
    )

app = typer.Typer(add_completion=False)


@app.command(
    name="evaluate",
    help="Score an exported model on labelled images: accuracy, per-class figures, confusion matrix. Needs no torch.",
)
def evaluate_(
    model: ModelOption = None,
    run: RunOption = None,
    data: Annotated[
        list[str] | None,
        flag("--data", "Labelled images; several are one set.", "DIR|FILE", default="what the run was trained on"),
    ] = None,
    label_from: Annotated[
        LabelFrom | None,
        flag("--label-from", "Folder of --data that names the class.", default="as in training"),
    ] = None,
    split: Annotated[
        Literal["test", "val", "train", "all"] | None,
        typer.Option("--split", help="Which images.", show_default="test, or val where there is none"),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Answer again in exact arithmetic, without int8 kernels; exit 1 where this processor's answers are "
            "not those of the file's own graph.",
        ),
    ] = False,
    tta: Annotated[
        Literal["none", "flip", "five-crop", "ten-crop"],
        typer.Option("--tta", help="Average the answers to several views of each picture; edge export has it, too."),
    ] = "none",
    mistakes: Annotated[
        Path | None,
        flag("--mistakes", "List what is answered otherwise than it is labelled, the surest first.", "FILE.csv"),
    ] = None,
    engine: EngineOption = "auto",
    threads: ThreadsOption = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Evaluate and print."""
    from edge_data import check_new_file, choose_evaluation, columns_of, find_data, run_places, write_mistakes
    from edge_runtime import Classifier, measure_at

    with Console(quiet=quiet) as console:
        if mistakes is not None:
            check_new_file(mistakes, parameter="mistakes")
        path, beside = choose_model(model, run, console)
        if exact and engine not in ("auto", "onnxruntime"):
            raise UsageError("--exact is about onnxruntime's kernels", "drop --engine")
        classifier = Classifier(path, threads=threads, engine="onnxruntime" if exact else engine)
        say_engine(classifier, console)
        kind = classifier.card.kind
        if kind != "single-label" and tta != "none":
            raise UsageError(f"--tta is for models of one label a picture, and {path} is {kind}", "leave it out")
        places = find_data(data).places if data else None
        chosen = choose_evaluation(classifier.card, beside, places, split, label_from=label_from)
        trained_on = run_places(beside.read_config()) if beside is not None else ()
        tasks = [task.name for task in classifier.card.tasks]
        several, listed = kind == "multi-label", places or trained_on
        others = columns_of(listed, tasks, multi_label=several) if mistakes is not None else None
        console.say(f"evaluating {path} on {len(chosen.samples)} images of {chosen.root} ({chosen.how})")
        console.begin("evaluating", len(chosen.samples))
        if kind != "single-label":
            return _evaluate_several(
                classifier, chosen, console, mistakes=mistakes, others=others, as_json=json_, exact=exact
            )
        result, seen = _evaluated(classifier, chosen, None if tta == "none" else tta, console, exact=exact)
        again = _answer_exactly(classifier, result, chosen.root, console) if exact else None
    _say_notes(chosen, result.unreadable, classifier.card, console)
    point = classifier.card.operating_point
    at_threshold = None if point is None else measure_at(point, classifier.labels, result.truth, result.probabilities)
    drift, exactly = (None, None) if again is None else _held_against(again, result, classifier.card)
    if json_:
        more = {}
        if point is not None and at_threshold is not None:
            more = {"operating_point": point.to_json(), "at_threshold": at_threshold.to_json()}
        print_json(
            {
                **_head(path, chosen, result.unreadable),
                **result.metrics.to_json(),
                **more,
                **{name: views.to_json() for name, views in seen.items()},
                **_exact_json(drift, exactly),
            }
        )
    else:
        print_metrics(result.metrics, chosen.split)
        for views in seen.values():
            print(_beside_one_view(views))
        if point is not None and at_threshold is not None:
            print(threshold_line(point.to_json(), classifier.card.metrics))
            print(f"  {chosen.split}: {at_threshold_line(at_threshold.to_json())}")
        if drift is not None:
            print(drift)
        if exactly is not None:
            print(f"  in exact arithmetic: {at_threshold_line(exactly)}")
    left_out: Sequence[str] = ()
    if mistakes is not None:
        # The figures are out by now, whatever becomes of the list.
        count, left_out = write_mistakes(mistakes, chosen, result, classifier.card, others)
        _say_left_out(left_out)
        console.say(f"{mistakes}: {count:,} mistake{'' if count == 1 else 's'}, the surest first")
    return _end(path, drift, console, left_out=len(result.unreadable) + len(left_out))


def _say_left_out(paths: Sequence[str]) -> None:
    for path in paths:
        fail(f"{path!r}: the name is not valid UTF-8, and no list can hold it", "rename the file", 1)


def _evaluate_several(
    classifier: Classifier,
    chosen: EvaluationData,
    console: Console,
    *,
    mistakes: Path | None,
    others: OtherColumns | None,
    as_json: bool,
    exact: bool,
) -> int:
    """The same of a model of several labels, or of several tasks; the exit code."""
    from edge_cli.scored_several import drift_of_several, print_several_evaluation, score_several
    from edge_data import write_several_mistakes

    result = score_several(classifier, chosen, console)
    drift = drift_of_several(classifier, result, chosen.root, console) if exact else None
    _say_notes(chosen, result.unreadable, classifier.card, console)
    head = _head(classifier.path, chosen, result.unreadable)
    print_several_evaluation(head, result, as_json=as_json, more=_exact_json(drift))
    if drift is not None and not as_json:
        print(drift)
    left_out: Sequence[str] = ()
    if mistakes is not None:
        count, left_out = write_several_mistakes(mistakes, chosen, result, classifier.card, others)
        _say_left_out(left_out)
        console.say(f"{mistakes}: {count:,} image{'' if count == 1 else 's'} with a mistake, the surest first")
    return _end(classifier.path, drift, console, left_out=len(result.unreadable) + len(left_out))


def _exact_json(drift: Drift | None, at_threshold: Mapping[str, Any] | None = None) -> dict[str, Any]:
    if drift is None:
        return {}
    more = {} if at_threshold is None else {"at_threshold": at_threshold}
    return {"exact": {**drift.to_json(), "holds": drift.holds, **more}}


def _end(path: Path, drift: Drift | None, console: Console, *, left_out: int) -> int:
    """Say where an int8 file's figures were measured, and fail where they do not hold here; the exit code."""
    from edge_runtime import int8_arithmetic, int8_origin

    if drift is None:
        return 1 if left_out else 0
    origin = int8_origin(path)
    console.say(f"{path}: {'no int8 weights' if origin is None else origin.describe()}")
    if drift.holds:
        return 1 if left_out else 0
    hint = (
        "its weights are those that every processor computes alike, so a few of its sums round otherwise: the figures "
        "above say on how many images; edge export without --precision has no such sums"
        if origin is not None and origin.portable
        else "export it again with edge export: its int8 weights have 7 bits then, which every processor computes alike"
    )
    return fail(f"{path} answers otherwise on this processor ({int8_arithmetic()}) than its graph does", hint, 1)


def _head(path: Path, chosen: EvaluationData, unreadable: Sequence[ImageError]) -> dict[str, Any]:
    """What comes first in the JSON."""
    return {
        "model": str(path),
        "data": str(chosen.root),
        "split": chosen.split,
        "had_a_part_in_training": chosen.had_a_part,
        "unreadable": [error.message for error in unreadable],
    }


def _say_notes(chosen: EvaluationData, unreadable: Sequence[ImageError], card: ModelCard, console: Console) -> None:
    if chosen.had_a_part:
        console.say(_flattering(chosen, card.metrics))
    for error in unreadable:
        console.say(f"left out: {error}")


def _flattering(chosen: EvaluationData, recorded: Mapping[str, Mapping[str, Any]]) -> str:
    """What is to be said of images that the model is not new to."""
    if chosen.learned:
        which = "train images" if chosen.split == "train" else "some of these images"
        return f"note: the model learned from {which}: these figures flatter it"
    which = "these" if chosen.split == "val" else "some of these"
    note = f"note: training chose by {which} images and fitted its temperature on them: these figures flatter the model"
    figures = recorded.get("val", {}) if chosen.split == "val" else {}
    known = figures.get("calibration_folds") and isinstance(figures.get("expected_calibration_error"), float)
    return f"{note}; training's was {calibration_error(figures)}" if known else note


def _evaluated(
    classifier: Classifier, chosen: EvaluationData, tta: str | None, console: Console, *, exact: bool
) -> tuple[Evaluation, dict[str, ViewsEvaluation]]:
    """The images scored, and under the key `tta` what averaged views were asked for, if they were."""
    from edge_runtime import evaluate, evaluate_views, find_views

    if tta is None:
        return evaluate(classifier, chosen.root, chosen.samples, on_image=console.advance), {}
    if exact:
        raise UsageError("--exact compares the file's own answers, which --tta changes", "drop one of them")
    views = find_views(classifier, tta)
    seen = evaluate_views(classifier, views, chosen.root, chosen.samples, on_image=console.advance)
    return seen.averaged, {"tta": seen}


def _beside_one_view(seen: ViewsEvaluation) -> str:
    low, high = seen.one_view.interval
    return (
        f"{seen.views.name}, {len(seen.views.views)} views averaged; one view alone {seen.one_view.share:.2%} "
        f"({seen.one_view.correct} of {seen.one_view.n}; 95 % interval {low:.1%} to {high:.1%}): "
        f"{seen.mended} mended, {seen.spoiled} spoiled"
    )


def _answer_exactly(classifier: Classifier, result: Evaluation, root: Path, console: Console) -> Evaluation:
    """The same images in exact arithmetic."""
    from edge_runtime import Classifier, evaluate

    console.begin("evaluating in exact arithmetic", len(result.samples))
    graph = Classifier(classifier.path, threads=classifier.threads, exact=True)
    return evaluate(graph, root, result.samples, on_image=console.advance)


def _held_against(again: Evaluation, result: Evaluation, card: ModelCard) -> tuple[Drift, Mapping[str, Any] | None]:
    """How far this machine's kernels are from exact arithmetic, and what the threshold does there."""
    from edge_runtime import Drift, measure_at

    point, exactly = card.operating_point, again.probabilities
    drift = Drift.between(result.truth, result.probabilities, exactly, labels=card.labels, point=point)
    return drift, None if point is None else measure_at(point, card.labels, result.truth, exactly).to_json()
