"""What is measured to choose a number format by, how long that may take, and that it is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_runtime import Preprocessing, UsageError  # noqa: E402
from edge_train import find_backbone, train  # noqa: E402
from edge_train.network.network import Network  # noqa: E402
from edge_train.run.number_format import choose_format  # noqa: E402
from edge_train.run.processes import ALONE  # noqa: E402
from edge_train.strategy import format_speed  # noqa: E402
from edge_train.strategy.format_speed import BUDGET_S, FormatSpeed, measure_speed, remembered_speed  # noqa: E402
from edge_train.strategy.mixed_precision import has_bf16  # noqa: E402
from edge_train.strategy.plan import freeze, make_plan  # noqa: E402
from own_nets import write_nets  # noqa: E402
from quick_training import SMALL, Ear, network, quick_settings  # noqa: E402

PX = (32, 32)


class Costs:
    """A clock that goes on by what a step is said to cost: seconds of a convolution and, for each image, of a step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, layer: tuple[float, float], image: tuple[float, float]) -> None:
        self.now = 0.0
        self.images: list[int] = []
        self.sizes_px: list[int] = []
        monkeypatch.setattr(format_speed, "_layer_step", lambda: self._step(layer))
        monkeypatch.setattr(format_speed, "_network_step", lambda _, px, images, **__: self._network(px, images, image))

    def _network(self, px: tuple[int, int], images: int, image: tuple[float, float]) -> Callable[[str], None]:
        self.images.append(images)
        self.sizes_px.append(px[0])
        share = images * px[0] * px[1] / (PX[0] * PX[1])
        return self._step((image[0] * share, image[1] * share))

    def _step(self, seconds: tuple[float, float]) -> Callable[[str], None]:
        def step(precision: str) -> None:
            self.now += dict(zip(("fp32", "bf16"), seconds, strict=True))[precision]

        return step

    def measure(self, batch_size: int = 32, smallest_px: int | None = None) -> FormatSpeed:
        net = network("shufflenet_v2_x0_5")
        return measure_speed(net, PX, batch_size, frozen=False, smallest_px=smallest_px, clock=lambda: self.now)


def test_the_networks_own_steps_say_what_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs(monkeypatch, layer=(0.002, 0.001), image=(0.012, 0.01))
    found = costs.measure()
    assert not found.of_layer and found.gain == pytest.approx(1.2) and found.bf16_pays
    assert costs.now <= BUDGET_S and 2 < costs.images[-1] <= 32


def test_a_batch_is_never_larger_than_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs(monkeypatch, layer=(0.002, 0.001), image=(0.001, 0.001))
    assert not costs.measure(batch_size=8).bf16_pays
    assert costs.images[-1] == 8


def test_a_processor_that_only_says_it_has_bfloat16_is_not_tried_further(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs(monkeypatch, layer=(0.002, 0.02), image=(0.01, 5.0))
    found = costs.measure()
    assert found.of_layer and not found.bf16_pays
    assert costs.images == [] and costs.now < BUDGET_S / 10


def test_a_network_whose_steps_are_long_is_not_tried_further(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs(monkeypatch, layer=(0.002, 0.001), image=(0.6, 0.3))
    assert costs.measure() == FormatSpeed(pytest.approx(0.002), pytest.approx(0.001), of_layer=True)  # type: ignore[arg-type]
    assert costs.images == [2] and costs.now < BUDGET_S


def test_two_images_are_enough_where_no_more_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs(monkeypatch, layer=(0.002, 0.001), image=(0.07, 0.06))
    found = costs.measure()
    assert not found.of_layer and not found.halved and found.gain == pytest.approx(7 / 6)
    assert set(costs.images) == {2} and costs.now <= BUDGET_S


@pytest.mark.parametrize(("image_s", "fits"), [(0.15, True), (0.25, True), (0.4, False), (3.0, False)])
def test_a_network_of_long_steps_is_tried_with_images_of_half_the_size(
    monkeypatch: pytest.MonkeyPatch, image_s: float, fits: bool
) -> None:
    costs = Costs(monkeypatch, layer=(0.002, 0.001), image=(image_s, image_s / 1.25))
    found = costs.measure(smallest_px=16)
    assert (found.halved, found.of_layer) == (fits, not fits)
    assert found.gain == pytest.approx(1.25 if fits else 2)
    # A single step of the whole size is taken in any case.
    assert costs.now <= max(BUDGET_S, 2 * image_s + 0.02)


@pytest.mark.parametrize("smallest_px", [None, 17])
def test_a_network_that_takes_no_smaller_images_is_not_tried_with_them(
    monkeypatch: pytest.MonkeyPatch, smallest_px: int | None
) -> None:
    costs = Costs(monkeypatch, layer=(0.002, 0.001), image=(0.3, 0.2))
    assert costs.measure(smallest_px=smallest_px).of_layer
    assert set(costs.sizes_px) == {32}


@pytest.mark.parametrize("frozen", [False, True])
def test_measuring_changes_nothing_of_the_run(frozen: bool) -> None:
    net = network("shufflenet_v2_x0_5").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    drawn, threads = torch.get_rng_state(), torch.get_num_threads()
    found = measure_speed(net, PX, 4, frozen=frozen)
    assert found.fp32_s > 0 and found.bf16_s > 0
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training and all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(drawn, torch.get_rng_state()) and torch.get_num_threads() == threads


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """The batch sizes that were measured with, into an empty cache in `tmp_path`; each is found another speed."""
    sizes: list[int] = []

    def measure(_: object, __: object, batch_size: int, **___: object) -> FormatSpeed:
        sizes.append(batch_size)
        return FormatSpeed(1.0 + len(sizes), 1.0)

    monkeypatch.setattr(format_speed, "measure_speed", measure)
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path))
    return sizes


