"""The report is one file that stands alone, says what was measured, and trusts nothing that comes from the data."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from edge_runtime import ModelCard, OutputError, Preprocessing, Run, Sample, expected_calibration_error
from edge_train.report.diagnosis import Diagnosis, EpochFigures
from edge_train.report.page import RunReport, repeat_command, write_report
from edge_train.report.page_template import template
from edge_train.run.split_answers import SplitAnswers

VOID = {"meta", "img", "br"}
HOSTILE = "<script>alert(1)</script>\"'&"


class Page(HTMLParser):
    """Every tag with its attributes; fails on tags that are not closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(self.text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def draw(path: Path, colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (300, 200)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, "PNG")


def split_answers(paths: list[str], truth: list[int], said: list[int], sure: list[float], classes: int) -> SplitAnswers:
    """Answers whose largest probability, at temperature 1, is `sure`."""
    logits = np.zeros((len(paths), classes), dtype=np.float32)
    for row, (answer, confidence) in enumerate(zip(said, sure, strict=True)):
        logits[row, answer] = np.log(confidence * (classes - 1) / (1 - confidence))
    samples = tuple(Sample(path, label) for path, label in zip(paths, truth, strict=True))
    return SplitAnswers(samples, logits, np.array(truth, dtype=np.int64))


def a_report(root: Path, labels: tuple[str, ...] = ("ants", "bees"), **changed: Any) -> RunReport:
    card = ModelCard(
        labels=labels,
        preprocessing=Preprocessing(232, 224, 224, "bilinear"),
        backbone="resnet18",
        strategy="fine-tune",
        temperature=1.5,
        data={"name": "garden"},
        versions={"torch": "2.9.9"},
        created="2026-01-02T03:04:05+00:00",
    )
    paths = [f"val/{n}.png" for n in range(4)]
    report = RunReport(
        card=card,
        history=(EpochFigures(1, 0.7, 0.6, 0.5, 0.7, 3.0), EpochFigures(2, 0.4, 0.8, 0.3, 0.75, 3.0)),
        best_epoch=2,
        val=split_answers(paths, [0, 0, 1, 1], [0, 1, 0, 1], [0.9, 0.7, 0.95, 0.8], len(labels)),
        test=None,
        counts={"train": dict.fromkeys(labels, 17), "val": dict.fromkeys(labels, 2)},
        settings={"data": "garden", "epochs": 2, "seed": 3},
        data_root=root,
        diagnosis=(),
        seconds=75.0,
        parameters=1000,
        parameters_trained=100,
    )
    return replace(report, **changed)


def written(tmp_path: Path, report: RunReport) -> Page:
    run = Run(tmp_path / "garden-resnet18")
    run.path.mkdir()
    path = write_report(run, report)
    assert path == run.path / "report.html"
    assert [found.name for found in run.path.iterdir()] == ["report.html"]
    return Page(path)


def test_it_stands_alone_and_runs_nothing(tmp_path: Path) -> None:
    draw(tmp_path / "val/1.png")
    page = written(tmp_path, a_report(tmp_path))
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    assert not re.search(r"(?:https?:)?//\w", re.sub(r"base64,[\w+/=]+", "", page.text))
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert (attributes.get("src") or "data:image/jpeg;").startswith("data:image/jpeg;")
        assert (attributes.get("href") or "#").startswith("#")
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {(a["href"] or "")[1:] for a in page.all("a")} <= ids


def test_its_policy_admits_its_own_style_alone(tmp_path: Path) -> None:
    page = written(tmp_path, a_report(tmp_path))
    (policy,) = [m["content"] or "" for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    style = page.text.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"style-src 'sha256-{digest}'" in policy


def test_every_class_has_its_figures_with_intervals_and_absent_ones_are_named(tmp_path: Path) -> None:
    labels = ("ants", "bees", "wasps")
    text = written(tmp_path, a_report(tmp_path, labels)).text
    row = re.sub("<[^>]+>", " ", text[text.index("Class by class") :]).split("bees")[1].split("\n")[0].split()
    # Truth 0 0 1 1, answers 0 1 0 1: of two bees one is found, and of two others one is taken for it.
    assert row[:9] == ["50.0%", "50.0%", "9.5%", "to", "90.5%", "50.0%", "9.5%", "to", "90.5%"]
    assert row[9] == "50.0%" and row[-2:] == ["2", "17"]
    for figure in ("balanced accuracy", "AUROC", "average precision", "log loss", "Brier score"):
        assert f"<bdi>{figure}" in text, figure
    assert "No validation image is of <bdi>wasps</bdi>" in text


def test_the_luck_and_the_figure_of_the_best_epoch_are_told(tmp_path: Path) -> None:
    history = (EpochFigures(1, 0.7, 0.6, 0.5, 0.7, 3.0, 0.812), EpochFigures(2, 0.4, 0.8, 0.3, 0.75, 3.0, None))
    report = a_report(tmp_path, history=history, best_by="auroc", best_epoch=1, optimism="the accuracy is <too good>")
    text = written(tmp_path, report).text
    assert "<p>The accuracy is &lt;too good&gt; (a bootstrap" in text
    assert "the one with the highest validation AUROC" in text and ">val AUROC<" in text and ">0.812<" in text
    (tmp_path / "plain").mkdir()
    plain = written(tmp_path / "plain", a_report(tmp_path)).text
    assert "bootstrap" not in plain and "val AUROC" not in plain and "highest validation accuracy" in plain


def test_the_test_split_is_the_headline_and_validation_is_judged_by_cross_fitting(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    truth = draws.integers(0, 2, 40)
    logits = (draws.normal(size=(40, 2)) * 4 + 2 * np.eye(2)[truth]).astype(np.float32)
    val = SplitAnswers(tuple(Sample(f"{n}.png", int(label)) for n, label in enumerate(truth)), logits, truth)
    report = a_report(tmp_path, val=val)
    report = replace(report, card=replace(report.card, temperature=val.fit_temperature()))
    alone = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", written(tmp_path, report).text))
    crossed, parts = val.cross_fitted()
    error = expected_calibration_error(truth, crossed)
    fitted = expected_calibration_error(truth, val.probabilities(report.card.temperature))
    assert parts == 5 and f"{error:.1%}" != f"{fitted:.1%}"
    assert f"Calibration error {error:.1%} validation; cross-fitted" in alone
    assert "judged by cross-fitting: each of 5 parts" in alone and "which chose the epoch" not in alone
    (tmp_path / "one").mkdir()
    patient = replace(val, groups={sample.path: "patient" for sample in val.samples})
    page = written(tmp_path / "one", replace(report, val=patient, optimism="it is not known"))
    group = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page.text))
    assert f"Calibration error {fitted:.1%} validation; not cross-fitted: one group" in group
    assert "not cross-fitted, validation is one group" in group and f": calibration error {fitted:.1%}" in group
    assert "It is not known." in group and "bootstrap" not in group
    (tmp_path / "more").mkdir()
    page = written(tmp_path / "more", replace(report, test=split_answers(["a", "b"], [0, 1], [0, 1], [0.9, 0.8], 2)))
    both = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page.text))
    assert both.index("Test accuracy 100.0%") < both.index("Validation accuracy, which chose the epoch")
    assert "cross-fitted" not in both


