"""The commands one after another, as a person types them, on small data."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_data import draw_shapes  # noqa: E402

QUICK = ("--backbone", "squeezenet1_1", "--image-size", "48", "--epochs", "2", "--batch-size", "16", "--threads", "1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp("data") / "my shapes", counts=(48, 12, 12))


def test_the_four_commands_one_after_another(edge: Any, data: Path, tmp_path: Path) -> None:
    done = trained = edge("train", "--data", data, "--strategy", "scratch", *QUICK)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("my_shapes-squeezenet1_1-scratch-")
    assert sorted(path.name for path in run.iterdir()) == (
        ["best.pt", "config.json", "last.pt", "metrics.csv", "report.html", "split.csv", "summary.json"]
    )
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    with (run / "split.csv").open(newline="") as file:
        assert [row["split"] for row in csv.DictReader(file)].count("train") == 48
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["epochs"] == 2 and config["settings"]["seed"] == 0
    assert done.stderr.count("\nepoch ") == 2
    assert "strategy scratch" in done.stderr and "input 48×48" in done.stderr

    done = edge("export", "--format", "all")
    assert done.returncode == 0, done.stderr
    assert "using the newest run" in done.stderr
    assert (run / "model.onnx").is_file() and (run / "model.torchscript.pt").is_file()

    picture = data / "test" / "circle" / "0000.png"
    done = edge("predict", "--image", picture, "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)["predictions"]
    assert answer["label"] in ("circle", "square", "triangle")
    assert sum(row["probability"] for row in answer["top"]) == pytest.approx(1, abs=1e-5)

    done = edge("bench", "--backbones", "none", "--json", "--duration", "0.2")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["backbone"] == "squeezenet1_1"

    summary = json.loads((run / "summary.json").read_text())
    quoted = f"test accuracy {summary['metrics']['test']['accuracy']:.1%} (n 12)"
    assert summary["headline"] == "test" and trained.stdout.splitlines()[-1].startswith(f"{quoted}, best epoch")
    for split in ("val", "test"):
        done = edge("evaluate", "--split", split, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["had_a_part_in_training"] is (split == "val") is ("cross-fitted in 5 parts" in done.stderr)
        assert ("calibration_folds" in summary["metrics"][split]) is (split == "val")
        assert found["confusion"] == summary["metrics"][split]["confusion"]
    assert f"headline       {quoted}" in edge("info").stdout
    done = edge("info", "--json")
    assert json.loads(done.stdout)["card"]["metrics"]["test"]["accuracy"] == summary["metrics"]["test"]["accuracy"]


def test_the_same_seed_gives_the_same_weights(edge: Any, data: Path, tmp_path: Path) -> None:
    for out in ("one", "two", "three"):
        seed = "1" if out == "three" else "0"
        done = edge("train", "--data", data, "--strategy", "scratch", *QUICK, "--out", out, "--seed", seed, "--quiet")
        assert done.returncode == 0 and done.stderr == "", done.stderr
    one, two, three = (
        torch.load(next((tmp_path / out).glob("*/last.pt")), weights_only=True)["network"]
        for out in ("one", "two", "three")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], three[key]) for key in one)


def test_flat_folders_are_split_and_evaluated_on_what_was_set_aside(edge: Any, data: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    shutil.copytree(data / "train", flat)
    (flat / ".DS_Store").write_bytes(b"x")
    done = edge("train", "--data", "flat", "--strategy", "scratch", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "80/10/10" in done.stderr
    edge("export")
    (run,) = (tmp_path / "runs").iterdir()
    with (run / "split.csv").open(newline="") as file:
        test = {row["path"] for row in csv.DictReader(file) if row["split"] == "test"}
    by_run = json.loads(edge("evaluate", "--json").stdout)
    # The model file alone, with the folder it was trained on, must not score training images either.
    shutil.copy(run / "model.onnx", tmp_path / "alone.onnx")
    by_data = json.loads(edge("evaluate", "--model", "alone.onnx", "--data", "flat", "--json").stdout)
    assert by_run["n"] == by_data["n"] == len(test)
    assert by_run["confusion"] == by_data["confusion"]
    other = json.loads(edge("evaluate", "--data", data / "val", "--json").stdout)
    assert (other["split"], other["n"]) == ("all", 12)


def test_a_small_set_is_cross_validated_and_its_file_says_so(edge: Any, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "train", tmp_path / "few")
    done = edge("train", "--data", "few", "--strategy", "scratch", *QUICK, "--epochs", "1", "--folds", "2")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in run.iterdir()} >= {"fold-1", "fold-2", "folds.json", "out-of-fold.csv", "report.html"}
    assert "48 train, 0 val, 0 test images" in done.stderr and "fold 2 of 2: 24 images train, 24" in done.stderr
    quoted = done.stdout.splitlines()[-1].partition(", last epoch 1")[0]
    assert quoted.startswith("cross-validated accuracy ") and "(n 48, 95 % interval " in quoted
    assert "mean of 2 folds" in done.stdout

    done = edge("export")
    assert done.returncode == 0, done.stderr
    assert f"using the newest run, runs/{run.name}\n" in done.stderr and "compared on training images" in done.stderr
    assert f"{quoted}, of the network in fp32; parity is on training images" in done.stdout
    assert f"headline       {quoted}" in edge("info").stdout
    done = edge("evaluate")
    assert done.returncode == 2 and "none is left to score it on" in done.stderr and "--split train" in done.stderr
    done = edge("data", "suspects", "--out", "suspects.csv")
    assert (done.returncode, done.stdout[:10]) == (0, "48 images:"), done.stderr
    with (tmp_path / "suspects.csv").open(newline="") as file:
        ranked = list(csv.DictReader(file))
    assert f"suspects.csv: {len(ranked)} images to look at" in done.stderr
    assert all((tmp_path / row["path"]).is_file() and row["answer"] != row["label"] for row in ranked)


def test_unreadable_images_are_named_before_the_first_epoch(edge: Any, data: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copytree(data, tmp_path / "bad"))
    (bad / "train" / "circle" / "0000.png").write_bytes((bad / "train" / "circle" / "0001.png").read_bytes()[:300])
    (bad / "val" / "square" / "broken.jpg").write_text("no picture")
    done = edge("train", "--data", "bad", "--strategy", "scratch", *QUICK)
    assert done.returncode == 2
    assert "circle/0000.png" in done.stderr and "broken.jpg" in done.stderr and "epoch" not in done.stderr
    assert not (tmp_path / "runs").exists()
    done = edge("train", "--data", "bad", "--strategy", "scratch", *QUICK, "--on-bad-image", "skip")
    assert done.returncode == 0, done.stderr
    assert "circle/0000.png" in done.stderr and "47 train, 12 val" in done.stderr


def test_auto_trains_from_scratch_where_no_weights_can_be_had_and_says_why(
    edge: Any, data: Path, tmp_path: Path
) -> None:
    # A proxy that refuses stands for a machine without a network.
    offline = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "TORCH_HOME": str(tmp_path)}
    done = edge("train", "--data", data, *QUICK, **offline)
    assert done.returncode == 0, done.stderr
    assert "strategy scratch (auto: no pretrained weights" in done.stderr
    for strategy in ("fine-tune", "feature-extraction"):
        done = edge("train", "--data", data, *QUICK, "--strategy", strategy, **offline)
        assert done.returncode == 1
        assert done.stderr.count("\n") <= 4
        assert all(way in done.stderr for way in ("--weights FILE", str(tmp_path), "--strategy scratch"))


def test_auto_trains_a_new_head_on_few_images_where_weights_are_given(
    edge: Any, data: Path, resnet_weights: Path
) -> None:
    words = ("--backbone", "resnet18", "--image-size", "32", "--epochs", "1", "--weights", resnet_weights)
    done = edge("train", "--data", data, *words)
    assert done.returncode == 0, done.stderr
    assert "strategy feature-extraction (auto: 48 images are few" in done.stderr
    done = edge("train", "--data", data, *words, "--batch-norm", "train")
    assert done.returncode == 0, done.stderr
    assert "strategy fine-tune (auto: --batch-norm is for fine-tuning)" in done.stderr
    done = edge("train", "--data", data, "--backbone", "mobilenet_v2", "--weights", resnet_weights)
    assert done.returncode == 1
    assert "does not fit mobilenet_v2" in done.stderr and "resnet18" in done.stderr


SHAPED = {
    "small stem": ("--backbone", "resnet18", "--stem", "small", "--epochs", "1"),
    "hidden units": ("--backbone", "shufflenet_v2_x0_5", "--hidden-units", "9", "--image-size", "32", "--epochs", "1"),
}


@pytest.mark.parametrize("shape", SHAPED)
def test_a_network_of_another_shape_is_exported_as_it_is(edge: Any, tmp_path: Path, shape: str) -> None:
    from edge_runtime import Classifier
    from edge_train import DeployedNetwork, load_checkpoint

    data = draw_shapes(tmp_path / "tiny", counts=(24, 6, 6), size_px=32)
    done = edge("train", "--data", data, "--strategy", "scratch", *SHAPED[shape], "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "input 32×32 px" in done.stderr
    done = edge("export")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    checkpoint = load_checkpoint(run / "best.pt")
    deployed = DeployedNetwork(checkpoint.build(), checkpoint.card.temperature)
    classifier = Classifier(run / "model.onnx")
    for picture in sorted((data / "test").rglob("*.png")):
        pixels = torch.from_numpy(checkpoint.card.preprocessing(picture).copy())
        with torch.no_grad():
            expected = deployed(pixels[None])[0].tolist()
        assert classifier.predict(picture).probabilities.tolist() == pytest.approx(expected, abs=1e-4)


def test_what_a_backbone_cannot_be_is_2(edge: Any, data: Path, tmp_path: Path) -> None:
    for words, said in (
        (("--strategy", "scratch", "--stem", "small", "--backbone", "mobilenet_v2"), "--stem small is for ResNets"),
        (("--weights", "none", "--freeze-until", "layer2"), "--freeze-until is for fine-tuning"),
    ):
        done = edge("train", "--data", data, *words)
        assert done.returncode == 2 and said in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr and not list((tmp_path / "runs").glob("*"))


def test_json_tells_the_training_accuracy_and_the_command_that_repeats_the_run(edge: Any, tmp_path: Path) -> None:
    data = draw_shapes(tmp_path / "two words", counts=(24, 6, 6), size_px=32)
    words = ("--backbone", "shufflenet_v2_x0_5", "--strategy", "scratch", "--image-size", "32", "--seed", "5")
    more = ("--epochs", "2", "--ema", "0.9", "--mixup", "0.2", "--dropout", "0", "--threads", "1", "--batch-size", "8")
    done = edge("train", "--data", data, *words, *more, "--out", "first", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    (run,) = (tmp_path / "first").iterdir()
    assert summary == json.loads((run / "summary.json").read_text())
    assert summary["precision"] == "fp32"
    with (run / "metrics.csv").open(newline="") as file:
        best = next(row for row in csv.DictReader(file) if int(row["epoch"]) == summary["best_epoch"])
    assert summary["training_accuracy"] == pytest.approx(float(best["train_accuracy"]), abs=1e-6)

    command = shlex.split(summary["command"])
    assert command[:2] == ["edge", "train"]
    done = edge(*command[1:], "--out", "second")
    assert done.returncode == 0, done.stderr
    assert f"repeat: {summary['command']}" in done.stderr.splitlines()
    (repeated,) = (tmp_path / "second").iterdir()
    # Six validation images are few: that is found, and where there is more of it.
    assert "small-validation: " in done.stderr and "more: edge docs " in done.stderr
    for told in (done.stderr, (repeated / "report.html").read_text(encoding="utf-8")):
        assert "edge docs small-validation" in told
    for name in ("best.pt", "last.pt"):
        one, two = (torch.load(path / name, weights_only=True)["network"] for path in (run, repeated))
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_an_interrupted_training_is_130_and_goes_on_with_resume(edge: Any, data: Path, tmp_path: Path) -> None:
    words = ["train", "--data", data, "--strategy", "scratch", *QUICK, "--epochs", "40"]
    running = subprocess.Popen(
        [sys.executable, "-m", "edge_cli", *map(str, words)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("epoch  2/40"):
            break
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    (run,) = (tmp_path / "runs").iterdir()
    assert f"edge train --resume runs/{run.name}" in said and "Traceback" not in said
    exported = edge("export")
    assert exported.returncode == 0 and "was not finished" in exported.stderr
    done = edge("train", "--resume", run.name, "--epochs", "3")
    assert done.returncode == 2 and "--epochs" in done.stderr
    config = json.loads((run / "config.json").read_text())
    config["settings"]["epochs"] = 4
    (run / "config.json").write_text(json.dumps(config))
    done = edge("train", "--resume", run.name)
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stderr and "epoch 4/4" in done.stderr and "epoch 1/4" not in done.stderr


def test_results_go_where_stdout_goes_while_a_bar_is_drawn(edge: Any, tmp_path: Path) -> None:
    from tiny_model import write_tiny_model

    write_tiny_model(tmp_path / "m.onnx")
    edge("data", "shapes", "--out", "drawn", "--image-size", "32")
    code = (
        "import pty, sys; sys.exit(pty.spawn(['sh', '-c', "
        f"'{sys.executable} -m edge_cli predict --image drawn/val --model m.onnx --jsonl > out.jsonl']) >> 8)"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert len([json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]) == 60


def test_data_check_finds_harm_and_changes_nothing(edge: Any, data: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(data, tmp_path / "check"))
    assert edge("data", "check", folder).returncode == 0
    picture = (folder / "train" / "circle" / "0000.png").read_bytes()
    (folder / "train" / "square" / "copy.png").write_bytes(picture)
    (folder / "val" / "circle" / "copy.png").write_bytes((folder / "train" / "circle" / "0001.png").read_bytes())
    (folder / "test" / "circle" / "half.png").write_bytes(picture[:200])
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    done = edge("data", "check", folder, "--json")
    assert done.returncode == 1
    found = {finding["kind"]: finding["files"] for finding in json.loads(done.stdout)["findings"]}
    assert found["two-labels"] == ["train/circle/0000.png", "train/square/copy.png"]
    assert sorted(found["two-splits"]) == ["train/circle/0001.png", "val/circle/copy.png"]
    assert found["unreadable"] == ["test/circle/half.png"]
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before


def test_data_shapes_draws_and_never_overwrites(edge: Any, tmp_path: Path) -> None:
    done = edge("data", "shapes", "--out", "drawn", "--image-size", "32")
    assert done.returncode == 0
    assert len(list((tmp_path / "drawn").rglob("*.png"))) == 420
    assert edge("data", "shapes", "--out", "drawn").returncode == 2
    assert edge("data", "shapes", "--out", "few", "--counts", "6,3,0").returncode == 0
    assert len(list((tmp_path / "few").rglob("*.png"))) == 9 and not (tmp_path / "few" / "test").exists()
    for counts in ("6", "6,3,x", "6,3,-3", "1,3,3"):
        refused = edge("data", "shapes", "--out", "fewer", "--counts", counts)
        assert refused.returncode == 2 and "counts" in refused.stderr and not (tmp_path / "fewer").exists()


def test_the_demo_runs_its_commands_and_ends_with_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # .ci/run does the real one, and asks for its 95 %: it takes minutes.
    from edge_cli.commands import demo

    ran: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        assert not check and command[:4] == [sys.executable, "-P", "-m", "edge_cli"]
        ran.append(command[4:])
        return subprocess.CompletedProcess(command, 7 if command[4] == fails else 0)

    monkeypatch.setattr(demo.subprocess, "run", run)
    fails = ""
    assert demo.demo("none", "squeezenet1_1") == 0
    assert [words[0] for words in ran] == ["train", "export", "evaluate", "predict", "bench"]
    assert ran[0][-4:] == ["--backbone", "squeezenet1_1", "--weights", "none"] and Path(ran[3][2]).is_file()
    said = capsys.readouterr().out
    assert said.count("edge train") == 2 and "edge bench" in said.splitlines()[-1]
    fails, ran[:] = "export", []
    assert demo.demo("none", "squeezenet1_1") == 7 and len(ran) == 2
    assert "edge export --format onnx ended with exit code 7" in capsys.readouterr().err
