"""Checkpoints in the layout of each training script: the run that is made of them answers as the network did."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edge_data import draw_shapes
from edge_runtime import EdgeError, UsageError
from edge_train import TrainSettings, build, find_backbone, preprocessing, train
from edge_train.imported.claims import read_claims
from edge_train.network.checkpoint import load_checkpoint
from edge_train.network.weights import load_pretrained
from edge_train.several_runs.averaging import average
from imported_nets import (
    LABELS,
    OPTIMIZER,
    TINY,
    State,
    answers,
    before,
    body_and_head,
    by_number,
    expected,
    noise,
    pictures,
    take,
    tiny,
)
from quick_training import Ear, quick_settings

TIMM = argparse.Namespace(model="x", img_size=None, mean=None, std=None, crop_pct=None, interpolation="")
TORCHVISION = argparse.Namespace(model="x", val_crop_size=64, val_resize_size=72, interpolation="bicubic")

LAYOUTS: dict[str, tuple[Callable[[State, nn.Module], Any], str]] = {
    "bare": (lambda s, _: s, ""),
    "DataParallel": (lambda s, _: before(s, "module."), "prefix module."),
    "torchvision": (
        lambda s, _: {"model": s, **OPTIMIZER, "lr_scheduler": {}, "epoch": 1, "args": TORCHVISION},
        "torchvision's reference scripts",
    ),
    "torchvision's average": (
        lambda s, _: {"model": noise(s), "model_ema": {"n_averaged": torch.tensor(1), **before(s, "module.")}},
        "the moving average; prefix module.",
    ),
    "timm": (
        lambda s, _: {"arch": "x", "state_dict": noise(s), "state_dict_ema": s, "args": TIMM, "version": 2},
        "timm's train.py; the moving average",
    ),
    "Lightning": (
        lambda s, _: {
            "pytorch-lightning_version": "2.5.0",
            "state_dict": {**before(s, "net."), "criterion.weight": torch.ones(3)},
            "hyper_parameters": {"lr": 0.1},
            "optimizer_states": [OPTIMIZER["optimizer"]],
        },
        "Lightning; prefix net.",
    ),
    "Lightning in parts": (
        lambda s, m: {
            "state_dict": {
                **before(by_number(body_and_head(s)[0], m), "feature_extractor."),
                **before(body_and_head(s)[1], "classifier."),
            }
        },
        "prefix feature_extractor., parts by number; head from classifier",
    ),
    "a head behind dropout": (
        lambda s, _: {**body_and_head(s)[0], **before(body_and_head(s)[1], "fc.1.")},
        "head from fc.1",
    ),
    "edge": (
        lambda s, _: {"edge_checkpoint": 1, "network": {**before(s, "backbone."), "mean": torch.zeros(1, 3, 1, 1)}},
        "edge; prefix backbone.",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_becomes_a_run_that_answers_as_the_network_did(layout: str, tmp_path: Path) -> None:
    model = tiny()
    wrap, how = LAYOUTS[layout]
    torch.save(wrap(model.state_dict(), model), tmp_path / "x.pth")
    ear = Ear()
    result = take(tmp_path / "x.pth", tmp_path / "runs", ear)
    assert torch.equal(answers(result), expected(model, result))
    assert result.card.data["imported"].partition(")")[2].removeprefix("; ") == how
    assert (result.card.labels, result.card.strategy, result.card.temperature) == (LABELS, "imported", 1.0)
    assert any("temperature 1" in line for line in ear.lines)
    kept = {"criterion.weight"} if layout == "Lightning" else {"n_averaged"} if "average" in layout else set()
    assert set(result.unused) - {"mean"} == kept


def test_safetensors_and_halves_are_taken(tmp_path: Path) -> None:
    save = pytest.importorskip("safetensors.torch").save_file
    model = tiny().half().float()
    save(
        {key: t.half() if t.is_floating_point() else t for key, t in model.state_dict().items()},
        tmp_path / "x.safetensors",
    )
    result = take(tmp_path / "x.safetensors", tmp_path / "runs")
    assert torch.equal(answers(result), expected(model, result))


def test_fastais_own_head_is_taken_whole(tmp_path: Path) -> None:
    """`create_head` of fastai 2.8 as it is in its source; what the real one answers is 3e-6 of a logit from it."""
    torch.manual_seed(0)
    own = build(find_backbone("resnet18"), classes=2)

    class ConcatPool(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([nn.functional.adaptive_max_pool2d(x, 1), nn.functional.adaptive_avg_pool2d(x, 1)], 1)

    head = nn.Sequential(
        *(ConcatPool(), nn.Flatten()),
        *(nn.BatchNorm1d(1024), nn.Dropout(0.25), nn.Linear(1024, 512, bias=False), nn.ReLU()),
        *(nn.BatchNorm1d(512), nn.Dropout(0.5), nn.Linear(512, 3, bias=False)),
    )
    model = nn.Sequential(nn.Sequential(*list(own.children())[:-2]), head).train()
    with torch.no_grad():
        model(torch.randn(8, 3, 32, 32))
    torch.save({"model": model.eval().state_dict(), "opt": {"state": [], "hypers": []}}, tmp_path / "x.pth")
    result = take(tmp_path / "x.pth", tmp_path / "runs", backbone="resnet18")
    assert torch.allclose(answers(result), expected(model, result), atol=1e-5)
    assert result.card.architecture == {"fastai_units": 512} and result.unused == ()
    assert "fastai's head" in result.card.data["imported"]
    # Where it has no place, the body can be had, and that is said.
    body = build(find_backbone("mobilenet_v2"), classes=2).state_dict()
    state = before(
        by_number(
            {key: t for key, t in body.items() if key.startswith("features.")},
            nn.ModuleDict({"features": nn.Identity()}),
        ),
        "0.",
    )
    torch.save({**state, **before(head.state_dict(), "1.")}, tmp_path / "y.pth")
    with pytest.raises(EdgeError, match="fastai's head cannot stand on mobilenet_v2") as caught:
        take(tmp_path / "y.pth", tmp_path / "runs", backbone="mobilenet_v2")
    assert "edge train --weights" in caught.value.hint


def test_what_the_checkpoint_says_of_pictures_holds_unless_a_person_says_otherwise(tmp_path: Path) -> None:
    state = tiny().state_dict()
    torch.save({"model": state, "args": TORCHVISION}, tmp_path / "tv.pth")
    steps = take(tmp_path / "tv.pth", tmp_path / "runs", image_size=None).card.preprocessing
    assert (steps.resize_px, steps.width_px, steps.interpolation) == (72, 64, "bicubic")
    steps = take(tmp_path / "tv.pth", tmp_path / "runs", image_size=32, interpolation="bilinear").card.preprocessing
    assert (steps.resize_px, steps.width_px, steps.interpolation) == (32, 32, "bilinear")
    args = argparse.Namespace(input_size=[3, 48, 48], mean=[0.5, 0.5, 0.5], std=[0.1, 0.2, 0.3], crop_pct=0.75)
    torch.save({"arch": "x", "state_dict": state, "args": args, "classes": ["a", "b", "c"]}, tmp_path / "timm.pth")
    card = take(tmp_path / "timm.pth", tmp_path / "runs", labels=None).card
    assert (card.preprocessing.resize_px, card.preprocessing.height_px) == (64, 48)
    assert card.normalization == {"mean": [0.5] * 3, "std": pytest.approx([0.1, 0.2, 0.3])}
    assert card.labels == ("a", "b", "c")
    card = take(tmp_path / "timm.pth", tmp_path / "runs", mean=(0, 0, 0), std=(1, 1, 1)).card
    assert (card.normalization, card.labels) == ({"mean": [0.0] * 3, "std": [1.0] * 3}, LABELS)


def test_an_arch_is_timms_only_where_timm_wrote_it(tmp_path: Path) -> None:
    """PyTorch's ImageNet example names a network of torchvision, which expects other pictures than timm's."""
    state = build(find_backbone("squeezenet1_1"), classes=3).state_dict()
    example = {"epoch": 1, "arch": "squeezenet1_1", "state_dict": before(state, "module."), "best_acc1": 1.0}
    torch.save(example, tmp_path / "model_best.pth.tar")
    card = take(tmp_path / "model_best.pth.tar", tmp_path / "runs", backbone=None).card
    assert (card.backbone, card.preprocessing) == ("squeezenet1_1", preprocessing(find_backbone("squeezenet1_1"), None))
    assert "timm" not in card.data["imported"]
    for more in ({"version": 2}, {"args": argparse.Namespace(img_size=None)}):
        assert read_claims({**example, **more}).backbone == "timm:squeezenet1_1"
    assert read_claims({**example, "arch": "resnet34"}).backbone == "timm:resnet34"


def test_what_makes_no_sense_in_a_checkpoint_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    args = argparse.Namespace(
        input_size=[3, -1, -1],
        img_size="large",
        mean=["a", None, 1],
        std=[0, 0, 0],
        crop_pct=float("nan"),
        interpolation=7,
    )
    state = tiny().state_dict()
    torch.save({"arch": 3, "state_dict": state, "args": args, "classes": [1, 2, 3]}, tmp_path / "odd.pth")
    plain, odd = tmp_path / "plain.pth", tmp_path / "odd.pth"
    torch.save(state, plain)
    one, two = (take(path, tmp_path / "runs").card for path in (plain, odd))
    assert (one.preprocessing, one.normalization) == (two.preprocessing, two.normalization)
    torch.save({"arch": "x", "state_dict": state, "args": args}, tmp_path / "odd.pth")
    assert take(odd, tmp_path / "runs").card.preprocessing == one.preprocessing


@pytest.mark.parametrize(
    "said",
    [
        {"class_to_idx": {2019: 0, 2020: 1, 2021: 2}},
        {"class_to_idx": {("a",): 0, "b": 1, "c": 2}},
        {"class_to_idx": {"a": 10**400, "b": 1, "c": 2}},
        {"args": {"mean": [10**400, 0, 0], "std": [1e39, 1, 1]}},
        {"args": {"mean": [1e39, 0, 0], "std": [1e-40, 1, 1]}},
        {"args": {"crop_pct": 5e-324}},
        {"args": {"crop_pct": 1e-4}},
        {"args": {"input_size": [3, torch.ones(2), torch.ones(2)], "interpolation": torch.ones(2)}},
    ],
)
def test_nor_is_what_no_program_can_count_with(said: dict[str, Any], tmp_path: Path) -> None:
    plain = {"arch": "x", "version": 2, "state_dict": tiny().state_dict()}
    args = argparse.Namespace(img_size=64, **said.get("args", {}))
    torch.save({**plain, "args": argparse.Namespace(img_size=64)}, tmp_path / "plain.pth")
    torch.save({**plain, **said, "args": args}, tmp_path / "odd.pth")
    one, two = (take(tmp_path / f"{name}.pth", tmp_path / "runs").card for name in ("plain", "odd"))
    assert one.preprocessing == two.preprocessing and one.normalization == two.normalization
    with pytest.raises(UsageError, match="answers 3 classes, which nothing names"):
        take(tmp_path / "odd.pth", tmp_path / "runs", labels=None)


def test_class_names_are_in_the_order_of_their_numbers() -> None:
    assert read_claims({"class_to_idx": {"dog": 1, "cat": 0}}).labels == ("cat", "dog")
    # Numbers for names are none, and the list beside them is one.
    assert read_claims({"class_to_idx": {7: 0, 8: 1}, "classes": ["seven", "eight"]}).labels == ("seven", "eight")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("trained")
    data = draw_shapes(folder / "shapes", counts=(24, 18, 9))
    return train(quick_settings(data, folder / "runs", epochs=1, backbone=TINY[-1])), data


def test_on_images_it_is_calibrated_and_measured_as_the_run_was_that_trained_it(trained: Any, tmp_path: Path) -> None:
    run, data = trained
    card = run.card
    model = load_checkpoint(run.run.best).build().backbone
    args = argparse.Namespace(img_size=32, **card.normalization, crop_pct=1.0)
    torch.save({"arch": "x", "state_dict": model.state_dict(), "args": args}, tmp_path / "timm.pth.tar")
    result = take(tmp_path / "timm.pth.tar", tmp_path / "runs", labels=None, data=str(data))
    assert result.card.preprocessing == card.preprocessing
    assert result.card.temperature == pytest.approx(card.temperature, rel=1e-4)
    for split in ("val", "test"):
        for name in ("accuracy", "log_loss", "n"):
            assert result.card.metrics[split][name] == pytest.approx(card.metrics[split][name], abs=1e-5), (split, name)
    assert (result.run.path / "report.html").is_file()
    assert json.loads(result.run.summary.read_text())["headline"] == "test"
    # The order of outputs is the person's; that of the folder is another.
    turned = take(tmp_path / "timm.pth.tar", tmp_path / "runs", labels=LABELS[::-1], data=(str(data),))
    assert turned.card.labels == LABELS[::-1]
    assert turned.summary["metrics"]["test"]["accuracy"] != result.summary["metrics"]["test"]["accuracy"]


def test_a_run_that_was_imported_is_fine_tuned_with_its_own_normalisation(trained: Any, tmp_path: Path) -> None:
    data = trained[1]
    torch.save(tiny().state_dict(), tmp_path / "x.pth")
    imported = take(tmp_path / "x.pth", tmp_path / "runs", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)).run
    # A run stands for its best checkpoint.
    tuned = train(
        quick_settings(
            data,
            tmp_path / "runs",
            strategy="feature-extraction",
            epochs=1,
            backbone=TINY[-1],
            weights=str(imported.path),
        )
    )
    assert tuned.card.normalization["std"] == pytest.approx([0.4, 0.5, 0.6])
    assert json.loads(tuned.run.config.read_text())["settings"]["weights"] == str(imported.best.resolve())


@pytest.mark.parametrize("built", [{"hidden_units": 16}, {"attention": "se", "positive": "bees"}])
def test_edges_own_checkpoint_is_built_as_it_was_trained(built: dict[str, Any], tmp_path: Path) -> None:
    data = draw_shapes(tmp_path / "shapes", counts=(12, 9, 0))
    if "positive" in built:
        (data / "train" / "circle").rename(data / "train" / "bees")
        (data / "val" / "circle").rename(data / "val" / "bees")
        for split in ("train", "val"):
            shutil.rmtree(data / split / "square")
    run = train(quick_settings(data, tmp_path / "runs", epochs=1, **built))
    ear = Ear()
    result = take(run.run.best, tmp_path / "imported", ear, backbone=None, labels=None)
    assert result.card.architecture == run.card.architecture
    assert (result.card.labels, result.card.temperature) == (run.card.labels, run.card.temperature)
    assert result.card.preprocessing == run.card.preprocessing
    assert any("threshold for 'bees' is not kept" in line for line in ear.lines) == ("positive" in built)
    with torch.no_grad():
        assert torch.equal(answers(result), load_checkpoint(run.run.best).build()(pictures()))


def test_an_imported_run_is_not_resumed_repeated_or_averaged(tmp_path: Path) -> None:
    from edge_train import read_train_settings, resume

    torch.save(tiny().state_dict(), tmp_path / "x.pth")
    run, other = (take(tmp_path / "x.pth", tmp_path / "runs").run for _ in range(2))
    with pytest.raises(EdgeError, match="was not trained") as caught:
        resume(run)
    assert f"edge train --weights {run.best}" in caught.value.hint
    with pytest.raises(UsageError, match="is not of a run that was trained"):
        read_train_settings(run.config)
    with pytest.raises(UsageError, match="0 training and 0 validation images"):
        average([run, other])


def test_networks_of_the_table_and_of_timm_are_imported(tmp_path: Path) -> None:
    names = ["squeezenet1_1", *(["timm:test_vit"] if pytest.importorskip("timm") else [])]
    for name in names:
        model = build(find_backbone(name), classes=3, size_px=32).eval()
        torch.save({"state_dict": before(model.state_dict(), "model.")}, tmp_path / "x.ckpt")
        result = take(tmp_path / "x.ckpt", tmp_path / "runs", backbone=name, image_size=32)
        assert torch.equal(answers(result), expected(model, result))


def test_a_layer_in_the_place_of_the_part_that_the_head_is_in_is_the_head(tmp_path: Path) -> None:
    """As `model.classifier = nn.Linear(1280, 3)` leaves it, where torchvision has dropout in front."""
    model = build(find_backbone("mobilenet_v2"), classes=3).eval()
    state = {key.replace("classifier.1.", "classifier."): t for key, t in model.state_dict().items()}
    torch.save(state, tmp_path / "x.pth")
    result = take(tmp_path / "x.pth", tmp_path / "runs", backbone="mobilenet_v2", mean=(0.1, 1 / 3, 0.5))
    assert torch.equal(answers(result), expected(model, result))
    assert result.unused == () and "head from classifier" in result.card.data["imported"]
    assert (
        f"--mean {(0.1, 1 / 3, 0.5)}".replace(", ", ",").replace("(", "").replace(")", "") in result.summary["command"]
    )
    other = build(find_backbone("mobilenet_v2"), classes=2)
    load_pretrained(other, find_backbone("mobilenet_v2"), tmp_path / "x.pth")
    assert torch.equal(other.features[0][0].weight, model.features[0][0].weight)


def test_labels_of_a_file_and_those_of_imagenet(tmp_path: Path) -> None:
    from edge_train.imported.import_settings import parse_labels

    (tmp_path / "labels.txt").write_text("one\ntwo\n", encoding="utf-8")
    assert parse_labels(str(tmp_path / "labels.txt")) == ("one", "two")
    names = parse_labels("imagenet")
    assert (len(set(names)), names[0], names[-1]) == (1000, "tench", "toilet tissue")


def test_what_config_keeps_are_settings_of_a_run(tmp_path: Path) -> None:
    torch.save(tiny().state_dict(), tmp_path / "x.pth")
    config = take(tmp_path / "x.pth", tmp_path / "runs").run.read_config()
    assert (config["strategy"], config["data_root"], config["data_sources"]) == ("imported", None, [])
    assert TrainSettings(**{**config["settings"], "out": tmp_path}).weights == str(tmp_path / "x.pth")
    assert config["import"] == {"checkpoint": str(tmp_path / "x.pth"), "unused": [], "unused_keys": 0}
