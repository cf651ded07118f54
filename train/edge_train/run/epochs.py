"""The epochs of a run: train, validate, keep the best, and be able to go on after a kill at any moment.

An epoch depends on the state in last.pt, the settings and its number alone: order, augmentation and dropout
are drawn from (seed, epoch). best.pt is written before last.pt, so a run killed between the two does the
epoch again and writes the same best.pt again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from edge_runtime import CheckpointError, EdgeError, Run
from edge_train.network.checkpoint import Checkpoint, save_checkpoint
from edge_train.network.fold_batch_norm import fold, fold_frozen
from edge_train.network.moving_average import MovingAverage
from edge_train.run.batch_norm_statistics import reestimate_batch_norm
from edge_train.run.batches import Batch, count_batches, training_batches
from edge_train.run.callbacks import ActiveRun, EpochEnd
from edge_train.run.criterion import rank
from edge_train.run.feature_extraction import Embeddings, Head, SharedEmbeddings, choose_views, embed
from edge_train.run.job import Job
from edge_train.run.optimism import EpochAnswers, from_tensors, to_tensors
from edge_train.run.processes import ALONE
from edge_train.run.run_folder import EpochRow, write_metrics
from edge_train.run.split_answers import SplitAnswers
from edge_train.run.step import BatchEnd, EpochResult, Learning, train_epoch
from edge_train.run.what_learns import say_what_learns
from edge_train.settings import Criterion
from edge_train.strategy.learning_rate import Schedule
from edge_train.strategy.loss import Distillation
from edge_train.strategy.mixup import Mixing
from edge_train.strategy.plan import LOSS_RATE, LayerGroup, freeze, layer_groups, make_optimizer, set_mode
from edge_train.strategy.progressive_resizing import epoch_size_px, first_whole_epoch
from edge_train.targets.target_kind import Answers


@dataclass(slots=True)
class FitState:
    """How far a run has come: epochs done, the best of them by `criterion`, and one row for each.

    `answers` are the epochs' to the validation images, None where an older edge, which kept none, began the run;
    `views` is how many views of each image are embedded, None before that is known.
    """

    criterion: Criterion = "accuracy"
    epoch: int = 0
    best_epoch: int = 0
    history: list[EpochRow] = field(default_factory=list)
    answers: list[EpochAnswers] | None = field(default_factory=list)
    views: int | None = None

    def note(self, row: EpochRow, answers: EpochAnswers | None) -> bool:
        """Add an epoch; tells whether it is the best: the first with the highest figure, then the lowest loss.

        One that nothing validated is. `answers` are None there, and where pictures may have several labels.
        """
        self.epoch = row.epoch
        best = next((known for known in self.history if known.epoch == self.best_epoch), None)
        self.history.append(row)
        if self.answers is not None and answers is not None:
            self.answers.append(answers)
        if best is not None and row.validated and self.rank(row) <= self.rank(best):
            return False
        self.best_epoch = row.epoch
        return True

    def rank(self, row: EpochRow) -> tuple[float, float]:
        """What an epoch is chosen by, greater for the better."""
        return rank(self.criterion, row.value(self.criterion), row.val_loss)


def fit(
    job: Job,
    run: Run,
    saved: Mapping[str, Any] | None = None,
    *,
    shared: SharedEmbeddings | None = None,
    until: int | None = None,
) -> FitState:
    """Train all epochs, or those that are left after `saved`, the training state of the run's last.pt.

    `shared` is what the frozen backbone sees for several runs. The run ends after epoch `until`, its rates being those
    of a run of all epochs. Without validation images the last epoch is the best.

    Raises:
        EdgeError: the loss is no longer a number, or on validation never was; the epochs before it are kept.
        OutputError: the run folder cannot be written; the last good checkpoint is kept.
    """
    settings, progress = job.settings, job.progress
    last = settings.epochs if until is None else min(until, settings.epochs)
    criterion: Criterion = "accuracy"
    why = ""
    if job.splits.val:
        criterion, why = job.targets.choose_criterion(settings.best_by, job.splits.train, job.splits.val)
    state = FitState(criterion)
    if saved:
        read_state(saved, state)
    if shared is not None:
        state.views = shared.views
    if state.views is None:
        # Memory bounds them: all processes must agree, and a run resumed with less of it must go on with the same.
        state.views = min(job.world.collect(choose_views(job)))
    steps = steps_an_epoch(job, state.views)
    learning = learning_of(job, steps)
    if saved:
        _restore(saved, learning)
        # A kill may have come between it and last.pt.
        if job.world.leads:
            write_metrics(run, state.history)
    elif why:
        progress.say(why)
    say_what_learns(job)
    job.listeners.start(ActiveRun(run, settings, job.card, state.epoch, steps * last))
    embeddings = _embed(job, state.views, shared) if state.epoch < last and state.views else None
    while state.epoch < last and not _is_patient_no_more(state, job):
        done, val = _run_epoch(job, run, learning, embeddings, state.epoch + 1, first_step=state.epoch * steps)
        # Unlike processors round unlike, and all must choose and stop alike.
        row = job.world.tell(_row(state, done, val))
        _require_numbers(run, state, row, validated=val is not None)
        learning.schedule.end_epoch(row.val_loss if val is not None else row.train.loss)
        kept = None
        if isinstance(val, SplitAnswers):
            kept = EpochAnswers.of(val, state.criterion, epochs=settings.epochs, whole=job.keeps_logits)
        best = state.note(row, kept)
        if job.world.leads:
            _keep(job, run, state, learning, best=best)
        progress.say(row.describe(settings.epochs, best=best, criterion=state.criterion))
        job.listeners.epoch(EpochEnd(state.epoch, best, learning.rate, row.figures(), state.rank(row)[0]))
        if any(job.world.collect(job.listeners.stopping)):
            break
    if state.epoch < last:
        progress.say(_why_stopped(job, run, state))
    # Whoever reads the checkpoints next must find them written.
    job.world.collect(None)
    return state


def steps_an_epoch(job: Job, views: int | None) -> int:
    """The steps that the optimiser takes in an epoch; `views` is how many of each image are embedded."""
    # The head learns from embeddings in each process alone.
    processes = 1 if views else job.world.size
    return count_batches(len(job.splits.train), job.settings.step_images, processes=processes)


def _embed(job: Job, views: int, shared: SharedEmbeddings | None) -> Embeddings:
    if shared is not None:
        return shared.of(job)
    seen = "" if views == 1 else f" in {views} views"
    job.progress.say(f"the frozen backbone sees each image once{seen}; the epochs train the head on what it saw")
    return embed(job, views)


def _why_stopped(job: Job, run: Run, state: FitState) -> str:
    if _is_patient_no_more(state, job):
        return f"stopped early: no better epoch in {job.settings.patience}"
    # A fold that has ended is not begun again: the others may have been trained by then.
    more = "" if job.keeps_logits else f"; go on with edge train --resume {run.path}"
    return f"stopped after epoch {state.epoch} of {job.settings.epochs}, as was asked for{more}"


def _row(state: FitState, done: EpochResult, val: Answers | None) -> EpochRow:
    if val is None:
        return EpochRow(state.epoch + 1, done, math.nan, math.nan)
    found = val.validated(state.criterion)
    return EpochRow(state.epoch + 1, done, found.loss, found.accuracy, found.balanced_accuracy, found.auroc, found.more)


def learning_of(job: Job, steps: int) -> Learning:
    """How the steps of a run are taken, so many an epoch."""
    settings = job.settings
    classes = len(job.card.labels)
    mixing = Mixing(mixup=settings.mixup, cutmix=settings.cutmix, classes=classes)
    distillation = Distillation(settings.teacher_weight, settings.teacher_temperature)
    objective = job.targets.objective(
        settings, job.splits.train, job.device, distillation if job.teacher is not None else None
    )
    groups = layer_groups(job.network, job.plan)
    if objective.parameters:
        groups.append(LayerGroup("loss", objective.parameters, LOSS_RATE))
    return Learning(
        job.network,
        make_optimizer(
            groups,
            settings.optimizer,
            lr_scale=settings.lr_scale,
            weight_decay=settings.weight_decay,
        ),
        Schedule(settings.schedule, steps * settings.epochs, round(steps * settings.warmup_epochs)),
        objective,
        clip_norm=settings.clip_norm,
        precision=job.precision,
        mixing=mixing if settings.mixup or settings.cutmix else None,
        average=MovingAverage(job.network, settings.ema) if settings.ema is not None else None,
        teacher=job.teacher,
        world=job.world,
        at_once=settings.batch_size if settings.accumulate > 1 else None,
        say=job.progress.say,
    )


def _run_epoch(
    job: Job, run: Run, learning: Learning, embeddings: Embeddings | None, epoch: int, *, first_step: int
) -> tuple[EpochResult, Answers | None]:
    """One epoch of learning, and what the network answers on validation after it, where there is any."""
    settings, progress = job.settings, job.progress
    # Dropout and mixing draw from torch's own generator; processes must not all drop the same.
    seeds = [settings.seed, epoch, *([job.world.rank] if job.world.rank else [])]
    torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
    freeze(job.network, job.plan, epoch)
    progress.begin(f"epoch {epoch}/{settings.epochs}", len(job.splits.train))
    try:
        if embeddings is not None:
            result = _train_head(job, learning, embeddings, epoch, first_step=first_step)
        else:
            result = _train_network(job, learning, epoch, first_step=first_step)
    except FloatingPointError as error:
        raise _diverged(run, epoch, str(error)) from error
    progress.end()
    if embeddings is not None:
        return result, embeddings.validate(job, learning.evaluated) if job.splits.val else None
    if job.strategy == "scratch":
        reestimate_batch_norm(job, learning.evaluated, epoch)
    if not job.splits.val:
        return result, None
    network = fold(learning.evaluated)
    return result, job.answers(job.splits.val, "validating", network=network, precision=job.precision)


def _require_numbers(run: Run, state: FitState, row: EpochRow, *, validated: bool) -> None:
    """Raise where no epoch has had a validation loss: the first that is kept would be the best, whatever it answers."""
    if validated and not any(math.isfinite(each.val_loss) for each in (*state.history, row)):
        raise _diverged(run, row.epoch, f"the validation loss became {row.val_loss}")


def _diverged(run: Run, epoch: int, what: str) -> EdgeError:
    kept = f"{run.path} keeps the epochs before it; " if epoch > 1 else ""
    return EdgeError(f"epoch {epoch}: {what}", f"{kept}try a smaller `lr_scale`")


def _train_network(job: Job, learning: Learning, epoch: int, *, first_step: int) -> EpochResult:
    world = job.world
    batches = epoch_batches(job, epoch)
    set_mode(job.network, job.plan, epoch)
    result = train_epoch(
        # Made anew for each epoch: what is frozen may change between two.
        world.parallel(fold_frozen(job.network), job.device),
        learning,
        batches,
        device=job.device,
        first_step=first_step,
        on_batch=lambda batch: _tell(job, batch, batch.images * world.size),
    )
    world.agree(learning.evaluated)
    return result


def epoch_batches(job: Job, epoch: int) -> Iterator[Batch]:
    """The images of an epoch in batches, augmented."""
    settings = job.settings
    return training_batches(
        job.store,
        job.splits.train,
        job.augment,
        batch_size=settings.step_images,
        seed=settings.seed,
        epoch=epoch,
        balanced=settings.class_balance == "sampler",
        world=job.world,
        truth=job.targets.array,
        size_px=epoch_size_px(settings.start_size, job.card.preprocessing.height_px, epoch, settings.epochs),
    )


def _train_head(job: Job, learning: Learning, embeddings: Embeddings, epoch: int, *, first_step: int) -> EpochResult:
    """Every process trains the same head on the same vectors: that costs less than to share the work."""
    alone = replace(learning, world=ALONE, precision="fp32")
    # Dropout must be the same everywhere, too.
    torch.manual_seed(int(np.random.SeedSequence([job.settings.seed, epoch]).generate_state(1)[0]))
    set_mode(job.network, job.plan, epoch)
    return train_epoch(
        Head(job.network, job.backbone).train(),
        alone,
        embeddings.batches(job, epoch),
        device=job.device,
        first_step=first_step,
        on_batch=lambda batch: _tell(job, batch, batch.images),
    )


def _tell(job: Job, batch: BatchEnd, images: int) -> None:
    job.progress.advance(images)
    job.listeners.batch(batch)


def _keep(job: Job, run: Run, state: FitState, learning: Learning, *, best: bool) -> None:
    # One that was stopped, and resumed, is not over any more.
    run.summary.unlink(missing_ok=True)
    if best:
        save_checkpoint(run.best, Checkpoint(job.card, learning.evaluated.state_dict(), state.epoch, {}))
    training = {
        "optimizer": learning.optimizer.state_dict(),
        "plateau": [learning.schedule.plateau, learning.schedule.lowest_loss, learning.schedule.stale_epochs],
        "best_epoch": state.best_epoch,
        "best_by": state.criterion,
        "history": [row.to_json() for row in state.history],
        "at_once": learning.at_once,
        "views": state.views,
    }
    if state.answers:
        training["answers"] = to_tensors(state.answers)
    if learning.average is not None:
        training["average"] = learning.average.state_dict()
    if learning.objective.parameters:
        training["loss"] = [parameter.detach().cpu() for parameter in learning.objective.parameters]
    save_checkpoint(run.last, Checkpoint(job.card, job.network.state_dict(), state.epoch, training))
    write_metrics(run, state.history)


def read_state(saved: Mapping[str, Any], state: FitState | None = None) -> FitState:
    """How far the run had come whose last.pt has the training state `saved`. Raises CheckpointError."""
    state = state or FitState()
    try:
        # Before `best_by` there was accuracy alone, and nothing was kept of the epochs' answers.
        state.best_epoch = saved["best_epoch"] if "best_epoch" in saved else saved["best"][0]
        state.criterion = saved.get("best_by", "accuracy")
        state.answers = from_tensors(saved["answers"]) if "answers" in saved else None
        state.history = [EpochRow.from_json(row) for row in saved["history"]]
        state.epoch = len(state.history)
        state.views = saved.get("views")
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _unusable(error) from error
    return state


def _restore(saved: Mapping[str, Any], learning: Learning) -> None:
    schedule = learning.schedule
    try:
        learning.optimizer.load_state_dict(saved["optimizer"])
        schedule.plateau, schedule.lowest_loss, schedule.stale_epochs = saved["plateau"]
        learning.at_once = saved.get("at_once")
        if learning.average is not None:
            learning.average.load_state_dict(saved["average"])
        with torch.no_grad():
            for parameter, kept in zip(learning.objective.parameters, saved.get("loss", ()), strict=True):
                parameter.copy_(kept)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> CheckpointError:
    return CheckpointError(f"last.pt lacks what a run is resumed with: {error}", "train again")


def _is_patient_no_more(state: FitState, job: Job) -> bool:
    settings = job.settings
    if settings.patience is None:
        return False
    # While pictures still grow, or layers still thaw, a run is not at its end.
    grown = 0 if settings.start_size is None else first_whole_epoch(settings.epochs) - 1
    thawed = job.plan.first_thawed_epoch(settings.epochs) - 1
    return state.epoch - max(state.best_epoch, grown, thawed) >= settings.patience
