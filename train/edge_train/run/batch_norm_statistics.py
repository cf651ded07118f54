"""Batch norm's statistics, taken anew of weights that no longer move."""

from __future__ import annotations

import itertools

import torch

from edge_train.network.device_memory import free_cached_memory, is_out_of_memory
from edge_train.network.network import Network
from edge_train.run.batches import even_size, training_batches
from edge_train.run.job import Job
from edge_train.strategy.mixed_precision import autocast
from edge_train.strategy.plan import BATCH_NORM

# An eighth of the images: of few, as many as batch norm's statistics need; of many, no more than say anything new.
BATCH_NORM_SHARE, LEAST_BATCH_NORM_IMAGES, BATCH_NORM_IMAGES = 8, 256, 1024
AT_ONCE = 64


def reestimate_batch_norm(job: Job, network: Network, epoch: int) -> None:
    """Take batch norm's statistics anew over some training images, 1,024 at most (PreciseBN, Wu and Johnson 2021).

    Its running averages lag behind weights that move fast: after a few hundred steps from random weights,
    MobileNetV3 (momentum 0.01) validates at chance with them, and well without. Where memory does not suffice they are
    of smaller batches, two images at least.
    """
    there = len(job.splits.train)
    count = min(there, BATCH_NORM_IMAGES, max(there // BATCH_NORM_SHARE, LEAST_BATCH_NORM_IMAGES))
    # Every batch weighs the same, however small. Each epoch begins with large ones: a run that is resumed does so too.
    even = even_size(count, AT_ONCE)
    while not _could(job, network, epoch, count, even):
        free_cached_memory()
        even = even_size(count, -(-even // 2))


def _could(job: Job, network: Network, epoch: int, count: int, even: int) -> bool:
    """Take them of `count` images, `even` at once; tells whether memory sufficed."""
    batches = training_batches(
        job.store, job.splits.train, job.augment, batch_size=even, seed=job.settings.seed, epoch=epoch
    )
    some = itertools.islice((images for images, _ in batches), -(-count // even))
    training = network.training
    momenta = [(module, module.momentum) for module in network.modules() if isinstance(module, BATCH_NORM)]
    try:
        with autocast(job.device, job.precision):
            torch.optim.swa_utils.update_bn(some, network, device=job.device)
    except RuntimeError as error:
        if not is_out_of_memory(error) or even <= 2:
            raise
        # What torch leaves as it is while it looks at images.
        network.train(training)
        for module, momentum in momenta:
            module.momentum = momentum
        return False
    return True
