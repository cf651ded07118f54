"""What comes first."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime import UsageError
from edge_serve.labelling.label_session import Figures
from edge_serve.labelling.orders import choose_order, most_valuable, order_rows, uncertainty, with_random


def test_the_least_certain_is_first_and_what_nothing_is_said_of_last() -> None:
    figures = [Figures("a", 0.9, 0.8), Figures(), Figures("a", 0.5, 0.1), Figures("b", 0.6, 0.2)]
    assert order_rows(figures, [""] * 4, [""] * 4) == {"uncertain": [2, 3, 0, 1], "file": [0, 1, 2, 3]}
    # By entropy where there is no margin, by probability where there is neither.
    assert uncertainty([Figures("a", 0.9, None, 0.3), Figures("a", 0.5, None, 0.7)]) == [0.3, 0.7]
    assert uncertainty([Figures("a", 0.75)]) == [0.25]
    assert uncertainty([Figures("a")]) is None


def test_the_surest_mistake_is_first_or_the_files_own_rank() -> None:
    figures = [
        Figures("a", 0.7, label_probability=0.2),
        Figures("a", 0.99, label_probability=0.9),
        Figures("b", 0.9, label_probability=0.1),
    ]
    labels = ["b", "a", "a"]
    orders = order_rows(figures, labels, [""] * 3)
    assert orders["mistakes"] == [2, 0, 1] and choose_order("auto", orders) == "mistakes"
    assert order_rows(figures, labels, ["1", "3", "2"])["mistakes"] == [0, 2, 1]


def test_an_order_the_file_does_not_allow_is_told() -> None:
    orders = order_rows([Figures()], [""], [""])
    assert choose_order("auto", orders) == "file"
    with pytest.raises(UsageError, match="label_probability"):
        choose_order("mistakes", orders)
    with pytest.raises(UsageError, match="margin"):
        choose_order("uncertain", orders)


def test_the_most_valuable_are_uncertain_and_unlike_each_other() -> None:
    # Ten uncertain pictures that are alike, one uncertain one of another kind, and twenty that the model is sure of.
    embeddings = np.zeros((31, 8), np.float32)
    embeddings[:10, 0] = 10
    embeddings[10, 1] = 10
    embeddings[11:, 2:] = np.random.default_rng(0).normal(size=(20, 6))
    probabilities = np.full((31, 2), 0.5, np.float32)
    probabilities[11:] = (0.999, 0.001)
    rows = [100 + row for row in range(31)]
    chosen = most_valuable(probabilities, embeddings, rows)
    assert chosen[0] == 100 and chosen[1] == 110
    # Copies of what is chosen bring nothing: they wait for the rest.
    assert not set(chosen) & {101, 102, 103, 104, 105, 106, 107, 108, 109}
    assert chosen == most_valuable(probabilities, embeddings, rows) and len(set(chosen)) == len(chosen)
    orders = order_rows([Figures("a", 0.5, 0.0)] * 31, [""] * 31, [""] * 31, [row - 100 for row in chosen])
    assert sorted(orders["valuable"]) == list(range(31))
    assert most_valuable(probabilities[:0], embeddings[:0], []) == []


def test_a_folder_is_begun_at_random_and_a_table_as_it_stands() -> None:
    plain = order_rows([Figures()] * 40, [""] * 40, [""] * 40)
    orders = with_random(plain, folder=True)
    assert choose_order("auto", orders) == "random" and orders["file"] == list(range(40))
    assert sorted(orders["random"]) == orders["file"] and max(orders["random"][:20]) >= 20
    assert orders == with_random(plain, folder=True)
    assert choose_order("auto", with_random(plain, folder=False)) == "file"
    told = order_rows([Figures("a", 0.9, 0.8)], [""], [""])
    assert choose_order("auto", with_random(told, folder=True)) == "uncertain"
