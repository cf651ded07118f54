"""Which score tells pictures of no known class from those of the known ones: published methods, on folders of yours.

    python benchmarks/self_checks/unlike.py --data photos --weights FILE --hold-out each --unknown other
    python benchmarks/self_checks/unlike.py --run RUN --unknown other --unknown third

With --data the pretrained backbone stays frozen and sees each picture once; for each --hold-out (classes with commas
between, or each) a head is trained on 60 % of the other classes' pictures and 40 % are the known ones. With --run it is
the run's own network, fine-tuned or not, its training images and those it held out. Every folder below --unknown is
unknown to all of them. The table gives AUROC (1 where every unknown picture scores beyond every known one, 0.5 by
chance) with a 95 % bootstrap interval over pictures, and the share of unknown pictures that pass where 95 % of the
known ones do. `nearest centre` is what edge export --with-unlike stores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from edge_benchmarks import Table, choose_backbones
from edge_data import read_split
from edge_export import count_centres, distances_to, find_centres, unit_vectors
from edge_runtime import Preprocessing, Sample, UsageError, auroc, find_all_images, find_run, read_batches, scan
from edge_train import Network, build, find_backbone, load_checkpoint, load_pretrained, parse_weights, preset
from shared import at_least_1, check, flags, say

Vectors: TypeAlias = "NDArray[np.float64]"
Score: TypeAlias = "Callable[[Vectors, Vectors], Vectors]"
"""Of embeddings `[N, D]` and logits `[N, classes]` how unknown each is, `[N]`: larger is further from what is known."""

COLUMNS = ("unknown", "method", "AUROC", "95 % interval", "pass at 95 %", "known", "unknown")
RESAMPLES = 300
KNOWN_PASS = 0.95
TRAINING_SHARE = 0.6


def main() -> int:
    """Measure and print; 1 where something failed."""
    parser = flags("scores that tell unknown pictures from known ones")
    parser.add_argument("--data", type=Path, help="known pictures, in a folder for each class")
    parser.add_argument("--run", help="a run, in place of --data")
    parser.add_argument("--backbone", default="mobilenet_v2", help="with --data (default: %(default)s)")
    parser.add_argument("--weights", default="default", help="pretrained, with --data (default: %(default)s)")
    parser.add_argument("--hold-out", action="append", default=[], help="CLASS[,CLASS…] of --data, or each")
    parser.add_argument("--unknown", type=Path, action="append", default=[], help="a folder of unknown pictures")
    parser.add_argument("--limit", type=at_least_1, default=200, help="pictures a class or unknown folder (200)")
    given = parser.parse_args()

    def measure(_: Path) -> bool:
        if (given.data is None) == (given.run is None):
            raise UsageError("one of --data and --run is needed", "--data photos --weights FILE")
        cases = of_run(given) if given.data is None else of_folder(given)
        rows = [row for case in cases for row in _rows(case)]
        say(Table(COLUMNS, tuple(rows), left=2).text())
        return True

    return check(given, measure)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a network made of pictures: embeddings `[N, D]` and logits `[N, classes]`."""

    embeddings: Vectors
    logits: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Pictures to learn from with their classes `[N]`, held-out known ones, and unknown ones under a name."""

    name: str
    training: Seen
    truth: NDArray[np.int64]
    known: Seen
    unknown: Seen


class Eyes:
    """A network that gives what enters its head, and its logits."""

    def __init__(self, network: Network, head: str, preprocessing: Preprocessing) -> None:
        self._network = network.eval()
        self._head, self._preprocessing = network.backbone.get_submodule(head), preprocessing

    def see(self, root: Path, samples: Sequence[Sample]) -> tuple[Seen, NDArray[np.int64]]:
        """What the network makes of the pictures that can be read, and their labels `[N]`."""
        entered: list[torch.Tensor] = []
        logits, labels = [], []
        hook = self._head.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
        with torch.inference_mode():
            for batch in read_batches(self._preprocessing, root, samples):
                if len(batch.samples):
                    logits.append(self._network(torch.from_numpy(batch.pixels)).double().numpy())
                    labels.append(batch.truth)
        hook.remove()
        features = torch.cat(entered).double()
        features = features.mean((2, 3)) if features.ndim == 4 else features.flatten(1)
        return Seen(features.numpy(), np.concatenate(logits)), np.concatenate(labels)

    def see_unknown(self, folder: Path, limit: int) -> Seen:
        """The same of at most `limit` pictures below a folder, whatever their classes."""
        paths = sorted(find_all_images([folder]))
        draw = np.random.default_rng(0).permutation(len(paths))[:limit]
        return self.see(folder, [Sample(str(paths[at].relative_to(folder)), 0) for at in draw])[0]


def of_run(given: argparse.Namespace) -> Iterator[Case]:
    """A case for each unknown folder, of a run's network and split."""
    if not given.unknown:
        raise UsageError("--run has nothing to compare with", "name a folder with --unknown")
    run = find_run(given.run)
    checkpoint = load_checkpoint(run.best)
    card, root = checkpoint.card, Path(str(run.read_config()["data_root"]))
    eyes = Eyes(checkpoint.build(), find_backbone(card.backbone).head, card.preprocessing)
    split = read_split(run.split, card.labels)
    training, truth = eyes.see(root, split.train)
    known, _ = eyes.see(root, split.test or split.val)
    for folder in given.unknown:
        yield Case(folder.name, training, truth, known, eyes.see_unknown(folder, given.limit))


