"""Which model to take, on rows whose right answer is plain to see."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from bench_reports import make_report, make_row, noisy_timings
from edge_benchmarks import Limits, recommend
from edge_benchmarks.models.sourced_accuracy import SourcedAccuracy, recorded_accuracy
from edge_benchmarks.report.recommendation import comparable_rows, pareto_front
from edge_runtime import CROSS_VALIDATED, ModelCard, Preprocessing, Timings

SMALL = make_row("small", 2.0, accuracy=0.80, size_bytes=3_000_000)
MIDDLE = make_row("middle", 6.0, accuracy=0.90, size_bytes=12_000_000)
LARGE = make_row("large", 40.0, accuracy=0.95, size_bytes=90_000_000)
REPORT = make_report([LARGE, SMALL, MIDDLE])


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), "large"),
        # End to end takes twice as long as inference here.
        (Limits(latency_ms=20), "middle"),
        (Limits(latency_ms=20, size_bytes=5e6), "small"),
        (Limits(size_bytes=12e6), "middle"),
    ],
)
def test_the_most_accurate_that_keeps_the_limits(limits: Limits, expected: str) -> None:
    found = recommend(REPORT, limits)
    assert found.row is not None and found.row.model == expected
    assert "the most accurate of" in found.reasons[0]
    assert found.to_json()["take"]["model"] == expected


def test_the_reasons_name_what_the_limits_rule_out() -> None:
    found = recommend(REPORT, Limits(latency_ms=20))
    assert "the 2 of 3 that keep the limits" in found.reasons[0]
    assert "90.0% (measured, photos, val, n 1,000)" in found.reasons[0]
    assert any("large would reach 95.0%, but: p90 end to end" in reason for reason in found.reasons)


def test_where_none_keeps_the_limits_the_nearest_is_named() -> None:
    found = recommend(REPORT, Limits(latency_ms=2, size_bytes=2e6))
    assert found.row is None
    assert "none of 3 keeps the limits" in found.reasons[0]
    assert "small comes nearest" in found.reasons[0] and "3.0 MB, 2 MB allowed" in found.reasons[0]
    assert found.to_json()["take"] is None


def test_without_accuracy_the_fastest_is_taken_and_that_is_said() -> None:
    found = recommend(make_report([make_row("slow", 9.0), make_row("fast", 3.0)]), Limits())
    assert found.row is not None and found.row.model == "fast"
    assert any("`data`" in reason for reason in found.reasons)


def test_of_equally_accurate_ones_the_fastest() -> None:
    found = recommend(make_report([make_row("slow", 9.0, accuracy=0.9), make_row("fast", 3.0, accuracy=0.9)]), Limits())
    assert found.row is not None and found.row.model == "fast"


def test_a_faster_one_within_chance_is_mentioned() -> None:
    best, rival = make_row("best", 9.0, accuracy=0.905), make_row("rival", 3.0, accuracy=0.90)
    reasons = recommend(make_report([best, rival]), Limits()).reasons
    assert any("rival takes 33% of its time" in reason and "more images" in reason for reason in reasons)
    worse = make_row("rival", 3.0, accuracy=0.7)
    assert not any("rival" in reason for reason in recommend(make_report([best, worse]), Limits()).reasons)


def test_marked_figures_are_cautioned_against() -> None:
    noisy = make_row("noisy", latency=noisy_timings(5.0, spread=0.6), accuracy=0.9, throttled=("throttled",))
    (caution,) = [reason for reason in recommend(make_report([noisy]), Limits()).reasons if "marked" in reason]
    assert "throttled" in caution and "noisy" in caution


def test_accuracies_of_different_sources_are_not_compared() -> None:
    rows = [
        make_row("measured", 9.0, accuracy=0.7),
        replace(make_row("recorded", 3.0), accuracy=SourcedAccuracy(0.99, 10, "recorded", "photos, val")),
        replace(make_row("published", 3.0), accuracy=SourcedAccuracy(0.99, None, "published", "ImageNet")),
    ]
    assert [row.model for row in comparable_rows(rows)] == ["measured"]
    found = recommend(make_report(rows), Limits())
    assert found.row is not None and found.row.model == "measured"
    assert "2 that keep them have no accuracy to compare with" in found.reasons


def card_of(accuracy: float, part: str = "val", n: int = 100, **data: object) -> ModelCard:
    how = "split 80/10/10 by class with seed 0"
    steps = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
    told = {"name": "photos", "fingerprint": "f1", "split": how, "seed": 0, "limit": None, "group_by": "auto", **data}
    metrics = {part: {"accuracy": accuracy, "n": n}}
    return ModelCard(("a", "b"), steps, "resnet18", "scratch", metrics=metrics, data=told)


FOUND, CUT = "train/ and test/ as found", "10 % of train/ set aside as validation with seed {}; test/ as found"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (card_of(0.7), card_of(0.9), True),
        (card_of(0.7), card_of(0.9, fingerprint="f2"), False),
        (card_of(0.7), card_of(0.9, seed=1, split="split 80/10/10 by class with seed 1"), False),
        (card_of(0.7), card_of(0.9, group_by="none"), False),
        (card_of(0.7), card_of(0.9, limit=100), False),
        # What its members have in common is not what one of them has.
        (card_of(0.7), card_of(0.9, n=50), False),
        # What was found is the same for every seed.
        (card_of(0.7, "test", split=CUT.format(0)), card_of(0.9, "test", split=CUT.format(1), seed=1), True),
        (card_of(0.7, "val", split=CUT.format(0)), card_of(0.9, "val", split=CUT.format(1), seed=1), False),
        (card_of(0.7, "test", split=FOUND), card_of(0.9, "test", split=FOUND, seed=1, fingerprint="f2"), False),
        (card_of(0.7, CROSS_VALIDATED), card_of(0.9, CROSS_VALIDATED, seed=1), True),
    ],
)
def test_recorded_accuracies_are_compared_where_they_are_of_the_same_images(
    first: ModelCard, second: ModelCard, same: bool
) -> None:
    rows = [make_row(f"{n}.onnx", accuracy=0.5) for n in range(2)]
    cards = zip(rows, (first, second), strict=True)
    rows = [replace(row, accuracy=recorded_accuracy(card)) for row, card in cards]
    assert len({row.accuracy.where for row in rows if row.accuracy}) == 1
    assert len(comparable_rows(rows)) == (2 if same else 1)


def test_published_accuracy_is_not_that_of_the_users_images() -> None:
    published = replace(make_row("fresh"), accuracy=SourcedAccuracy(0.7, None, "published", "ImageNet"))
    assert any("ImageNet; on your images" in reason for reason in recommend(make_report([published]), Limits()).reasons)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(1, 100), st.floats(0, 1)), min_size=1, max_size=12))
def test_no_row_beats_one_on_the_pareto_front(points: list[tuple[float, float]]) -> None:
    rows = [make_row(str(i), accuracy=accuracy, end_to_end=Timings.of([ms])) for i, (ms, accuracy) in enumerate(points)]
    front = pareto_front(rows)

    def beats(one: int, two: int) -> bool:
        a, b = rows[one], rows[two]
        assert a.accuracy is not None and b.accuracy is not None
        return a.answer.p90_ms <= b.answer.p90_ms and a.accuracy.value > b.accuracy.value

    on_front = {int(row.model) for row in front}
    for index in range(len(rows)):
        beaten = any(beats(other, index) for other in range(len(rows)))
        assert not (beaten and index in on_front)
    assert [row.answer.p90_ms for row in front] == sorted(row.answer.p90_ms for row in front)
    best = max(points, key=lambda point: point[1])[1]
    assert front[-1].accuracy is not None and front[-1].accuracy.value == best
