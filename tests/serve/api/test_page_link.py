"""The pages' link to the description for programs, in Node with a browser's stand-in: with the token, where one is."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from parts import ROOT

SERVE = ROOT / "serve" / "edge_serve"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")

BROWSER = """
const [token, status, selector] = JSON.parse(process.argv[2]);
const elements = {};
const element = (id) => (elements[id] ??= {
  id, hidden: id === "token-form", href: id, textContent: "", handlers: {},
  classList: { add() {}, remove() {}, toggle() {} },
  addEventListener(name, handler) { this.handlers[name] = handler; },
  setAttribute() {}, focus() {}, replaceChildren() {},
});
const asked = [], shown = [];
let begun = false;
globalThis.document = { getElementById: element, querySelector: element, body: element("body") };
globalThis.addEventListener = () => {};
globalThis.sessionStorage = { getItem: () => token, setItem() {}, removeItem() {} };
globalThis.location = { hash: "", pathname: "/", assign: (url) => shown.push(url) };
globalThis.fetch = async (path, { headers }) => {
  if (!begun && status === 200) throw new TypeError("no server");
  asked.push([path, headers.Authorization ?? null]);
  return new Response("{}", { status });
};
await import(process.argv[3]);
const settled = () => new Promise((done) => setTimeout(done, 5));
await settled();
asked.length = 0;
begun = true;
let followed = true;
element(selector).handlers.click?.({ preventDefault() { followed = false; } });
await settled();
console.log(JSON.stringify({ asked, followed, shown: shown.length, form: !element("token-form").hidden }));
process.exit();
"""


def clicked(folder: Path, page: str, token: str | None, status: int = 200) -> dict[str, Any]:
    """What a click on the link of `page` does where the tab has that token, and the server answers so."""
    for path in (SERVE / "static" / "page.js", SERVE / "static" / "talk.js", SERVE / "models_page" / "models.js"):
        shutil.copyfile(path, folder / path.name)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "click.js").write_text(BROWSER)
    given = json.dumps([token, status, {"page.js": "aside a", "models.js": "footer a"}[page]])
    done = subprocess.run(
        [str(NODE), "click.js", given, f"./{page}"], capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("page", ["page.js", "models.js"])
def test_with_a_token_the_page_asks_with_it_and_shows_what_comes(tmp_path: Path, page: str) -> None:
    seen = clicked(tmp_path, page, "0123456789abcdef")
    assert not seen["followed"] and seen["shown"] == 1
    ((path, authorization),) = seen["asked"]
    assert path in ("aside a", "footer a") and authorization == "Bearer 0123456789abcdef"


@pytest.mark.parametrize("page", ["page.js", "models.js"])
def test_without_one_it_is_a_link(tmp_path: Path, page: str) -> None:
    assert clicked(tmp_path, page, None) == {"asked": [], "followed": True, "shown": 0, "form": False}


@pytest.mark.parametrize("page", ["page.js", "models.js"])
def test_where_the_server_wants_one_the_page_asks_for_it(tmp_path: Path, page: str) -> None:
    seen = clicked(tmp_path, page, None, 401)
    assert not seen["followed"] and seen["shown"] == 0 and seen["form"]
