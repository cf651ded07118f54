"""A reader's folder, with all that the pages' commands name: pictures, lists, runs, models, weights, reports."""

from __future__ import annotations

import csv
import json
import shutil
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from drawn_targets import draw_tasks
from edge_data import draw_shapes
from other_models import write_foreign
from quick_training import network, write_weights

__all__ = ["make_folder", "make_weights"]

Edge = Callable[[Sequence[str], Path], str]
CLASS_FOLDERS = {
    "photos": ("ants", "bees"),
    "new-photos": ("ants", "bees"),
    "later-photos": ("ants", "bees"),
    "shared/photos": ("ants", "bees"),
    "hymenoptera": ("ants", "bees"),
    "scans": ("ill", "normal"),
    "other-hospital": ("ill", "normal"),
    "xrays": ("Covid", "Normal", "Viral Pneumonia"),
    "things": ("glass", "metal", "paper"),
    "pages": ("invoice", "receipt", "form"),
}
LISTS = {"labels.csv": "photos", "two.csv": "scans", "camera2.csv": "later-photos"}
# As edge label writes a list, which it goes on in.
LABELLED, WHEN = ("path", "label", "labelled_at"), "2026-01-31T12:00:00+00:00"
FLAT = ("frames", "frames2", "incoming", "inbox", "new", "pile", "2024/07")
SINGLE = ("x.jpg", "x.png", "photo.jpg", "new-photo.jpg", "scan.jpg")
NET = """
from torch import nn


def my_net(classes):
    net = nn.Sequential()
    net.features = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )
    net.classifier = nn.Linear(8, classes)
    return net
"""
QUICK = "--strategy scratch --image-size 32 --epochs 1 --batch-size 8 --threads 1 --backbone resnet18 --quiet"
BENCH = "bench model.onnx --json --duration 0.05 --runs 3 --cold-starts 1 --threads 1"


def draw(path: Path, draws: np.random.Generator, tint: int) -> None:
    """A noisy picture, half of it of a colour that a network could tell."""
    pixels = draws.integers(0, 255, (48, 56, 3), np.uint8)
    pixels[:, :30, tint % 3] //= 2 + tint
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)


def make_folder(home: Path, edge: Edge) -> Path:
    """Fill the folder `home`; `edge` runs a command in it."""
    draws = np.random.default_rng(0)
    for name, labels in CLASS_FOLDERS.items():
        for tint, label in enumerate(labels):
            for number in range(16):
                draw(home / name / label / f"cam{number % 6}-20261128_{number}.jpg", draws, tint)
    for name, folder in LISTS.items():
        with (home / name).open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(LABELLED)
            rows.writerows(
                (path.relative_to(home), path.parent.name, WHEN) for path in sorted(home.glob(f"{folder}/*/*"))
            )
    for number, name in enumerate(FLAT):
        for each in range(6):
            draw(home / name / f"cam{each}-20261128_{number}.jpg", draws, each % 2)
    for name in SINGLE:
        draw(home / name, draws, 0)
    # As a person would have left it.
    (home / "mended.csv").write_text(f"{','.join(LABELLED)}\nphotos/ants/cam0-20261128_0.jpg,ants,{WHEN}\n")
    _write_trap(home)
    draw_tasks(home / "tasks", 60).rename(home / "tasks" / "labels.csv")
    draw_shapes(home / "few-shapes", counts=(24, 9, 9))
    shutil.copytree(home / "few-shapes" / "train", home / "line")
    with (home / "photos.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "species", "age"))
        for number, path in enumerate(sorted(home.glob("photos/*/*"))):
            age = "old" if number % 3 else "young"
            rows.writerow((path.relative_to(home), f"{path.parent.name}|{age}", path.parent.name, age))
    (home / "token").write_text("a-token-that-is-long-enough-to-be-one\n")
    (home / "token").chmod(0o600)
    (home / "sweep.toml").write_text('data = "photos"\nepochs = 20\ntrials = 40\n')
    (home / "photos.toml").write_text('data = "photos"\nbackbone = "mobilenet_v3_small"\n')
    _runs_and_models(home, edge)
    _checkpoints(home)
    return home


def _write_trap(home: Path) -> None:
    """A list with splits and groups, as field_sets.py writes one."""
    (home / "trap").mkdir()
    with (home / "trap" / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "split", "group"))
        for folder, split in (("photos", "train"), ("later-photos", "val"), ("new-photos", "test")):
            for number, path in enumerate(sorted(home.glob(f"{folder}/*/*"))):
                rows.writerow((f"../{path.relative_to(home)}", path.parent.name, split, f"cam-{split}-{number % 3}"))


