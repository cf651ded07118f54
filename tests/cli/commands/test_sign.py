"""edge sign, and the commands that take signed models alone."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from PIL import Image

from tiny_model import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 60), "red").save(tmp_path / "red.png")
    return write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))


def test_a_device_takes_its_owners_models_alone(edge: Any, tmp_path: Path, model: Path) -> None:
    made = edge("sign", "--new-key", "fleet.pem", "--json")
    assert made.returncode == 0 and "keep it secret" in made.stderr
    key = json.loads(made.stdout)
    assert key["public"] == "fleet.pub" and stat.S_IMODE((tmp_path / "fleet.pem").stat().st_mode) == 0o600
    asked = ("predict", "--image", "red.png", "--model", "model.onnx", "--require-signature", "fleet.pub")
    before = edge(*asked)
    assert (before.returncode, before.stdout) == (1, "") and "model.onnx is not signed" in before.stderr
    signed = edge("sign", "--model", "model.onnx", "--key", "fleet.pem")
    assert (signed.returncode, signed.stdout) == (0, f"model.onnx is signed by {key['key']}\n")
    answered = edge(*asked, "--json")
    assert json.loads(answered.stdout)["predictions"][0]["label"] == "red"
    assert f"{key['key']} (not checked" in edge("info", "model.onnx").stdout
    checked = edge("info", "model.onnx", "--require-signature", "fleet.pub", "--json")
    assert json.loads(checked.stdout)["signature"] == {"key": key["key"], "checked": True}
    whole = model.read_bytes()
    model.write_bytes(whole.replace(b"green", b"queen"))
    changed = edge(*asked)
    assert (changed.returncode, changed.stdout) == (1, "") and "was changed after SHA256:" in changed.stderr
    assert edge("info", "model.onnx", "--require-signature", "fleet.pub").returncode == 1
    assert edge("info", "model.onnx").returncode == 0


def test_an_encrypted_key_wants_its_passphrase(
    edge: Any, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = edge("sign", "--new-key", "fleet.pem", "--encrypt")
    assert refused.returncode == 2 and "without a terminal (set EDGE_SIGN_PASSPHRASE)" in flat(refused.stderr)
    assert not (tmp_path / "fleet.pem").exists()
    monkeypatch.setenv("EDGE_SIGN_PASSPHRASE", "correct horse")
    assert edge("sign", "--new-key", "fleet.pem", "--encrypt").returncode == 0
    (tmp_path / "fleet.pem").chmod(0o644)
    signed = edge("sign", "--model", model, "--key", "fleet.pem", "--out", "signed.onnx")
    assert signed.returncode == 0 and "chmod 600 fleet.pem" in signed.stderr
    again = edge("sign", "--model", "signed.onnx", "--key", "fleet.pem", "--out", "twice.onnx")
    assert "was replaced" in again.stderr
    monkeypatch.setenv("EDGE_SIGN_PASSPHRASE", "wrong")
    wrong = edge("sign", "--model", model, "--key", "fleet.pem")
    assert wrong.returncode == 2 and "the passphrase is wrong" in wrong.stderr
    monkeypatch.setenv("EDGE_SIGN_PASSPHRASE", "\udcffclave\udce9")
    assert edge("sign", "--new-key", "bytes.pem", "--encrypt").returncode == 0
    assert edge("sign", "--model", model, "--key", "bytes.pem", "--out", "bytes.onnx").returncode == 0


@pytest.mark.usefixtures("model")
def test_what_makes_no_sense_is_one_line(edge: Any, tmp_path: Path) -> None:
    edge("sign", "--new-key", "fleet.pem")
    for arguments, message in (
        ((), "a key is needed"),
        (("--key", "fleet.pem", "--new-key", "other.pem"), "a key is needed"),
        (("--new-key", "fleet.pem"), "is there already"),
        (("--new-key", "."), "is a folder"),
        (("--new-key", "other.pem", "--model", "model.onnx"), "signs nothing"),
        (("--key", "fleet.pem", "--encrypt"), "--encrypt goes with --new-key"),
        (("--key", "fleet.pub", "--model", "model.onnx"), "is no private key"),
        (("--key", "fleet.pem", "--model", "none.onnx"), "does not exist"),
        (("--key", "fleet.pem", "--model", "model.onnx", "--out", "fleet.pub"), "is there already"),
    ):
        done = edge("sign", *arguments)
        assert done.returncode in (1, 2) and message in done.stderr and "Traceback" not in done.stderr, arguments
        assert done.stdout == ""
    done = edge("predict", "--image", "red.png", "--model", "model.onnx", "--require-signature", "fleet.pem")
    assert done.returncode == 2 and "is a private key" in done.stderr
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\n")
    foreign = ("--labels", labels, "--preprocess", "imagenet", "--require-signature", "fleet.pub")
    done = edge("predict", "--image", "red.png", "--model", "model.onnx", *foreign)
    assert done.returncode == 2 and "--require-signature is for files of edge export" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["fleet.pem", "fleet.pub", "labels.txt", "model.onnx", "red.png"]  # noqa: PTH208


def flat(text: str) -> str:
    """An error's two lines as one."""
    return text.replace("\n hint: ", " (").rstrip() + ")"
