"""Invoices and forms, drawn with a seed at the size of a scanned page that they are to stand beside.

    python benchmarks/self_checks/drawn_documents.py --like pages/receipt --out pages

draws one of each for each picture of a folder, into pages/invoice and pages/form.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from edge_benchmarks.program import exit_code
from edge_runtime import UsageError, find_all_images

# fmt: off
_WORDS = (
    "invoice", "order", "item", "total", "date", "name", "street", "city", "due", "paid", "number", "tax", "net",
    "gross", "unit", "price", "each", "bank", "account", "terms", "signature", "please", "print", "delivery",
    "customer", "company", "phone", "claim", "member", "policy", "reason", "period", "hours", "rate", "amount",
)
# fmt: on


def main() -> int:
    """Draw both into folders that are not there yet."""
    parser = argparse.ArgumentParser(description="invoices and forms beside scanned pages")
    parser.add_argument("--like", type=Path, required=True, help="folder of pages whose sizes are taken")
    parser.add_argument("--out", type=Path, required=True, help="folder for invoice/ and form/")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    given = parser.parse_args()
    return exit_code(lambda: _draw_beside(given.like, given.out, given.seed))


def _draw_beside(like: Path, out: Path, seed: int) -> int:
    for number, (name, make) in enumerate((("invoice", draw_invoice), ("form", draw_form))):
        if (out / name).exists():
            raise UsageError(f"{out / name} is there already", "name another folder with --out")
        pages = sorted(find_all_images([like]))
        (out / name).mkdir(parents=True)
        for place, path in enumerate(pages):
            with Image.open(path) as page:
                drawn = make(page, np.random.default_rng([seed, number, place]))
            drawn.save(out / name / f"{place:04d}.jpg", quality=90)
    return 0


def draw_invoice(like: Image.Image, draw: np.random.Generator) -> Image.Image:
    """A letterhead, two addresses, a ruled table of items with their prices, a total; of the size of `like`."""
    page, ink = _page(like, draw)
    width, height = page.size
    left, line = int(width * draw.uniform(0.05, 0.1)), max(7, height // 42)
    pen = ImageDraw.Draw(page)
    pen.text((left, line), _phrase(draw, 2).title(), ink, font=_font(line * 2))
    pen.text((width - left - 9 * line, 2 * line), f"No {draw.integers(1000, 99999)}", ink, font=_font(line))
    for row in range(4):
        pen.text((left, (5 + row) * line), _phrase(draw, 3), ink, font=_font(line))
        if draw.random() < 0.6:
            pen.text((width // 2, (5 + row) * line), _phrase(draw, 2), ink, font=_font(line))
    top, rows = int(line * draw.uniform(10, 13)), int(draw.integers(4, 12))
    for row in range(rows + 1):
        y = int(top + row * line * 1.6)
        pen.line((left, y, width - left, y), ink)
        pen.text((left + 2, y + 2), _phrase(draw, 2), ink, font=_font(line))
        pen.text((width - left - 6 * line, y + 2), f"{draw.uniform(1, 900):.2f}", ink, font=_font(line))
    bottom = int(top + (rows + 1) * line * 1.6)
    for x in (left, width - left - 7 * line, width - left):
        pen.line((x, top, x, bottom), ink)
    pen.text((width - left - 11 * line, bottom + line), f"TOTAL {draw.uniform(100, 9000):.2f}", ink, font=_font(line))
    return _scanned(page, draw)


def draw_form(like: Image.Image, draw: np.random.Generator) -> Image.Image:
    """A title, fields with a name and a box or a line to fill in, some of them filled, and boxes to tick."""
    page, ink = _page(like, draw)
    width, height = page.size
    left, line = int(width * draw.uniform(0.05, 0.1)), max(7, height // 42)
    pen = ImageDraw.Draw(page)
    pen.text((left, line), _phrase(draw, 3).upper(), ink, font=_font(int(line * 1.5)))
    y, boxed = 4 * line, draw.random() < 0.5
    while y < height - 6 * line:
        if draw.random() < 0.25:
            for column in range(3):
                x = left + column * (width - 2 * left) // 3
                pen.rectangle((x, y, x + line, y + line), outline=ink)
                if draw.random() < 0.3:
                    pen.line((x, y, x + line, y + line), ink, 2)
                pen.text((x + line + 3, y), _phrase(draw, 1), ink, font=_font(line))
        else:
            pen.text((left, y), _phrase(draw, 2), ink, font=_font(line))
            x = left + (width - 2 * left) // 3
            if boxed:
                pen.rectangle((x, y - 2, width - left, y + line + 3), outline=ink)
            else:
                pen.line((x, y + line, width - left, y + line), ink)
            if draw.random() < 0.5:
                pen.text((x + 4, y - 1), _phrase(draw, 2), (40, 50, 130), font=_font(line))
        y += int(line * draw.uniform(1.7, 2.6))
    return _scanned(page, draw)


def _page(like: Image.Image, draw: np.random.Generator) -> tuple[Image.Image, tuple[int, int, int]]:
    shade = int(draw.integers(225, 255))
    ink = int(draw.integers(20, 90))
    return Image.new("RGB", like.size, (shade, shade, shade - int(draw.integers(0, 12)))), (ink, ink, ink)


def _scanned(page: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Turned by up to a degree, softened and grained, as scanners leave a page."""
    turned = page.rotate(draw.uniform(-1, 1), Image.Resampling.BILINEAR, fillcolor=page.getpixel((1, 1)))
    soft = np.asarray(turned.filter(ImageFilter.GaussianBlur(draw.uniform(0.2, 0.7))), dtype=np.float64)
    grain = draw.normal(0, draw.uniform(1, 5), (*soft.shape[:2], 1))
    return Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8))


def _phrase(draw: np.random.Generator, words: int) -> str:
    return " ".join(draw.choice(_WORDS, words).tolist())


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


if __name__ == "__main__":
    sys.exit(main())
