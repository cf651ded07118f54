"""The built documentation, as it opens from a disk: nothing of it comes from a network, and its search finds.

EDGE_TEST_SITE names the folder that `make docs` made; without one these tests are skipped.
"""

from __future__ import annotations

import html
import os
import re
import time
from pathlib import Path

import pytest

from edge_cli.doc_pages import PAGES, find_doc_page
from edge_cli.main import COMMANDS
from edge_runtime import setting_fields
from edge_vision import TrainSettings
from parts import handed_out


@pytest.fixture(scope="module")
def site() -> Path:
    folder = os.environ.get("EDGE_TEST_SITE")
    if not folder:
        pytest.skip("EDGE_TEST_SITE names no built documentation")
    return Path(folder)


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]+)"', text)
        loaded += [tag for tag in re.findall(r"<link\b[^>]*>", text) if 'rel="canonical"' not in tag]
        assert not [each for each in loaded if re.search(r"(?:https?:)?//", each)], page
    assert not list(site.rglob("*.map")) and sum(path.stat().st_size for path in site.rglob("*")) < 5e6


def test_every_command_and_diagnosis_has_its_page_in_it(site: Path) -> None:
    for topic in (*COMMANDS, "int8", "overfitting", "out-of-memory"):
        page = find_doc_page(topic, site=site)
        assert page.path.suffix == ".html" and page.path.is_file(), topic
    assert (site / Path(PAGES["compare"]).with_suffix(".html")).is_file()


def test_the_python_reference_is_made_of_the_docstrings(site: Path) -> None:
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (site / "reference").glob("api-*.html")}
    shown = [name for text in pages.values() for name in re.findall(r'<h2 id="edge_vision\.(\w+)"', text)]
    assert sorted(shown) == sorted(handed_out("edge_vision"))
    # A field of the settings, by what its flag says; an error that is raised, linked to what it is.
    rows = [html.unescape(row) for row in re.findall(r"(?s)<tr\b.*?</tr>", pages["api-train"])]
    for field in setting_fields(TrainSettings):
        said = " ".join(field.setting.help.split()[:3])
        assert any(f">{field.name}</span></code>" in row and said in row for row in rows), field.name
    raised = re.findall(r'(?s)<h2 id="edge_vision\.export".*?Raises:.*?href="([^"]+)"', pages["api-export"])
    assert raised == ["api-errors.html#edge_vision.UsageError"]
    signature = pages["api-export"].partition('<h2 id="edge_vision.export"')[2].partition("</div>")[0]
    assert 'href="api-runs.html#edge_vision.Run"' in signature


@pytest.mark.slow
def test_the_search_works_from_the_disk(site: Path, tmp_path: Path) -> None:
    from browser import CHROMIUM, DRIVER, Browser, by

    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver")
    shown = Browser(tmp_path)
    try:
        shown.driver.get((site / "index.html").as_uri())
        shown.driver.execute_script("document.querySelector('[data-md-toggle=search]').click()")
        field = shown.driver.find_element(by.CSS_SELECTOR, "input.md-search__input")
        deadline = time.monotonic() + 60
        while not (found := shown.driver.find_elements(by.CSS_SELECTOR, ".md-search-result__item")):
            assert time.monotonic() < deadline, "the search found nothing"
            field.clear()
            field.send_keys("calibration")
            time.sleep(0.5)
        assert any("What calibration is" in each.text for each in found)
    finally:
        shown.driver.quit()
