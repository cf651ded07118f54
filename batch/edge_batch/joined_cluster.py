"""A Ray cluster for as long as a batch takes: one of this machine's own, or one that runs; quiet either way."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_batch.cluster_address import why_unanswered
from edge_batch.redirected_output import output_to
from edge_runtime import EdgeError, UsageError, require_extra, usable_cores

# Blocks are paths one way and answers the other: little is ever in the store but the model.
STORE_BYTES = 256_000_000
# Beside workers on all cores Ray ends whoever is idle for a second, and a new process for each file that is written
# costs more than writing it.
SYSTEM = {"idle_worker_killing_time_threshold_ms": 600_000}


@contextmanager
def quiet_ray(log: Path) -> Iterator[None]:
    """Ray is imported and used within: what it and the libraries below it print goes to `log`.

    Raises MissingExtraError where it is not installed.
    """
    require_extra("ray")
    # Read when Ray is imported. It reports its use by default, and starts a page to watch it by.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with warnings.catch_warnings(), output_to(log) as text:
        handler = logging.StreamHandler(text)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        with _logged(handler):
            warnings.simplefilter("ignore")
            # Ray turns its own warnings on again.
            warnings.showwarning = lambda message, *_, **__: logging.getLogger("ray").warning("%s", message)
            import ray.data

            _hand_over(handler)
            ray.data.DataContext.get_current().enable_progress_bars = False
            yield


@contextmanager
def _logged(handler: logging.Handler) -> Iterator[None]:
    """What no other handler takes goes to `handler`; at the end those of Ray's loggers are gone."""
    before, logging.lastResort = logging.lastResort, handler
    try:
        yield
    finally:
        logging.lastResort = before
        _hand_over(logging.NullHandler())


def _hand_over(handler: logging.Handler) -> None:
    for name in ("ray", "ray.data"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[int]:
    """The cluster at `address`, or without one a cluster of this machine alone; gives how many workers it holds.

    Raises UsageError where there is none at `address`, EdgeError where one cannot be started.
    """
    import ray

    folder = None
    try:
        if address is None:
            cores = workers or usable_cores()
            # The path of a socket in it may have a hundred characters.
            folder = tempfile.mkdtemp(prefix="edge-ray-", dir=None if len(tempfile.gettempdir()) < 40 else "/tmp")
            _start(cores, folder)
            yield cores
        else:
            _join(address)
            yield workers or _cores_of(ray.nodes())
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _start(cores: int, folder: str) -> None:
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=cores,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=STORE_BYTES,
            _temp_dir=folder,
            _system_config=SYSTEM,
        )
    except Exception as error:
        raise EdgeError(f"Ray does not start here: {first_line(error)}", "the log has more of it") from error


def _join(address: str) -> None:
    import ray

    hint = "start one with ray start --head, or leave `address` out to use this machine alone"
    if why := why_unanswered(address):
        raise UsageError(f"`address` {address}: no Ray cluster answers there ({why})", hint)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:
        raise UsageError(f"`address` {address}: the cluster cannot be joined: {first_line(error)}", hint) from error


def _cores_of(nodes: list[dict[str, Any]]) -> int:
    """How many workers of one core each the machines hold."""
    cores = sum(int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"])
    if cores < 1:
        raise UsageError("the cluster has no cores", "start its machines with ray start --num-cpus N")
    return cores


def first_line(error: BaseException) -> str:
    """What an error says first, without colours and without end."""
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().partition("\n")[0]
    return (text or type(error).__name__)[:200]
