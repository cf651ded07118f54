"""A page in headless Chromium, for tests of what a server shows; who imports it is skipped where there is none."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Browser", "by", "errors", "keys", "needs_chromium"]

webdriver = pytest.importorskip("selenium.webdriver")
by = pytest.importorskip("selenium.webdriver.common.by").By
keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
errors = pytest.importorskip("selenium.common.exceptions")
wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")


FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--window-size=1280,900",
)


_GROUND = """
let element = arguments[0], colour;
do { colour = getComputedStyle(element).backgroundColor; element = element.parentElement; }
while (colour === 'rgba(0, 0, 0, 0)' && element);
return colour;
"""


class Browser:
    """A page in headless Chromium, and what it shows."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))

    def open(self, url: str) -> None:
        self.driver.get(url)
        self.complaints()

    def one(self, selector: str) -> Any:
        return self.driver.find_element(by.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return str(self.one(selector).text)

    def press(self, *pressed: str) -> None:
        """Keys, held down together, as typed on a keyboard: `send_keys` would hand a file input a path."""
        chain = webdriver.ActionChains(self.driver)
        for key in pressed:
            chain = chain.key_down(key)
        for key in reversed(pressed):
            chain = chain.key_up(key)
        chain.perform()

    def until(self, condition: Any) -> Any:
        return wait(self.driver, 20).until(lambda _: condition())

    def answers(self, count: int) -> list[Any]:
        """The answers, newest first, once there are so many, all to be seen, and none is waited for."""

        def found() -> list[Any]:
            cards = self.driver.find_elements(by.CSS_SELECTOR, ".answer:not(.busy)")
            # They fade in, and what cannot be seen yet has no text.
            return cards if len(cards) == count and all(card.is_displayed() for card in cards) else []

        return list(self.until(found))

    def prefer(self, scheme: str) -> None:
        """Light or dark."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def contrast(self, selector: str) -> float:
        """Between an element's text and what is behind it (WCAG 2.1, 1.4.3)."""
        element = self.one(selector)
        colours = element.value_of_css_property("color"), self.driver.execute_script(_GROUND, element)
        darker, lighter = sorted(map(_luminance, colours))
        return (lighter + 0.05) / (darker + 0.05)

    def complaints(self) -> list[str]:
        """What the browser has to say: errors, and what the page's policy forbade."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def give(self, kind: str, name: str, data: bytes, media_type: str = "image/png") -> None:
        """A file dropped on the page or pasted into it, as the browser would tell the page of it."""
        self.driver.execute_script(
            """
            const [kind, name, data, type] = arguments;
            const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type }));
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(kind === "drop"
              ? new DragEvent("drop", { ...options, dataTransfer: transfer })
              : new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
            """,
            kind,
            name,
            base64.b64encode(data).decode(),
            media_type,
        )


def _luminance(colour: str) -> float:
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
