"""Ray, imported and used without a word on the screen, and without a change that outlasts it."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

from edge_batch.redirected_output import output_to
from edge_runtime import is_prepared

# Read when Ray is imported or started: it sends nothing home, leaves Ctrl-C to us, stays in our folder and draws no
# tables of its own.
OURS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}
UNLESS_SET = {"RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@contextmanager
def quiet_ray(log: Path, library: str) -> Iterator[None]:
    """Ray and its `library`, such as ray.data, are imported; what they say in the block goes to `log`.

    That is what they log, their warnings, and where the process is a command's all that is printed meanwhile.
    """
    with ExitStack() as stack:
        stack.enter_context(_environment())
        stack.enter_context(warnings.catch_warnings())
        if is_prepared():
            stack.enter_context(output_to(log))
        handler = logging.FileHandler(log, encoding="utf-8")
        stack.callback(handler.close)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        # What no other handler takes.
        last_resort, logging.lastResort = logging.lastResort, handler
        stack.callback(setattr, logging, "lastResort", last_resort)
        warnings.simplefilter("ignore")
        # Ray turns its own warnings on again.
        warnings.showwarning = lambda message, *_, **__: logging.getLogger("ray").warning("%s", message)
        import_module(library)
        stack.enter_context(_logging(handler))
        yield


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in (*OURS, *UNLESS_SET)}
    os.environ.update({**OURS, **{name: os.environ.get(name, value) for name, value in UNLESS_SET.items()}})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _logging(handler: logging.Handler) -> Iterator[None]:
    """Ray's loggers have `handler` alone, those that it makes meanwhile, too."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("ray.")]
    loggers = [logging.getLogger(name) for name in ("ray", *names)]
    before = [(logger, logger.handlers, logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        top = logger.name == "ray"
        logger.handlers, logger.propagate = [handler] if top else [], not top
        logger.setLevel(logging.INFO if top else logging.NOTSET)
    try:
        yield
    finally:
        for logger, handlers, propagate, level in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
