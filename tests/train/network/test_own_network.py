"""Networks that users write themselves: what is found of them, and what is said of those that cannot be used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge_runtime import CheckpointError, ModelCard, Preprocessing, UsageError, WeightsError
from edge_train import Checkpoint, Network, TrainSettings
from edge_train.explain.grad_cam import last_map
from edge_train.network.backbones import Backbone
from edge_train.network.building import build, preprocessing, preset
from edge_train.network.fold_batch_norm import fold
from edge_train.network.lookup import find_again, find_backbone
from edge_train.network.own_code import mark_as_named
from edge_train.network.own_network import IMAGENET_MEAN, IMAGENET_STD
from edge_train.network.tracing import trace
from edge_train.network.weights import load_pretrained
from edge_train.run.prepare import prepare
from own_nets import NETS, write_nets
from quick_training import Ear, quick_settings

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Code that a test names is named to no user's edge."""
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    return write_nets(tmp_path)


def found(nets: Path, function: str) -> Backbone:
    return find_backbone(f"{nets}:{function}")


def test_what_a_network_does_not_say_is_found_by_a_picture_that_goes_through_it(nets: Path) -> None:
    backbone = found(nets, "plain")
    assert backbone.name == "nets.py:plain" and backbone.file_name == "nets.py-plain"
    assert backbone.head == "out", "the last linear layer that a picture meets, not the last that is written"
    stages = {stage.name: stage.modules for stage in backbone.stages}
    # The norm that only scales is no stage of its own, and nor is what has no parameters.
    assert stages == {"stem": ("first", "scale"), "backbone": ("backbone",), "hidden": ("hidden",)}
    assert backbone.features == "backbone"
    contract, mean, std = preset(backbone)
    assert (contract.resize_px, contract.height_px, contract.interpolation) == (256, 224, "bilinear")
    assert (mean, std) == (IMAGENET_MEAN, IMAGENET_STD)
    # 112×112×8 of 27 products, 56×56×16 of 72, and two small linear layers.
    assert backbone.gflops == pytest.approx((112**2 * 8 * 27 + 56**2 * 16 * 72 + 16 * 12 + 12 * 7) / 1e9)


def test_a_query_that_is_expanded_for_each_picture_is_counted_and_still_learns(nets: Path) -> None:
    backbone = found(nets, "queried")
    assert backbone.stage_of("query") == "stem" and backbone.head == "out" and backbone.gflops > 0
    model = build(backbone, classes=3)
    assert [name for name, each in model.named_parameters() if not each.requires_grad] == ["fixed"]
    assert backbone.maker is not None
    backbone.maker.require_size(48)
    traced = trace(model, 32)
    assert traced.answer == (2, 3) and traced.gmacs == pytest.approx(backbone.gflops, rel=0.01)
    assert [name for name, each in model.named_parameters() if not each.requires_grad] == ["fixed"]


def test_few_children_are_taken_apart_into_stages(nets: Path) -> None:
    backbone = found(nets, "two_parts")
    assert [stage.modules for stage in backbone.stages] == [
        ("features.0", "features.1"),
        ("features.3",),
        ("features.5",),
    ]
    assert backbone.head == "classifier.1" and backbone.stage_of("features.1.bias") == "stem"


