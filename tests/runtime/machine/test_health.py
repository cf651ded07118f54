"""Why a machine is slow, read from a folder that stands for it; and whether its packages work."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_runtime import Health, Sensors, Throttling, read_health, read_sensors, run_probe, slow_reasons


def machine(root: Path, **files: str) -> Path:
    for path, text in files.items():
        target = root / path.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return root


def test_a_hot_pi_on_a_weak_supply(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        **{
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "84200\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
            "proc/meminfo": "MemTotal: 1000 kB\nSwapTotal: 200000 kB\nSwapFree: 100000 kB\n",
            "proc/loadavg": "99.00 1 1 1/1 1\n",
        },
    )
    health = read_health(root)
    assert health.throttling == Throttling(("under-voltage", "throttled"), ("under-voltage", "throttled"))
    said = "\n".join(what for what, _ in slow_reasons(health))
    for part in ("power supply", "throttled, now", "84 °C", "powersave", "600 of 1800 MHz", "load of 99.0", "102 MB"):
        assert part in said


def test_sensors_are_the_hottest_zone_and_the_clock(tmp_path: Path) -> None:
    assert read_sensors(tmp_path) == Sensors(None, None)
    machine(
        tmp_path,
        **{
            "sys/class/thermal/thermal_zone0/type": "wifi\n",
            "sys/class/thermal/thermal_zone0/temp": "41000\n",
            "sys/class/thermal/thermal_zone1/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone1/temp": "62500\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        },
    )
    assert read_sensors(tmp_path) == Sensors(62.5, 1500)


def test_a_healthy_machine_has_nothing_to_say() -> None:
    health = Health(cores=4, usable_cores=4, architecture="aarch64", instruction_sets=("asimd", "asimddp"), load=0.1)
    assert slow_reasons(health) == []


@pytest.mark.parametrize(
    ("health", "said"),
    [
        (Health(cores=4, usable_cores=1), "1 of 4 cores"),
        (Health(architecture="aarch64", instruction_sets=("asimd",)), "dotprod"),
        (Health(architecture="x86_64", instruction_sets=("sse4_2",)), "AVX2"),
        (Health(available_memory_bytes=100_000_000), "100 MB of memory are free"),
        (Health(throttling=Throttling((), ("soft temperature limit",))), "since it was started"),
    ],
)
def test_each_reason(health: Health, said: str) -> None:
    assert any(said in what and advice for what, advice in slow_reasons(health))


def test_the_system_that_tells_nothing(tmp_path: Path) -> None:
    health = read_health(tmp_path)
    assert (health.memory_bytes, health.governor, health.throttling) == (None, None, None)
    assert health.temperatures_c == {}


def test_the_packages_here_work() -> None:
    assert run_probe().fault == ""


def broken(folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, code: str) -> None:
    """Have every new process import `code` for `package`."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(f"import os, signal\n{code}\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, sys.path)]))


ILLEGAL = "os.kill(os.getpid(), signal.SIGILL)"
LATER = f"class SessionOptions: ...\ndef InferenceSession(*_, **__): {ILLEGAL}"
BASELINE = "raise RuntimeError('NumPy was built with baseline optimizations: \\n(X86_V2) but this machine not:\\n.')"


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("package", "code", "step"),
    [
        ("onnxruntime", ILLEGAL, "onnxruntime"),
        ("onnxruntime", LATER, "a model"),
        ("PIL", ILLEGAL, "pillow"),
        ("numpy", BASELINE, "numpy"),
    ],
)
def test_an_illegal_instruction_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, code: str, step: str
) -> None:
    broken(tmp_path, monkeypatch, package, code)
    found = run_probe()
    assert found.step == step
    assert "illegal instruction" in found.fault
    assert f"pip install '{ {'PIL': 'pillow'}.get(package, package) }==" in found.hint


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("code", "said", "advice"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV", "--force-reinstall onnxruntime"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed from outside", "memory"),
        ("raise ImportError('libm.so.6: version\\nGLIBC_2.38 not found')", "version GLIBC_2.38 not found", "reinstall"),
        ("import sys; sys.exit(3)", "no reason given", "reinstall"),
    ],
)
def test_other_deaths_are_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str, advice: str
) -> None:
    broken(tmp_path, monkeypatch, "onnxruntime", code)
    found = run_probe()
    assert found.step == "onnxruntime" and said in found.fault and advice in found.hint


@pytest.mark.parametrize("reason", ["libm.so.6: version GLIBC_2.38 not found", "No module named onnxruntime"])
def test_commands_that_need_what_does_not_load_point_to_doctor(
    edge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    broken(tmp_path, monkeypatch, "onnxruntime", f"raise ImportError({reason!r})")
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    done = edge("predict", "x.png", "--model", "model.onnx")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"error: a package does not load: {reason}",
        " hint: edge doctor says which, and what to install",
    ]
    told = edge("doctor")
    assert told.returncode == 1
    assert f"broken: importing onnxruntime fails: ImportError: {reason}" in told.stdout
    assert "Traceback" not in told.stderr


def test_a_numpy_that_refuses_the_processor_points_to_doctor(
    edge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(tmp_path, monkeypatch, "numpy", BASELINE)
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    done = edge("predict", "x.png", "--model", "model.onnx")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2
    assert "NumPy was built with" in done.stderr and "edge doctor" in done.stderr
