"""From a run's best checkpoint, or several runs', to files that are proven equal to it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edge_export.export_job import ExportJob, prepare
from edge_export.formats.onnx_file import replace_card, write_onnx
from edge_export.formats.quick_load import optimize_for_this_machine
from edge_export.formats.torchscript_file import replace_torchscript_card, write_torchscript
from edge_export.networks.averaging_network import AveragingNetwork
from edge_export.precision.exactness import DriftAtThresholdError
from edge_export.precision.lowering import lower_precision
from edge_export.proof.answers import onnx_model, torchscript_model
from edge_export.proof.ensemble_figures import caution, with_ensemble_figures
from edge_export.proof.held_out_figures import with_test_figures
from edge_export.proof.price import latency_ratio
from edge_export.proof.prove import prove
from edge_export.record import Exported, write_record
from edge_export.servers.repository import (
    Repository,
    check_repository,
    missing_texts,
    new_version,
    require_same_answers,
    write_spoken_of,
    write_texts,
)
from edge_export.servers.throughput import measure_throughput
from edge_export.settings import FORMATS, REPOSITORIES, ExportFormat, ExportSettings
from edge_export.targets import default_target, require_writable
from edge_export.unlike.known_pictures import store_known_pictures
from edge_runtime import (
    Classifier,
    ModelCard,
    OutputError,
    Progress,
    Run,
    Silence,
    UsageError,
    as_kind,
    atomic_path,
    find_runs,
    graph_sha256,
    remove_quick_load,
)
from edge_train import borrow_torch


@borrow_torch()
def export(
    runs: Run | str | os.PathLike[str] | Sequence[Run | str | os.PathLike[str]],
    formats: ExportFormat | tuple[ExportFormat, ...] = ("onnx",),
    *,
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    settings: ExportSettings | None = None,
    progress: Progress | None = None,
) -> list[Exported]:
    """Export the best checkpoint of a run, each file checked on real validation images before it appears.

    Several runs make one file that averages their probabilities. `out` names the one file to write, or the folder of
    a server's repository (by default they go into the run folder, the first one's); `data` is where the images are
    now, the folder, the manifest or all of several, if they moved since training.

    Raises:
        UsageError: settings, formats or runs that do not go together.
        CheckpointError: there is no usable checkpoint.
        ParityError: a file does not equal its checkpoint, or costs more accuracy than allowed, or no validation
            image can be read to prove it.
        OutputError: the file cannot be written, or would replace something edge did not make.
    """
    found = find_runs(runs)
    formats = (formats,) if isinstance(formats, str) else tuple(formats)
    target_path: Path | None = as_kind(out, Path | None, "`out`")
    places: Path | tuple[Path, ...] | None = as_kind(data, Path | tuple[Path, ...] | None, "`data`")
    settings, progress = as_kind(settings or ExportSettings(), ExportSettings, "`settings`"), progress or Silence()
    if not found:
        raise UsageError("there is no run to export", "name one in `runs`")
    if wrong := [each for each in formats if each not in FORMATS + REPOSITORIES]:
        raise UsageError(f"`formats` {wrong[0]} is not known", f"choose {', '.join(FORMATS + REPOSITORIES)}")
    if target_path is not None and len(formats) > 1:
        raise UsageError(f"`out` names one file, but {len(formats)} are asked for", "drop `out`, or export one format")
    settings.require_possible(formats, members=len(found))
    targets = {
        format_: target_path or default_target(found[0], format_, settings.precision, members=len(found))
        for format_ in formats
    }
    for format_, target in targets.items():
        if format_ in REPOSITORIES:
            check_repository(Repository(target, settings.name, format_ == "kserve"))
        else:
            require_writable(target, own=target_path is None)
    job = prepare(found, places, settings, progress)
    done = []
    for format_, target in targets.items():
        progress.say(f"exporting {format_} to {target}")
        match format_:
            case "onnx":
                done.append(_export_onnx(job, target))
            case "torchscript":
                done.append(_export_torchscript(job, target))
            case _:
                done.append(_export_repository(job, Repository(target, settings.name, format_ == "kserve"), format_))
        _remark(progress, done[-1])
    try:
        write_record(found[0], done)
    except OutputError as error:
        progress.say(f"note: {error.message}")
    return done


def _export_onnx(job: ExportJob, target: Path) -> Exported:
    """The file at `target`; what `auto` chose stays fp32 where its answers at the threshold are another processor's."""
    try:
        return _export_onnx_as(job, target)
    except DriftAtThresholdError as error:
        if job.settings.precision != "auto":
            raise
        job.progress.say(f"note: {error.message}; so it stays fp32")
        floats = replace(job.settings, precision="fp32", max_drop_points=None, calibration_images=None)
        return _export_onnx_as(replace(job, settings=floats), target)


def _export_onnx_as(job: ExportJob, target: Path) -> Exported:
    with atomic_path(target) as temporary:
        write_onnx(job.network, job.card, temporary)
        proof = prove(job, onnx_model(temporary), target.name)
        card, table, both, fp32 = _priced(job, temporary), "", None, proof
        how: Mapping[str, Any] = {}
        if job.settings.precision != "fp32":
            lowered = lower_precision(job, temporary, proof, target.name)
            proof, table, both, how = lowered.proof, lowered.table, lowered.both, lowered.how
            card = replace(card, precision=lowered.precision, quantization=how if lowered.precision != "fp32" else {})
        card = proof.onto(card, fp32)
        if both is not None:
            card = both.at_threshold(card, card.precision, job.progress)
        if len(job.runs) > 1:
            card = with_ensemble_figures(job, card, onnx_model(temporary), proof.validation)
        else:
            card = with_test_figures(job, card, partial(onnx_model, temporary), target.name)
        if job.settings.with_unlike:
            assert proof.validation.found is not None, "the split was classified"
            card = store_known_pictures(job, temporary, card, proof.validation.found.probabilities)
        card = replace(card, graph_sha256=graph_sha256(temporary))
        replace_card(temporary, card)
        # What the runtime refuses must not get the name.
        Classifier(temporary)
    quick = None
    if job.settings.for_this_machine:
        quick = optimize_for_this_machine(target, job.progress)
    else:
        # One that is there was made of the file that is no more.
        with suppress(OSError):
            remove_quick_load(target)
    size_bytes, candidates = target.stat().st_size, tuple(how.get("candidates", ()))
    return Exported(target, "onnx", size_bytes, proof.parity, proof.validation, card, table, quick, candidates)


