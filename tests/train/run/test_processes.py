"""Several processes that train together come to what one comes to, and one alone writes and speaks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_data import read_split  # noqa: E402
from edge_data.augment.presets import find_augmentation  # noqa: E402
from edge_data.sets.image_store import ImageStore  # noqa: E402
from edge_runtime import Run, UsageError  # noqa: E402
from edge_train import load_checkpoint, train  # noqa: E402
from edge_train.run.batches import evaluation_batches, training_batches  # noqa: E402
from edge_train.run.processes import ALONE, World, join_world  # noqa: E402
from edge_train.run.split_answers import answer_split  # noqa: E402
from quick_training import QUICK, equal, flags, quick_settings, weights  # noqa: E402
from warm_edge import WarmEdge  # noqa: E402

CPU = torch.device("cpu")
# The same images in each batch, no draws that differ between processes, and statistics that do not depend on shares.
COMPARED: dict[str, Any] = {
    "strategy": "fine-tune",
    "batch_norm": "frozen",
    "dropout": 0.0,
    "optimizer": "sgd",
    "schedule": "constant",
    "class_balance": "weights",
    "ema": 0.9,
}


def torchrun(processes: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    return python(*launch, *words)


def python(*words: str | Path) -> subprocess.CompletedProcess[str]:
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), tests])),
        },
        stdin=subprocess.DEVNULL,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def forked(warm: WarmEdge, processes: int, cwd: Path, *words: str | Path) -> tuple[str, str]:
    """What `edge` says, on stdout and on stderr, in processes that are told of each other as torchrun tells its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    world = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    def run(rank: int) -> subprocess.CompletedProcess[str]:
        return warm.run([*map(str, words)], cwd, RANK=str(rank), LOCAL_RANK=str(rank), **world)

    with ThreadPoolExecutor(processes) as pool:
        done = list(pool.map(run, range(processes)))
    stdout, stderr = ("".join(each) for each in zip(*((one.stdout, one.stderr) for one in done), strict=True))
    assert not any(one.returncode for one in done), stderr
    return stdout, stderr


