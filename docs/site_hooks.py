"""What MkDocs asks while it builds: a link that reads `data.md`, as in the sources, gets that page's title."""

from __future__ import annotations

import re
from typing import Any


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