def _export_repository(job: ExportJob, repository: Repository, format_: ExportFormat) -> Exported:
    require_same_answers(repository, job.card)
    with new_version(repository) as path:
        done = _export_onnx(job, path)
        if missing := missing_texts(repository):
            measured = measure_throughput(path, done.card.preprocessing, job.progress)
            job.progress.say(f"served best: {measured.describe_best()}")
            write_texts(repository, done.card, measured, done.size_bytes)
        else:
            write_spoken_of(repository, done.card)
            job.progress.say("a new version; what describes the model to the server stays as it is")
        _say_what_decides(done.card, job.progress, is_new=repository.network / "config.pbtxt" in missing)
    return replace(done, path=repository.folder, format=format_)


def _say_what_decides(card: ModelCard, progress: Progress, *, is_new: bool) -> None:
    """That a server knows no thresholds, and where its clients find them; `is_new` says of this version."""
    if (point := card.operating_point) is not None:
        what = f"that {point.positive} is the answer from {point.threshold:.3f} on"
        named = "edge_positive and edge_threshold"
    elif card.thresholds:
        what, named = "from which one on each label is given", "edge_thresholds"
    else:
        return
    where = f"config.pbtxt has it as {named}" if is_new else f"{named} in config.pbtxt may be an older version's"
    progress.say(f"note: a server gives probabilities; {what} is for its clients to apply ({where})")


def _priced(job: ExportJob, path: Path) -> ModelCard:
    """The card of the file at `path`; where it averages views, with what that costs here."""
    card, network = job.card, job.network
    if not isinstance(network, AveragingNetwork):
        return card
    job.progress.say(f"timing {len(network.views.views)} averaged views beside one")
    alone = replace(card, preprocessing=network.views.contract, tta={})
    return replace(card, tta={**card.tta, "latency_ratio": round(latency_ratio(path, network.network, alone), 2)})


def _export_torchscript(job: ExportJob, target: Path) -> Exported:
    with atomic_path(target) as temporary:
        write_torchscript(job.network, job.card, temporary)
        proof = prove(job, torchscript_model(temporary), target.name)
        card = proof.onto(job.card)
        if len(job.runs) > 1:
            card = with_ensemble_figures(job, card, torchscript_model(temporary), proof.validation)
        else:
            card = with_test_figures(job, card, partial(torchscript_model, temporary), target.name)
        replace_torchscript_card(temporary, card)
    return Exported(target, "torchscript", target.stat().st_size, proof.parity, proof.validation, card)


def _remark(progress: Progress, done: Exported) -> None:
    """Say what a person would want to know and no gate refuses."""
    split = done.validation
    if split.unreadable:
        progress.say(f"note: {split.unreadable} {split.shown} images can no longer be read")
    if (tta := done.card.tta) and "latency_ratio" in tta:
        progress.say(
            f"{tta['name']}: the answers to {tta['views']} views of each picture are averaged, which takes "
            f"{tta['latency_ratio']:g} times as long as one here"
        )
    recorded, n = split.recorded.get(split.score_name), split.whole.n
    as_trained = done.card.precision == "fp32" and not done.card.tta
    if recorded is not None and split.recorded.get("n") == n and as_trained:
        # Training may have measured in bfloat16, which moves an image or two.
        drift = abs(split.score - recorded)
        if drift > max(0.005, 2 / n):
            progress.say(
                f"note: validation {split.score_name.replace('_', ' ')} is {split.score:.1%}, but training recorded "
                f"{recorded:.1%}: "
                "the images have changed since, or training measured on another device"
            )
    if (test := done.card.metrics.get("test")) and done.card.members:
        progress.say(
            f"test accuracy {test['accuracy']:.1%} (n {test['n']}), on images that neither trained nor chose a member"
        )
    elif words := caution(done.card):
        progress.say(f"note: {words}")
    if (point := done.card.operating_point) is not None:
        unseen = "cross-validated" if split.shown == "training" else "validation"
        progress.say(
            f"threshold: {point.positive} from a probability of {point.threshold:.3f} on, chosen on {point.positives} "
            f"{unseen} images of it for a sensitivity of at least {point.min_sensitivity:.1%}"
        )
        if (chosen := done.card.quantization.get("fp32_threshold")) is not None:
            progress.say(
                f"note: it was chosen in fp32, as {chosen:.3f}; from {point.threshold:.3f} on {done.card.precision} "
                "calls as many training images so, and what it does on others was not measured"
            )
    if (scale := done.card.unlike) is not None:
        progress.say(
            f"unlike: distances of {scale.n} validation images to {scale.centres} centres of {scale.training_images} "
            f"training images; it can be asked to refuse {scale.least_share:.1%} of known pictures or more"
        )
    if done.quick_load is not None:
        progress.say(done.quick_load.describe())
