"""Attention behind each stage: at first nothing changes, then it learns; and a run with it goes all the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edge_runtime import CheckpointError, UsageError, WeightsError  # noqa: E402
from edge_train import (  # noqa: E402
    ActiveRun,
    Backbone,
    Callback,
    Explainer,
    Network,
    build,
    count_attention,
    find_backbone,
    load_checkpoint,
    load_pretrained,
    resume,
    save_checkpoint,
    train,
    with_attention,
)
from edge_train.network.attention import is_of_attention  # noqa: E402
from edge_train.network.fold_batch_norm import fold  # noqa: E402
from edge_train.network.lookup import find_again  # noqa: E402
from edge_train.settings import Strategy  # noqa: E402
from edge_train.several_runs.averageable import check_runs  # noqa: E402
from edge_train.strategy.plan import ATTENTION, BATCH_NORM, Plan, freeze, layer_groups, set_mode  # noqa: E402
from own_nets import write_nets  # noqa: E402
from quick_training import changed, equal, network, quick_settings, weights  # noqa: E402

KINDS = ("se", "cbam", "eca")
SMALL = "shufflenet_v2_x0_5"


def pair(name: str, kind: str) -> tuple[nn.Module, nn.Module, Backbone]:
    """The same weights without attention and with it, in evaluation mode."""
    backbone = find_backbone(name)
    attended = with_attention(backbone, kind)
    plain, with_it = build(backbone, classes=3).eval(), build(attended, classes=3).eval()
    missing, unexpected = with_it.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and missing and all(map(is_of_attention, missing))
    return plain, with_it, attended


def sites(name: str, kind: str = "se") -> dict[str, int]:
    """The paths that attention stands behind, with their channels."""
    attention = with_attention(find_backbone(name), kind).attention
    assert attention is not None
    return dict(attention.sites)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", "squeezenet1_1", "regnet_y_400mf"])
def test_at_first_the_answers_are_the_same_bit_for_bit(name: str) -> None:
    images = torch.randn(2, 3, 64, 64)
    for kind in KINDS if name == "resnet18" else ("cbam",):
        plain, with_it, attended = pair(name, kind)
        with torch.no_grad():
            assert torch.equal(plain(images), with_it(images))
        assert attended.attention is not None
        counted = sum(p.numel() for n, p in with_it.named_parameters() if is_of_attention(n))
        assert counted == count_attention(attended.attention)
        assert {attended.stage_of(n) for n, _ in with_it.named_parameters()} >= {s.name for s in attended.stages}


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_it_learns_from_the_second_step_on(kind: str) -> None:
    _, with_it, _ = pair("resnet18", kind)
    own = {name: p for name, p in with_it.named_parameters() if is_of_attention(name)}
    optimizer = torch.optim.SGD(own.values(), lr=0.1)
    draw = torch.Generator().manual_seed(0)
    images, target = torch.randn(4, 3, 64, 64, generator=draw), torch.tensor([0, 1, 2, 0])
    moved = []
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(with_it(images), target).backward()
        moved.append({name for name, p in own.items() if p.grad is not None and p.grad.any()})
        optimizer.step()
    # The layer that begins at zero first, at every site; then the one in front of it.
    assert {name.rpartition(".added_attention.")[0] for name in moved[0]} == sites("resnet18", kind).keys()
    assert moved[1] == set(own)


def test_the_block_stands_behind_the_last_map_of_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    assert list(sites("resnet18")) == ["maxpool", "layer1", "layer2", "layer3", "layer4"]
    assert list(sites("mobilenet_v2")) == ["features.1", "features.3", "features.6", "features.13", "features.18"]
    # Its last stage is of hidden units, which have no places.
    assert list(sites("vgg16")) == ["features.4", "features.9", "features.16", "features.23", "avgpool"]
    assert sites(f"{write_nets(tmp_path)}:plain") == {"scale": 8, "backbone": 16}


def test_batch_norm_is_folded_as_without_it() -> None:
    backbone = find_backbone("mobilenet_v2")
    made = Network(build(with_attention(backbone, "se"), classes=3), (0.5,) * 3, (0.2,) * 3).eval()
    for name, parameter in made.named_parameters():
        if is_of_attention(name):
            nn.init.normal_(parameter, std=0.5)
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    folded = fold(made)
    assert not any(type(module) is nn.BatchNorm2d for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(images), made(images), rtol=1e-4, atol=1e-4)


def test_it_learns_at_the_heads_rate_and_with_its_stage() -> None:
    backbone = with_attention(find_backbone("resnet18"), "se")
    made = Network(build(backbone, classes=3), (0.5,) * 3, (0.2,) * 3)

    def learning(strategy: Strategy, **shape: str) -> set[str]:
        plan = Plan(backbone, strategy, **shape)  # type: ignore[arg-type]
        freeze(made, plan)
        rates = {group.name: group.rate for group in layer_groups(made, plan)}
        assert rates.get(ATTENTION, 1e-3) == 1e-3
        held = {id(p) for group in layer_groups(made, plan) for p in group.parameters}
        assert held == {id(p) for p in made.parameters() if p.requires_grad}
        return {name for name, p in made.named_parameters() if p.requires_grad and is_of_attention(name)}

    every = {name for name, _ in made.named_parameters() if is_of_attention(name)}
    assert learning("scratch") == learning("fine-tune") == learning("feature-extraction") == every
    late = learning("fine-tune", freeze_until="layer3")
    assert {name.split(".")[1] for name in late} == {"layer3", "layer4"}


def test_batch_norm_with_children_of_its_own_stays_frozen() -> None:
    """DenseNet's last stage ends in batch norm, behind which the block stands."""
    backbone = with_attention(find_backbone("densenet121"), "eca")
    made = Network(build(backbone, classes=3), (0.5,) * 3, (0.2,) * 3)
    set_mode(made, Plan(backbone, "fine-tune", batch_norm="frozen"))
    assert not any(module.training for module in made.modules() if isinstance(module, BATCH_NORM))