def test_what_comes_from_the_data_is_escaped(tmp_path: Path) -> None:
    label = HOSTILE + "$title{}"
    name = "<img src=x onerror=alert(1)>\udce9.png"  # and a file name that is not UTF-8
    draw(tmp_path / name)
    answers = split_answers([name, name], [0, 1], [1, 1], [0.9, 0.9], 2)
    report = a_report(
        tmp_path,
        (label, "bees"),
        val=answers,
        settings={"data": HOSTILE},
        diagnosis=(Diagnosis("imbalance", f"{label} has few", "--epochs <b>"),),
    )
    card = replace(report.card, data={"name": HOSTILE, HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE})
    page = written(tmp_path, replace(report, card=card))
    assert not page.all("script") and "<b>" not in page.text
    images = page.all("img")
    assert len(images) == 2 and all(set(image) == {"src", "alt", "loading"} for image in images)
    assert images[0]["alt"] == f"a picture of {label}, taken for bees"


def test_the_figures_are_those_measured(tmp_path: Path) -> None:
    test = split_answers([f"t{n}" for n in range(10)], [0] * 5 + [1] * 5, [0] * 5 + [1] * 4 + [0], [0.9] * 10, 2)
    text = written(tmp_path, a_report(tmp_path, test=test)).text
    assert "50.0%" in text and "2 of 4 right" in text
    assert "90.0%" in text and "9 of 10 right; 95 % interval 59.6% to 98.2%" in text
    assert "Confusion (test, 10 images)" in text and "The same on validation (4 images)" in text
    assert '<td class="g8">4</td>' in text and '<td class="b2">1</td>' in text
    assert "Before: calibration error 0.0%" in text and "After (temperature 1.50): calibration error 8.8%" in text
    assert "Nothing stands out" in text and "1 min" in text and "10.0% of 1,000" in text
    assert "edge train --data garden --epochs 2 --seed 3" in text and "2.9.9" in text


