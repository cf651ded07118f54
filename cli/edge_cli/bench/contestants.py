"""Which models `edge bench` measures, on which pictures, and on which images it scores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edge_cli.choose_model import choose_model
from edge_cli.console import Console
from edge_runtime import DataError, EdgeError, Run, Setting, UsageError, atomic_path, check_settings, require_extra

if TYPE_CHECKING:
    from edge_benchmarks import Contestant
    from edge_data import EvaluationData
    from edge_train import Backbone

PICTURES = 16
WHAT = "What to measure"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be measured, as the command line says it."""

    models: tuple[Path, ...] = ()
    run: str | None = None
    backbones: Annotated[
        str | None, Setting("Backbones to export on the fly, with random weights; timm:NAME, too.", "all|A,B", WHAT)
    ] = None
    precision: Annotated[
        str | None, Setting("Of those backbones: fp32, int8. A file has its own.", "A,B", WHAT, "fp32,int8")
    ] = None
    against: Annotated[
        str | None, Setting("Run them also by torch, torchscript, openvino, or all of them.", "A,B", WHAT)
    ] = None
    engines: Annotated[
        bool,
        Setting(
            "Run each also by OpenVINO and what else runs it here, after its answers were held against its own.",
            panel=WHAT,
        ),
    ] = False
    max_drop_points: Annotated[
        float | None,
        Setting(
            "With --engines: let answers differ that cost at most so much accuracy on labelled images.",
            "POINTS",
            WHAT,
            flag="--max-drop",
            at_least=0,
            at_most=100,
        ),
    ] = None
    data: Annotated[
        tuple[str, ...], Setting("Measure accuracy on these labelled images; several are one set.", "DIR|FILE", WHAT)
    ] = ()
    keep_models: Annotated[Path | None, Setting("Keep the exported backbones there.", "DIR", WHAT)] = None

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def names_models(self) -> bool:
        """Whether models or a run are named, or nothing is, which means the newest run."""
        return bool(self.models) or self.run is not None or self.backbones in (None, "none")


def choose_contestants(choice: Choice, folder: Path, console: Console) -> list[Contestant]:
    """The models named or the newest run's, fresh backbones, and their rivals; what is made goes into `folder`.

    Raises:
        UsageError: names that do not go together, or a file that is not there.
        ModelError: a file is damaged.
        DataError: the images to score on do not have a model's labels.
        MissingExtraError: backbones are asked for and cannot be exported.
    """
    from edge_benchmarks import choose_backbones, choose_engines, choose_precisions, find_rivals

    if choice.models and choice.run is not None:
        raise UsageError("MODEL and --run exclude each other", "name model files, or a run")
    backbones = () if choice.backbones is None else choose_backbones(choice.backbones)
    precisions = choose_precisions(choice.precision or "fp32,int8")
    engines = () if choice.against is None else choose_engines(choice.against)
    if choice.precision is not None and not backbones:
        raise UsageError(
            "--precision is what fresh backbones are exported in; a file has its own",
            "name some with --backbones, or the file: edge bench runs/NAME/model-int8.onnx",
        )
    if choice.keep_models is not None and not backbones:
        raise UsageError("--keep-models keeps fresh backbones", "name some with --backbones")
    if backbones:
        require_extra("export")
    contestants = _named(choice, console) if choice.names_models else []
    if choice.data:
        contestants = [_scored(contestant, choice, console) for contestant in contestants]
        if backbones:
            # Found out before minutes go into exporting.
            _pictures_of(choice.data)
            console.say("fresh backbones have random weights: their accuracy is not measured")
    if backbones:
        contestants += _build(backbones, precisions, folder, console, checkpoint=bool(engines))
        if choice.keep_models is not None:
            _keep(contestants, choice.keep_models, console)
    if engines:
        contestants += find_rivals(contestants, engines, folder, console.say)
    return contestants


def say_origins(contestants: Sequence[Contestant], console: Console) -> None:
    """Say of each int8 file where it was measured on another kind of processor, or holds on some alone."""
    from edge_runtime import int8_origin

    for path in dict.fromkeys(each.model for each in contestants if not each.fresh and each.model.suffix == ".onnx"):
        origin = int8_origin(path)
        if origin is not None and (origin.elsewhere or not origin.portable):
            console.say(f"note: {path}: {origin.describe()}")


def choose_pictures(
    images: Sequence[Path], data: Sequence[str], contestants: Sequence[Contestant], console: Console
) -> tuple[tuple[Path, ...], str]:
    """The pictures to classify, and where they come from: those named, some of `data` or of what a run set aside.

    None of them: a drawn one.

    Raises:
        DataError: there is no such folder, or no picture in it.
    """
    if images:
        return tuple(images), ", ".join(str(image) for image in images)
    if data:
        names, found = _pictures_of(data)
        return _some(found, f"of {names}", console)
    for contestant in contestants:
        own = own_images(contestant)
        if own is not None:
            paths = [own.root / sample.path for sample in own.samples]
            return _some(paths, f"of the {own.split} split of {contestant.model.parent}", console)
    return (), ""


