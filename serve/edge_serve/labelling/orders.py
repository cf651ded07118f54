"""Which pictures to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_runtime import UsageError
from edge_serve.labelling.label_session import Figures
from edge_serve.labelling.label_settings import OrderChoice

Order: TypeAlias = Literal["uncertain", "valuable", "mistakes", "random", "file"]

# Nobody labels more before the next model is trained; each costs a pass over all embeddings.
_MOST_VALUABLE = 500
_SEED = 0


def uncertainty(figures: Sequence[Figures]) -> list[float] | None:
    """How little the model was sure of each row, -inf where nothing is said; None where nothing is said of any.

    By margin (1 - it), else by entropy, else by probability (1 - it): the first of them that is there (Settles 2009,
    Active Learning Literature Survey, section 3.1).
    """
    for values in (
        [None if each.margin is None else 1 - each.margin for each in figures],
        [each.entropy for each in figures],
        [None if each.probability is None else 1 - each.probability for each in figures],
    ):
        if any(value is not None for value in values):
            return [float("-inf") if value is None else value for value in values]
    return None


def order_rows(
    figures: Sequence[Figures],
    labels: Sequence[str],
    ranks: Sequence[str],
    valuable: Sequence[int] | None = None,
) -> Mapping[Order, list[int]]:
    """Every order that can be had, as row numbers, the file's own last.

    - uncertain: least certain first.
    - valuable: as `most_valuable` says, where that is given; what it leaves out follows, least certain first.
    - mistakes: where the answer is not the label, the surest first, or by `ranks` where the file has them.
    """
    rows = list(range(len(figures)))
    orders: dict[Order, list[int]] = {}
    unsure = uncertainty(figures)
    if any(each.label_probability is not None for each in figures):
        wrong = [row for row in rows if figures[row].answer and figures[row].answer != labels[row]]
        numbers = [_rank(rank) for rank in ranks]
        wrong.sort(key=lambda row: (numbers[row], -(figures[row].probability or 0)))
        there = set(wrong)
        orders["mistakes"] = wrong + [row for row in rows if row not in there]
    if unsure is not None:
        orders["uncertain"] = sorted(rows, key=lambda row: -unsure[row])
    if valuable is not None:
        chosen = set(valuable)
        orders["valuable"] = [*valuable, *(row for row in orders.get("uncertain", rows) if row not in chosen)]
    orders["file"] = rows
    return orders


def with_random(orders: Mapping[Order, list[int]], *, folder: bool) -> Mapping[Order, list[int]]:
    """The orders and a random one, the same every time; before the file's own where it is a folder's.

    A folder lists what was taken together side by side: its first twenty may well be of one class.
    """
    rows = np.random.default_rng(_SEED).permutation(len(orders["file"])).tolist()
    said: dict[Order, list[int]] = {name: order for name, order in orders.items() if name != "file"}
    return {**said, "random": rows, "file": orders["file"]} if folder else {**orders, "random": rows}


def choose_order(choice: OrderChoice, orders: Mapping[Order, list[int]]) -> Order:
    """The order asked for; with "auto" the first: mistakes, else uncertain, else a folder's at random, else the file's.

    Raises UsageError where the file does not say what the order goes by.
    """
    if choice == "auto":
        return next(iter(orders))
    if choice not in orders:
        needs = "label_probability" if choice == "mistakes" else "margin, entropy or probability"
        raise UsageError(
            f"`order` {choice} needs a column {needs}, which the file lacks",
            "edge evaluate --mistakes writes it" if choice == "mistakes" else "edge predict --out writes them",
        )
    return choice


def most_valuable(
    probabilities: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    rows: Sequence[int],
    count: int = _MOST_VALUABLE,
) -> list[int]:
    """Those of `rows` to label first, at most `count`: uncertain ones, and unlike each other.

    BADGE (Ash et al. 2020, Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds): k-means++ on the
    gradient of the last layer were the answer right, (p - onehot(answer)) ⊗ embedding, whose length is small where the
    model is sure. Unlike there, zero is the first centre, so that none is spent on those. The product is never formed:
    the inner product of two is that of the answers' parts times that of the embeddings.

    `probabilities` [N, classes] and `embeddings` [N, D] belong to the N rows.
    """
    parts = probabilities.copy()
    parts[np.arange(len(parts)), parts.argmax(axis=1)] -= 1
    lengths = np.sum(parts**2, axis=1) * np.sum(embeddings**2, axis=1)
    generator = np.random.default_rng(_SEED)
    chosen: list[int] = []
    distances = lengths.astype(np.float64)
    for _ in range(min(count, len(rows))):
        total = float(distances.sum())
        if not total > 0:
            break
        # The first is the longest, as in the authors' code; the next are drawn by their squared distance.
        pick = int(generator.choice(len(rows), p=distances / total)) if chosen else int(distances.argmax())
        chosen.append(pick)
        inner = (parts @ parts[pick]) * (embeddings @ embeddings[pick])
        apart = np.maximum(lengths + lengths[pick] - 2 * inner, 0)
        # Rounding leaves a little between what is the same.
        apart[apart < 1e-6 * (lengths + lengths[pick])] = 0
        apart[pick] = 0
        distances = np.minimum(distances, apart)
    return [rows[pick] for pick in chosen]


def _rank(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