def test_mistakes_come_most_confident_first_and_vanished_pictures_are_left_out(tmp_path: Path) -> None:
    names = [f"{n:02}.png" for n in range(40)]
    for name in names[5:]:
        draw(tmp_path / name)
    (tmp_path / "06.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (tmp_path / "07.png").unlink()
    (tmp_path / "07.png").mkdir()
    sure = [0.99 - number / 100 for number in range(40)]
    page = written(tmp_path, a_report(tmp_path, val=split_answers(names, [0] * 40, [1] * 40, sure, 2)))
    shown = re.findall(r"<bdi>(\d\d)\.png</bdi>", page.text)
    assert shown == ["05", *(f"{n:02}" for n in range(8, 31))]
    assert len(page.all("img")) == 24
    for image in page.all("img"):
        jpeg = base64.b64decode((image["src"] or "").split(",")[1])
        assert Image.open(BytesIO(jpeg)).format == "JPEG" and max(Image.open(BytesIO(jpeg)).size) == 128


def test_a_run_whose_data_is_gone_still_has_a_report(tmp_path: Path) -> None:
    page = written(tmp_path, a_report(tmp_path / "gone"))
    assert not page.all("img") and "None of their pictures can be read any more" in page.text


def test_without_a_mistake_it_says_so(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    page = written(tmp_path, a_report(tmp_path, val=split_answers(["a.png"], [1], [1], [0.8], 2)))
    assert "None of the 1 validation images was answered wrongly" in page.text
    assert [image["alt"] for image in page.all("img")] == ["a picture of bees, recognised"]


def test_a_diagnosis_stands_with_its_flag(tmp_path: Path) -> None:
    found = (Diagnosis("overfitting", "It learns by heart.", "--augment standard"),)
    text = written(tmp_path, a_report(tmp_path, diagnosis=found)).text
    assert "It learns by heart." in text and "<code>--augment standard</code>" in text
    assert "Nothing stands out" not in text


def test_a_pointer_on_a_chart_is_told_what_it_is_on(tmp_path: Path) -> None:
    text = written(tmp_path, a_report(tmp_path)).text
    assert "<title>epoch 1: training 0.700</title>" in text and "<title>epoch 2: validation 75.0 %</title>" in text
    assert re.search(r"<title>\d images, confidence \d\d\.\d%, right \d+\.\d%</title>", text)


def test_it_can_be_read_without_eyes(tmp_path: Path) -> None:
    draw(tmp_path / "val/1.png")
    page = written(tmp_path, a_report(tmp_path))
    assert page.all("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in page.all("img"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert "training from 0.700 to 0.400; validation from 0.500 to 0.300" in page.text


@pytest.mark.parametrize("history", [(), (EpochFigures(1, float("nan"), 0.5, float("inf"), 0.5),)])
def test_odd_histories_and_logits_are_drawn(tmp_path: Path, history: tuple[EpochFigures, ...]) -> None:
    logits = np.array([[np.nan, 1.0], [np.inf, 0.0], [-np.inf, -np.inf], [1e30, -1e30]], dtype=np.float32)
    report = a_report(tmp_path, history=history)
    page = written(tmp_path, replace(report, val=replace(report.val, logits=logits)))
    assert all("nan" not in (value or "") for svg in page.tags for value in svg[1].values())


@pytest.mark.parametrize("classes", [2, 12, 50])
def test_a_matrix_has_every_number(tmp_path: Path, classes: int) -> None:
    labels = tuple(f"class {n}" for n in range(classes))
    truth = list(range(classes)) * 3
    said = [*range(classes), *range(classes), *[0] * classes]
    answers = split_answers(["x"] * len(truth), truth, said, [0.9] * len(truth), classes)
    page = written(tmp_path, a_report(tmp_path, labels, val=answers))
    assert page.text.count('<td class="g7">2</td>') == classes - 1
    assert page.text.count('<td class="b4">1</td>') == classes - 1


def test_ten_thousand_images_of_a_thousand_classes_stay_small(tmp_path: Path) -> None:
    classes, n = 1000, 10_000
    labels = tuple(f"class number {number}" for number in range(classes))
    draw_numbers = np.random.default_rng(0)
    truth = np.arange(n, dtype=np.int64) % classes
    logits = draw_numbers.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), truth] += 3
    logits[truth == 7, 8] += 20
    noise = draw_numbers.integers(0, 256, (600, 800, 3), dtype=np.uint8)
    for number in range(n):
        if number < 60:
            Image.fromarray(noise).save(tmp_path / f"{number}.jpg", "JPEG")
    samples = tuple(Sample(f"{number % 60}.jpg", int(label)) for number, label in enumerate(truth))
    page = written(tmp_path, a_report(tmp_path, labels, val=SplitAnswers(samples, logits, truth)))
    assert len(page.text.encode()) < 5_000_000
    assert len(page.all("img")) == 36
    first = page.text.split("The pairs most often confused, of 1000 classes.")[2].split("<tbody>")[1]
    assert first.startswith('<tr><th scope="row"><bdi>class number 7</bdi></th><td class="left"><bdi>class number 8<')


def test_an_unwritable_folder_is_an_edge_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"report\.html"):
        write_report(Run(tmp_path / "missing"), a_report(tmp_path))


