from __future__ import annotations

import subprocess
import sys

import edge_benchmarks


def test_every_name_at_the_door_opens() -> None:
    assert all(getattr(edge_benchmarks, name) is not None for name in edge_benchmarks.__all__)
    assert dir(edge_benchmarks) == sorted(edge_benchmarks.__all__)


def test_the_whole_package_loads_without_torch_onnx_or_matplotlib() -> None:
    script = (
        "import sys, edge_benchmarks, edge_benchmarks.measure.worker_process, edge_cli.commands.bench\n"
        "for name in edge_benchmarks.__all__: getattr(edge_benchmarks, name)\n"
        "print({'torch', 'torchvision', 'onnx', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
