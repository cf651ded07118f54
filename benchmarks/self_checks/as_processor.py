"""Run a command as on a processor with fewer instruction sets: its real speed, not an emulator's.

    python benchmarks/self_checks/as_processor.py avx2 edge bench
    python benchmarks/self_checks/as_processor.py avx512 python benchmarks/self_checks/int8_speed.py --check

`avx2` is most laptops and AMD's Zen 3, `avx512` Intel's Skylake servers, `avx512-vnni` Cascade Lake and Ice Lake. What
onnxruntime, torch and OpenVINO ask of the processor (CPUID) and what /proc/cpuinfo says lacks what those lack, so they
take the kernels that they take there. Caches, clock and memory stay this machine's: a ratio of two kernels holds about
as far as it holds on a processor of this one's family. Linux on x86-64 with a C compiler, where CPUID can be made
to fault (the flag `cpuid_fault` of /proc/cpuinfo). Ends as the command does; with 2 where this machine cannot do it.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_benchmarks.program import exit_code
from edge_runtime import EdgeError, UsageError

SOURCE = Path(__file__).with_name("hidden_instructions.c")
CPUINFO = Path("/proc/cpuinfo")

# What is taken away, each beyond the one before: (leaf:subleaf:register, bits), as hidden_instructions.c reads them,
# and how /proc/cpuinfo names it. Intel's manual, volume 2A, CPUID.
_MATRICES = (("7:0:d", 0x03400000), ("7:1:a", 0x00200000))
_HALVES = (("7:0:d", 0x00800000), ("7:1:a", 0x00000020))
_DOTS = (
    ("7:0:b", 0x00200000),
    ("7:0:c", 0x00005842),
    ("7:0:d", 0x00000100),
    ("7:1:a", 0x00800010),
    ("7:1:d", 0x00000430),
)
_WIDE = (("7:0:b", 0xDC030000), ("7:0:d", 0x0000000C))
_DOT_NAMES = "avx512_?(?:bf16|fp16|vnni|ifma|vbmi|bitalg|vpopcntdq|vp2intersect)|avx_(?:vnni|ifma|ne_convert)"
HIDDEN = {
    "avx512-vnni": ((*_MATRICES, *_HALVES), "amx_|avx512_(?:bf16|fp16)"),
    "avx512": ((*_MATRICES, *_HALVES, *_DOTS), f"amx_|{_DOT_NAMES}"),
    "avx2": ((*_MATRICES, *_HALVES, *_DOTS, *_WIDE), f"amx_|avx512|{_DOT_NAMES}"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command that `arguments` name; its exit code, or 2 where this machine cannot hide anything."""
    parser = argparse.ArgumentParser(description="run a command as on a processor with fewer instruction sets")
    parser.add_argument("kind", choices=HIDDEN, help="the processor that is shown")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, with its arguments")
    given = parser.parse_args(arguments)
    if not given.command:
        parser.error("which command is to run?")

    def run() -> int:
        with TemporaryDirectory(prefix="edge-as-") as folder:
            code = subprocess.run(
                given.command, env=os.environ | hiding(given.kind, Path(folder)), check=False
            ).returncode
        return code if code >= 0 else 128 - code

    return exit_code(run)


def hiding(kind: str, folder: Path) -> dict[str, str]:
    """The environment in which a program sees a processor of the `kind`; what it needs is written into `folder`.

    Raises UsageError where this machine cannot hide instruction sets, EdgeError where the library does not compile.
    """
    described = CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else ""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or platform.machine() != "x86_64" or "cpuid_fault" not in described:
        raise UsageError("this machine's CPUID cannot be made to fault", hint="take another, on x86-64 and Linux")
    if not compiler:
        raise UsageError("no C compiler", hint="install gcc")
    bits, names = HIDDEN[kind]
    cpuinfo, library = folder / "cpuinfo", folder / "hidden_instructions.so"
    cpuinfo.write_text(re.sub(rf" (?:{names})[a-z0-9_]*", "", described), encoding="utf-8")
    built = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise EdgeError(f"{SOURCE.name} does not compile: {built.stderr.strip().splitlines()[-1]}")
    preloaded = [str(library), *os.environ.get("LD_PRELOAD", "").split()]
    environment = {
        "LD_PRELOAD": " ".join(preloaded),
        "EDGE_CPUINFO": str(cpuinfo),
        "EDGE_HIDDEN_CPUID": ",".join(f"{place}:{mask:x}" for place, mask in bits),
    }
    # The loader goes on without what it cannot load: a path with a space, a disk that nothing may be run from.
    seen = subprocess.run(
        [sys.executable, "-c", f"print(open({str(CPUINFO)!r}).read(), end='')"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if seen.stdout != cpuinfo.read_text(encoding="utf-8"):
        reason = (seen.stderr.strip().splitlines() or ["no word of it"])[0]
        raise UsageError(f"{library} does not load: {reason}", hint="name another folder with TMPDIR")
    return environment


if __name__ == "__main__":
    sys.exit(main())
