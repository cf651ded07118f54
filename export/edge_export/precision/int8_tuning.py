"""int8 tuned: a few epochs in which the weights learn to live with the rounding (quantization-aware training).

The network learns through fake quantizers from the run's own training pictures, augmented as in its training, with the
float network as the teacher (Jacob et al. 2018, section 3; Hinton et al. 2015). After each epoch a real int8 file is
made and measured on validation, and the best of all is kept; the first is the file without tuning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edge_data import ImageStore, default_cache_bytes, find_augmentation
from edge_export.export_job import ExportJob
from edge_export.precision.count_right import LabelledImages, measure_accuracy
from edge_export.precision.int8 import CALIBRATION_METHODS, CalibrationMethod, Quantizer
from edge_export.precision.torch_graph import TorchGraph
from edge_runtime import Accuracy, Classifier, ModelError, ParityError, Sample, UsageError, usable_cores
from edge_train import TrainSettings, training_batches

# Of a step of each weight, and so much a step of training may move it at first; it falls to nothing along a cosine.
LEARNING_RATE = 0.02
# What the teacher's answers weigh beside the labels.
TEACHER_WEIGHT = 0.7
# Images that torch must answer as the files do, and how far apart probabilities may be: a rounding that falls on the
# other side is a step, and a step in front moves all that come after.
_COMPARED = 8
_APART, _APART_INT8 = 1e-3, 0.1


@dataclass(frozen=True, slots=True)
class Epoch:
    """What the int8 file of an epoch gets right on validation, and its mean loss there; epoch 0 is untuned."""

    number: int
    accuracy: Accuracy
    loss: float

    def to_json(self) -> dict[str, Any]:
        """As `export.json` carries it."""
        return {"epoch": self.number, **self.accuracy.to_json(), "loss": self.loss}


@dataclass(frozen=True, slots=True)
class Tuned:
    """The float file whose int8 form is best on validation, how it is to be calibrated, and all that was tried."""

    path: Path
    method: CalibrationMethod
    fp32: Accuracy
    epochs: tuple[Epoch, ...]

    @property
    def best(self) -> Epoch:
        """The epoch that was kept: the first of those with the most right, then the lowest loss."""
        return max(self.epochs, key=_rank)

    def to_json(self) -> dict[str, Any]:
        """As the card carries it, in `quantization.tuned`."""
        return {
            "epochs": len(self.epochs) - 1,
            "best_epoch": self.best.number,
            "learning_rate": LEARNING_RATE,
            "teacher_weight": TEACHER_WEIGHT,
            "fp32": self.fp32.to_json(),
            "untuned": self.epochs[0].accuracy.to_json(),
            "int8": self.best.accuracy.to_json(),
            "tried": [epoch.to_json() for epoch in self.epochs],
        }

    def table(self) -> str:
        """fp32, int8 and each epoch of tuning, one a line; the kept one is marked."""
        lines = [f"  {'':16}{'val top-1':24}{'points lost':>12}", f"  {'fp32':16}{self.fp32!s:24}{'–':>12}"]
        for epoch in self.epochs:
            name = f"int8, tuned {epoch.number}" if epoch.number else "int8"
            mark = "→ " if epoch is self.best else "  "
            lost = self.fp32.percent - epoch.accuracy.percent
            lines.append(f"{mark}{name:16}{epoch.accuracy!s:24}{lost:+12.1f}")
        return "\n".join(lines)


def _rank(epoch: Epoch) -> tuple[int, float]:
    return epoch.accuracy.correct, -epoch.loss


def require_tunable(job: ExportJob) -> None:
    """Raise UsageError where a run cannot be tuned: of several labels a picture, or without pictures to choose by."""
    if job.card.kind != "single-label":
        raise UsageError(f"`tune` is for models of one label a picture, not for {job.card.kind}", "drop it")
    if job.split.shown != "validation":
        raise UsageError(
            "the model learned from all images, so none is left to choose a tuned epoch by",
            "drop `tune`, or train without `folds`",
        )


def tune(
    job: ExportJob,
    source: Path,
    folder: Path,
    calibration: Sequence[NDArray[np.uint8]],
    images: LabelledImages,
    *,
    epochs: int,
) -> Tuned:
    """Tune the float file at `source` for int8, `epochs` times over the training images; files are put into `folder`.

    The file that is given back is `source` itself where no epoch was better than int8 without tuning.

    Raises:
        UsageError: the network has an operator that cannot be trained through.
        ParityError: no training image can be read.
        ModelError: onnxruntime cannot quantise the graph.
    """
    settings, threads = _settings_of(job)
    what = "validation accuracy of fp32"
    fp32 = measure_accuracy(source, images, threads=threads, progress=job.progress, what=what)
    int8_path = folder / "tuning-int8.onnx"
    method, untuned = _choose_method(job, source, int8_path, calibration, images, fp32=fp32, threads=threads)
    done, best = [untuned], source
    pictures = _Pictures(job, settings, threads)
    steps_an_epoch = -(-len(pictures.samples) // settings.batch_size)
    moments: Mapping[str, Any] | None = None
    with _torch_threads(threads):
        with Quantizer(source, calibration, threads=threads) as quantizer:
            prepared = quantizer.prepared
        teacher, network = _in_torch(prepared, {source: None, int8_path: onnx.load_model(str(int8_path))}, calibration)
        for number in range(1, epochs + 1):
            if number > 1:
                # The activations' ranges moved with the weights.
                network = TorchGraph(network.tuned(), onnx.load_model(str(int8_path)))
            job.progress.begin(f"tuning epoch {number}/{epochs}", len(pictures.samples))
            moments = _train(
                network, teacher, pictures, number, steps=(steps_an_epoch, steps_an_epoch * epochs), moments=moments
            )
            job.progress.end()
            if not network.is_finite:
                job.progress.say(f"tuned, epoch {number}/{epochs}: its weights are no numbers any more: given up")
                break
            path = folder / f"tuned-{number}.onnx"
            onnx.save_model(network.tuned(), str(path))
            with Quantizer(path, calibration, threads=threads) as quantizer:
                quantizer.write(int8_path, method=method)
            epoch = _measured(job, int8_path, images, number, total=fp32.n, threads=threads)
            if _rank(epoch) > max(map(_rank, done)):
                best = path
            done.append(epoch)
            job.progress.say(
                f"tuned, epoch {number}/{epochs}: {epoch.accuracy}, "
                f"{fp32.percent - epoch.accuracy.percent:+.1f} points lost"
            )
    return Tuned(best, method, fp32, tuple(done))


def _settings_of(job: ExportJob) -> tuple[TrainSettings, int]:
    """The run's own settings, as far as it has them, and the threads to use."""
    kept = job.runs[0].read_config().get("settings", {})
    wanted = {name: kept[name] for name in ("augment", "batch_size", "seed", "class_balance") if name in kept}
    return replace(TrainSettings(), **wanted), kept.get("threads") or usable_cores()


