"""Every command that a page shows, run in the page's order as it is printed: `make test-pages`.

The tutorials' and one recipe's are run by test_tutorials, with photos; what several pages show runs on the first.
Each page has a reader's folder of its own, with small drawn pictures under the names that it uses. Training and
measuring are cut short by flags behind those that are printed. What is not run has its reason in `NOT_RUN`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from documented_commands import code_blocks, commands_of, shown
from parts import ROOT
from warm_edge import WarmEdge

SHOWN = [(page, words) for page, words in shown() if words[0] not in ("--version", "--help")]
# What test_troubleshooting runs and holds to every word that is quoted: most of it ends otherwise than with 0.
TROUBLES = {
    tuple(words)
    for language, block in code_blocks(ROOT / "docs" / "troubleshooting.md")
    if language == "text" and block.startswith("$ edge ")
    for words in commands_of(language, block)
}
# A word of a command, and why no test runs it here.
NOT_RUN = {
    "ray": "make test-ray runs it",
    "mlflow": "make test-trackers",
    "tensorboard,wandb": "make test-trackers",
    "timm:vit_small_patch14_dinov2": "weights of 80 MB, of a hub",
    "cifar10": "fetches the set; make test-examples has the scripts themselves",
    "--epoch": "shown because it is refused",
}
TRAINING = "--epochs 1 --image-size 32 --limit 24 --threads 1"
SHORT = {
    "train": TRAINING,
    "compare": TRAINING,
    "tune": "--epochs 1 --image-sizes 32 --trials 2 --threads 1 --backbones resnet18",
    "bench": "--duration 0.05 --runs 3 --cold-starts 1 --cooldown 10ms --threads 1",
    "serve": "--port 0",
    "label": "--port 0",
}
# What stands for a reader's own folder.
OWN = {"DIR": "photos", "photos/val": "later-photos"}
# How a command with one of these words may end beside 0: what doctor finds is this machine's, no average need be better
# than its runs, and none of these files is as small as a page asks for.
ENDS = {"doctor": (0, 1), "average": (0, 1), "--recommend": (0, 1)}


# test_tutorials goes their whole way.
WALKED = ("docs/tutorials/first-model.md", "docs/tutorials/camera-trap.md", "docs/tutorials/three-strategies.md")


def is_run(words: Sequence[str]) -> bool:
    return not NOT_RUN.keys() & set(words) and tuple(words) not in TROUBLES


# The first page of each command that is run here.
FIRST = {tuple(words): page for page, words in reversed(SHOWN) if is_run(words) and page not in WALKED}
PAGES = sorted(set(FIRST.values()))


def test_what_is_not_run_is_shown_somewhere_and_little() -> None:
    left = [words for _, words in SHOWN if not is_run(words)]
    assert not [reason for reason in NOT_RUN if not any(reason in words for words in left)]
    assert len(left) < len(SHOWN) / 5


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, WarmEdge]]:
    """The folder that each page gets a copy of, and what runs commands."""
    if os.environ.get("EDGE_TEST_TUTORIALS") != "all":
        pytest.skip("EDGE_TEST_TUTORIALS=all runs what the pages show")
    pytest.importorskip("torch")
    from readers_folder import make_folder, make_weights
    from warm_edge import warm_edge

    place = tmp_path_factory.mktemp("readers")
    with pytest.MonkeyPatch.context() as patch, warm_edge() as warm:
        patch.setenv("EDGE_WEIGHTS_DIR", str(make_weights(place / "weights")))
        patch.setenv("HOME", str(place / "home"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        for name in ("EDGE_CACHE", "XDG_CACHE_HOME"):
            patch.delenv(name, raising=False)
        (place / "home" / "photos").mkdir(parents=True)

        def edge(words: Sequence[str], home: Path) -> str:
            done = warm.run(list(words), home)
            assert done.returncode == 0, f"edge {shlex.join(words)}\n{done.stdout}{done.stderr}"
            return done.stdout

        yield make_folder(place / "home" / "work", edge), warm


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page(
    page: str, readers: tuple[Path, WarmEdge], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, warm = readers
    home = tmp_path / "home"
    shutil.copytree(folder, home)
    monkeypatch.setenv("PYTHONPATH", f"{home}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    failed = []
    for words in commands_on(page):
        if words[:2] == ["data", "shapes"]:
            # Other pages find drawn pictures there.
            shutil.rmtree(home / words[words.index("--out") + 1], ignore_errors=True)
        code, said = run(expanded(own_names(words), home), home, warm)
        if code not in next((ENDS[word] for word in words if word in ENDS), (0,)):
            failed.append(f"edge {shlex.join(words)}: {code}\n{said}")
    assert not failed, "\n\n".join(failed)
    # One or two gigabytes, of each of forty pages.
    shutil.rmtree(home)


def commands_on(page: str) -> Iterator[list[str]]:
    """Those that run first on this page, and what they need of those that another page has run first.

    That is the export of what this page has trained, and the list of suspects.
    """
    trained, exported, folds = False, True, False
    for words in (words for other, words in SHOWN if other == page):
        first = FIRST.get(tuple(words)) == page
        folds = folds or (first and words[0] == "train" and "--folds" in words)
        if first and words[0] == "train":
            trained, exported = True, False
        if words[0] == "export" and is_run(words) and (first or trained):
            exported = True
            yield words
        elif first or (folds and words[:2] == ["data", "suspects"]):
            if not exported and words[0] in {"evaluate", "predict"} and not {"--model", "--run"} & set(words):
                exported = True
                yield ["export"]
            yield words


def own_names(words: Sequence[str]) -> list[str]:
    """The words with the reader's own names in place of those that stand for them."""
    # A teacher knows the classes of the photos; the others are runs on shapes that differ by their seed.
    runs = iter(("runs/NAME",) if "--teacher" in words else ("runs/first", "runs/second"))
    named = [next(runs) if word == "RUN" else OWN.get(word, word) for word in words]
    named = ["runs/NAME" if word.startswith("runs/") and "…" in word else word for word in named]
    return [str(Path(word).expanduser()) if word.startswith("~") else word.removeprefix("/") for word in named]