def test_what_a_network_says_of_itself_is_taken(nets: Path) -> None:
    backbone = found(nets, "described")
    assert backbone.head == "hidden" and backbone.features == "first"
    assert [(stage.name, stage.modules) for stage in backbone.stages] == [
        ("low", ("first", "scale")),
        ("high", ("backbone", "out")),
    ]
    contract, mean, std = preset(backbone)
    assert contract == Preprocessing(resize_px=40, height_px=32, width_px=32, interpolation="bicubic")
    assert (mean, std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert preprocessing(backbone, 48).resize_px == 60
    model = build(backbone, classes=3)
    assert last_map(model, backbone) is model.get_submodule("first")


def test_a_function_that_takes_the_size_is_given_it(nets: Path) -> None:
    backbone = found(nets, "sized")
    assert build(backbone, classes=3, size_px=16).get_submodule("out").in_features == 3 * 16 * 16
    assert preprocessing(backbone, 16).height_px == 16
    with pytest.raises(UsageError, match=r"nets\.py:stiff cannot take 16×16 pixels: RuntimeError: mat1 and mat2"):
        preprocessing(found(nets, "stiff"), 16)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("nothing", "there is no function 'nothing'"),
        ("raises", r"made no network for 7 classes: ValueError: no (.*nets\.py, line \d+)"),
        ("no_module", "made a dict, not an nn.Module"),
        ("a_tuple", "answers two pictures and 7 classes with no tensor"),
        ("ten_answers", r"answers two pictures and 7 classes with a tensor of shape \[2, 10\]"),
        ("two_in_training", "with no tensor"),
        ("unknown_key", "`edge` has an unknown key 'heads'"),
        ("no_such_head", "has no 'fc', which its `edge` names"),
        ("half_staged", r"the parameter backbone\.0\.weight is in no stage"),
        ("twice_staged", r"the parameter first\.weight is in a and b"),
        ("bad_size", "its `edge` cannot be read: invalid literal"),
        ("no_size", r"nets\.py:no_size: its `edge` cannot be read: resize_px is 0"),
        ("no_numbers", r"`edge` has mean \(nan, 0\.0, 0\.0\)"),
        ("huge_mean", "its `edge` cannot be read: int too large"),
        ("head_of_number", "`edge` has a head that is no path"),
        ("stages_of_number", "`stages` that are no dictionary of module paths"),
        ("no_linear", "has no nn.Linear to be its head"),
        ("two_headed", r"its head is one layer under 2 names, out and classifier\.1"),
        ("lazy_beside", "has lazy layers that no picture reaches"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_in_one_line(nets: Path, function: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        found(nets, function)
    assert "\n" not in str(caught.value) and caught.value.hint


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_backbone(f"{tmp_path}/none.py:net")
    with pytest.raises(UsageError, match="does not exist"):
        find_backbone("~no such user/nets.py:net")
    (tmp_path / "half.py").write_text("def net(:\n")
    with pytest.raises(UsageError, match=r"half\.py:net cannot be imported: SyntaxError"):
        find_backbone(f"{tmp_path}/half.py:net")
    with pytest.raises(UsageError, match=r"there is no module 'no_such_package\.nets'"):
        find_backbone("no_such_package.nets:net")


def test_a_module_is_found_by_its_dotted_name(nets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = nets.parent / "own_package_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(nets.parent))
    assert find_backbone("own_package_of_a_test.inner:plain").head == "out"


def test_looking_into_a_network_changes_no_random_number(nets: Path) -> None:
    torch.manual_seed(0)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    for function in ("plain", "dropping"):
        found(nets, function)
    assert torch.equal(torch.rand(1), wanted)


def checkpoint_of(backbone: Backbone) -> Checkpoint:
    assert backbone.maker is not None
    contract, mean, std = preset(backbone)
    card = ModelCard(
        labels=("a", "b"),
        preprocessing=contract,
        backbone=backbone.name,
        strategy="scratch",
        normalization={"mean": list(mean), "std": list(std)},
        architecture=dict(backbone.maker.identity),
    )
    return Checkpoint(card, Network(build(backbone, classes=2), mean, std).state_dict(), 1, {})


def test_a_checkpoint_makes_its_network_again_and_no_other(nets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = checkpoint_of(found(nets, "described"))
    built = checkpoint.build()
    assert all(torch.equal(value, checkpoint.network[name]) for name, value in built.state_dict().items())
    nets.write_text(NETS.replace("ReLU", "GELU"))
    with pytest.raises(CheckpointError, match=r"nets\.py, which makes this run's network, has changed") as caught:
        checkpoint.build()
    assert "sha256" in caught.value.hint
    nets.unlink()
    with pytest.raises(CheckpointError, match="is gone"):
        checkpoint.build()
    # A copy in the working folder will do.
    (nets.parent / "elsewhere").mkdir()
    (nets.parent / "elsewhere" / "nets.py").write_text(NETS)
    monkeypatch.chdir(nets.parent / "elsewhere")
    checkpoint.build()


def test_a_checkpoint_runs_no_code_that_was_never_named_here(
    nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    nets.write_text(f"{NETS}\nopen({str(ran)!r}, 'w').close()\n")
    checkpoint = checkpoint_of(found(nets, "described"))
    ran.unlink()
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "another machine"))
    with pytest.raises(CheckpointError, match="never named to edge on this machine") as caught:
        checkpoint.build()
    assert f"edge backbones {nets}:described" in caught.value.hint
    # Nor what every machine has.
    with pytest.raises(CheckpointError, match="never named"):
        replace(checkpoint, card=replace(checkpoint.card, backbone="antigravity:fly", architecture={})).build()
    # A file that is there anyway is no mark of a hash, and looking for a module runs the package it lies in.
    (tmp_path / "lying").mkdir()
    (tmp_path / "lying" / "__init__.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    architecture = {"network_sha256": str(nets)}
    with pytest.raises(CheckpointError, match="never named"):
        replace(
            checkpoint, card=replace(checkpoint.card, backbone="lying.within:make", architecture=architecture)
        ).build()
    # Nor the package of a module that holds other code than what was named.
    (tmp_path / "lying" / "within.py").write_text(NETS)
    named = hashlib.sha256(b"named").hexdigest()
    mark_as_named(named)
    with pytest.raises(CheckpointError, match="has changed since it was trained"):
        replace(
            checkpoint,
            card=replace(checkpoint.card, backbone="lying.within:plain", architecture={"network_sha256": named}),
        ).build()
    assert not ran.exists()


def test_weights_of_its_own_are_taken_whatever_its_parts_are_called(nets: Path, tmp_path: Path) -> None:
    backbone = found(nets, "wrapped")
    trained, fresh = build(backbone, classes=2), build(backbone, classes=5)
    assert all(name.startswith("backbone.") or name.startswith("out.") for name in trained.state_dict())
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    assert load_pretrained(fresh, backbone, tmp_path / "weights.pth").startswith("file weights.pth")
    one, two = trained.state_dict(), fresh.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one if not name.startswith("out."))
    with pytest.raises(WeightsError, match=r"nets\.py:wrapped says of no pretrained weights"):
        load_pretrained(fresh, backbone, "default")


def test_dropout_and_a_hidden_layer_go_before_its_head(nets: Path) -> None:
    backbone = found(nets, "plain")
    dropped = build(backbone, classes=3, dropout=0.5)
    assert "dropout=0.5" in repr(dropped.get_submodule("out"))
    assert dropped.state_dict().keys() == build(backbone, classes=3).state_dict().keys()
    assert build(backbone, classes=3, hidden_units=4).get_submodule("out.3").out_features == 3
    with pytest.raises(UsageError, match="small is for ResNets"):
        build(replace(backbone, name="resnet.py:plain"), classes=3, stem="small")


def test_lazy_layers_take_their_size_from_a_picture(nets: Path) -> None:
    model = build(found(nets, "lazy"), classes=3, size_px=64)
    assert model.get_submodule("out").in_features == 12 and model.training
    assert not model.get_submodule("scale").num_batches_tracked


def test_what_cannot_be_copied_is_said_in_one_line(nets: Path) -> None:
    with pytest.raises(UsageError, match=r"keeps what cannot be copied: cannot pickle '_thread\.lock' object"):
        fold(Network(build(found(nets, "keeps_a_lock"), classes=3), IMAGENET_MEAN, IMAGENET_STD))


def test_where_no_mark_can_be_kept_the_process_knows_what_was_named_and_says_so(
    nets: Path, few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "file" / "cache"))
    nets.write_text(f"# {tmp_path}\n{NETS}", encoding="utf-8")
    ear = Ear()
    job = prepare(quick_settings(few_shapes, tmp_path / "runs", backbone=f"{nets}:plain"), ear)
    (note,) = [line for line in ear.lines if "cannot be written" in line]
    assert note.startswith(f"note: {tmp_path / 'file' / 'cache' / 'networks'} cannot be written: no other command")
    assert find_again(job.card.backbone, job.card.architecture).head == "out"
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    maker = found(nets, "plain").maker
    assert maker is not None and not maker.note, "a mark is kept by now"


def test_a_run_keeps_where_its_network_is_from(nets: Path, few_shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(nets.parent)
    settings: TrainSettings = quick_settings(few_shapes, nets.parent / "runs", backbone="nets.py:plain")
    job = prepare(settings, Ear())
    assert job.settings.backbone == f"{nets}:plain"
    assert job.card.backbone == "nets.py:plain" and job.card.architecture["network_file"] == str(nets)
    assert len(job.card.architecture["network_sha256"]) == 64
