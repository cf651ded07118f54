"""A file of the user's as a module, and what it imports from its own folder, as `python FILE` would find it.

One process may load two files of which each has a `layers.py` beside it. Python knows modules by their names alone, so
each file is shown its own while code of it runs, and what else goes by these names is put aside.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType

# What the files loaded from beside themselves, as far as it is in sys.modules.
_of_files: dict[str, ModuleType] = {}
_INSTALLED = {"site-packages", "dist-packages"}


@lru_cache(maxsize=16)
def load_file(path: Path, sha256: str) -> OwnFile:
    """The file, run once; it raises whatever the file raises. The hash tells it from what it was before an edit."""
    return OwnFile(path, f"edge_own_{sha256[:16]}")


class OwnFile:
    """A file that was run, as the module `name`; what it imported from its folder is its own."""

    def __init__(self, path: Path, name: str) -> None:
        self._folder = path.parent
        self._beside: dict[str, ModuleType] = {}
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        # A file beside it may be younger than what Python remembers of the folder.
        importlib.invalidate_caches()
        with self.importing():
            sys.modules[name] = self.module
            try:
                spec.loader.exec_module(self.module)
            except BaseException:
                del sys.modules[name]
                raise

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Its folder is where modules are looked for first, also those that a function of it imports when called."""
        others = {name: module for name, module in _of_files.items() if sys.modules.get(name) is module}
        namesakes = {name: module for name, module in sys.modules.items() if name not in others}
        shadowed = {name for name in self._names() if self._is_elsewhere(namesakes.get(name))}
        namesakes = {name: module for name, module in namesakes.items() if _top(name) in shadowed}
        for name in (*others, *namesakes):
            del sys.modules[name]
        sys.modules.update(self._beside)
        before = {*sys.modules}
        sys.path.insert(0, str(self._folder))
        try:
            yield
        finally:
            with suppress(ValueError):  # the code may have taken it out
                sys.path.remove(str(self._folder))
            new = {name: module for name, module in sys.modules.items() if name not in before}
            for name, module in new.items():
                top = _top(name)
                if top in self._beside or (top in new and self._holds(new[top])):
                    self._beside[name] = module
            for name in [name for name in sys.modules if _top(name) in shadowed]:
                del sys.modules[name]
            sys.modules.update(namesakes)
            _of_files.update({name: each for name, each in self._beside.items() if sys.modules.get(name) is each})
            # A forward of another file may import what it already has.
            for name, module in others.items():
                sys.modules.setdefault(name, module)

    def _names(self) -> set[str]:
        """What can be imported from the folder."""
        with suppress(OSError):
            found = [*self._folder.glob("*.py"), *(init.parent for init in self._folder.glob("*/__init__.py"))]
            return {path.stem for path in found} - sys.stdlib_module_names
        return set()

    def _is_elsewhere(self, module: ModuleType | None) -> bool:
        """Whether it is the program's own, from another folder; what is installed stays what it is for everybody."""
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        return bool(origin) and not self._holds(module) and not _INSTALLED & set(Path(str(origin)).parts)

    def _holds(self, module: ModuleType | None) -> bool:
        """Whether a module or package lies directly in the folder; a virtual environment may lie below it."""
        spec = getattr(module, "__spec__", None)
        places = list(getattr(spec, "submodule_search_locations", None) or [getattr(spec, "origin", None)])
        return any(Path(str(place)).resolve().parent == self._folder for place in places)


def _top(name: str) -> str:
    return name.partition(".")[0]
