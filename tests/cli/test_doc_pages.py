"""Which page `edge docs` finds, in the site and in the sources, and how the command ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_cli.commands import docs
from edge_cli.doc_pages import PAGES, SOURCE, DocPage, find_doc_page
from edge_cli.main import COMMANDS, run
from edge_runtime import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "a site"
    for page in (
        "index.html",
        "404.html",
        "int8.html",
        *(str(Path(page).with_suffix(".html")) for page in PAGES.values()),
    ):
        (folder / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / page).write_text("<h1>A page</h1>")
    (folder / "troubleshooting.html").write_text('<h2 id="top">All</h2><h3 id="overfitting">By heart</h3>')
    return folder


def test_every_command_has_a_page_that_speaks_of_it() -> None:
    assert list(PAGES) == list(COMMANDS)
    for verb, page in PAGES.items():
        assert f"edge {verb}" in (ROOT / "docs" / page).read_text(encoding="utf-8"), verb


def test_a_command_a_page_or_a_diagnosis_is_found_in_the_site(site: Path) -> None:
    assert find_doc_page(site=site) == DocPage(site / "index.html")
    assert find_doc_page("train", site=site) == DocPage(site / "training.html")
    assert find_doc_page("compare", site=site) == DocPage(site / "tutorials" / "three-strategies.html")
    assert find_doc_page("int8", site=site).path == site / "int8.html"
    found = find_doc_page("overfitting", site=site)
    assert found.address == (site / "troubleshooting.html").as_uri() + "#overfitting"
    assert "a%20site" in found.address


def test_the_first_page_of_a_folder_is_called_like_the_folder(site: Path, tmp_path: Path) -> None:
    (site / "recipes").mkdir()
    (site / "recipes" / "index.html").touch()
    assert find_doc_page("recipes", site=site).path == site / "recipes" / "index.html"
    assert find_doc_page(site=site).path == find_doc_page("index", site=site).path == site / "index.html"
    for folder in ("recipes", "decisions"):
        found = find_doc_page(folder, site=tmp_path, source=ROOT / "docs")
        assert found.path == ROOT / "docs" / folder / "index.md"


def test_a_clone_without_the_site_has_the_sources(tmp_path: Path) -> None:
    source = ROOT / "docs"
    assert find_doc_page("train", site=tmp_path, source=source).path == source / "training.md"
    assert find_doc_page("overfitting", site=tmp_path, source=source) == DocPage(
        source / "troubleshooting.md", "overfitting"
    )


@pytest.mark.parametrize(
    ("topic", "hint"), [("tarin", "edge docs train"), ("overfiting", "edge docs overfitting"), ("404", "")]
)
def test_what_no_page_fits_is_refused_with_what_comes_near(site: Path, topic: str, hint: str) -> None:
    with pytest.raises(UsageError, match=topic) as caught:
        find_doc_page(topic, site=site)
    assert hint in caught.value.hint


def test_an_install_without_pages_says_how_to_have_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="carries no documentation") as caught:
        find_doc_page("train", site=tmp_path, source=tmp_path / "gone")
    assert "make docs" in caught.value.hint and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "browser", "opened", "said"),
    [
        (["train"], True, 1, ""),
        (["train"], False, 1, "no browser"),
        (["train", "--print"], True, 0, ""),
        (["train", "--quiet"], False, 1, ""),
    ],
)
def test_the_address_is_printed_and_opened(
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    words: list[str],
    browser: bool,
    opened: int,
    said: str,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(docs, "find_doc_page", lambda topic: find_doc_page(topic, site=site))
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) or browser)
    monkeypatch.setattr(sys, "argv", ["edge", "docs", *words])
    assert run() == 0
    out, err = capsys.readouterr()
    assert out == f"{(site / 'training.html').as_uri()}\n"
    assert len(asked) == opened and bool(err) == bool(said) and said in err


def test_the_sources_lie_where_a_clone_has_them() -> None:
    if (ROOT / "cli").samefile(Path(docs.__file__).parents[2]):
        assert SOURCE == ROOT / "docs"
