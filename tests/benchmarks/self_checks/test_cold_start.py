from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tiny_model import write_tiny_model

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "self_checks" / "cold_start.py"


def cold_start(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_it_compares_edge_predict_with_the_bare_script(tmp_path: Path) -> None:
    model, image = write_tiny_model(tmp_path / "tiny.onnx"), tmp_path / "red.jpg"
    Image.new("RGB", (320, 240), "red").save(image)
    done = cold_start("--model", str(model), "--image", str(image), "--runs", "2", "--verbose")
    assert done.returncode == 0, done.stderr
    medians = {
        match[1]: float(match[2]) for match in re.finditer(r"^(edge predict|bare script)\s+([\d.]+)", done.stdout, re.M)
    }
    assert set(medians) == {"edge predict", "bare script"}
    ratio = re.search(r"ratio of medians ([\d.]+)", done.stdout)
    assert ratio is not None
    # Both medians are printed to the millisecond.
    assert abs(float(ratio[1]) - medians["edge predict"] / medians["bare script"]) < 0.02
    assert re.search(r"ms {2}numpy$", done.stdout, re.M)
    peaks = [float(row[1]) for row in re.finditer(r"^(?:edge|bare) .* ([\d.]+)$", done.stdout, re.M)]
    memory = re.search(r"of memory ([\d.]+);", done.stdout)
    assert len(peaks) == 2 and all(20 < peak < 1000 for peak in peaks)
    assert memory is not None and abs(float(memory[1]) - peaks[0] / peaks[1]) < 0.02


def test_check_decides_by_the_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import cold_start as script  # type: ignore[import-not-found]

    for found, code in (((1.29, 1.14), 0), ((1.31, 1.0), 1), ((1.0, 1.16), 1)):
        monkeypatch.setattr(script, "compare", lambda *_, found=found, **__: found)
        monkeypatch.setattr(sys, "argv", ["cold_start.py", "--check", "--model", str(tmp_path)])
        assert script.main() == code


def test_what_is_measured_starts_with_bytecode_as_an_installed_package_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import cold_start as script

    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    script.run_once([sys.executable, "-c", "import colorsys"], script.with_bytecode(tmp_path))
    assert list(tmp_path.rglob("colorsys*.pyc"))


def test_a_missing_model_is_an_error_not_a_ratio(tmp_path: Path) -> None:
    done = cold_start("--model", str(tmp_path / "gone.onnx"), "--runs", "1")
    assert done.returncode == 1
    assert "gone.onnx" in done.stderr
    assert "ratio" not in done.stdout
