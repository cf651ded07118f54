"""edge doctor: what is here, what is missing, and what is slow and why."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_cli.console import print_json
from edge_cli.options import JsonFlag
from edge_runtime import (
    EXTRAS,
    EdgeError,
    ModelError,
    UsageError,
    cpu_model,
    int8_arithmetic,
    int8_origin,
    missing_package,
    newest_run,
    one_line,
    package_version,
    read_health,
    run_probe,
    slow_reasons,
)

if TYPE_CHECKING:
    from edge_runtime import Health, Throttling

app = typer.Typer(add_completion=False)

PACKAGES = (
    "numpy",
    "pillow",
    "onnxruntime",
    "typer",
    "rich",
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "matplotlib",
    "jinja2",
    "starlette",
    "uvicorn",
    "h11",
    "python-multipart",
    "prometheus-client",
)
# Of the hundred names Linux gives, those that onnxruntime has kernels for.
TELLING = frozenset(
    {"sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8"}
    | {"amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"}
)


@app.command(
    name="doctor",
    help="Show versions, the machine, which extras are installed, and what is slow and why; exit 1 if something is "
    "broken.",
)
def doctor(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Model files: whether what was measured of their int8 layers holds here.",
            show_default="the newest run's",
        ),
    ] = None,
    json_: JsonFlag = False,
) -> int:
    """Look, and say what to do."""
    # What numpy or onnxruntime may die of must happen in another process, so neither is imported here.
    probed = run_probe()
    health = read_health()
    slow = slow_reasons(health)
    error = f"{probed.fault}; {probed.hint}" if probed.fault else None
    found: dict[str, Any] = {
        "edge": package_version("edge-vision"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "instruction_sets": sorted(TELLING.intersection(health.instruction_sets)),
        "cores": health.cores,
        "usable_cores": health.usable_cores,
        "load": health.load,
        "frequency": {
            "governor": health.governor,
            "driver": health.frequency_driver,
            "mhz": health.frequency_mhz,
            "highest_mhz": health.highest_frequency_mhz,
        },
        "memory_bytes": health.memory_bytes,
        "available_memory_bytes": health.available_memory_bytes,
        "swap_used_bytes": health.swap_used_bytes,
        "temperatures_c": dict(health.temperatures_c),
        "throttling": None if health.throttling is None else asdict(health.throttling),
        "packages": {name: package_version(name) for name in PACKAGES},
        "extras": {extra: missing_package(extra) is None for extra in EXTRAS},
        "slow": [{"what": what, "advice": advice} for what, advice in slow],
        "int8": {"arithmetic": int8_arithmetic(), "files": _origins(models)},
        "onnxruntime_error": error,
    }
    if json_:
        print_json(found)
    else:
        _draw(found, health)
    return 1 if error or any("error" in each for each in found["int8"]["files"]) else 0


def _origins(models: list[Path] | None) -> list[dict[str, Any]]:
    """What each of the files that has int8 weights says of them, read without numpy and onnxruntime; or its damage.

    Raises UsageError for one that is named, and cannot be read.
    """
    # Of what nobody named, no fault ends the report.
    reported: type[EdgeError] = EdgeError if models is None else ModelError
    if models is None:
        try:
            models = sorted(newest_run(needs=("model.onnx", "model-int8.onnx")).path.glob("*.onnx"))
        except UsageError:
            models = []
    found: list[dict[str, Any]] = []
    for path in models:
        try:
            origin = int8_origin(path)
        except reported as error:
            found.append({"file": str(path), "error": str(error)})
        else:
            found += [] if origin is None else [{"file": str(path), **origin.to_json()}]
    return found


def _draw(found: Mapping[str, Any], health: Health) -> None:
    print(f"edge {found['edge']}, Python {found['python']}, {found['system']}")
    print(f"{found['cpu']}, {health.usable_cores} of {health.cores} cores usable, {_memory(health)}")
    if found["instruction_sets"]:
        print(f"instruction sets: {', '.join(found['instruction_sets'])}")
    for each in found["int8"]["files"]:
        print(one_line(f"broken: {each['error']}" if "error" in each else f"int8: {each['file']}: {each['says']}"))
    state = [*_frequency(health), *_heat(health), *_held_back(health.throttling)]
    if state:
        print(", ".join(state))
    print(", ".join(f"{name} {version or '–'}" for name, version in found["packages"].items()))
    width = max(map(len, found["extras"]))
    for extra, there in found["extras"].items():
        said = "installed" if there else f"missing: pip install 'edge-vision[{extra}]'"
        print(f"extra {extra:<{width}} {said}")
    for each in found["slow"]:
        print(f"slow: {each['what']}\n      {each['advice']}")
    print("onnxruntime works" if found["onnxruntime_error"] is None else f"broken: {found['onnxruntime_error']}")


def _memory(health: Health) -> str:
    free = "–" if health.available_memory_bytes is None else f"{health.available_memory_bytes / 1e9:.1f}"
    whole = "" if health.memory_bytes is None else f" of {health.memory_bytes / 1e9:.1f}"
    swapped = f", {health.swap_used_bytes / 1e6:.0f} MB swapped out" if health.swap_used_bytes else ""
    return f"{free}{whole} GB of memory free{swapped}"


def _frequency(health: Health) -> list[str]:
    if health.frequency_mhz is None:
        return []
    highest = f" of {health.highest_frequency_mhz}" if health.highest_frequency_mhz else ""
    return [f"{health.frequency_mhz}{highest} MHz (governor {health.governor or 'not stated'})"]


def _heat(health: Health) -> list[str]:
    return [f"{place} {degrees:.0f} °C" for place, degrees in health.temperatures_c.items()]


def _held_back(throttling: Throttling | None) -> list[str]:
    if throttling is None:
        return []
    now = ", ".join(throttling.now) or "no"
    earlier = ", ".join(throttling.since_start) or "never"
    return [f"throttled now: {now}", f"since it was started: {earlier}"]
