"""Where the documentation's pages lie: the site that `make docs` builds beside this module, or a clone's Markdown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import UsageError

SITE = Path(__file__).with_name("site")
SOURCE = Path(__file__).parents[2] / "docs"
KINDS = ("html", "md")

# The page that explains a command, below docs/.
PAGES = {
    "train": "training.md",
    "compare": "tutorials/three-strategies.md",
    "tune": "tune.md",
    "average": "training.md",
    "import": "import.md",
    "export": "tutorials/first-model.md",
    "evaluate": "explanation/intervals.md",
    "predict": "predict.md",
    "explain": "predict.md",
    "label": "labelling.md",
    "serve": "serve.md",
    "bench": "benchmarks.md",
    "backbones": "networks.md",
    "weights": "import.md",
    "data": "data.md",
    "info": "model-format.md",
    "sign": "signing.md",
    "doctor": "raspberry-pi.md",
    "docs": "index.md",
    "demo": "tutorials/first-model.md",
}


@dataclass(frozen=True, slots=True)
class DocPage:
    """A page of the documentation: its file, and the section of it that is meant, "" for all."""

    path: Path
    section: str = ""

    @property
    def address(self) -> str:
        """What a browser takes: `file:///…/training.html#attention`."""
        return self.path.as_uri() + (f"#{self.section}" if self.section else "")


def find_doc_page(topic: str = "", *, site: Path = SITE, source: Path = SOURCE) -> DocPage:
    """The page of a command, the section of troubleshooting, or the page of that name; the first page for "".

    It is HTML where the site was built, Markdown in a clone where it was not.

    Raises:
        UsageError: no page fits, or this install has none.
    """
    folder = next((each for each in (site, source) if any((each / f"index.{kind}").is_file() for kind in KINDS)), None)
    if folder is None:
        raise UsageError(
            "this install carries no documentation",
            "in a clone of the project: make docs, then pip install . from there",
        )
    pages = _pages(folder)
    if not topic:
        return DocPage(pages["index"])
    if topic in PAGES:
        return DocPage(folder / Path(PAGES[topic]).with_suffix(pages["index"].suffix))
    # Before the pages: of what edge train said of a run, calibration is the name of a page, too.
    sections = _sections(pages["troubleshooting"]) if "troubleshooting" in pages else frozenset()
    if topic in sections:
        return DocPage(pages["troubleshooting"], topic)
    if topic in pages:
        return DocPage(pages[topic])
    close = difflib.get_close_matches(topic, [*PAGES, *pages, *sections], n=1)
    raise UsageError(
        f"there is no page for {topic!r}",
        f"did you mean edge docs {close[0]}?" if close else "edge docs alone opens the first page, which has a search",
    )


def _pages(folder: Path) -> Mapping[str, Path]:
    """The pages by their names, a folder's index by the folder's; of two names the one nearer to the root."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix[1:] in KINDS and path.stem != "404"]
    nearest_last = sorted(found, key=lambda path: -len(path.parts))
    return {
        path.parent.name if path.stem == "index" and path.parent != folder else path.stem: path for path in nearest_last
    }


def _sections(page: Path) -> frozenset[str]:
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".html":
        return frozenset(re.findall(r'<h[23] id="([^"]+)"', text))
    return frozenset(re.findall(r"(?m)^##+ .*\{ *#([\w-]+) *\}$", text))
