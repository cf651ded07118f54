"""Fixtures shared by all tests: material beside the project, a small data folder, a finished run."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from warm_edge import WarmEdge, is_warm, warm_edge

# Read when onnxruntime loads: the suite, too, tells nobody of itself.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# As an installed package, which is compiled once: without its bytecode each process started here compiles 100 modules.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SHARED = Path(__file__).parents[1].parent / "shared"
UNPACKED = Path(os.environ.get("EDGE_TEST_DATA", Path.home() / ".cache" / "edge-tests"))

# A time is no property: an example takes as long as the machine's other work lets it.
settings.register_profile("edge", deadline=None)
settings.load_profile("edge")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Beside another worker, threads that spin while they wait take its core. Read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Parts whose files take a few seconds each.
QUICK_PARTS = ("cli", "data", "house", "lean", "runtime")

Edge = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is quick comes last: of two workers, the first that has no long file any more has something to do."""
    items.sort(key=lambda item: item.path.relative_to(Path(__file__).parent).parts[0] in QUICK_PARTS)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no garbage collection looks at these millions of objects again."""
    gc.collect()
    gc.freeze()


def material(name: str) -> Path:
    """A file of the shared material; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


def unpacked(name: str) -> Path:
    """A data set of the shared material, unpacked once into a cache outside the repository."""
    folder = UNPACKED / name
    archive = material(f"data/{name}.tar.xz") if not folder.is_dir() else folder
    UNPACKED.mkdir(parents=True, exist_ok=True)
    with (UNPACKED / f".{name}.lock").open("w") as lock:
        # Tests run in several processes.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            building = UNPACKED / f".{name}.{os.getpid()}"
            with tarfile.open(archive) as tar:
                tar.extractall(building, filter="data")
            (building / name).rename(folder)
            building.rmdir()
    return folder


@pytest.fixture(scope="session")
def hymenoptera() -> Path:
    """Ants and bees: 245 train and 153 val photos."""
    return unpacked("hymenoptera")


@pytest.fixture(scope="session")
def cifar10() -> Path:
    """CIFAR-10 as train/ and test/ class folders."""
    return unpacked("cifar10")


@pytest.fixture(scope="session")
def flowers() -> Path:
    """Five classes of flowers in flat class folders."""
    return unpacked("flowers128")


@pytest.fixture(scope="session")
def xrays() -> Path:
    """Chest X-rays of three kinds: 251 to train on and 66 to validate with, some of them on both sides."""
    return unpacked("chest_xray")


@pytest.fixture(scope="session")
def recyclables() -> Path:
    """Things on white in six classes, flat."""
    return unpacked("recyclables")


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """ImageNet weights of MobileNetV2."""
    return material("weights/mobilenet_v2-imagenet.pth")


@pytest.fixture(scope="session")
def resnet_weights() -> Path:
    """ImageNet weights of ResNet-18."""
    return material("weights/resnet18-imagenet.pth")


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmEdge]:
    """Starts `edge` commands that need torch without importing it each time."""
    with warm_edge() as warm:
        yield warm


@pytest.fixture
def edge(tmp_path: Path, request: pytest.FixtureRequest) -> Edge:
    """Run `edge` as a process of its own in a fresh folder; extra environment as keywords."""

    def run(*words: str | Path, cwd: Path = tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
        texts = [str(word) for word in words]
        # What Python and torch read of the environment, they read when they start.
        if is_warm(*texts) and not any(name.startswith(("PYTHON", "OMP")) for name in environment):
            warm: WarmEdge = request.getfixturevalue("warm")
            return warm.run(texts, cwd, **environment)
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "edge_cli", *texts],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            timeout=500,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def labels_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose pictures have none to three labels each."""
    return _several(tmp_path_factory, "draw_labels", multi_label=True)


@pytest.fixture(scope="session")
def tasks_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two tasks, shape and colour, whose weights were learned; a third of the colours is missing."""
    return _several(tmp_path_factory, "draw_tasks", tasks=("shape", "colour"), task_weights="learned")


def _several(tmp_path_factory: pytest.TempPathFactory, draw: str, **settings: object) -> Path:
    pytest.importorskip("torch")
    import drawn_targets
    from edge_train import train
    from own_nets import write_nets
    from quick_training import quick_settings

    folder = tmp_path_factory.mktemp(draw)
    listed: Path = getattr(drawn_targets, draw)(folder / "pictures", 60)
    # Small enough that its files are made in a second.
    backbone = f"{write_nets(folder)}:two_parts"
    return train(quick_settings(listed, folder / "runs", backbone=backbone, **settings)).run.path
