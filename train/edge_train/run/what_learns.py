"""How much of a network learns in a run, and what is said of the rest."""

from __future__ import annotations

from edge_train.run.job import Job


def count_parameters(job: Job, epochs: int) -> tuple[int, int]:
    """How many parameters learn in one of the first `epochs` epochs of the run, and how many there are."""
    network, plan = job.network, job.plan
    # What has thawed once learns to the end.
    trained = sum(
        parameter.numel()
        for name, parameter in network.backbone.named_parameters()
        if name not in network.fixed and plan.learns(name, epochs)
    )
    return trained, sum(parameter.numel() for parameter in network.parameters())


def say_what_learns(job: Job) -> None:
    """Tell a person before the first epoch."""
    network, epochs = job.network, job.settings.epochs
    trained, total = count_parameters(job, epochs)
    job.progress.say(
        f"training {trained:,} of {total:,} parameters ({trained / total:.1%}) on {job.device} in {job.precision}"
    )
    if network.fixed:
        fixed = sum(own.numel() for name, own in network.backbone.named_parameters() if name in network.fixed)
        job.progress.say(
            f"note: {fixed:,} parameters stay as they are: {job.backbone.name} has requires_grad_(False) on them"
        )
    if frozen := [stage for stage in job.plan.stages if stage not in job.plan.trained(epochs)]:
        job.progress.say(f"note: {', '.join(frozen)} never {'thaw' if len(frozen) > 1 else 'thaws'} in {epochs} epochs")
