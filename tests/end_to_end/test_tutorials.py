"""The tutorials and recipes, their commands run in order as they stand, on real photos: `make test-docs`, four minutes.

Left out are pages that wait for a person (`edge label`, `edge serve`), and what a tutorial offers beyond its way.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from camera_frames import evenings, frame_name, outputs
from conftest import unpacked
from documented_commands import code_blocks, commands_of
from parts import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("EDGE_TEST_TUTORIALS" not in os.environ, reason="make test-docs runs the tutorials"),
]
# Three minutes more.
EVERY = pytest.mark.skipif(os.environ.get("EDGE_TEST_TUTORIALS") != "all", reason="EDGE_TEST_TUTORIALS=all runs it")
WAITING = ("label", "serve")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mobilenet_weights: Path) -> Path:
    """An empty folder that commands run in; MobileNetV2's weights are at hand as if they had been downloaded."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mobilenet_v2.pth").symlink_to(mobilenet_weights)
    monkeypatch.setenv("EDGE_WEIGHTS_DIR", str(tmp_path / "weights"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def commands(page: str, folder: str = "tutorials") -> list[list[str]]:
    return [words for words, _ in commands_and_places(page, folder)]


def commands_and_places(page: str, folder: str) -> list[tuple[list[str], bool]]:
    """The commands of a page, and of each whether it is the Pi's `edge/bin/edge`."""
    blocks = [block for language, block in code_blocks(ROOT / "docs" / folder / f"{page}.md") if language == "sh"]
    shown = [(words, "edge/bin/edge " in block) for block in blocks for words in commands_of("sh", block)]
    return [(words, on_pi) for words, on_pi in shown if words[0] not in WAITING]


def run(words: Iterable[str], home: Path) -> str:
    """What the command prints, on both streams; it must end with 0."""
    process = [sys.executable, "-W", "error", "-m", "edge_cli", *words]
    done = subprocess.run(process, cwd=home, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"edge {shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def holds(page: str, said: Iterable[str]) -> None:
    """Every line of output that a tutorial quotes was printed, but for figures, file names and what it leaves out."""
    printed = " ".join(like("\n".join(said)))
    text = (ROOT / "docs" / "tutorials" / f"{page}.md").read_text(encoding="utf-8")
    for block in re.findall(r"(?ms)^```sh\n(?:(?!^```).)*^```\n(?:(?!^#|^```).)*^```text\n(.*?)^```$", text):
        for line in filter(like, block.splitlines()):
            words = r"(?: \S+){0,20}? ".join(map(re.escape, like(line)))
            assert re.search(f"(?:^| ){words}(?: |$)", printed), f"{page}: not printed: {line}"


def like(text: str) -> list[str]:
    """The words of a text, figures and photos as `#`, without bars, rules and what has an …."""
    masked = re.sub(r"\w+(?=\.jpg)|\d[\d,.]*\d|\d", "#", re.sub("[█─*]+", "", text))
    return [word for word in masked.split() if "…" not in word]


def copy(photos: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for photo in photos:
        shutil.copy(photo, folder)


def test_the_first_model_of_a_hundred_photos(home: Path, hymenoptera: Path) -> None:
    for label in ("ants", "bees"):
        copy(sorted((hymenoptera / "train" / label).glob("*.jpg"))[:50], home / "photos" / label)
        copy(sorted((hymenoptera / "val" / label).glob("*.jpg"))[:15], home / "later-photos" / label)
    copy(sorted((hymenoptera / "val" / "ants").glob("*.jpg"))[20:22], home / "new")
    shutil.copy(next((home / "new").iterdir()), home / "new-photo.jpg")
    said = {" ".join(words): run(words, home) for words in commands("first-model")}
    assert len(said) == 9
    trained = next(text for command, text in said.items() if command.startswith("train"))
    # Another processor may answer a few of the hundred otherwise than the page's.
    accuracy = float(trained.partition("cross-validated accuracy ")[2].partition("%")[0])
    assert 80 <= accuracy <= 95
    assert said["evaluate --data later-photos"].count("of 30") == 1
    holds("first-model", said.values())


def frames(home: Path, hymenoptera: Path) -> None:
    """Photos under the names that the tutorial's camera gives on six evenings, and labels.csv of them."""
    output, _ = outputs("tutorials/camera-trap.md")
    flowers = unpacked("flowers128")
    kinds = {kind: sorted((hymenoptera / "train" / kind).glob("*.jpg"))[:60] for kind in ("ants", "bees")}
    kinds["empty"] = sorted(flowers.glob("*/*.jpg"))[::40][:90]
    (home / "frames").mkdir()
    with (home / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label"))
        taken = 0
        for kind, photos in kinds.items():
            for number, photo in enumerate(photos):
                name = frame_name(output, evenings(6)[number % 6], taken)
                taken += 1
                shutil.copy(photo, home / name)
                rows.writerow((name, kind))


def test_a_camera_trap(home: Path, hymenoptera: Path) -> None:
    frames(home, hymenoptera)
    pi = home.parent / "pi"
    seventh = evenings(7)[-1]
    for number, photo in enumerate(sorted((hymenoptera / "val" / "bees").glob("*.jpg"))[:3]):
        landed = pi / frame_name(outputs("tutorials/camera-trap.md")[1], seventh, number)
        landed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, landed)
    for words, on_pi in commands_and_places("camera-trap", "tutorials"):
        if "--watch" in words:
            watch(words, pi)
            collected(home, hymenoptera)
        else:
            run(words, pi if on_pi else home)
        if words[0] == "export":
            (model,) = home.glob("runs/*/model.onnx")
            shutil.copy(model, pi)
        if "answers.csv" in words:
            labelled(home)
    assert len(list((pi / "sorted").rglob("*.jpg"))) == 3 and (pi / "incoming" / "drift.jsonl").is_file()
    assert len(list(home.glob("runs/*/split.csv"))) == 2


def collected(home: Path, hymenoptera: Path) -> None:
    """What the Pi's two services have sorted, copied to the computer."""
    (output,) = outputs("raspberry-pi.md")
    for number, photo in enumerate(sorted((hymenoptera / "val" / "ants").glob("*.jpg"))[:3]):
        name = home / "frames2" / "ants" / Path(frame_name(output, evenings(8)[-1], number)).name
        name.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, name)


def labelled(home: Path) -> None:
    """What a person does with `edge label answers.csv`."""
    with (home / "answers.csv").open(newline="") as answers, (home / "labels.csv").open("a", newline="") as labels:
        csv.writer(labels).writerows((row["path"], "ants") for row in csv.DictReader(answers))


def watch(words: list[str], home: Path) -> None:
    """Until the three pictures are sorted; SIGTERM ends it with 0."""
    process = subprocess.Popen([sys.executable, "-W", "error", "-m", "edge_cli", *words], cwd=home)
    deadline = time.monotonic() + 120
    while len(list((home / "sorted").rglob("*.jpg"))) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    process.terminate()
    assert process.wait(timeout=60) == 0


def test_the_three_strategies(home: Path) -> None:
    words, *_ = commands("three-strategies")
    said = run(words, home)
    holds("three-strategies", [said])
    assert "best for export: " in said and "scratch" in said and len(list(home.glob("runs/comparison-*/*.png"))) == 2


def walk(page: str, home: Path) -> list[str]:
    """A recipe's way on few pictures, each training cut short, but for what waits for a person; all it said."""
    said = []
    for words in commands(page, "recipes"):
        if "--watch" in words:
            watch(words, home)
            continue
        short = ("--epochs", "2", "--image-size", "96") if words[0] == "train" else ()
        said.append(run([*words, *short], home))
        if words[0] == "train":
            assert f"recipe {page}, " in said[-1] and "--epochs 2: as given; the recipe has " in said[-1]
        if words[0] == "export":
            (model,) = home.glob("runs/*/model.onnx")
            shutil.copy(model, home)
    return said


def test_the_medical_recipe(home: Path, xrays: Path) -> None:
    for kind in ("Covid", "Normal", "Viral Pneumonia"):
        copy(sorted((xrays / "train" / kind).glob("*"))[:24], home / "xrays" / "train" / kind)
        copy(sorted((xrays / "val" / kind).glob("*"))[:8], home / "xrays" / "val" / kind)
    copy(sorted((xrays / "val" / "Covid").glob("*"))[:3], home / "scans")
    for kind, label in (("Covid", "ill"), ("Normal", "normal")):
        copy(sorted((xrays / "val" / kind).glob("*"))[8:16], home / "other-hospital" / label)
    shutil.copy(next((home / "scans").iterdir()), home / "scan.jpg")
    with (home / "two.csv").open("w", newline="") as file:
        # What the page has awk make.
        rows = csv.writer(file)
        rows.writerow(("path", "label"))
        for path in sorted(home.glob("xrays/*/*/*")):
            rows.writerow((path.relative_to(home), "normal" if path.parent.name == "Normal" else "ill"))
    said = walk("medical", home)
    assert any("sensitivity" in text and "threshold" in text for text in said)
    assert (home / "why.png").is_file() and (home / "answers.csv").is_file()


@EVERY
def test_the_products_recipe(home: Path, recyclables: Path) -> None:
    for kind in ("glass", "metal", "paper", "trash"):
        copy(sorted((recyclables / kind).glob("*"))[:52], home / "things" / kind)
    shutil.copy(next((home / "things" / "glass").iterdir()), home / "new-photo.jpg")
    walk("products", home)
    assert (home / "mistakes.csv").is_file()


@EVERY
def test_the_wildlife_recipe(home: Path, hymenoptera: Path) -> None:
    frames(home, hymenoptera)
    copy(sorted((hymenoptera / "val" / "bees").glob("*.jpg"))[:3], home / "incoming")
    # Under the names that the page wants.
    (home / "DIR").mkdir()
    (home / "DIR" / "flowers128").symlink_to(unpacked("flowers128"))
    (home / "DIR" / "hymenoptera").symlink_to(hymenoptera)
    drawing = [sys.executable, ROOT / "benchmarks" / "self_checks" / "field_sets.py", "wildlife"]
    subprocess.run([*drawing, "--pictures", home / "DIR", "--out", home / "trap"], check=True)
    thin(home / "trap" / "labels.csv")
    walk("wildlife", home)
    assert len(list((home / "sorted").rglob("*.jpg"))) == 3


def thin(labels: Path, each: int = 20) -> None:
    """Leave twenty rows of each class and split."""
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    seen: dict[tuple[str, str], int] = {}
    with labels.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        for row in rows:
            key = row["label"], row["split"]
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= each:
                table.writerow(row)


@EVERY
def test_the_documents_recipe(home: Path) -> None:
    receipts = sorted(unpacked("receipts").rglob("*.jpg"))
    drawing = [sys.executable, ROOT / "benchmarks" / "self_checks" / "drawn_documents.py"]
    copy(receipts[:70], home / "pages" / "receipt")
    subprocess.run([*drawing, "--like", home / "pages" / "receipt", "--out", home / "pages"], check=True)
    copy(receipts[80:83], home / "inbox")
    walk("documents", home)
    assert len(list((home / "sorted").rglob("*.jpg"))) == 3
