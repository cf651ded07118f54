"""Ray for the time of a sweep: a cluster, and silence."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from edge_batch import output_to, why_unanswered
from edge_runtime import EdgeError, is_prepared, usable_cores

OBJECT_STORE_BYTES = 100 << 20
# Ray sends nothing home, leaves Ctrl-C to us, and writes no tables of its own.
OURS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}
# What of our environment the workers of another machine need, too.
_HANDED_ON = ("EDGE_WEIGHTS_DIR", "EDGE_CACHE", "PYTHONPATH")


@contextmanager
def cluster(address: str | None, log: Path) -> Iterator[None]:
    """A cluster: the one at `address`, the one that the process has, or one of this machine for the block alone.

    What Ray says goes to `log`: its own log, and where the process is a command's, all that is printed meanwhile.

    Raises:
        EdgeError: it cannot be reached, or does not start.
    """
    with ExitStack() as stack:
        stack.enter_context(_environment())
        if is_prepared():
            stack.enter_context(output_to(log))
        import ray
        import ray.tune

        stack.enter_context(_logging(log))
        if not ray.is_initialized():
            options: dict[str, Any] = {}
            if address is None:
                options = {
                    "include_dashboard": False,
                    "num_cpus": usable_cores(),
                    "object_store_memory": OBJECT_STORE_BYTES,
                }
            else:
                if why := why_unanswered(address):
                    hint = "start it with ray start --head, or take `engine` local"
                    raise EdgeError(f"the Ray cluster {address} cannot be reached: {why}", hint)
                known = {name: os.environ[name] for name in (*OURS, *_HANDED_ON) if name in os.environ}
                options["runtime_env"] = {"env_vars": known}
            try:
                ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **options)
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                where = f"the Ray cluster {address} cannot be reached" if address else "Ray does not start"
                raise EdgeError(f"{where}: {last_line(error)}", f"see {log}, or take `engine` local") from error
            stack.callback(ray.shutdown)
        yield


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in OURS}
    os.environ.update(OURS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _logging(log: Path) -> Iterator[None]:
    """Ray's loggers write into `log` alone, those that it makes meanwhile, too; to be entered when it is imported."""
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    names = [name for name in logging.root.manager.loggerDict if name == "ray" or name.startswith("ray.")]
    loggers = [logging.getLogger(name) for name in ["ray", *names]]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        top = logger.name == "ray"
        logger.handlers, logger.propagate = [handler] if top else [], not top
    last_resort, logging.lastResort = logging.lastResort, handler
    try:
        yield
    finally:
        logging.lastResort = last_resort
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()


def last_line(error: BaseException) -> str:
    """The last line of what an error says, which is the one that a person needs of a trace."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else type(error).__name__