def expanded(words: list[str], home: Path) -> list[str]:
    """The words as a shell hands them over: `edge predict` takes patterns itself, and its pages quote them."""
    if words[0] == "predict":
        return words
    found = [(word, sorted(home.glob(word)) if "*" in word and "/" in word else []) for word in words]
    return [name for word, paths in found for name in [str(path.relative_to(home)) for path in paths] or [word]]


def run(words: list[str], home: Path, warm: WarmEdge) -> tuple[int, str]:
    """How the command ends, and what it says on both streams."""
    short = [] if {"--from", "--compare", "--plan"} & set(words) else SHORT.get(words[0], "").split()
    short += ["--backbones", "resnet18", "--precision", "fp32"] if words[0] == "bench" and "all" in words else []
    short += ["--start-size", "16", "--epochs", "2"] if "--start-size" in words else []
    # What a page trains here has too few validation pictures for a share as small as the page's.
    short += ["--run", "runs/NAME"] if words[0] == "predict" and "5%" in words and "--model" not in words else []
    if "-" in words:
        given = b"x.jpg\n" if "--files-from" in words else (home / "x.jpg").read_bytes()
        process = [sys.executable, "-W", "error", "-m", "edge_cli", *words]
        done = subprocess.run(process, cwd=home, input=given, capture_output=True, timeout=120, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()
    if ("--watch" in words or words[0] in ("serve", "label")) and not {"--systemd", "--container"} & set(words):
        return until_it_works([*words, *short], home, warm)
    # A parser of options takes the last of one that is given twice.
    done = warm.run([*words, *short], home)
    return done.returncode, done.stdout + done.stderr


def until_it_works(words: list[str], home: Path, warm: WarmEdge) -> tuple[int, str]:
    """Of what goes on until it is told to end: tell it once it says where it listens, or has sorted a picture."""
    output = home / "output.txt"
    shutil.rmtree(home / "sorted", ignore_errors=True)
    for folder in ("incoming", "inbox"):
        shutil.copytree(home / "frames", home / folder, dirs_exist_ok=True)
    with output.open("wb") as file:
        process = warm.start(words, home, file.fileno(), file.fileno())
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not process.ended():
        said = output.read_text()
        if "http://" in said or any((home / "sorted").rglob("*.jpg")):
            process.send_signal(signal.SIGTERM)
            return process.wait(60), output.read_text()
        time.sleep(0.1)
    if process.ended():
        return process.wait(), f"ended by itself: {output.read_text()}"
    process.send_signal(signal.SIGKILL)
    return process.wait(60), f"nothing within two minutes: {output.read_text()}"
