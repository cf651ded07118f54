"""A learning rate for a run that is still to be made: the rates grow step by step until the loss does.

Smith, "Cyclical Learning Rates for Training Neural Networks" (2017), section 3.3, with rates that grow exponentially.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edge_runtime import DataError, OutputError, Progress, Silence, UsageError, as_kind, require_extra, write_text
from edge_train.network.backbones import as_file_name
from edge_train.network.device_memory import within_memory
from edge_train.network.fold_batch_norm import fold_frozen
from edge_train.report.rate_chart import draw_rates
from edge_train.run.batches import Batch
from edge_train.run.borrowed_torch import borrow_torch
from edge_train.run.epochs import epoch_batches, learning_of
from edge_train.run.feature_extraction import Head, choose_views, embed
from edge_train.run.job import Job
from edge_train.run.prepare import prepare
from edge_train.run.step import Learning
from edge_train.settings import TrainSettings
from edge_train.strategy.learning_rate import Schedule
from edge_train.strategy.plan import freeze, set_mode
from edge_train.strategy.rate_curve import RateCurve

LOWEST, HIGHEST, STEPS = 1e-2, 1e3, 50
# The mean of the last few losses is held against that of the first few.
FEW = 5
DIVERGED = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class RateSearch:
    """What was found, for which strategy and backbone, and the files it was written to: a picture and a table."""

    curve: RateCurve
    strategy: str
    backbone: str
    picture: Path
    table: Path

    def to_json(self) -> dict[str, Any]:
        """As `edge train --find-lr --json` prints it."""
        return {
            "strategy": self.strategy,
            "backbone": self.backbone,
            "picture": str(self.picture),
            "table": str(self.table),
            **self.curve.to_json(),
        }


@borrow_torch()
def find_learning_rate(settings: TrainSettings, progress: Progress | None = None) -> RateSearch:
    """Take up to 50 steps as `settings` say, at rates that grow from a hundredth to a thousand times the strategy's.

    It ends where the loss has grown to half as much again as it began with. No run is made: a picture and a CSV file in
    `settings.out` are all that is left of it. What `lr_scale`, `schedule` and `warmup_epochs` say has no part in it.

    Raises what `train` raises before the first epoch, and:
        UsageError: `folds`, or several processes.
        DataError: there are fewer than two images to train on.
    """
    require_extra("train")
    as_kind(settings, TrainSettings, "`settings`")
    if settings.folds is not None:
        raise UsageError("a learning rate is looked for on one split, not on `folds`", "drop `folds`")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("a learning rate is looked for in one process", "run it without torchrun")
    job = prepare(replace(settings, lr_scale=1.0, warmup_epochs=0.0, ema=None), progress or Silence())
    if len(job.splits.train) < 2:
        raise DataError(f"{len(job.splits.train)} image to train on: at least two are needed", "name more images")
    with within_memory():
        curve = _sweep(job)
    picture = _new_file(job, ".png")
    table = picture.with_suffix(".csv")
    draw_rates(picture, curve, settings.lr_scale, title=f"{job.backbone.name}, {job.strategy}")
    write_text(table, _as_csv(curve))
    return RateSearch(curve, job.strategy, job.backbone.name, picture, table)


class _Growing(Schedule):
    """Rates that grow exponentially from step to step."""

    def factor(self, step: int) -> float:
        """The factor at `step`, counted from 0."""
        return float(LOWEST * (HIGHEST / LOWEST) ** (step / (self.total_steps - 1)))


def _sweep(job: Job) -> RateCurve:
    # With all that ever learns: what is frozen at first thaws later.
    epoch = job.settings.epochs
    torch.manual_seed(job.settings.seed)
    freeze(job.network, job.plan, epoch)
    set_mode(job.network, job.plan, epoch)
    schedule = _Growing("constant", STEPS)
    learning = replace(learning_of(job, STEPS), schedule=schedule)
    rates = {str(group["name"]): float(group["rate"]) for group in learning.layer_groups}
    model, batches, learning = _material(job, learning)
    scales: list[float] = []
    losses: list[float] = []
    diverged = False
    job.progress.begin("rates", STEPS)
    for step, batch in enumerate(itertools.islice(batches, STEPS)):
        loss, _ = learning.step(model, tuple(tensor.to(job.device) for tensor in batch), step)
        mean = float(loss) / len(batch[1])
        diverged = not math.isfinite(mean)
        if diverged:
            break
        scales.append(schedule.factor(step))
        losses.append(mean)
        job.progress.advance(1)
        diverged = len(losses) > FEW and float(np.mean(losses[-FEW:])) > DIVERGED * float(np.mean(losses[:FEW]))
        if diverged:
            break
    job.progress.end()
    if not losses:
        raise DataError("the loss is no number from the first step on", "look at the images: edge data check")
    return RateCurve(tuple(scales), tuple(losses), rates, diverged)


def _material(job: Job, learning: Learning) -> tuple[nn.Module, Iterator[Batch], Learning]:
    """What steps are taken with: the network and images, or the head and what the frozen body makes of them."""
    if choose_views(job):
        job.progress.say("the frozen backbone sees each image once; the head learns from that")
        unvalidated = replace(job, splits=replace(job.splits, val=()))
        seen = embed(unvalidated, 1)
        head = Head(job.network, job.backbone).train()
        return head, _epochs(lambda epoch: seen.batches(job, epoch)), replace(learning, precision="fp32")
    return fold_frozen(job.network), _epochs(lambda epoch: epoch_batches(job, epoch)), learning


def _epochs(batches: Callable[[int], Iterator[Batch]]) -> Iterator[Batch]:
    return itertools.chain.from_iterable(map(batches, itertools.count(1)))


def _new_file(job: Job, suffix: str) -> Path:
    """A path in `out` that nothing has. Raises OutputError where no file can be there."""
    out = job.settings.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {out}: {error.strerror}", "choose another folder with `out`") from error
    data = re.sub(r"[^\w.+-]+", "_", str(job.card.data["name"])).strip("._") or "data"
    name = f"rates-{data}-{as_file_name(job.backbone.name)}-{job.strategy}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    return next(path for each in names if not (path := out / f"{each}{suffix}").exists())


def _as_csv(curve: RateCurve) -> str:
    rows = zip(curve.scales, curve.losses, curve.smoothed, strict=True)
    cells = (f"{scale:.6g},{loss:.6f},{smooth:.6f}" for scale, loss, smooth in rows)
    return "\n".join(("lr_scale,loss,smoothed_loss", *cells, ""))