def _in_torch(
    prepared: onnx.ModelProto, files: Mapping[Path, onnx.ModelProto | None], calibration: Sequence[NDArray[np.uint8]]
) -> list[TorchGraph]:
    """The files as torch networks. Raises UsageError where torch cannot run one, or answers otherwise than the file."""
    pixels = calibration[0][:_COMPARED]
    graphs = []
    for path, quantized in files.items():
        try:
            graph = TorchGraph(prepared, quantized)
            with torch.no_grad():
                found = graph(torch.from_numpy(pixels)).softmax(1).numpy()
        except NotImplementedError as error:
            raise UsageError(f"{path.name} cannot be tuned: its graph has {error}", "drop `tune`") from error
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError) as error:  # whatever a graph is made of
            what = next(iter(str(error).splitlines()), type(error).__name__)
            raise UsageError(
                f"{path.name} cannot be tuned: torch cannot run its graph: {what}", "drop `tune`"
            ) from error
        apart = float(np.abs(found - Classifier(path, threads=1).probabilities(pixels)).max())
        if not apart <= (_APART_INT8 if quantized else _APART):
            raise UsageError(f"{path.name} cannot be tuned: torch answers up to {apart:.2g} otherwise", "drop `tune`")
        graphs.append(graph)
    return graphs


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _choose_method(
    job: ExportJob,
    source: Path,
    out_path: Path,
    calibration: Sequence[NDArray[np.uint8]],
    images: LabelledImages,
    *,
    fp32: Accuracy,
    threads: int,
) -> tuple[CalibrationMethod, Epoch]:
    """The calibration that int8 without tuning comes to: the cheapest within the budget, else the best."""
    tried: dict[CalibrationMethod, Epoch] = {}
    with Quantizer(source, calibration, threads=threads) as quantizer:
        for method in CALIBRATION_METHODS:
            quantizer.write(out_path, method=method)
            tried[method] = epoch = _measured(job, out_path, images, 0, total=fp32.n, threads=threads)
            lost = fp32.percent - epoch.accuracy.percent
            job.progress.say(f"int8 before tuning, {method}: {epoch.accuracy}, {lost:+.1f} points lost")
            if lost <= job.settings.max_drop_points:
                return method, epoch
        best = max(tried, key=lambda each: _rank(tried[each]))
        quantizer.write(out_path, method=best)
    return best, tried[best]