def test_repeating_gives_what_differs_from_the_defaults() -> None:
    settings = {
        "data": "my photos; rm -rf",
        "epochs": 5,
        "batch_size": 8,
        "limit": None,
        "out": "elsewhere",
        "strategy": "fine-tune",
        "ema": True,
        "amp": False,
        "lr_scale": 0.5,
    }
    assert repeat_command(settings) == (
        "edge train --data 'my photos; rm -rf' --batch-size 8 --strategy fine-tune --ema --no-amp --lr-scale 0.5"
    )


def test_repeating_a_pruned_run_says_what_pruning_would_set_otherwise() -> None:
    # The default of `edge train`, where --prune has train.
    settings = {"weights": "runs/x", "batch_norm": "frozen"}
    assert repeat_command(settings) == "edge train --weights runs/x"
    assert repeat_command({**settings, "prune": 0.3}) == "edge train --weights runs/x --batch-norm frozen --prune 0.3"


def test_the_template_is_in_the_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    root = Path(__file__).parents[3]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = archive.read("edge_train/report/report.html")
    assert shipped == (root / "train/edge_train/report/report.html").read_bytes()


def test_nothing_that_is_missing_is_left_out_silently() -> None:
    with pytest.raises(UndefinedError):
        template().render(name="only this")


def test_it_is_legible_light_and_dark_and_fits_a_phone(tmp_path: Path) -> None:
    browser = pytest.importorskip("browser")
    if browser.CHROMIUM is None or browser.DRIVER is None:
        pytest.skip("needs chromium and chromedriver")
    draw(tmp_path / "val/1.png")
    found = Diagnosis("more-epochs", "It was stopped.", "--epochs 12")
    written(tmp_path, a_report(tmp_path, diagnosis=(found,)))
    shown = browser.Browser(tmp_path / "profile")
    try:
        phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        shown.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        shown.driver.get((tmp_path / "garden-resnet18/report.html").as_uri())
        assert shown.driver.execute_script("return document.documentElement.scrollWidth") == 390
        # A table is wider than that; which row it is stays in sight.
        moved = """
            const box = [...document.querySelectorAll(".scroll")]
                .find((each) => each.scrollWidth > each.clientWidth + 99);
            box.scrollLeft = 99;
            return box.querySelector("tbody th").getBoundingClientRect().left - box.getBoundingClientRect().left;
        """
        assert abs(shown.driver.execute_script(moved)) < 2
        for scheme in ("light", "dark"):
            shown.prefer(scheme)
            for selector in ("h1", ".muted", ".big", ".findings p", "nav a", "small", "tbody td", ".wrong", ".file"):
                assert shown.contrast(selector) >= 4.5, (scheme, selector)
    finally:
        shown.driver.quit()
