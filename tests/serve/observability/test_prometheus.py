"""Figures of the server's process, in whatever environment it was started."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_serve.observability import process_figures
from serving import picture, serving


@pytest.mark.parametrize("there", [True, False])
def test_another_programs_folder_of_figures_is_not_written_to(rgb_model: Path, tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "figures"
    if there:
        folder.mkdir()
    with serving(rgb_model, PROMETHEUS_MULTIPROC_DIR=str(folder)) as served:
        assert served.predict(picture()).status == 200
        assert served.metric("edge_images_total") == 1 and served.metric("edge_connections") == 1
        assert served.metric("process_resident_memory_bytes") > 0
        assert served.end() == 0
    assert folder.exists() == there and not list(tmp_path.glob("figures/*"))


def test_nor_is_it_by_workers(rgb_model: Path, tmp_path: Path) -> None:
    with serving(rgb_model, "--workers", "2", PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) as served:
        assert served.predict(picture()).status == 200
        assert served.metric("edge_images_total") == 1
        assert served.end() == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_memory_is_counted_in_pages_of_the_machines_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Raspberry Pi 5 has pages of 16 KiB."""
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 10**9}.__getitem__)
    assert process_figures._resident_bytes() > 10**12