def close(one: Run, two: Run, name: str = "last") -> None:
    mine, theirs = weights(one, name), weights(two, name)
    for key in mine:
        torch.testing.assert_close(mine[key], theirs[key], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_processes_come_to_the_weights_of_one_and_go_on_from_them(
    few_shapes: Path, shufflenet_weights: Path, tmp_path: Path, warm: WarmEdge
) -> None:
    given = {**COMPARED, "weights": str(shufflenet_weights)}
    alone = train(quick_settings(few_shapes, tmp_path / "alone", **given))
    out = tmp_path / "together"
    words = flags(**{**QUICK, **given, "data": few_shapes, "out": out})
    done = torchrun(2, "-m", "edge_cli", "train", *words, "--epochs", "1", "--json")
    (path,) = out.iterdir()
    run = Run(path)
    assert json.loads(done.stdout) == json.loads(run.summary.read_text())
    for line in ("strategy ", "run ", "data ", "epoch 1/1"):
        assert sum(text.startswith(line) for text in done.stderr.splitlines()) == 1, done.stderr

    # With a constant rate a run of two epochs begins as one of one epoch.
    config = json.loads(run.config.read_text())
    config["settings"]["epochs"] = 2
    run.config.write_text(json.dumps(config))
    stdout, stderr = forked(warm, 2, tmp_path, "train", "--resume", path)
    assert [text[:9] for text in stderr.splitlines() if text.startswith("epoch ")] == ["epoch 2/2"]
    assert stdout.count("val accuracy") == 1 and list(out.iterdir()) == [path]
    for name in ("last", "best"):
        close(run, alone.run, name)
    together = json.loads(run.summary.read_text())
    for split in ("val", "test"):
        assert together["metrics"][split]["confusion"] == alone.summary["metrics"][split]["confusion"]
    assert together["training_accuracy"] == pytest.approx(alone.summary["training_accuracy"])
    for ours, theirs in zip(*(each.metrics.read_text().splitlines()[1:] for each in (run, alone.run)), strict=True):
        # epoch, train loss and accuracy, validation loss and accuracy
        assert list(map(float, ours.split(",")[:5])) == pytest.approx(list(map(float, theirs.split(",")[:5])), rel=1e-3)


# It loads torch once, and forks what torchrun would start: SIZE processes, of which each goes on below.
FORKED = """
import os, signal, socket, sys
from pathlib import Path

import torch
from torch import nn

from edge_train import train
from edge_train.run.processes import join_world
from edge_train.run.split_answers import answer_logits
from quick_training import quick_settings

with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
children = set()
for rank in range(SIZE):
    pid = os.fork()
    if pid == 0:
        break
    children.add(pid)
else:
    failed = 0
    while children:
        pid, status = os.wait()
        children.remove(pid)
        if status and not failed:
            failed = 1
            for other in children:
                os.kill(other, signal.SIGKILL)
    sys.exit(failed)
os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(SIZE)}
os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

CPU = torch.device("cpu")
"""

SCRIPT = """
data, out, weights = map(Path, sys.argv[1:])
settings = quick_settings(data, out / "scratch", batch_size=6, dropout=0.2, ema=0.9, mixup=0.2)
train(settings)
train(quick_settings(data, out / "frozen", batch_size=6, strategy="feature-extraction", weights=str(weights),
                     optimizer="sgd", augment="standard", views=2))

world, _ = join_world(CPU)
norm = nn.BatchNorm2d(3)
norm.running_mean.copy_(torch.tensor([0.1, 0.7, float(world.rank)]))
norm.running_var.fill_(1.0 + world.rank)
world.agree(norm)
assert torch.equal(norm.running_mean, torch.tensor([0.1, 0.7, 1.0])), norm.running_mean
assert torch.equal(norm.running_var, torch.full((3,), 2.0)), norm.running_var

rows = torch.arange(20.0).reshape(10, 2)
mine = torch.stack(list(world.shard(list(rows))))
assert torch.equal(world.unshard([mine[:2], mine[2:]]), rows)
for few in (1, 2):
    answered = answer_logits(nn.Identity(), [(row[None],) for row in world.shard(rows[:few])], device=CPU, world=world)
    assert answered.tolist() == rows[:few].tolist(), answered
assert world.collect(world.rank) == [0, 1, 2] and world.tell("first" if world.leads else None) == "first"
assert int(world.sum(torch.tensor(world.rank + 1))) == 6
"""


# Two machines that are unlike: what one of them cannot do, both are told.
UNLIKE = """
from edge_runtime import EdgeError, OutputError, Preprocessing, Silence, UsageError, WeightsError
from edge_train import TrainSettings, find_backbone
from edge_train.run import epochs, initial_network, number_format
from edge_train.run.initial_network import load_start, start_alike
from edge_train.run.number_format import choose_format
from edge_train.strategy.plan import make_plan
from quick_training import Ear, network

data, out, weights = map(Path, sys.argv[1:])
world, _ = join_world(CPU)


def refused(kind, does):
    try:
        does()
    except EdgeError as error:
        assert type(error) is kind, error
        return error.message
    raise AssertionError(f"process {world.rank} was not refused")


# Weights on one of them alone, asked for or not.
auto = TrainSettings(data=str(data), out=out, backbone="shufflenet_v2_x0_5", weights=str(weights))
default = TrainSettings(data=str(data), out=out, backbone="shufflenet_v2_x0_5")
backbone = find_backbone("shufflenet_v2_x0_5")
load = initial_network.load_pretrained


def load_here(model, backbone, choice, **more):
    if world.rank == lacking:
        raise WeightsError("shufflenet's weights are not here")
    return load(model, backbone, weights, **more)


def start(settings):
    load = lambda: load_start(settings, backbone, 3, 2000, 32, CPU, Silence())
    return start_alike(world, backbone.name, load)


initial_network.load_pretrained = load_here
for lacking in (0, 1):
    said = refused(UsageError, lambda: start(auto))
    assert said == f"process {lacking} of 2: shufflenet's weights are not here", said
    said = refused(UsageError, lambda: start(default))
    assert said == f"process {lacking} has no weights for shufflenet_v2_x0_5, and process {1 - lacking} has some", said
lacking = None
torch.manual_seed(world.rank)
strategy, own, origin, _ = start(default)
same = world.collect([strategy, *(tensor.tolist() for tensor in own.state_dict().values())])
assert strategy == "fine-tune" and same[0] == same[1], "drawn from other seeds, heads are one"
initial_network.load_pretrained = load

# bfloat16 on the first of them alone.
number_format.has_bf16 = lambda device: world.leads
plan = make_plan(quick_settings(data, out), backbone, "scratch")
contract = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")


def choose(precision, begun):
    settings = quick_settings(data, out, precision=precision)
    return choose_format(settings, plan, network("shufflenet_v2_x0_5"), contract, CPU, world, ear, begun)


ear = Ear()


assert [choose("auto", begun) for begun in ("bf16", "fp32", None)] == ["fp32"] * 3
assert ear.lines[0] == "float32 (the machine of process 1 does not compute in bfloat16)", ear.lines
assert "process 1 does not compute in bfloat16" in refused(UsageError, lambda: choose("bf16", None))

# The second finds every epoch bad.
row = epochs._row
if not world.leads:
    epochs._row = lambda state, done, val: row(state, done, None)
done = train(quick_settings(data, out / "patient", epochs=3, patience=1, best_by="loss", lr_scale=0.01))
epochs._row = row
ended = world.collect([(each.epoch, each.val_loss) for each in done.history])
assert ended[0] == ended[1], ended

# What the first one alone looks at.
(out / "file").write_text("")
assert "cannot make a run folder" in refused(OutputError, lambda: train(quick_settings(data, out / "file" / "runs")))

# One that is gone.
world.collect(None)
if world.leads:
    assert "another process of this training is gone" in refused(EdgeError, lambda: train(quick_settings(data, out)))
"""


@pytest.mark.slow
def test_unlike_machines_agree_or_are_refused_together(
    few_shapes: Path, shufflenet_weights: Path, tmp_path: Path
) -> None:
    script = tmp_path / "unlike.py"
    (tmp_path / "out").mkdir()
    script.write_text(f"SIZE = 2\n{FORKED}{UNLIKE}")
    done = python(script, few_shapes, tmp_path / "out", shufflenet_weights)
    assert done.stdout == "", done.stdout


@pytest.mark.slow
def test_three_processes_train_from_scratch_and_embed_together(
    few_shapes: Path, shufflenet_weights: Path, tmp_path: Path
) -> None:
    script, out = tmp_path / "three.py", tmp_path / "out"
    script.write_text(f"SIZE = 3\n{FORKED}{SCRIPT}")
    done = python(script, few_shapes, out, shufflenet_weights)
    assert done.stdout == ""
    (scratch,) = (out / "scratch").iterdir()
    (frozen,) = (out / "frozen").iterdir()

    given = {"strategy": "feature-extraction", "weights": str(shufflenet_weights), "optimizer": "sgd", "views": 2}
    alone = train(quick_settings(few_shapes, tmp_path / "alone", batch_size=6, augment="standard", **given)).run
    close(Run(frozen), alone)

    checkpoint = load_checkpoint(Run(scratch).best)
    store = ImageStore(few_shapes, checkpoint.card.preprocessing, cache_bytes=0, threads=1)
    samples = read_split(Run(scratch).split, checkpoint.card.labels).val
    batches = evaluation_batches(store, samples, batch_size=9)
    found = answer_split(checkpoint.build(), samples, batches, device=CPU)
    assert found.accuracy.share == checkpoint.card.metrics["val"]["accuracy"]
    assert all(bool(torch.isfinite(value).all()) for value in checkpoint.network.values())


@pytest.mark.parametrize("size", [2, 3])
def test_the_shares_of_a_batch_are_the_batch(few_shapes: Path, tmp_path: Path, size: int) -> None:
    run = train(quick_settings(few_shapes, tmp_path, epochs=1)).run
    card = load_checkpoint(run.best).card
    store = ImageStore(few_shapes, card.preprocessing, cache_bytes=0, threads=1)
    samples = read_split(run.split, card.labels).train

    def batches(world: World) -> list[tuple[Any, Any]]:
        order = {"batch_size": 8, "seed": 0, "epoch": 1, "world": world}
        return [
            (images, labels) for images, labels in training_batches(store, samples, find_augmentation("light"), **order)
        ]

    shares = [batches(World(rank, size)) for rank in range(size)]
    for step, (images, labels) in enumerate(batches(ALONE)):
        for rank in range(size):
            assert torch.equal(shares[rank][step][0], images[rank::size])
            assert torch.equal(shares[rank][step][1], labels[rank::size])


def test_a_batch_too_small_to_be_shared_is_refused(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edge_train.run.prepare

    monkeypatch.setattr(edge_train.run.prepare, "join_world", lambda device: (World(0, 4), device))
    with pytest.raises(UsageError, match="`batch_size` 7 is too small for 4 processes") as caught:
        train(quick_settings(few_shapes, tmp_path, batch_size=7))
    assert caught.value.hint == "give at least 8"
    with pytest.raises(UsageError, match="`accumulate` 2 is for one process, not 4"):
        train(quick_settings(few_shapes, tmp_path, accumulate=2))


def test_fewer_images_than_two_a_process_are_refused(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edge_train.run.prepare

    with monkeypatch.context() as patch, pytest.raises(UsageError, match="images to train on are too few for 500"):
        patch.setattr(edge_train.run.prepare, "join_world", lambda device: (World(0, 500), device))
        patch.setattr(World, "tell", lambda _, value: value)
        patch.setattr(World, "collect", lambda _, value: [value])
        train(quick_settings(few_shapes, tmp_path, batch_size=1000))


def test_without_torchrun_one_trains_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert join_world(CPU) == (ALONE, CPU)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert join_world(CPU) == (ALONE, CPU)
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UsageError, match="cannot join the processes of torchrun"):
        join_world(CPU)


def test_a_world_of_one_changes_nothing() -> None:
    norm = torch.nn.BatchNorm2d(2)
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    ALONE.agree(norm)
    assert equal(before, dict(norm.state_dict())) and ALONE.parallel(norm, CPU) is norm
    part = torch.ones(3)
    assert torch.equal(ALONE.unshard([part, part]), torch.ones(6)) and ALONE.sum(part) is part
    assert ALONE.tell("x") == "x" and ALONE.collect(5) == [5] and list(ALONE.shard([1, 2])) == [1, 2]
