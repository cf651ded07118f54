"""Package doors whose names are loaded on first use (PEP 562)."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_door(package: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The `__all__`, `__getattr__` and `__dir__` of a package whose door names what it hands out just once.

    Called in the `else` of the door's `if TYPE_CHECKING:`, whose imports are read from the door's own code:
    type checkers follow them, and here each is carried out when its name is asked for. What the door has imported
    by then, such as this function, is its own tool and not handed out.
    """
    door = sys._getframe(1)
    home: dict[str, str] = {}
    module = ""
    for step in dis.get_instructions(door.f_code):
        if step.opname == "IMPORT_NAME":
            module = step.argval
        elif step.opname == "IMPORT_FROM" and step.argval not in door.f_globals:
            home[step.argval] = module

    def getattr_(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return sorted(home), getattr_, lambda: sorted(home)
