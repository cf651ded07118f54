"""What runs share of a frozen backbone: made once, made again where anything differs that it depends on."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_runtime import OutputError, Preprocessing, Sample  # noqa: E402
from edge_train import SweepPart  # noqa: E402
from edge_train.run.kept_embeddings import body_sha256, keep  # noqa: E402

SAMPLES = [Sample(f"a/{number}.png", 0) for number in range(3)]


def job(folder: Path | None, **changes: Any) -> Any:
    card = SimpleNamespace(data={"fingerprint": "f"}, preprocessing=Preprocessing(40, 32, 32, "bilinear"))
    given = {
        "part": SweepPart(embeddings=folder),
        "card": card,
        "store": SimpleNamespace(root=Path("photos")),
        "backbone": SimpleNamespace(name="net", head="fc", maker=None),
        "precision": "fp32",
        "device": torch.device("cpu"),
        "settings": SimpleNamespace(batch_size=8),
    }
    return SimpleNamespace(**{**given, **changes})


def counted(made: list[int], value: float = 1.0) -> Any:
    def make() -> Any:
        made.append(1)
        return torch.full((3, 2), value)

    return make


def test_they_are_made_once_and_read_back_bit_for_bit(tmp_path: Path) -> None:
    made: list[int] = []
    first, new = keep(job(tmp_path / "kept"), "body", SAMPLES, ["train", 0], counted(made, 0.1))
    again, old = keep(job(tmp_path / "kept"), "body", SAMPLES, ["train", 0], counted(made, 9.0))
    assert (new, old, len(made)) == (True, False, 1) and torch.equal(first, again)
    # Where nothing is shared, nothing is kept.
    assert keep(job(None), "body", SAMPLES, ["train", 0], counted(made))[1] and len(made) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"body": "other"},
        {"samples": SAMPLES[::-1]},
        {"view": ["train", 1, "light", 0]},
        {"job": {"card": SimpleNamespace(data={"fingerprint": "g"})}},
        {"job": {"store": SimpleNamespace(root=Path("elsewhere"))}},
    ],
)
def test_what_differs_is_made_again(tmp_path: Path, changed: dict[str, Any]) -> None:
    made: list[int] = []
    for each in ({}, changed):
        given = {"body": "body", "samples": SAMPLES, "view": ["train", 0], **each}
        keep(job(tmp_path, **each.get("job", {})), given["body"], given["samples"], given["view"], counted(made))
    assert len(made) == 2


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    made: list[int] = []
    for damage in (b"", b"no array", None):
        keep(job(tmp_path), "body", SAMPLES, ["val"], counted(made))
        (path,) = tmp_path.glob("*.npy")
        if damage is not None:
            path.write_bytes(damage)
        else:
            np.save(path, np.zeros((2, 2), dtype=np.float32))
    keep(job(tmp_path), "body", SAMPLES, ["val"], counted(made))
    assert len(made) == 4


def test_who_comes_while_they_are_made_waits_for_them(tmp_path: Path) -> None:
    made: list[int] = []
    threads = [Thread(target=keep, args=(job(tmp_path), "body", SAMPLES, ["val"], counted(made))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        keep(job(tmp_path / "file"), "body", SAMPLES, ["val"], counted([]))


def test_the_body_is_known_by_its_weights_and_not_by_its_head() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = torch.nn.ModuleDict({"conv": torch.nn.Conv2d(3, 2, 1), "fc": torch.nn.Linear(2, 2)})

    net: Any = Net()
    known = body_sha256(job(None), net)
    with torch.no_grad():
        net.backbone["fc"].weight += 1
        assert body_sha256(job(None), net) == known
        net.backbone["conv"].weight[0, 0] += 1e-6
    assert body_sha256(job(None), net) != known
    assert body_sha256(job(None, precision="bf16"), net) != body_sha256(job(None), net)


def test_the_body_is_known_by_the_code_of_its_network_too() -> None:
    net: Any = torch.nn.ModuleDict({"backbone": torch.nn.ModuleDict({"conv": torch.nn.Conv2d(3, 2, 1)})})

    def of(identity: dict[str, str], versions: dict[str, str]) -> str:
        maker = SimpleNamespace(identity=identity, versions=versions)
        return body_sha256(job(None, backbone=SimpleNamespace(name="net", head="fc", maker=maker)), net)

    edited, upgraded = of({"network_sha256": "b"}, {}), of({"network_sha256": "a"}, {"timm": "1.1"})
    assert len({of({"network_sha256": "a"}, {}), edited, upgraded, body_sha256(job(None), net)}) == 4