def of_folder(given: argparse.Namespace) -> Iterator[Case]:
    """A case for each hold-out and each unknown folder, of the frozen backbone and a head trained for the case."""
    (backbone,) = choose_backbones(given.backbone)
    preprocessing, mean, std = preset(backbone)
    network = Network(build(backbone, classes=2), mean, std)
    load_pretrained(network.backbone, backbone, parse_weights(given.weights))
    eyes, found = Eyes(network, backbone.head, preprocessing), scan(given.data)
    everything = [sample for samples in found.splits.values() for sample in samples]
    seen, labels = eyes.see(Path(found.root), _limited(everything, given.limit))
    labels_of = {name: place for place, name in enumerate(found.labels)}
    asked = list(found.labels) if given.hold_out == ["each"] else given.hold_out
    if missing := {name for group in asked for name in group.split(",")} - labels_of.keys():
        raise UsageError(f"--hold-out: there is no class {sorted(missing)[0]}", ", ".join(found.labels))
    for group in asked:
        out = np.isin(labels, [labels_of[name] for name in group.split(",")])
        unknown = seen.embeddings[out]
        yield _headed(f"{given.data.name}: {group}", seen.embeddings[~out], labels[~out], unknown)
    for folder in given.unknown:
        unknown = eyes.see_unknown(folder, given.limit).embeddings
        yield _headed(f"{given.data.name} | {folder.name}", seen.embeddings, labels, unknown)


def _limited(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """At most `limit` pictures of each class, drawn from a fixed seed."""
    draw, by_label = np.random.default_rng(0), {}  # type: tuple[np.random.Generator, dict[int, list[Sample]]]
    for sample in samples:
        by_label.setdefault(sample.label, []).append(sample)
    return [group[at] for group in by_label.values() for at in draw.permutation(len(group))[:limit]]


def _headed(name: str, embeddings: Vectors, labels: NDArray[np.int64], unknown: Vectors) -> Case:
    """A case whose head is trained on a part of the known pictures, as edge trains one: AdamW, dropout, 30 epochs."""
    _, truth = np.unique(labels, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(truth))
    training, known = np.split(order, [int(TRAINING_SHARE * len(order))])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs, targets = torch.from_numpy(embeddings[training]).float(), torch.from_numpy(truth[training])
        head = torch.nn.Linear(inputs.shape[1], int(truth.max()) + 1)
        optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=1e-2)
        for _ in range(30):
            for batch in torch.randperm(len(inputs)).split(32):
                optimizer.zero_grad()
                functional.cross_entropy(head(functional.dropout(inputs[batch], 0.2)), targets[batch]).backward()
                optimizer.step()

    def seen(rows: Vectors) -> Seen:
        with torch.inference_mode():
            return Seen(rows, head(torch.from_numpy(rows).float()).double().numpy())

    return Case(name, seen(embeddings[training]), truth[training], seen(embeddings[known]), seen(unknown))


