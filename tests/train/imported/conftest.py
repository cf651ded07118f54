"""The file that names the small network, and where marks of code that was named are kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imported_nets import CODE, TINY


@pytest.fixture(scope="module", autouse=True)
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What names the small network; its folder is where marks of code that was named are kept."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(CODE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_CACHE", str(folder / "cache"))
        TINY.append(f"{folder / 'own.py'}:net")
        yield TINY[-1]
    TINY.clear()
