"""Feature extraction as it can be: the frozen backbone sees each image once, and the head learns from what it saw.

The backbone's output in front of the head, the embedding, does not change while the backbone is frozen. It is
computed once for every image, or for a few augmented views of it, in the fastest precision the machine has; the
epochs then train the head alone, on vectors, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_data import find_augmentation
from edge_train.network.backbones import Backbone
from edge_train.network.fold_batch_norm import fold_body
from edge_train.network.held_values import copied
from edge_train.network.network import Network
from edge_train.run.batches import Batch, epoch_order, evaluation_batches, view_batches
from edge_train.run.job import Job
from edge_train.run.kept_embeddings import body_sha256, keep
from edge_train.run.split_answers import answer_logits
from edge_train.strategy.distillation import Teacher
from edge_train.strategy.mixed_precision import autocast
from edge_train.strategy.plan import head_dropout
from edge_train.targets.target_kind import Answers

# Up to so many embeddings the views of a run are as many as its epochs.
CHEAP_EMBEDDINGS = 5000


class Head(nn.Module):
    """The head alone: embeddings float32 `[N, D]` to logits float32 `[N, classes]`.

    It is the network's own head, and `dropout` the probability that the architecture has in front of it.
    """

    def __init__(self, network: Network, backbone: Backbone) -> None:
        super().__init__()
        self.layer = network.backbone.get_submodule(backbone.head)
        own = head_dropout(network, backbone)
        self.dropout = own.p if own is not None else 0.0

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits of embeddings."""
        logits: Tensor = self.layer(functional.dropout(embeddings, self.dropout, self.training))
        return logits.float()


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """The embeddings of a run's training images, float32 `[views, N, D]`, and of its validation images, `[M, D]`.

    The first view is the image as it is evaluated; the others are augmented. `teacher` are a teacher's logits of
    the training views, `[views, N, classes]`. `rows` says which of the images in `train` train, in the order of the
    run's own; None for all.
    """

    train: Tensor
    val: Tensor
    teacher: Tensor | None = None
    rows: Tensor | None = None

    def batches(self, job: Job, epoch: int) -> Iterator[Batch]:
        """One epoch, in the order that pixels would have; each image shows another view than the epoch before."""
        samples = job.splits.train
        order, cuts = epoch_order(
            samples,
            batch_size=job.settings.step_images,
            seed=job.settings.seed,
            epoch=epoch,
            balanced=job.settings.class_balance == "sampler",
        )
        labels = torch.from_numpy(job.targets.array(samples))
        for cut in cuts:
            index = torch.from_numpy(order[cut])
            view = (index + epoch - 1) % len(self.train)
            row = index if self.rows is None else self.rows[index]
            batch = (self.train[view, row], labels[index])
            yield batch if self.teacher is None else (*batch, self.teacher[view, row])

    def validate(self, job: Job, network: Network) -> Answers:
        """What the network's head answers on the validation images."""
        pieces = ((piece,) for piece in torch.split(self.val, 4096))
        logits = answer_logits(Head(network, job.backbone), pieces, device=job.device)
        return job.targets.answers(job.splits.val, logits)


class SharedEmbeddings:
    """What several runs need whose images are all in a job's `splits.train`, made when it is first asked for."""

    def __init__(self, job: Job, views: int) -> None:
        self.views = views
        self._job = job
        self._made: Embeddings | None = None
        self._places = {sample.path: place for place, sample in enumerate(job.splits.train)}

    def of(self, job: Job) -> Embeddings:
        """Those of a run whose images are among these."""
        if self._made is None:
            seen = "" if self.views == 1 else f" in {self.views} views"
            job.progress.say(f"the frozen backbone sees each image once{seen}, for all folds")
            self._made = embed(self._job, self.views)
        rows, val = (
            torch.tensor([self._places[sample.path] for sample in part], dtype=torch.int64)
            for part in (job.splits.train, job.splits.val)
        )
        return replace(self._made, rows=rows, val=self._made.train[0, val])


