"""A white page to draw pictures and lines of text on, and the PNG it becomes."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont, features

from edge_data.drawing.png_mark import PngMark, marked
from edge_runtime import LIGHT, STRATEGY_COLOURS, OutputError, UsageError, atomic_path

# Drawn twice as large and halved, which smooths edges; the bitmap font of a Pillow without FreeType cannot grow.
SCALE: Final = 2 if features.check("freetype2") else 1
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def check_png_target(target: Path) -> None:
    """Raises, before any work, where no PNG should or could be written.

    UsageError: it is there and is no PNG, so no earlier picture of ours, or its name does not end in .png.
    OutputError: its folder is not there.
    """
    try:
        if target.exists() and not target.is_file():
            raise UsageError(f"{target} is there and is not a file", "name a file ending in .png with `out`")
        if target.exists():
            with target.open("rb") as file:
                if file.read(len(_PNG_HEAD)) != _PNG_HEAD:
                    raise UsageError(f"{target} is there and is not a PNG, so it is left alone", "name another file")
    except OSError as error:
        raise UsageError(f"{target} cannot be used: {error.strerror}", "name a file ending in .png") from None
    if target.suffix.lower() != ".png":
        raise UsageError(f"{target}: what is drawn is a PNG", "give a name that ends in .png with `out`")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {target}: {target.parent} is not a folder", "make it first, or choose another")


class Sheet:
    """A white page whose lengths are in pixels of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), LIGHT.panel)
        self.pen = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, *, size: int = 14, colour: str = LIGHT.ink, at: float = 0.0) -> None:
        """One line whose top is `y`; `at` 0 starts, 0.5 centres and 1 ends it at `x`."""
        font = _font(size, text := plain(text))
        left = x * SCALE - at * self.pen.textlength(text, font=font)
        self.pen.text((left, y * SCALE), text, fill=colour, font=font)

    def box(self, x: float, y: float, width: float, height: float, colour: str, *, radius: float = 0) -> None:
        """A filled box, its corners rounded by `radius`; nothing where it has no area."""
        if width > 0 and height > 0:
            corners = (x * SCALE, y * SCALE, max(x * SCALE, (x + width) * SCALE - 1), (y + height) * SCALE - 1)
            self.pen.rounded_rectangle(corners, radius * SCALE, fill=colour)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1.0) -> None:
        """A line through the points."""
        self.pen.line([(x * SCALE, y * SCALE) for x, y in points], colour, round(width * SCALE), joint="curve")

    def marker(self, x: float, y: float, strategy: str) -> None:
        """The strategy's own sign, 10 px wide: a circle, a square or a triangle."""
        corners = {"feature-extraction": 24, "fine-tune": 4}.get(strategy, 3)
        # Equal radii would make a triangle look smaller than a circle.
        radius = 5 * {3: 1.3, 4: 1.2}.get(corners, 1.0)
        turn = -math.pi / 2 + (math.pi / 4 if corners == 4 else 0)
        angles = [turn + 2 * math.pi * corner / corners for corner in range(corners)]
        spots = [((x + radius * math.cos(a)) * SCALE, (y + radius * math.sin(a)) * SCALE) for a in angles]
        self.pen.polygon(spots, fill=STRATEGY_COLOURS[strategy])

    def sign(self, x: float, y: float, *, right: bool) -> None:
        """A tick in a disc, or a cross in a square, 16 px wide with its left upper corner at `x`, `y`."""
        self.box(x, y, 16, 16, LIGHT.right if right else LIGHT.wrong, radius=8 if right else 2)
        cross = [(4.5, 4.5), (11.5, 11.5)], [(4.5, 11.5), (11.5, 4.5)]
        strokes = ([(4.0, 8.5), (7.0, 11.5), (12.0, 5.0)],) if right else cross
        for stroke in strokes:
            self.line([(x + a, y + b) for a, b in stroke], LIGHT.panel, 2)

    def fitted(self, text: str, size: int, width: float) -> str:
        """`text`, its middle left out where it is wider than `width`."""
        font = _font(size, text := plain(text))

        def length(keep: int) -> float:
            return self.pen.textlength(_cut(text, keep), font=font) / SCALE

        if length(len(text)) <= width:
            return text
        return _cut(text, max(2, bisect_right(range(len(text)), width, key=length) - 1))

    def picture(
        self, x: float, y: float, picture: Image.Image, size: tuple[float, float], how: Image.Resampling
    ) -> None:
        """`picture`, resized to `size`, width and height; with NEAREST a whole factor changes no pixel."""
        width, height = (max(1, round(length * SCALE)) for length in size)
        self.image.paste(picture.resize((width, height), how), (round(x * SCALE), round(y * SCALE)))

    def save(self, target: Path, *, mark: PngMark | None = None) -> None:
        """Write the finished PNG, whole or not at all, with `mark` as a key and a text in it. Raises OutputError."""
        info = marked(mark) if mark else None
        with atomic_path(target) as temporary:
            (self.image.reduce(SCALE) if SCALE > 1 else self.image).save(temporary, "PNG", pnginfo=info)


def _font(size: int, text: str) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return (None if text.isascii() else _wide_font(size)) or ImageFont.load_default(size * SCALE)


@cache
def _wide_font(size: int) -> ImageFont.FreeTypeFont | None:
    """A font of this machine with more letters than Pillow's own, which knows ASCII and little else."""
    for name in ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf"):
        try:
            return ImageFont.truetype(name, size * SCALE)
        except (OSError, ImportError):
            continue
    return None


def plain(text: str) -> str:
    """What can be drawn of a label, on one line; names of folders may hold bytes that are no text."""
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    if text.isascii() or _wide_font(14):
        return text
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return letters.encode("ascii", "replace").decode("ascii")


def _cut(text: str, keep: int) -> str:
    return text if keep >= len(text) else f"{text[: keep // 2]}...{text[len(text) - keep + keep // 2 :]}"