def _measured(job: ExportJob, path: Path, images: LabelledImages, number: int, *, total: int, threads: int) -> Epoch:
    classifier = Classifier(path, threads=threads)
    correct, losses = 0, []
    job.progress.begin(f"validation accuracy of int8{f', tuned {number}' if number else ''}", total)
    for pixels, labels in images():
        truth = labels
        try:
            found = classifier.probabilities(pixels)
        except ModelError:
            # Probabilities that are no numbers: none of them is right.
            found = np.full((len(pixels), len(job.card.labels)), 1e-30, np.float32)
            truth = np.full(len(pixels), -1)
        correct += int((found.argmax(axis=1) == truth).sum())
        losses.append(-np.log(np.maximum(found[np.arange(len(truth)), truth], 1e-30)))
        job.progress.advance(len(pixels))
    job.progress.end()
    every = np.concatenate(losses)
    return Epoch(number, Accuracy(correct, len(every)), float(every.mean()))


class _Pictures:
    """The run's training images as its own epochs show them: the same order, augmentation and seed."""

    def __init__(self, job: ExportJob, settings: TrainSettings, threads: int) -> None:
        self.job, self.settings = job, settings
        self.augment = find_augmentation(settings.augment)
        self.store = ImageStore(job.root, job.card.preprocessing, cache_bytes=default_cache_bytes(), threads=threads)
        job.progress.begin("reading training images", len(job.training))
        bad = self.store.read_all(job.training, (), on_image=lambda: job.progress.advance(1))
        job.progress.end()
        self.samples: tuple[Sample, ...] = tuple(each for each in job.training if each.path not in bad)
        if len(self.samples) < 2:
            raise ParityError(
                f"of {len(job.training)} training images to tune on, {len(self.samples)} can be read in {job.root}",
                "name the folder they are in now with `data`",
            )

    def epoch(self, number: int) -> Iterator[tuple[Tensor, ...]]:
        """The batches of an epoch of tuning, from 1."""
        return training_batches(
            self.store,
            self.samples,
            self.augment,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            epoch=number,
            balanced=self.settings.class_balance == "sampler",
        )


def _train(
    network: TorchGraph,
    teacher: TorchGraph,
    pictures: _Pictures,
    number: int,
    *,
    steps: tuple[int, int],
    moments: Mapping[str, Any] | None,
) -> Mapping[str, Any]:
    """One epoch; gives the optimiser's state, which the next one goes on from. `steps` are an epoch's, and all."""
    an_epoch, total = steps
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    if moments is not None:
        optimizer.load_state_dict(dict(moments))
    for at, (images, labels) in enumerate(pictures.epoch(number), (number - 1) * an_epoch):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 + np.cos(np.pi * min(at / total, 1))) / 2
        with torch.no_grad():
            taught = teacher(images)
        logits = network(images)
        by_label = functional.cross_entropy(logits, labels)
        by_teacher = functional.kl_div(
            functional.log_softmax(logits, 1), functional.log_softmax(taught, 1), log_target=True, reduction="batchmean"
        )
        optimizer.zero_grad(set_to_none=True)
        loss = (1 - TEACHER_WEIGHT) * by_label + TEACHER_WEIGHT * by_teacher
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        pictures.job.progress.advance(len(images))
    return optimizer.state_dict()