def choose_views(job: Job) -> int:
    """How many views of each training image to embed; 0 where the images must go through the network every epoch."""
    settings = job.settings
    if job.backbone.attention is not None:
        # It learns, and changes what a frozen layer after it is given.
        return 0
    head = job.network.backbone.get_submodule(job.backbone.head)
    linear = [module for module in head.modules() if isinstance(module, nn.Linear)]
    if job.strategy != "feature-extraction" or settings.mixup or settings.cutmix or not linear:
        return 0
    # Those of the table do nothing after their heads.
    if job.backbone.maker is not None and not _head_is_last(job):
        job.progress.say(
            f"{job.backbone.name} does more after its head {job.backbone.head}: "
            "each epoch shows the images to the whole network"
        )
        return 0
    images = len(job.splits.train)
    views = settings.views or max(1, min(settings.epochs, CHEAP_EMBEDDINGS // images))
    if settings.augment == "none":
        views = 1
    row_bytes = 4 * (linear[0].in_features + (len(job.card.labels) if job.teacher is not None else 0))
    # Embeddings may take as much memory as decoded images do.
    room = job.store.bound_bytes // row_bytes - len(job.splits.val)
    return max(0, min(views, room // images))


def _head_is_last(job: Job) -> bool:
    """Whether the network's logits are what its head makes of the embedding, and nothing besides."""
    steps = job.card.preprocessing
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, steps.height_px, steps.width_px, 3), dtype=torch.uint8, generator=draw)
    network = copied(job.network).eval()
    head = network.backbone.get_submodule(job.backbone.head)
    with torch.no_grad():
        # A head that begins with zeros would answer zeros whatever comes after it.
        for tensor in head.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=draw))
        logits = network(images.to(job.device))
        network.backbone.set_submodule(job.backbone.head, nn.Identity())
        try:
            ours = head(network(images.to(job.device)))
        except Exception:  # what a forward of anyone's does with what its head has not is its own
            return False
    return ours.shape == logits.shape and bool((ours - logits).abs().max() <= 1e-3 * logits.abs().max())


def embed(job: Job, views: int) -> Embeddings:
    """Run the frozen backbone once over `views` views of every training image, and once over validation."""
    job.progress.begin("embedding images", views * len(job.splits.train) + len(job.splits.val))
    batch_size = max(64, job.settings.batch_size)
    body = fold_body(job.network, job.backbone)
    validation = evaluation_batches(job.store, job.world.shard(job.splits.val), batch_size=batch_size)

    def see(view: int) -> Iterator[Batch]:
        augment = job.augment if view else find_augmentation("none")
        return view_batches(
            job.store,
            job.splits.train,
            augment,
            batch_size=batch_size,
            seed=job.settings.seed,
            view=view,
            world=job.world,
        )

    if job.part.embeddings is not None and job.teacher is None and job.world.size == 1:
        return _kept(job, body, views, see, validation)
    found = [_embed(job, body, see(view), job.teacher) for view in range(views)]
    val = torch.empty(0)
    if job.splits.val:
        val, _ = _embed(job, body, validation, None)
    job.progress.end()
    teacher = torch.stack([logits for _, logits in found]) if job.teacher is not None else None
    return Embeddings(torch.stack([vectors for vectors, _ in found]), val, teacher)


def _kept(
    job: Job, body: Network, views: int, see: Callable[[int], Iterator[Batch]], validation: Iterator[Batch]
) -> Embeddings:
    """The same of a run that shares them with others."""
    sha256 = body_sha256(job, body)
    settings, train, val = job.settings, job.splits.train, job.splits.val

    def embed_view(view: int) -> Tensor:
        return _embed(job, body, see(view), None)[0]

    found, made = [], 0
    for view in range(views):
        # The first is the image as it is, whatever the augmentation.
        key = ["train", *((view, settings.augment, settings.seed) if view else (0,))]
        vectors, new = keep(job, sha256, train, key, partial(embed_view, view))
        found.append(vectors)
        made += new
    validated = torch.empty(0)
    if val:
        validated, new = keep(job, sha256, val, ["val"], lambda: _embed(job, body, validation, None)[0])
        made += new
    job.progress.end()
    if not made:
        job.progress.say("what it saw was kept by an earlier run of the sweep")
    return Embeddings(torch.stack(found), validated)


def _embed(job: Job, body: Network, batches: Iterable[Batch], teacher: Teacher | None) -> tuple[Tensor, Tensor]:
    """The embeddings `[N, D]` of all processes' batches, and a teacher's logits `[N, classes]` (else nothing)."""
    seen, taught = [], []

    def see(images: Tensor) -> Tensor:
        with autocast(job.device, job.precision):
            vectors: Tensor = body(images.to(job.device))
        return vectors.cpu()

    # Not inference mode: a head could not learn from its tensors.
    with torch.no_grad():
        for images, *_ in batches:
            seen.append(job.portions.answer(see, images))
            if teacher is not None:
                taught.append(teacher.logits(images.to(job.device)).cpu())
            job.progress.advance(len(images) * job.world.size)
    return job.world.unshard(seen), job.world.unshard(taught)