def _pictures_of(data: Sequence[str]) -> tuple[str, list[Path]]:
    """The folders and manifests that `--data` names, in words, and their pictures; DataError where there is none."""
    from edge_data import find_data
    from edge_runtime import find_all_images

    places = find_data(data).places
    names = " and ".join(map(str, places))
    found = find_all_images(places)
    if not found:
        raise DataError(f"{names} has no pictures", "name another folder with --data")
    return names, found


def _named(choice: Choice, console: Console) -> list[Contestant]:
    """The models named, or the run's, all inspected: a wrong file is found before minutes go into the others."""
    from edge_benchmarks import Contestant

    if choice.models:
        found = [Contestant(str(path), path) for path in dict.fromkeys(choice.models)]
    else:
        path, _ = choose_model(None, choice.run, console)
        # Its run is said on stderr; the whole path would take half the table's width.
        found = [Contestant(path.name, path)]
    bests = [Run(contestant.file.path.parent).best for contestant in found]
    return [replace(each, checkpoint=best if best.is_file() else None) for each, best in zip(found, bests, strict=True)]


def _scored(contestant: Contestant, choice: Choice, console: Console) -> Contestant:
    """With the images its accuracy is measured on, chosen as `edge evaluate` does; as it is where it has not one."""
    if contestant.card is None:
        raise UsageError(
            f"{contestant.model} says no labels, so its accuracy cannot be measured", "leave out --data, or this file"
        )
    if contestant.card.kind != "single-label":
        console.say(f"{contestant.model} is a {contestant.card.kind} model: its accuracy is edge evaluate's to say")
        return contestant
    return replace(contestant, images=named_images(contestant, choice))


def named_images(contestant: Contestant, choice: Choice) -> EvaluationData | None:
    """What is to be scored of the data that is named, None where there is none or edge did not make the file.

    Raises DataError where its labels are not the model's.
    """
    from edge_data import choose_evaluation, find_data

    if not choice.data or contestant.card is None:
        return None
    run = Run(contestant.model.parent)
    return choose_evaluation(
        contestant.card, run if run.config.is_file() else None, find_data(choice.data).places, None
    )


def own_images(contestant: Contestant) -> EvaluationData | None:
    """What the model's run did not train on, None where it lies in no run folder or the data is gone."""
    from edge_data import choose_evaluation

    run = Run(contestant.model.parent)
    if contestant.fresh or contestant.card is None or not run.config.is_file():
        return None
    try:
        return choose_evaluation(contestant.card, run, None, None)
    except EdgeError:
        return None


def _some(paths: Sequence[Path], origin: str, console: Console) -> tuple[tuple[Path, ...], str]:
    """Up to 16 pictures, evenly spread, that can be read."""
    from edge_runtime import ImageError, decode

    chosen: list[Path] = []
    count = min(PICTURES, len(paths))
    for index in range(count):
        path = paths[index * len(paths) // count]
        try:
            decode(path)
        except ImageError as error:
            console.say(f"left out: {error.message}")
        else:
            chosen.append(path)
    if not chosen:
        raise DataError(f"none of {count} pictures {origin} can be read", "name one with --image")
    return tuple(chosen), f"{len(chosen)} {'picture' if len(chosen) == 1 else 'pictures'} {origin}"


def _build(
    backbones: Sequence[Backbone], precisions: Sequence[str], folder: Path, console: Console, *, checkpoint: bool
) -> list[Contestant]:
    from edge_benchmarks import build_fresh, build_int8, tell_apart

    named = tell_apart(backbones)
    names = ", ".join(named)
    console.say(
        f"exporting {names} in {' and '.join(precisions)}: random weights (latency does not depend on them, and their "
        "answers mean nothing), 1,000 classes"
    )
    console.begin("exporting", len(backbones), "backbones")
    built = []
    for backbone, name in zip(backbones, named, strict=True):
        fp32 = build_fresh(backbone, folder, checkpoint=checkpoint, name=name)
        built += [fp32] if "fp32" in precisions else []
        built += [build_int8(fp32, folder)] if "int8" in precisions else []
        console.advance()
    console.end()
    return built


def _keep(contestants: Sequence[Contestant], folder: Path, console: Console) -> None:
    """Copy the fresh files, to be measured elsewhere. Raises OutputError."""
    from edge_benchmarks import make_folder

    make_folder(folder)
    for contestant in contestants:
        if contestant.fresh:
            with atomic_path(folder / contestant.model.name) as temporary:
                temporary.write_bytes(contestant.model.read_bytes())
    console.say(f"kept in {folder}: measure them on a device with edge bench {folder}/*.onnx")
