"""Temperature scaling finds the temperature that made the logits, and never changes an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_runtime import Sample  # noqa: E402
from edge_train.run.split_answers import SplitAnswers  # noqa: E402
from edge_train.strategy.calibration import cross_fitted_temperatures, fit_temperature  # noqa: E402
from edge_train.targets.multi_label import LabelAnswers  # noqa: E402


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_it_finds_the_temperature_that_labels_were_drawn_with(temperature: float) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(20000, 4, generator=draw) * 3
    labels = torch.multinomial(torch.softmax(logits / temperature, dim=1), 1, generator=draw)[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_it_minimises_the_loss() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 3, generator=draw) * 5
    labels = torch.multinomial(torch.softmax(logits / 2, dim=1), 1, generator=draw)[:, 0]
    found = fit_temperature(logits, labels)

    def loss(t: float) -> float:
        # One image in 52, half of it to each wrong class.
        return float(torch.nn.functional.cross_entropy(logits / t, labels, label_smoothing=1 / 52 * 3 / 2))

    assert loss(found) <= min(loss(found * 0.97), loss(found * 1.03), loss(1.0)) + 1e-9


def test_all_right_on_few_images_does_not_make_every_answer_certain() -> None:
    logits = torch.eye(3).repeat(20, 1) * 30
    found = fit_temperature(logits, torch.arange(3).repeat(20))
    confidence = torch.softmax(logits / found, dim=1).max(dim=1).values
    # Sixty images, none wrong: Platt's estimate is 61 in 62.
    assert confidence.tolist() == pytest.approx([61 / 62] * 60, abs=1e-3)


def test_all_wrong_stays_within_bounds() -> None:
    logits = torch.eye(3) * 10
    assert fit_temperature(logits, torch.tensor([1, 2, 0])) == pytest.approx(20, rel=0.01)


def test_each_image_gets_the_temperature_of_the_others_and_every_part_has_all_classes() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 30 + [1] * 20 + [2] * 10)[torch.randperm(60, generator=draw)]
    logits = torch.randn(60, 3, generator=draw) * 3 + 2 * torch.eye(3)[labels]
    temperatures, parts = cross_fitted_temperatures(logits, labels)
    again, _ = cross_fitted_temperatures(logits, labels)
    assert parts == 5 and torch.equal(temperatures, again)
    values = temperatures.unique()
    assert len(values) == 5
    for value in values:
        mine = temperatures == value
        assert labels[mine].bincount().tolist() == [6, 4, 2]
        assert float(value) == fit_temperature(logits[~mine], labels[~mine])


def test_few_images_are_cross_fitted_as_far_as_they_go() -> None:
    logits, labels = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1])
    temperatures, parts = cross_fitted_temperatures(logits, labels)
    assert parts == 3 and temperatures.shape == (3,)
    assert [t.tolist() for t in cross_fitted_temperatures(logits[:1], labels[:1])[:1]] == [[1.0]]
    assert cross_fitted_temperatures(logits[:1], labels[:1])[1] == 0


def test_the_cross_fitted_error_is_that_of_images_the_temperature_has_not_seen() -> None:
    """Twenty images, overconfident: in the mean over many splits, the log loss fitted on itself is too good."""
    draw = torch.Generator().manual_seed(0)
    fitted, crossed, fresh = [], [], []
    for _ in range(40):
        logits = torch.randn(2020, 3, generator=draw) * 6
        labels = torch.multinomial(torch.softmax(logits / 3, dim=1), 1, generator=draw)[:, 0]
        few = SplitAnswers((), logits[:20].numpy(), labels[:20].numpy())
        temperature = few.fit_temperature()
        fitted.append(few.measure(("a", "b", "c"), temperature).log_loss)
        found = few.measure(("a", "b", "c"), temperature, judged=few.cross_fitted())
        assert found.calibration_folds == 5 and found.correct == round(20 * found.accuracy)
        crossed.append(found.log_loss)
        many = SplitAnswers((), logits[20:].numpy(), labels[20:].numpy())
        fresh.append(many.measure(("a", "b", "c"), temperature).log_loss)
    fitted_loss, crossed_loss, fresh_loss = (sum(each) / len(each) for each in (fitted, crossed, fresh))
    assert fitted_loss < fresh_loss - 0.01
    assert abs(crossed_loss - fresh_loss) < abs(fitted_loss - fresh_loss)


def test_groups_stay_in_one_part_and_images_alone_are_dealt_as_ever() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 31 + [1] * 20 + [2] * 9)[torch.randperm(60, generator=draw)]
    logits = torch.randn(60, 3, generator=draw) * 3 + 2 * torch.eye(3)[labels]
    alone, _ = cross_fitted_temperatures(logits, labels)
    named, parts = cross_fitted_temperatures(logits, labels, [f"{n}.png" for n in range(60)])
    assert parts == 5 and torch.equal(alone, named)
    patients = [f"patient{n % 12}" for n in range(60)]
    together, parts = cross_fitted_temperatures(logits, labels, patients)
    assert parts == 5 and len(together.unique()) == 5
    assert all(
        len({t for t, p in zip(together.tolist(), patients, strict=True) if p == name}) == 1 for name in patients
    )
    assert [
        parts
        for _, parts in (cross_fitted_temperatures(logits, labels, [str(n % k) for n in range(60)]) for k in (3, 1))
    ] == [3, 0]


def test_with_twins_in_its_validation_the_cross_fitted_error_is_still_that_of_unseen_images() -> None:
    """Twenty images and nineteen copies of each: dealt out one by one, each would be fitted on its own copies."""
    draw = torch.Generator().manual_seed(0)
    grouped, single, plain = [], [], []
    for _ in range(20):
        logits = (torch.randn(20, 3, generator=draw) * 6).repeat(20, 1)
        labels = torch.multinomial(torch.softmax(logits[:20] / 3, dim=1), 1, generator=draw)[:, 0].repeat(20)
        samples = tuple(Sample(f"{n}.png", int(label)) for n, label in enumerate(labels))
        groups = {f"{n}.png": f"{n % 20}.png" for n in range(400)}
        answers = SplitAnswers(samples, logits.numpy(), labels.numpy(), groups)
        names = ("a", "b", "c")
        once = SplitAnswers(samples[:20], logits[:20].numpy(), labels[:20].numpy())
        for losses, given in ((grouped, answers), (single, replace(answers, groups={})), (plain, once)):
            losses.append(given.measure(names, 1.0, judged=given.cross_fitted()).log_loss)
    grouped_loss, single_loss, plain_loss = (sum(each) / len(each) for each in (grouped, single, plain))
    assert single_loss < plain_loss - 0.02
    assert abs(grouped_loss - plain_loss) < 0.5 * (plain_loss - single_loss)


def test_validation_of_one_group_is_judged_at_the_temperature_that_is_stored() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 60)
    logits = (draw.normal(size=(60, 2)) * 6).astype(np.float32)
    logits[np.arange(60), labels] += 5
    samples = tuple(Sample(f"{number}.png", int(label)) for number, label in enumerate(labels))
    one = SplitAnswers(samples, logits, labels, {sample.path: "patient" for sample in samples})
    assert one.is_one_group and not SplitAnswers(samples, logits, labels).is_one_group
    temperature = one.fit_temperature()
    assert temperature > 1.5
    found = one.measure(("a", "b"), temperature, judged=one.cross_fitted())
    plain = one.measure(("a", "b"), temperature)
    assert (found.log_loss, found.calibration_error, found.brier) == (
        plain.log_loss,
        plain.calibration_error,
        plain.brier,
    )
    assert found.to_json()["calibration_folds"] == 0 and "calibration_folds" not in plain.to_json()
    both = LabelAnswers(samples, logits, labels[:, None] == np.arange(2), one.groups)
    several, at_it = (both.measure(("a", "b"), (0.5, 0.5), 3.0, cross_fit=each) for each in (True, False))
    assert (several.log_loss, several.calibration_folds) == (at_it.log_loss, 0)