def _runs_and_models(home: Path, edge: Edge) -> None:
    (home / "runs").mkdir()
    for seed, name in enumerate(("first", "second", "third")):
        _train(home, edge, name, ["--data", "few-shapes", "--seed", str(seed)])
    shutil.copytree(home / "runs" / "first", home / "runs" / "of-the-teacher")
    with (home / "split.csv").open("w", newline="") as file:
        # As many to validate with as --reject-unlike 5% wants.
        rows = csv.writer(file)
        rows.writerow(("path", "label", "split"))
        for folder, split in (("photos", "train"), ("later-photos", "val"), ("new-photos", "test")):
            rows.writerows((path.relative_to(home), path.parent.name, split) for path in home.glob(f"{folder}/*/*"))
    _train(home, edge, "NAME", ["--data", "split.csv"])
    for precision in ("fp32", "int8"):
        more = ["--with-unlike", "--with-embedding"] if precision == "fp32" else ["--max-drop", "100"]
        edge(["export", "--run", "runs/NAME", "--precision", precision, *more, "--quiet"], home)
    for made in ("model.onnx", "model-int8.onnx"):
        shutil.copy(home / "runs" / "NAME" / made, home / made)
    (home / "models").mkdir()
    for copy in ("a.onnx", "b.onnx", "models/resnet18.onnx", "models/other.onnx"):
        shutil.copy(home / "model.onnx", home / copy)
    write_foreign(home / "squeezenet.onnx", classes=5)
    (home / "imagenet.txt").write_text("".join(f"thing {number}\n" for number in range(5)))
    measured = edge(BENCH.split(), home)
    for name in ("old.json", "new.json", "pi.json", "bench.json"):
        (home / name).write_text(measured)
    assert json.loads(measured)


def _train(home: Path, edge: Edge, name: str, words: Sequence[str]) -> None:
    edge(["train", *words, "--out", "made", *QUICK.split()], home)
    (run,) = (home / "made").iterdir()
    run.rename(home / "runs" / name)


def _checkpoints(home: Path) -> None:
    """Of other programs, as docs/import.md names them."""
    (home / "nets.py").write_text(NET)
    (home / "my_package").mkdir()
    (home / "my_package" / "__init__.py").touch()
    (home / "my_package" / "nets.py").write_text(NET)
    made: dict[str, nn.Module] = {}
    exec(NET, made)  # type: ignore[arg-type]
    torch.save(made["my_net"](2).state_dict(), home / "my_net.pth")
    (home / "labels.txt").write_text("ants\nbees\n")
    two = network("resnet18", classes=2).backbone.state_dict()
    torch.save(network("resnet18", classes=1000).backbone.state_dict(), home / "resnet18-f37072fd.pth")
    arguments = Namespace(model="resnet18", img_size=32, crop_pct=1.0, mean=None, std=None, interpolation="bilinear")
    torch.save({"arch": "resnet18", "state_dict": two, "args": arguments}, home / "model_best.pth.tar")
    torch.save({"model": two}, home / "checkpoint.pth")
    torch.save({"state_dict": {f"net.{name}": each for name, each in two.items()}}, home / "model.ckpt")
    mobile = network("mobilenet_v2", classes=2).backbone.state_dict()
    torch.save({"state_dict": {f"model.{name}": each for name, each in mobile.items()}}, home / "last.ckpt")
    write_weights(home / "mobilenet_v2-imagenet.pth", "mobilenet_v2")


def make_weights(folder: Path) -> Path:
    """Random weights that lie where downloads would have been put by hand: EDGE_WEIGHTS_DIR."""
    from safetensors.torch import save_file

    folder.mkdir()
    for name in ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "resnet50"):
        write_weights(folder / f"{name}.pth", name)
    import timm

    for name in ("resnet18.a1_in1k", "mobilenetv4_conv_small"):
        tagged = timm.create_model(name, pretrained=False).pretrained_cfg
        whole = name if "." in name else f"{name}.{tagged['tag']}"
        (folder / "timm" / whole).mkdir(parents=True)
        save_file(timm.create_model(name, pretrained=False).state_dict(), folder / "timm" / whole / "model.safetensors")
    two = {name: each.contiguous() for name, each in network("resnet18", classes=2).backbone.state_dict().items()}
    for place, name in (("acme/parts", "model"), ("acme/parts@v2", "resnet18")):
        (folder / place).mkdir(parents=True)
        save_file(two, folder / place / f"{name}.safetensors")
    return folder
