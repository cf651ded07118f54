"""What MkDocs asks while it builds: a link that reads `data.md`, as in the sources, gets that page's title.

The site's colours and its icon are those of the project's own pages.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
# Run on its own: the environment that builds the site has nothing of the package.
STYLE = runpy.run_path(str(ROOT / "runtime" / "edge_runtime" / "visual_style.py"))
# Material's variables by the colours of `Scheme`; behind its header stands the accent, in the dark a panel.
COLOURS = {
    "primary-bg-color": {"light": "accent_ink", "dark": "ink"},
    "primary-bg-color--light": {"light": "accent_ink", "dark": "ink"},
    "primary-fg-color": {"light": "accent", "dark": "panel"},
    "primary-fg-color--dark": {"light": "accent", "dark": "ground"},
    "primary-fg-color--light": {"light": "accent", "dark": "panel"},
    "accent-fg-color": "accent",
    "typeset-a-color": "accent",
    "default-bg-color": {"light": "panel", "dark": "ground"},
    "default-fg-color": "ink",
    "default-fg-color--light": "quiet",
    "typeset-color": "ink",
    "code-bg-color": {"light": "ground", "dark": "panel"},
    "code-fg-color": "ink",
    "footer-bg-color": {"light": "ground", "dark": "panel"},
    "footer-bg-color--dark": {"light": "ground", "dark": "panel"},
    "footer-fg-color": "ink",
    "footer-fg-color--light": "quiet",
    "footer-fg-color--lighter": "quiet",
}


def on_files(files: Any, *, config: Any) -> Any:
    """The files of the site, and the two that are made of the project's own."""
    icon = (ROOT / "serve" / "edge_serve" / "static" / "icon.svg").read_text(encoding="utf-8")
    schemes = ("light", "default"), ("dark", "slate")
    style = "\n".join(f"[data-md-color-scheme={of_site}] {{ {_declared(ours)} }}" for ours, of_site in schemes)
    files.append(File.generated(config, "assets/icon.svg", content=STYLE["coloured"](icon)))
    files.append(File.generated(config, "assets/visual_style.css", content=STYLE["coloured"](style)))
    return files


def _declared(scheme: str) -> str:
    names = ((name, colour[scheme] if isinstance(colour, dict) else colour) for name, colour in COLOURS.items())
    return " ".join(f"--md-{name}: {{{{{scheme}.{colour}}}}};" for name, colour in names)


def on_page_content(html: str, *, page: Any, config: Any, files: Any) -> str:
    """The page's HTML, its links to other pages called as the navigation calls those."""
    del config
    titles = {file.src_uri.rpartition("/")[2]: file.page.title for file in files.documentation_pages() if file.page}
    if page.file.src_uri == "troubleshooting.md":
        # Its outputs are sentences, not tables.
        html = html.replace('class="language-text', 'class="wrapped language-text')

    def titled(match: re.Match[str]) -> str:
        name = match["text"].rpartition("/")[2]
        return f"{match['tag']}{titles.get(name, match['text'])}</a>"

    return re.sub(r'(?P<tag><a href="[^"]*">)(?P<text>[\w./-]+\.md)</a>', titled, html)
