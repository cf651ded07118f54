"""Package doors whose names are loaded on first use (PEP 562)."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import CodeType
from typing import Any

_IMPORT_NAME, _IMPORT_FROM, _EXTENDED_ARG = (dis.opmap[name] for name in ("IMPORT_NAME", "IMPORT_FROM", "EXTENDED_ARG"))


def lazy_door(package: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The `__all__`, `__getattr__` and `__dir__` of a package whose door names what it hands out just once.

    Called in the `else` of the door's `if TYPE_CHECKING:`, whose imports are read from the door's own code:
    type checkers follow them, and here each is carried out when its name is asked for. What the door has imported
    by then, such as this function, is its own tool and not handed out.
    """
    door = sys._getframe(1)
    home = {name: module for name, module in _imports(door.f_code) if name not in door.f_globals}

    def getattr_(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return sorted(home), getattr_, lambda: sorted(home)


def _imports(code: CodeType) -> Iterator[tuple[str, str]]:
    """Each name that `code` imports from a module, and the module. Every command waits for this at each door."""
    if sys.version_info >= (3, 15):
        # An import's argument is no longer the number of a name alone.
        module = ""
        for step in dis.get_instructions(code):
            if step.opname == "IMPORT_NAME":
                module = step.argval
            elif step.opname == "IMPORT_FROM":
                yield step.argval, module
        return
    names, module, high = code.co_names, "", 0
    steps = iter(code.co_code)
    for operation, argument in zip(steps, steps, strict=True):
        if operation == _IMPORT_NAME:
            module = names[high | argument]
        elif operation == _IMPORT_FROM:
            yield names[high | argument], module
        high = (high | argument) << 8 if operation == _EXTENDED_ARG else 0