def scores(training: Seen, truth: NDArray[np.int64]) -> dict[str, Score]:
    """The methods, by name, each fitted to the training pictures where it needs any."""
    units = unit_vectors(training.embeddings)
    centres = find_centres(training.embeddings, count_centres(int(truth.max()) + 1))
    spread, spread_of_units = mahalanobis(training.embeddings, truth), mahalanobis(units, truth)
    return {
        "max softmax": lambda _, logits: -np.exp(logits.max(1) - log_sum_exp(logits)),
        "max logit": lambda _, logits: -logits.max(1),
        "energy": lambda _, logits: -log_sum_exp(logits),
        "feature norm": lambda rows, _: -np.linalg.norm(rows, axis=1),
        "Mahalanobis": lambda rows, _: spread(rows),
        "Mahalanobis, unit length": lambda rows, _: spread_of_units(unit_vectors(rows)),
        "kNN, k = 1": lambda rows, _: neighbour(units, rows, 1),
        "kNN, k = 10": lambda rows, _: neighbour(units, rows, 10),
        "nearest centre": lambda rows, _: distances_to(centres, rows),
    }


def log_sum_exp(logits: Vectors) -> Vectors:
    """Minus the free energy of Liu et al. 2020, "Energy-based Out-of-distribution Detection", at temperature 1."""
    most = logits.max(axis=1)
    total: Vectors = most + np.log(np.exp(logits - most[:, np.newaxis]).sum(axis=1))
    return total


def neighbour(units: Vectors, rows: Vectors, k: int) -> Vectors:
    """The squared distance to the k-th nearest of `units` (Sun et al. 2022, section 3)."""
    squared: Vectors = np.sort(2 - 2 * unit_vectors(rows) @ units.T, axis=1)[:, min(k, len(units)) - 1]
    return squared


def mahalanobis(rows: Vectors, truth: NDArray[np.int64]) -> Callable[[Vectors], Vectors]:
    """The distance to the nearest class mean by a covariance that the classes share (Lee et al. 2018, section 2.1).

    It is shrunk towards a multiple of the identity (Ledoit and Wolf 2004), as there are fewer pictures than numbers.
    """
    means = np.stack([rows[truth == label].mean(axis=0) for label in np.unique(truth)])
    apart = rows - means[truth]
    n, size = apart.shape
    covariance = apart.T @ apart / n
    middle, total = np.trace(covariance) / size, float((covariance**2).sum())
    noise = (float(((apart**2).sum(axis=1) ** 2).mean()) - total) / (n * size)
    shrinkage = min(1.0, noise / (total / size - middle**2))
    precision = np.linalg.inv((1 - shrinkage) * covariance + shrinkage * middle * np.eye(size))

    def distance(found: Vectors) -> Vectors:
        nearest: Vectors = np.min(
            [(((found - mean) @ precision) * (found - mean)).sum(axis=1) for mean in means], axis=0
        )
        return nearest

    return distance


def _rows(case: Case) -> Iterator[tuple[str, ...]]:
    for name, score in scores(case.training, case.truth).items():
        known, unknown = (score(each.embeddings, each.logits) for each in (case.known, case.unknown))
        low, high = _interval(known, unknown)
        passing = float((unknown <= np.quantile(known, KNOWN_PASS)).mean())
        area = f"{_area(known, unknown):.3f}"
        counts = (str(len(known)), str(len(unknown)))
        yield case.name, name, area, f"{low:.3f} to {high:.3f}", f"{passing:.0%}", *counts


def _area(known: Vectors, unknown: Vectors) -> float:
    positive = np.repeat([False, True], [len(known), len(unknown)])
    return auroc(positive, np.concatenate([known, unknown])) or 0.0


def _interval(known: Vectors, unknown: Vectors) -> tuple[float, float]:
    draw = np.random.default_rng(0)
    areas = [_area(draw.choice(known, len(known)), draw.choice(unknown, len(unknown))) for _ in range(RESAMPLES)]
    low, high = np.quantile(areas, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    sys.exit(main())
