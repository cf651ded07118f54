"""The report of a run: one HTML file that opens offline, anywhere, with everything a reader needs in it."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import Metrics, ModelCard, Run, write_text
from edge_train.report.charts import accuracy_chart, interval_bar, loss_chart, reliability_chart
from edge_train.report.diagnosis import Diagnosis, EpochFigures
from edge_train.report.pictures import (
    MISTAKES_SHOWN,
    RIGHT_SHOWN,
    Answer,
    answers,
    gallery,
    right_ones,
    worst,
)
from edge_train.report.tables import (
    class_table,
    confusion,
    count_table,
    epoch_table,
    fact_table,
    heat_style,
    percent,
    words,
)
from edge_train.run.split_answers import SplitAnswers
from edge_train.settings import TrainSettings

__all__ = ["REPORT_NAME", "RunReport", "repeat_command", "write_report"]

REPORT_NAME = "report.html"
_TITLES = {
    "rate-too-high": "Learning rate too high",
    "rate-too-low": "Learning rate too low",
    "overfitting": "Overfitting",
    "underfitting": "Underfitting",
    "more-epochs": "Stopped too early",
    "imbalance": "Classes out of balance",
    "never-predicted": "A class it never answers",
    "small-validation": "Few validation images",
    "calibration": "Probabilities to be doubted",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunReport:
    """What a report tells.

    `card` is the best checkpoint's, with its temperature; `counts` maps split, then label, to images; `settings`
    are those of config.json; `data_root` is the folder that the samples' paths are relative to; `val` has at
    least one image, `test` may be None or empty.
    """

    card: ModelCard
    history: tuple[EpochFigures, ...]
    best_epoch: int
    val: SplitAnswers
    test: SplitAnswers | None
    counts: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Any]
    data_root: Path
    diagnosis: tuple[Diagnosis, ...]
    seconds: float
    parameters: int
    parameters_trained: int
    git_revision: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """One split with its probabilities before and after calibration."""

    name: str
    answers: SplitAnswers
    raw: NDArray[np.float32]
    calibrated: NDArray[np.float32]
    raw_error: float
    metrics: Metrics


def write_report(run: Run, report: RunReport) -> Path:
    """Write report.html into the run's folder, whole or not at all, and return its path.

    Pictures that cannot be read any more are left out.

    Raises:
        OutputError: it cannot be written.
    """
    path = run.path / REPORT_NAME
    write_text(path, _page(run.name, report))
    return path


def repeat_command(settings: Mapping[str, Any]) -> str:
    """The command line that trains the same again: every setting that differs from its default."""
    defaults = {field.name: field.default for field in fields(TrainSettings)}
    parts = ["edge", "train"]
    for name, value in settings.items():
        # --out only says where to put the run; None is what not giving the flag means.
        if value is None or name == "out" or (name in defaults and defaults[name] == value):
            continue
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parts.append(flag if value else f"--no-{flag[2:]}")
        else:
            parts += [flag, shlex.quote(str(value))]
    return " ".join(parts)


def _page(name: str, report: RunReport) -> str:
    splits = [
        _measured(split, found, report.card)
        for split, found in (("validation", report.val), ("test", report.test))
        if found is not None and len(found.samples)
    ]
    sections = {
        "Results": _headline(report, splits),
        "Diagnosis": _diagnosis(report.diagnosis),
        "Curves": _curves(report),
        "Classes": _classes(report, splits),
        "Calibration": _calibration(report.card, splits),
        "Pictures": _pictures(report, splits),
        "Settings": _settings(report),
        "Data": _data(report),
        "Repeat": _repeat(report),
    }
    style = Template(_template("report.css")).substitute(heat=heat_style())
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    data = str(report.card.data.get("name", "data"))
    return Template(_template("report.html")).substitute(
        style=style,
        style_hash=digest,
        title=escape(f"{data} · {report.card.backbone} · {report.card.strategy}"),
        heading=f"{words(data)} <span>· {escape(report.card.backbone)} · {escape(report.card.strategy)}</span>",
        subtitle=f"{words(name)} · {escape(report.card.created[:16].replace('T', ' '))} UTC",
        contents="".join(f'<a href="#{title.lower()}">{title}</a>' for title in sections),
        sections="\n".join(
            f'<section id="{title.lower()}" aria-labelledby="h-{title.lower()}">'
            f'<h2 id="h-{title.lower()}">{title}</h2>{body}</section>'
            for title, body in sections.items()
        ),
        footer="This file is complete in itself: it loads nothing and runs nothing.",
    )


def _template(name: str) -> str:
    return (files("edge_train") / "templates" / name).read_text(encoding="utf-8")


def _measured(name: str, found: SplitAnswers, card: ModelCard) -> _Measured:
    raw, calibrated = found.probabilities(1.0), found.probabilities(card.temperature)
    before = found.measure(card.labels, 1.0).calibration_error
    return _Measured(name, found, raw, calibrated, before, found.measure(card.labels, card.temperature))


def _headline(report: RunReport, splits: list[_Measured]) -> str:
    figures = []
    for split in splits:
        found = split.metrics
        low, high = found.interval
        figures.append(
            f'<div><dt>{split.name.capitalize()} accuracy</dt><dd><span class="big">{percent(found.accuracy)}</span>'
            f"{interval_bar(found.accuracy, low, high)}"
            f"<small>{found.correct} of {found.n} right; 95 % interval {percent(low)} to {percent(high)}</small>"
            "</dd></div>"
        )
    main = splits[-1]
    commonest = int(main.metrics.confusion.sum(axis=1).max()) / main.metrics.n
    share = report.parameters_trained / max(1, report.parameters)
    plain = (
        ("To beat", percent(commonest), f"always answering {main.name}’s commonest class"),
        ("Calibration error", percent(main.metrics.calibration_error), f"{main.name}; confidence minus accuracy, mean"),
        ("Time", _duration(report.seconds), f"{len(report.history)} epochs, the best was {report.best_epoch}"),
        ("Parameters trained", _short(report.parameters_trained), f"{percent(share)} of {report.parameters:,}"),
    )
    figures += [
        f'<div><dt>{title}</dt><dd><span class="big">{value}</span><small>{note}</small></dd></div>'
        for title, value, note in plain
    ]
    return f'<dl class="figures">{"".join(figures)}</dl>'


def _short(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _diagnosis(diagnosis: tuple[Diagnosis, ...]) -> str:
    if not diagnosis:
        return (
            '<p class="fine">Nothing stands out: it learned, it holds on the validation images, its probabilities can '
            "be used, and the validation split is large enough to say so.</p>"
        )
    items = "".join(
        f"<li><strong>{_TITLES[found.kind]}</strong><p>{words(found.text)}</p>"
        f"<p>Try next: <code>{escape(found.flag)}</code></p></li>"
        for found in diagnosis
    )
    return f'<ul class="findings">{items}</ul>'


def _curves(report: RunReport) -> str:
    if not report.history:
        return "<p>No epoch was recorded.</p>"
    charts = "".join(
        f"<figure>{draw(report.history, report.best_epoch)}</figure>" for draw in (loss_chart, accuracy_chart)
    )
    note = "The dotted line marks the epoch kept. Training figures are measured on augmented pictures while it learns."
    return (
        f'<div class="pair">{charts}</div><p class="muted">{note}</p>{epoch_table(report.history, report.best_epoch)}'
    )


def _classes(report: RunReport, splits: list[_Measured]) -> str:
    training = report.counts.get("train", {})
    bodies = [
        f"{confusion(split.metrics)}<h3>Class by class ({split.name}, macro F1 {percent(split.metrics.macro_f1)})</h3>"
        f"{class_table(split.metrics, training)}"
        for split in splits
    ]
    main = f"<h3>Confusion ({splits[-1].name}, {splits[-1].metrics.n} images)</h3>{bodies[-1]}"
    others = "".join(
        f"<details><summary>The same on {split.name} ({split.metrics.n} images)</summary>{body}</details>"
        for split, body in zip(splits[:-1], bodies[:-1], strict=True)
    )
    return main + others


def _calibration(card: ModelCard, splits: list[_Measured]) -> str:
    main = splits[-1]
    truth = main.answers.labels
    charts = (
        (main.raw, main.raw_error, "Before"),
        (main.calibrated, main.metrics.calibration_error, f"After (temperature {card.temperature:.2f})"),
    )
    drawn = "".join(
        f'<figure class="square">{reliability_chart(truth, probabilities, title)}'
        f"<figcaption>{title}: calibration error {percent(error)}</figcaption></figure>"
        for probabilities, error, title in charts
    )
    note = (
        f"On {main.name}, {main.metrics.n} images; the temperature is fitted on validation. Where bars meet the "
        "diagonal, “90 % sure” is right nine times in ten; a filled box is what confidence promises too much, an "
        "empty one what it promises too little."
    )
    return f'<p class="muted">{note}</p><div class="pair">{drawn}</div>'


def _pictures(report: RunReport, splits: list[_Measured]) -> str:
    found: list[Answer] = []
    for split in splits:
        found += answers(split.name, split.answers.samples, split.calibrated)
    wrong = worst(found)
    names = " and ".join(split.name for split in splits)
    labels, root = report.card.labels, report.data_root
    shown = gallery(wrong, labels, root, most=MISTAKES_SHOWN)
    if not wrong:
        mistakes = f"<p>None of the {len(found)} {names} images was answered wrongly.</p>"
    else:
        note = f"{len(wrong)} of {len(found)} {names} images were answered wrongly; the most confident mistakes first. "
        advice = "Look for wrong labels, two things in one picture, and what the training images lack."
        mistakes = f'<p class="muted">{note}{advice}</p>{shown or _GONE}'
    right = gallery(right_ones(found), labels, root, most=RIGHT_SHOWN)
    samples = f"<h3>Some it got right</h3>{right}" if right else ""
    return f"<h3>The worst mistakes</h3>{mistakes}{samples}"


_GONE = "<p>None of their pictures can be read any more.</p>"


def _settings(report: RunReport) -> str:
    return fact_table("What was tried.", report.settings)


def _data(report: RunReport) -> str:
    contract = report.card.preprocessing
    facts = {
        "folder": report.data_root,
        **report.card.data,
        "model input": (
            f"{contract.width_px} × {contract.height_px} px: short side to {contract.resize_px} px "
            f"({contract.interpolation}), then a centre crop"
        ),
    }
    return f"{count_table(report.card.labels, report.counts)}<h3>Where from</h3>{fact_table('The data set.', facts)}"


def _repeat(report: RunReport) -> str:
    made_with = dict(report.card.versions) | {"git revision": report.git_revision or "none"}
    return (
        "<p>The same images, the same machine and these versions give the same weights:</p>"
        f"<pre><code>{escape(repeat_command(report.settings))}</code></pre>{fact_table('Versions.', made_with)}"
    )
