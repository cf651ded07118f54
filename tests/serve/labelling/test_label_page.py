"""The page that labels, in a real browser, and the command that shows it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from browser import Browser, by, keys, needs_chromium

pytestmark = [pytest.mark.slow, needs_chromium]


class Labelling:
    """`edge label`, running."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def end(self) -> tuple[int, str]:
        """Ctrl-C; the exit code, and what was said then."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        return self.process.wait(timeout=20), said


@contextmanager
def labelling(source: Path, *flags: str) -> Iterator[Labelling]:
    command = [sys.executable, "-W", "error", "-m", "edge_cli", "label", str(source), "--port", "0", *flags]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"labelling at (http://127\.0\.0\.1:\d+/#token=[\w-]{20,});", line):
                yield Labelling(process, found[1])
                return
        raise AssertionError(said)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Eight pictures, of which the model is least sure of the last; one is broken."""
    (tmp_path / "photos").mkdir()
    lines = ["path,label,answer,probability"]
    for number in range(8):
        Image.new("RGB", (60, 40), (30 * number, 90, 120)).save(tmp_path / f"photos/{number}.png")
        lines.append(f"photos/{number}.png,,{'bee' if number % 2 else 'ant'},0.{99 - number}")
    (tmp_path / "photos/3.png").write_bytes(b"none")
    (tmp_path / "answers.csv").write_text("\n".join([*lines, ""]))
    return tmp_path / "answers.csv"


def labels(answers: Path) -> str:
    """The labels so far in the file's order, each as its first letter."""
    lines = (answers.parent / "labels.csv").read_text().splitlines()[1:]
    return "".join(line.split(",")[1][:1] or "." for line in lines)


def test_keys_undo_the_grid_and_going_on(one_browser: Browser, answers: Path) -> None:
    page = one_browser

    def written(expected: str) -> None:
        page.until(lambda: (answers.parent / "labels.csv").exists() and labels(answers) == expected)

    with labelling(answers) as server:
        page.open(server.url)
        page.until(lambda: page.text("#count") == "0 labelled, 8 left")
        assert "#token" not in page.driver.current_url
        assert page.text("#name") == "photos/7.png" and "bee (92 %)" in page.text("#said")
        page.until(lambda: page.driver.execute_script("return document.getElementById('picture').naturalWidth") == 60)
        page.press("1")
        written(".......a")
        assert page.text("#name") == "photos/6.png"
        page.press("2")
        page.press(keys.ENTER)
        written(".....bba")
        page.press("z")
        written("......ba")
        page.until(lambda: page.text("#name") == "photos/5.png")
        page.press("s")
        page.press("s")
        page.until(lambda: "is not an image" in page.text("#picture-fault"))
        # In the grid from here on: the broken one, what is left behind it, then what was skipped.
        page.press("g")
        tiles = page.until(lambda: page.driver.find_elements(by.CSS_SELECTOR, ".tile"))
        assert [tile.get_attribute("data-row") for tile in tiles] == ["3", "2", "1", "0", "5", "4"]
        assert tiles[1].get_attribute("aria-label") == "photos/2.png, the model says ant (97 %)"
        tiles[1].click()
        page.press(keys.SHIFT, keys.ARROW_RIGHT)
        assert page.text("#grid-note").startswith("2 selected")
        page.press("2")
        written(".bb...ba")
        page.press(keys.ENTER)
        written("abbbabba")
        page.until(lambda: page.one("#finished").is_displayed())
        assert page.text("#next-command") == f"edge train --data {answers.parent / 'labels.csv'}"
        page.press(keys.CONTROL, "z")
        written(".bb...ba")
        page.until(lambda: page.text("#count") == "4 labelled, 4 left")
        page.one("#new-name").send_keys("wasp", keys.ENTER)
        page.until(lambda: "w" in labels(answers))
        # The broken one's answer is all that the browser minds.
        assert all("422" in complaint for complaint in page.complaints())
        code, said = server.end()
    assert code == 0 and "5 of 8 labelled, 8 steps this time" in said
    assert f"next: edge train --data {answers.parent / 'labels.csv'}" in said and "Traceback" not in said
    with labelling(answers) as server:
        page.driver.get("about:blank")
        page.open(server.url)
        page.until(lambda: page.text("#count") == "5 labelled, 3 left")
        assert "wasp" in page.text("#classes")


def test_on_a_phone_everything_is_in_reach(one_browser: Browser, answers: Path) -> None:
    page = one_browser
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        with labelling(answers, "--class", "a-very-long-name-of-a-class-" * 3) as server:
            page.open(server.url)
            page.until(lambda: page.text("#count") == "0 labelled, 8 left")
            assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 360
            for button in page.driver.find_elements(by.CSS_SELECTOR, "button, select"):
                if button.is_displayed():
                    assert button.size["height"] >= 44, button.text
                    assert button.accessible_name, button.get_attribute("id")
            for scheme in ("light", "dark"):
                page.prefer(scheme)
                for selector in ("#count", "#said", "#name", "#accept-text", ".class .text", ".class .number", "#skip"):
                    assert page.contrast(selector) >= 4.5, (scheme, selector)
            page.one("#classes li:nth-child(2) button").click()
            page.until(lambda: (answers.parent / "labels.csv").exists() and labels(answers) == ".......a")
            page.one("#view-grid").click()
            page.driver.find_elements(by.CSS_SELECTOR, ".tile")[0].click()
            assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_file_that_cannot_be_written_is_said_on_the_page(one_browser: Browser, answers: Path) -> None:
    page = one_browser
    with labelling(answers) as server:
        page.open(server.url)
        page.until(lambda: page.text("#count") == "0 labelled, 8 left")
        page.press("1")
        page.until((answers.parent / "labels.csv").exists)
        os.utime(answers.parent / "labels.csv", (0, 0))
        page.press("1")
        page.until(lambda: "changed by something else" in page.text("#fault"))
        page.until(lambda: page.text("#count") == "1 labelled, 7 left")
