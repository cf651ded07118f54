"""The page, in a real browser: every way to bring a picture, what it says, and what it must never do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser import Browser, by, errors, keys, needs_chromium
from edge_runtime import Classifier
from serving import Served, picture, serving
from tiny_model import write_tiny_model

pytestmark = [pytest.mark.slow, needs_chromium]

TOKEN = "0123456789abcdef"
LABELS = ("red", "green <b>bold</b>", "blue")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = write_tiny_model(tmp_path_factory.mktemp("page") / "colours.onnx", labels=LABELS)
    with serving(model, "--max-body", "0.1") as server:
        yield server


@pytest.fixture
def page(one_browser: Browser, colours: Served) -> Browser:
    one_browser.open(colours.url)
    one_browser.until(lambda: one_browser.one("#model").is_displayed())
    return one_browser


def test_the_model_introduces_itself(page: Browser) -> None:
    facts = page.text("#facts")
    assert "colours" in facts and "tiny, fp32" in facts and "100.0% of 3 pictures" in facts and "32 × 32" in facts
    assert page.text("h1") == "Is it red, green <b>bold</b>, or blue?"
    assert [item.text for item in page.driver.find_elements(by.CSS_SELECTOR, "#labels li")] == list(LABELS)
    assert page.complaints() == []


def test_below_a_path_it_asks_there(one_browser: Browser, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "colours.onnx", labels=LABELS)
    (tmp_path / "one.png").write_bytes(picture("red"))
    with serving(model, "--path-prefix", "/cats") as served:
        one_browser.open(f"{served.url}/cats")
        one_browser.until(lambda: one_browser.one("#model").is_displayed())
        one_browser.one("#files").send_keys(str(tmp_path / "one.png"))
        (answer,) = one_browser.answers(1)
        assert answer.find_element(by.CSS_SELECTOR, ".label").text == "red"
        assert one_browser.complaints() == []
        lines = [line["path"] for line in served.log("request")]
        assert lines and all(path.startswith("/cats") for path in lines)


def test_chosen_pictures_get_bars_in_their_order(page: Browser, tmp_path: Path) -> None:
    for name, colour in (("one.png", "red"), ("two.png", "lime")):
        (tmp_path / name).write_bytes(picture(colour))
    page.one("#files").send_keys(f"{tmp_path / 'one.png'}\n{tmp_path / 'two.png'}")
    one, two = page.answers(2)
    assert one.find_element(by.CSS_SELECTOR, ".file").text == "one.png"
    assert two.find_element(by.CSS_SELECTOR, ".label").text == LABELS[1]
    rows = [row.text.split("\n") for row in one.find_elements(by.CSS_SELECTOR, ".bars li")]
    assert rows[0][0] == "red" and float(rows[0][1].rstrip("%")) > 99 and len(rows) == 3
    fills = [fill.size["width"] for fill in one.find_elements(by.CSS_SELECTOR, ".fill")]
    track = one.find_element(by.CSS_SELECTOR, ".track").size["width"]
    page.until(lambda: one.find_element(by.CSS_SELECTOR, ".fill").size["width"] > 0.98 * track)
    assert fills[1] < 0.1 * track
    assert "ms in all" in one.find_element(by.CSS_SELECTOR, ".time").text
    seen = one.find_element(by.CSS_SELECTOR, ".seen")
    assert page.driver.execute_script("return arguments[0].naturalWidth", seen) == 32
    # The last one is told to who cannot see it.
    assert page.one("#news").get_attribute("textContent").startswith(f"two.png: {LABELS[1]}, 9")
    assert page.complaints() == []


def test_dropped_and_pasted_pictures_are_answered(page: Browser) -> None:
    page.give("drop", "dropped.png", picture("blue"))
    (dropped,) = page.answers(1)
    page.give("paste", "image.png", picture("red"))
    pasted, _ = page.answers(2)
    assert (dropped.find_element(by.CSS_SELECTOR, ".label").text, pasted.find_element(by.CSS_SELECTOR, "h3").text) == (
        "blue",
        "red",
    )


def test_what_is_no_picture_is_told_in_words(page: Browser) -> None:
    page.give("drop", "<img src=x onerror=alert(1)>.txt", b"hello", "text/plain")
    (card,) = page.answers(1)
    assert "is not an image" in card.find_element(by.CSS_SELECTOR, ".label").text
    assert "text file" in card.find_element(by.CSS_SELECTOR, ".time").text
    assert card.find_element(by.CSS_SELECTOR, ".file").text == "<img src=x onerror=alert(1)>.txt"


def test_a_picture_above_the_limit_is_made_smaller_first(page: Browser, tmp_path: Path) -> None:
    Image.new("RGB", (1200, 1100), "blue").save(tmp_path / "large.bmp")
    page.one("#files").send_keys(str(tmp_path / "large.bmp"))
    (card,) = page.answers(1)
    assert card.find_element(by.CSS_SELECTOR, ".label").text == "blue"
    assert "made smaller here first" in card.find_element(by.CSS_SELECTOR, ".time").text


def test_what_shows_through_a_smaller_picture_is_the_model_s_own_background(
    one_browser: Browser, rgb_model: Path, tmp_path: Path
) -> None:
    card = Classifier(rgb_model, threads=1).card
    on_blue = replace(card, preprocessing=replace(card.preprocessing, background=(0, 0, 255)))
    model = write_tiny_model(tmp_path / "on-blue.onnx", card.labels, card=on_blue)
    # Nothing of it is to be seen, and it is too long for a body.
    hidden = np.random.default_rng(0).integers(0, 256, (400, 400, 4), np.uint8)
    hidden[..., 3] = 0
    Image.fromarray(hidden).save(tmp_path / "hidden.png")
    with serving(model, "--max-body", "0.1") as served:
        one_browser.open(served.url)
        one_browser.until(lambda: one_browser.one("#model").is_displayed())
        one_browser.one("#files").send_keys(str(tmp_path / "hidden.png"))
        (answer,) = one_browser.answers(1)
        assert "made smaller here first" in answer.find_element(by.CSS_SELECTOR, ".time").text
        assert answer.find_element(by.CSS_SELECTOR, ".label").text == "blue"


def test_the_camera_takes_pictures_and_goes_on_live(page: Browser) -> None:
    page.one("#camera-open").click()
    page.until(lambda: page.driver.execute_script("return document.getElementById('video').videoWidth") > 0)
    page.until(lambda: page.text("#camera-note") == "")
    page.one("#snap").click()
    (card,) = page.answers(1)
    # Chromium's fake camera is green.
    assert card.find_element(by.CSS_SELECTOR, ".label").text == LABELS[1]
    page.one("#live").click()
    page.until(lambda: "per picture" in page.text("#camera-note"))
    assert page.one("#live").get_attribute("aria-pressed") == "true"
    assert page.text("#live-bars").startswith(LABELS[1])
    page.one("#camera-close").click()
    page.until(lambda: not page.one("#camera").is_displayed())
    assert page.driver.execute_script("return document.getElementById('video').srcObject") is None
    assert page.complaints() == []


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Browser) -> None:
    reached = []
    for _ in range(12):
        page.press(keys.TAB)
        active = page.driver.switch_to.active_element
        reached.append(active.get_attribute("id") or active.text)
        if reached[-1] == "camera-open":
            assert active.value_of_css_property("outline-style") == "solid"
    assert reached.index("Skip to the answers") < reached.index("files") < reached.index("camera-open")
    assert "For programs: OpenAPI" in reached
    label = page.one("label[for=files]")
    page.driver.execute_script("document.getElementById('files').focus()")
    page.press(keys.TAB)
    page.press(keys.SHIFT, keys.TAB)
    assert label.value_of_css_property("outline-style") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(page: Browser, scheme: str) -> None:
    """WCAG 2.1, 1.4.3: 4.5 to 1."""
    page.prefer(scheme)
    page.give("drop", "a.png", picture("red"))
    page.answers(1)
    for selector in (
        "h1",
        "#subtitle",
        ".label",
        ".file",
        ".time",
        ".share",
        "dt",
        "dd",
        "#labels li",
        "footer",
        "aside a",
        "label.primary",
        "#camera-open",
        ".big",
    ):
        assert page.contrast(selector) >= 4.5, selector


def test_on_a_phone_nothing_is_cut_off_and_everything_is_large_enough_to_touch(page: Browser) -> None:
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        page.give("drop", "a-very-long-name-of-a-picture-that-somebody-gave-" * 3 + ".png", picture("red"))
        page.answers(1)
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 360
        for button in page.driver.find_elements(by.CSS_SELECTOR, "button, .button"):
            if button.is_displayed():
                assert button.size["height"] >= 44
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_needs_no_other_server(page: Browser, colours: Served) -> None:
    page.driver.get_log("performance")
    page.open(colours.url)
    page.until(lambda: page.one("#model").is_displayed())
    page.give("drop", "a.png", picture("red"))
    page.answers(1)
    asked = page.driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(asked) > 3
    assert all(url.startswith((colours.url, "blob:", "data:")) for url in asked), asked


@pytest.mark.parametrize(
    "attempt",
    [
        "const image = new Image(); image.setAttribute('onerror', 'document.title = 1'); image.src = '/nothing';",
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>');",
        "document.createElement('script').src = 'https://elsewhere.example/script.js';",
    ],
)
def test_text_never_becomes_a_script(page: Browser, attempt: str) -> None:
    with pytest.raises(errors.JavascriptException, match="Trusted"):
        page.driver.execute_script(attempt)


def test_the_page_asks_for_the_token_and_keeps_it(one_browser: Browser, rgb_model: Path) -> None:
    page = one_browser
    with serving(rgb_model, EDGE_SERVE_TOKEN=TOKEN) as locked:
        page.open(locked.url)
        page.until(lambda: page.one("#token-form").is_displayed())
        assert not page.one("#model").is_displayed()
        page.one("#token").send_keys("wrong-wrong-wrong", keys.ENTER)
        page.until(lambda: page.text("#token-note") == "That was not it.")
        page.one("#token").clear()
        page.one("#token").send_keys(TOKEN, keys.ENTER)
        page.until(lambda: page.one("#model").is_displayed())
        assert not page.one("#token-form").is_displayed()
        page.give("drop", "a.png", picture("blue"))
        (card,) = page.answers(1)
        assert card.find_element(by.CSS_SELECTOR, ".label").text == "blue"
        page.driver.execute_script("sessionStorage.clear()")
        page.driver.get("about:blank")
        page.open(f"{locked.url}/#token={TOKEN}")
        page.until(lambda: page.one("#model").is_displayed())
        assert TOKEN not in page.driver.current_url


@pytest.fixture
def two_models(rgb_model: Path, tmp_path: Path) -> Iterator[Served]:
    lights = write_tiny_model(tmp_path / "lights.onnx", ("bright", "middling", "dim"), size=16)
    with serving({"colours": rgb_model, "lights": lights}) as server:
        yield server


def test_of_several_models_each_has_a_page_and_leads_to_the_others(one_browser: Browser, two_models: Served) -> None:
    page = one_browser
    for width in (360, 1280):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == 360}
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            page.open(two_models.url)
            page.until(lambda: len(page.driver.find_elements(by.CSS_SELECTOR, "#models a")) == 2)
            colours, lights = page.driver.find_elements(by.CSS_SELECTOR, "#models a")
            assert colours.text.startswith("colours") and "middling" in lights.text
            assert page.contrast("#models a h3") >= 4.5 and page.contrast("#models a p") >= 4.5
            lights.click()
            page.until(lambda: page.one("#model").is_displayed())
            assert page.driver.current_url == f"{two_models.url}/models/lights/"
            page.give("drop", "a.png", picture("red"))
            assert page.answers(1)[0].find_element(by.CSS_SELECTOR, ".label").text == "bright"
            links = page.driver.find_elements(by.CSS_SELECTOR, "#models a")
            assert [link.get_attribute("aria-current") for link in links] == [None, "page"]
            assert all(link.size["height"] >= 44 for link in links) and page.contrast("[aria-current]") >= 4.5
            assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
            assert page.one("aside a").get_attribute("href") == f"{two_models.url}/openapi.json"
            links[0].click()
            page.until(lambda: page.driver.title.startswith("colours"))
            assert page.complaints() == []
        finally:
            page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_several_labels_are_marked_where_they_are_given(one_browser: Browser, served_labels: Served) -> None:
    page = one_browser
    page.open(served_labels.url)
    page.until(lambda: page.one("#model").is_displayed())
    assert page.text("h1") == "What is in it?"
    page.give("drop", "a.png", picture("yellow"))
    (card,) = page.answers(1)
    assert card.find_element(by.CSS_SELECTOR, ".label").text == "red, green"
    rows = card.find_elements(by.CSS_SELECTOR, ".bars li")
    assert [row.text.split("\n")[0] for row in rows] == ["✓ red", "✓ green", "blue"]
    assert ["chosen" in row.get_attribute("class") for row in rows] == [True, True, False]
    assert all(row.rect["height"] < 60 for row in rows)
    track, mark = (rows[1].find_element(by.CSS_SELECTOR, part).rect for part in (".track", ".mark"))
    assert mark["x"] - track["x"] == pytest.approx(track["width"] / 4, abs=3)
    page.give("drop", "b.png", picture("black"))
    black = page.answers(2)[0]
    assert black.find_element(by.CSS_SELECTOR, ".label").text == "None of the labels"
    assert page.one("#news").get_attribute("textContent") == "b.png: None of the labels"
    assert page.complaints() == []


def test_each_task_has_its_bars(one_browser: Browser, served_tasks: Served) -> None:
    page = one_browser
    page.open(served_tasks.url)
    page.until(lambda: page.one("#model").is_displayed())
    assert page.text("h1") == "What is it?" and page.text("#labels-title") == "5 labels of 2 tasks"
    page.give("drop", "a.png", picture("blue"))
    (card,) = page.answers(1)
    assert card.find_element(by.CSS_SELECTOR, ".label").text == "colour: blue, light: dark"
    assert [line.text for line in card.find_elements(by.CSS_SELECTOR, ".task")] == ["colour: blue", "light: dark"]
    colour, light = card.find_elements(by.CSS_SELECTOR, ".bars")
    assert colour.text.startswith("blue\n99.9") and light.text.startswith("dark\n79.1")
    assert page.contrast(".task") >= 4.5 and page.complaints() == []


def test_a_server_that_has_gone_is_told_of(one_browser: Browser, rgb_model: Path) -> None:
    page = one_browser
    with serving(rgb_model) as served:
        page.open(served.url)
        page.until(lambda: page.one("#model").is_displayed())
        served.end()
        page.give("drop", "a.png", picture("blue"))
        (card,) = page.answers(1)
        assert card.find_element(by.CSS_SELECTOR, ".label").text == "The server cannot be reached."