def test_what_has_no_feature_maps_is_refused_in_one_line() -> None:
    pytest.importorskip("timm")
    for name in ("timm:vit_tiny_patch16_224", "timm:swin_tiny_patch4_window7_224"):
        with pytest.raises(UsageError, match=rf"feature maps \[N, C, H, W\], and {name}") as caught:
            with_attention(find_backbone(name), "se")
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="`attention` best is not known"):
        with_attention(find_backbone(SMALL), "best")
    with pytest.raises(CheckpointError, match="attention"):
        find_again(SMALL, {"attention": ["se"]})


def test_timms_activation_in_batch_norm_takes_it() -> None:
    pytest.importorskip("timm")
    assert {"bn1.act", "bn2.act"} <= sites("timm:efficientnet_lite0").keys()


def test_weights_of_a_network_with_it_are_told_from_those_without(tmp_path: Path) -> None:
    backbone = find_backbone(SMALL)
    attended = with_attention(backbone, "se")
    made = build(attended, classes=3)
    for parameter in made.parameters():
        nn.init.constant_(parameter, 0.5)
    torch.save(made.state_dict(), tmp_path / "se.pth")
    again = build(attended, classes=2)
    load_pretrained(again, attended, tmp_path / "se.pth")
    assert all(p.eq(0.5).all() for name, p in again.named_parameters() if is_of_attention(name))
    for other in (backbone, with_attention(backbone, "eca")):
        with pytest.raises(WeightsError) as caught:
            load_pretrained(build(other, classes=3), other, tmp_path / "se.pth")
        assert "attention" in caught.value.hint


@pytest.mark.parametrize("strategy", ["feature-extraction", "fine-tune"])
def test_what_learns_with_it(strategy: str, few_shapes: Path, shufflenet_weights: Path, tmp_path: Path) -> None:
    given = {"strategy": strategy, "weights": str(shufflenet_weights), "attention": "eca", "epochs": 1}
    run = train(quick_settings(few_shapes, tmp_path, **given)).run
    start = network(SMALL).backbone.state_dict() | torch.load(shufflenet_weights, weights_only=True)
    ended = {name.removeprefix("backbone."): tensor for name, tensor in weights(run).items()}
    assert all(ended[name].any() for name in ended if is_of_attention(name))
    body = {name for name in start if not name.startswith("fc.") and not name.endswith("num_batches_tracked")}
    moved = changed({name: start[name] for name in body}, {name: ended[name] for name in body})
    assert bool(moved) == (strategy == "fine-tune")


def test_a_run_with_it_is_whole(few_shapes: Path, tmp_path: Path) -> None:
    given = {"attention": "cbam", "ema": 0.9}
    result = train(quick_settings(few_shapes, tmp_path / "whole", **given))
    checkpoint = load_checkpoint(result.run.best)
    assert dict(checkpoint.card.architecture) == {"attention": "cbam"}
    Explainer(checkpoint)(torch.zeros(32, 32, 3, dtype=torch.uint8).numpy())
    stopped = train(quick_settings(few_shapes, tmp_path / "stopped", **given), callbacks=[StopAtOnce()])
    assert stopped.summary["epochs"] == 1
    resume(stopped.run)
    assert equal(weights(stopped.run), weights(result.run))

    checkpoint = replace(checkpoint, card=replace(checkpoint.card, architecture={}))
    save_checkpoint(stopped.run.best, checkpoint)
    with pytest.raises(UsageError, match="attention differs: cbam and None"):
        check_runs([result.run, stopped.run])
    with pytest.raises(CheckpointError, match="weights do not fit"):
        checkpoint.build()


class StopAtOnce(Callback):
    def on_start(self, run: ActiveRun) -> None:
        run.stop()


def test_views_of_a_backbone_that_attention_changes_are_refused() -> None:
    with pytest.raises(UsageError, match="`views` embeds each image once, and `attention`"):
        quick_settings(Path("photos"), Path("runs"), strategy="feature-extraction", attention="se", views=3)
