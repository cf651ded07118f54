"""How much the loss depends on each number of a network, as its training images tell."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from edge_train.network.network import Network
from edge_train.run.batches import training_batches
from edge_train.run.job import Job
from edge_train.strategy.mixed_precision import training_in

IMAGES = 512
AT_ONCE = 32


def measure_sensitivity(job: Job, network: Network) -> dict[str, Tensor]:
    """How large each parameter's gradients are, by name: the root of their squares' sum over training batches.

    Their mean would be about nothing in a network that has learned. Leaves the network with its modes changed.
    """
    network.eval().take_gradients()
    objective = job.targets.objective(job.settings, job.splits.train, job.device)
    count = min(len(job.splits.train), IMAGES)
    size = min(AT_ONCE, job.settings.batch_size)
    squares = {name: torch.zeros_like(parameter) for name, parameter in network.named_parameters()}
    job.progress.begin("weighing channels", count)
    batches = training_batches(
        job.store,
        job.splits.train,
        job.augment,
        batch_size=size,
        seed=job.settings.seed,
        epoch=0,
        truth=job.targets.array,
    )
    for images, targets in itertools.islice(batches, -(-count // size)):
        truth = targets.to(job.device)
        with training_in(job.device, job.precision):
            logits = network(images.to(job.device)).float()
        loss = objective(logits, truth, weight=objective.weight(truth), images=len(truth))
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in network.named_parameters():
            if parameter.grad is not None:
                squares[name] += parameter.grad**2
        network.zero_grad(set_to_none=True)
        job.progress.advance(len(images))
    job.progress.end()
    return {name: square.sqrt() for name, square in squares.items()}