def test_what_was_measured_is_remembered(measured: list[int], tmp_path: Path) -> None:
    net = network("shufflenet_v2_x0_5")
    first = remembered_speed(net, PX, 8, frozen=True)
    assert remembered_speed(net, PX, 8, frozen=True) == first == FormatSpeed(2.0, 1.0)
    assert measured == [8]
    # Another batch, size, kind of pass or network is another measurement.
    remembered_speed(net, PX, 16, frozen=True)
    remembered_speed(net, (64, 64), 8, frozen=True)
    remembered_speed(net, PX, 8, frozen=False)
    remembered_speed(network("resnet18"), PX, 8, frozen=True)
    assert measured == [8, 16, 8, 8, 8]
    # Where a part of it is frozen, fewer gradients are computed.
    net.backbone.conv1.requires_grad_(False)
    remembered_speed(net, PX, 8, frozen=False)
    assert measured == [8, 16, 8, 8, 8, 8]
    assert len(json.loads((tmp_path / "format-speed.json").read_text())) == 6


def test_it_is_remembered_for_these_kernels_alone(measured: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines of one model name may share a cache, and a hypervisor or oneDNN's variable hides what one has."""
    net = network("shufflenet_v2_x0_5")
    for sets in (("avx2", "avx512_bf16", "sse"), ("avx2", "sse"), ("avx2", "nx", "sse")):
        monkeypatch.setattr(format_speed, "instruction_sets", lambda sets=sets: sets)
        remembered_speed(net, PX, 8, frozen=True)
    assert measured == [8, 8]
    for held in ("AVX2", "AVX512_CORE", "AVX2"):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held)
        remembered_speed(net, PX, 8, frozen=True)
    assert measured == [8, 8, 8, 8]


@pytest.mark.parametrize(("gain", "times"), [(2.0, 2), (0.5, 1)])
def test_a_convolution_that_stood_in_for_the_network_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gain: float, times: int
) -> None:
    """A machine that was busy for once would have its choice made for ever."""
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path))
    asked: list[int] = []

    def measure(*_: object, **__: object) -> FormatSpeed:
        asked.append(1)
        return FormatSpeed(gain, 1.0, of_layer=True)

    monkeypatch.setattr(format_speed, "measure_speed", measure)
    for _ in range(2):
        assert remembered_speed(network("shufflenet_v2_x0_5"), PX, 8, frozen=True).gain == gain
    assert len(asked) == times


@pytest.mark.parametrize("damage", ["", "[]", '{"a": ', None])
def test_a_damaged_memory_is_measured_anew(measured: list[int], tmp_path: Path, damage: str | None) -> None:
    net, kept = network("shufflenet_v2_x0_5"), tmp_path / "format-speed.json"
    remembered_speed(net, PX, 8, frozen=True)
    if damage is None:
        kept.write_text(json.dumps({name: [0.0, "fast", 1, 2] for name in json.loads(kept.read_text())}))
    else:
        kept.write_text(damage)
    again = remembered_speed(net, PX, 8, frozen=True)
    assert measured == [8, 8] and remembered_speed(net, PX, 8, frozen=True) == again


