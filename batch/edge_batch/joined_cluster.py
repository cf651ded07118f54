"""A Ray cluster for as long as a batch or a sweep takes: one of this machine's own, or one that runs."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_batch.cluster_address import why_unanswered
from edge_batch.ray_silence import OURS, quiet_ray
from edge_batch.workers_path import own_job
from edge_runtime import EdgeError, UsageError, usable_cores

# Blocks of a batch are paths one way and answers the other, trials settings and figures: little is ever in the store
# but the model.
STORE_BYTES = 256_000_000
# Beside workers on all cores Ray ends whoever is idle for a second, and a new process for each file that is written
# costs more than writing it.
SYSTEM = {"idle_worker_killing_time_threshold_ms": 600_000}


@contextmanager
def ray_cluster(
    address: str | None,
    log: Path,
    library: str,
    *,
    cores: int | None = None,
    gpus: int | None = 0,
    hands_on: Sequence[str] = (),
) -> Iterator[int]:
    """A cluster for Ray's `library`, such as ray.data, and how many cores it has; what Ray says goes to `log`.

    It is the one that the process has joined already, the one at `address`, or one of this machine alone, of `cores`
    or all that may be used and of `gpus` or all that Ray finds, which ends with the block. To the workers of the one
    at `address` what our environment says of `hands_on` is handed on.

    Raises:
        UsageError: there is no cluster at `address`, or it has no cores.
        EdgeError: none can be started.
    """
    with quiet_ray(log, library):
        import ray

        if ray.is_initialized():
            yield _cores()
        elif address is not None:
            try:
                _join(address, hands_on)
                yield _cores()
            finally:
                ray.shutdown()
        else:
            # The path of a socket in it may have a hundred characters.
            folder = tempfile.mkdtemp(prefix="edge-ray-", dir=None if len(tempfile.gettempdir()) < 40 else "/tmp")
            try:
                _start(cores or usable_cores(), gpus, folder)
                yield _cores()
            finally:
                ray.shutdown()
                shutil.rmtree(folder, ignore_errors=True)


def _start(cores: int, gpus: int | None, folder: str) -> None:
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=cores,
            num_gpus=gpus,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=STORE_BYTES,
            _temp_dir=folder,
            job_config=own_job(),
            _system_config=SYSTEM,
        )
    except Exception as error:
        raise EdgeError(f"Ray does not start here: {first_line(error)}", "the log has more of it") from error


def _join(address: str, hands_on: Sequence[str]) -> None:
    import ray

    hint = "start one with ray start --head, or leave `address` out to use this machine alone"
    if why := why_unanswered(address):
        raise UsageError(f"`address` {address}: no Ray cluster answers there ({why})", hint)
    known = {name: os.environ[name] for name in (*OURS, *hands_on) if name in os.environ} if hands_on else {}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            configure_logging=False,
            runtime_env={"env_vars": known} if known else None,
            job_config=own_job(),
        )
    except Exception as error:
        raise UsageError(f"`address` {address}: the cluster cannot be joined: {first_line(error)}", hint) from error


def _cores() -> int:
    """How many workers of one core each the machines hold."""
    import ray

    cores = sum(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    if cores < 1:
        raise UsageError("the cluster has no cores", "start its machines with ray start --num-cpus N")
    return cores


def first_line(error: BaseException) -> str:
    """What an error says first, without colours and without end."""
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().partition("\n")[0]
    return (text or type(error).__name__)[:200]
