"""When the page has the camera on, in Node with a browser's stand-in, which answers when it is told to."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from parts import ROOT

STATIC = ROOT / "serve" / "edge_serve" / "static"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")

BROWSER = """
const elements = {};
const element = (id) => (elements[id] ??= {
  id, hidden: id === "camera", textContent: "", srcObject: null, handlers: {},
  classList: { add() {}, remove() {}, toggle() {} },
  addEventListener(name, handler) { this.handlers[name] = handler; },
  setAttribute() {}, focus() {}, play: async () => {},
});
globalThis.document = { getElementById: element, querySelector: element, body: element("body") };
globalThis.addEventListener = () => {};
globalThis.sessionStorage = { getItem: () => null, setItem() {} };
globalThis.location = { hash: "", pathname: "/" };
globalThis.fetch = async () => { throw new TypeError("no server"); };
// What the browser was asked for and has not answered yet, and every stream that it gave.
const asked = [], streams = [];
const getUserMedia = () => new Promise((give, refuse) => asked.push({ give, refuse }));
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: { getUserMedia } }, configurable: true });
await import("./page.js");

const settled = () => new Promise((done) => setTimeout(done, 5));
const click = async (id) => { element(id).handlers.click(); await settled(); };
const allow = async () => {
  const stream = { active: true, on: true, getTracks: () => [{ stop() { stream.on = stream.active = false; } }] };
  streams.push(stream);
  asked.shift().give(stream);
  await settled();
};
const deny = async () => {
  asked.shift().refuse(Object.assign(new Error(), { name: "NotAllowedError" }));
  await settled();
};
const pull = () => { streams.at(-1).on = streams.at(-1).active = false; };
const open = () => click("camera-open"), close = () => click("camera-close");
const seen = () => ({ on: streams.map((stream) => stream.on), asked: asked.length, shown: !element("camera").hidden,
  playing: streams.indexOf(element("video").srcObject), note: element("camera-note").textContent });
"""


def camera(folder: Path, *steps: str) -> dict[str, Any]:
    """What there is after these steps: which streams are on, which one plays, what is shown."""
    for name in ("page.js", "talk.js"):
        shutil.copyfile(STATIC / name, folder / name)
    (folder / "package.json").write_text('{"type": "module"}')
    script = "".join((BROWSER, *(f"await {step}();\n" for step in steps), "console.log(JSON.stringify(seen()));"))
    (folder / "steps.js").write_text(script)
    done = subprocess.run(
        [str(NODE), folder / "steps.js"], capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_camera_that_is_allowed_after_the_close_is_not_left_on(tmp_path: Path) -> None:
    seen = camera(tmp_path, "open", "close", "allow")
    assert seen["on"] == [False] and not seen["shown"] and seen["playing"] == -1


def test_a_second_click_asks_for_no_second_camera(tmp_path: Path) -> None:
    assert camera(tmp_path, "open", "open")["asked"] == 1
    seen = camera(tmp_path, "open", "open", "allow", "open")
    assert seen["on"] == [True] and seen["asked"] == 0 and seen["shown"] and seen["note"] == ""
    assert camera(tmp_path, "open", "open", "allow", "open", "close")["on"] == [False]


def test_of_two_openings_the_later_one_is_on(tmp_path: Path) -> None:
    seen = camera(tmp_path, "open", "close", "open", "allow")
    assert seen["on"] == [False] and seen["asked"] == 1 and seen["note"] == "Waiting for the camera…"
    seen = camera(tmp_path, "open", "close", "open", "deny")
    assert seen["asked"] == 1 and seen["shown"] and seen["note"] == "Waiting for the camera…"
    seen = camera(tmp_path, "open", "close", "open", "allow", "allow")
    assert seen["on"] == [False, True] and seen["playing"] == 1 and seen["shown"]
    assert camera(tmp_path, "open", "close", "open", "allow", "allow", "close")["on"] == [False, False]


def test_after_a_refusal_and_when_it_was_pulled_out_it_is_asked_for_again(tmp_path: Path) -> None:
    seen = camera(tmp_path, "open", "deny")
    assert seen["shown"] and "does not allow" in seen["note"]
    assert camera(tmp_path, "open", "deny", "open")["asked"] == 1
    seen = camera(tmp_path, "open", "allow", "pull", "open", "allow")
    assert seen["on"] == [False, True] and seen["playing"] == 1