def test_without_a_cache_it_is_measured_every_time(
    measured: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        remembered_speed(network("shufflenet_v2_x0_5"), PX, 8, frozen=True)
    assert measured == [8, 8]


def test_only_the_last_are_kept(measured: list[int], tmp_path: Path) -> None:
    kept = tmp_path / "format-speed.json"
    kept.write_text(json.dumps({f"machine {number}": [1.0, 1.0, False, False] for number in range(300)}))
    remembered_speed(network("shufflenet_v2_x0_5"), PX, 8, frozen=True)
    assert measured == [8]
    names = list(json.loads(kept.read_text()))
    assert len(names) == 200 and names[0] == "machine 101" and names[-1].endswith("batches of 8, forward")


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ("fp32", ("fp32", [])),
        ("bf16", ("bf16", ["mixed precision, bfloat16 (as the run began); measured and exported in float32"])),
        (None, ("bf16", ["mixed precision, bfloat16 (bfloat16 is 2.00 times as fast here, as tried); measured and "])),
    ],
)
def test_a_run_goes_on_in_what_it_began_in(
    measured: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, begun: str | None, expected: Any
) -> None:
    monkeypatch.setattr("edge_train.strategy.mixed_precision.has_bf16", lambda _: True)
    monkeypatch.setattr("edge_train.run.number_format.has_bf16", lambda _: True)
    settings = quick_settings(tmp_path, tmp_path, precision="auto")
    plan = make_plan(settings, find_backbone(settings.backbone), "scratch")
    contract, ear = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"), Ear()
    net, cpu = network(settings.backbone), torch.device("cpu")
    found = choose_format(settings, plan, net, contract, cpu, ALONE, ear, begun)
    assert found == expected[0] and measured == ([] if begun else [8])
    assert len(ear.lines) == len(expected[1])
    assert all(line.startswith(start) for line, start in zip(ear.lines, expected[1], strict=True))


def test_what_is_tried_is_what_most_epochs_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The head alone learns in the first epochs, but the steps that take long are those of the whole network."""
    monkeypatch.setattr("edge_train.strategy.mixed_precision.has_bf16", lambda _: True)
    tried: list[Network] = []

    def measure(net: Network, *_: object, **__: object) -> FormatSpeed:
        tried.append(net)
        return FormatSpeed(1.0, 1.0)

    monkeypatch.setattr("edge_train.run.number_format.remembered_speed", measure)
    settings = quick_settings(tmp_path, tmp_path, precision="auto", strategy="fine-tune", epochs=3, head_epochs=1)
    plan = make_plan(settings, find_backbone(settings.backbone), "fine-tune")
    contract = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
    net = network(settings.backbone)
    freeze(net, plan)
    learned = [parameter.requires_grad for parameter in net.parameters()]
    assert not all(learned)
    choose_format(settings, plan, net, contract, torch.device("cpu"), ALONE, Ear())
    (own,) = tried
    assert all(parameter.requires_grad for parameter in own.parameters())
    norms = [module for module in own.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms), "its statistics stay, and are folded"
    assert [parameter.requires_grad for parameter in net.parameters()] == learned


def test_a_machine_that_has_no_bfloat16_goes_on_in_float32(measured: list[int], tmp_path: Path) -> None:
    mps = torch.device("mps")
    assert not has_bf16(mps)
    settings = quick_settings(tmp_path, tmp_path, precision="auto")
    plan = make_plan(settings, find_backbone(settings.backbone), "scratch")
    contract = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
    net = network(settings.backbone)
    assert choose_format(settings, plan, net, contract, mps, ALONE, Ear(), "bf16") == "fp32" and measured == []


def test_what_hangs_on_no_image_counts_as_in_a_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 rounds all weights at each step: dear for two images, nothing for two hundred."""

    def step(_: object, __: object, images: int, **___: object) -> Callable[[str], None]:
        def taking(precision: str) -> None:
            costs.now += 0.01 * images if precision == "fp32" else 0.05 + 0.005 * images

        return taking

    costs = Costs(monkeypatch, layer=(0.002, 0.001), image=(0, 0))
    monkeypatch.setattr(format_speed, "_network_step", step)
    found = costs.measure(batch_size=200)
    assert found.fp32_s == pytest.approx(2.0) and found.bf16_s == pytest.approx(1.05)
    assert not found.of_layer and costs.now <= BUDGET_S


def test_an_own_network_that_bfloat16_cannot_compute_trains_in_float32(
    few_shapes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("edge_train.strategy.mixed_precision.has_bf16", lambda _: True)
    monkeypatch.setattr("edge_train.run.number_format.has_bf16", lambda _: True)
    own = f"{write_nets(tmp_path)}:scattered"
    settings = quick_settings(few_shapes, tmp_path / "runs", backbone=own, precision="auto", epochs=1)
    result = train(settings, ear := Ear())
    assert result.summary["precision"] == "fp32"
    (said,) = [line for line in ear.lines if "bfloat16" in line]
    assert said.startswith("float32 (nets.py:scattered cannot be computed in bfloat16: RuntimeError: index_copy_")
    with pytest.raises(UsageError, match=r"scattered cannot be computed in bfloat16: .*nets\.py, line \d+"):
        train(replace(settings, precision="bf16"))
    # A teacher answers in float32 then, whatever its student learns in.
    taught = quick_settings(few_shapes, tmp_path / "taught", backbone=SMALL, precision="bf16", epochs=1)
    assert train(replace(taught, teacher=str(result.run.path))).summary["precision"] == "bf16"
