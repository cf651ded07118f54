"""A contact sheet: the pictures a check found something about, or samples of every class, on one PNG."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from edge_runtime import EdgeError, OutputError, UsageError, atomic_path, decode
from edge_train.findings import MEANINGS, Finding, Place
from edge_train.progress import Progress

__all__ = ["check_target", "draw_contact_sheet"]

_COLUMNS = 8
_CELLS = 96
_CELLS_PER_KIND = 16
_CLASSES = 12
_PICTURE_PX = 144
_GAP_PX = 10
_LINE_PX = 14
_LINES = 3
_TITLE_PX = 30
_INK, _PAPER, _EMPTY = (30, 30, 30), (255, 255, 255), (225, 225, 225)
_HARM, _NOTE, _PLAIN = (200, 30, 30), (210, 150, 30), (150, 150, 150)

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


@dataclass(frozen=True, slots=True)
class _Cell:
    path: str
    caption: str
    colour: tuple[int, int, int]


def check_target(target: Path, root: Path) -> None:
    """Raises UsageError or OutputError, before any work, where no sheet should or could be written."""
    if target.suffix.lower() != ".png":
        raise UsageError(f"--out {target}: the contact sheet is a PNG", "give a name that ends in .png")
    if target.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            f"--out {target} lies in the data folder {root}", "a check changes nothing there: write beside it"
        )
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {target}: {target.parent} is not a folder", "make it first, or choose another")


def draw_contact_sheet(
    target: Path, root: Path, findings: Sequence[Finding], places: Mapping[str, Place], progress: Progress
) -> None:
    """Draw the files of `findings`, those that harm first, or samples of each class where no finding has files.

    Raises OutputError when `target` cannot be written.
    """
    cells = list(_offenders(findings)) or list(_samples(places))
    shown = cells[:_CELLS]
    what = "findings" if any(finding.files for finding in findings) else "samples"
    total = len({file for finding in findings for file in finding.files}) or len(places)
    title = f"{root.resolve().name}: {what}, {len({cell.path for cell in shown}):,} of {total:,} files"
    rows = -(-len(shown) // _COLUMNS)
    width, height = _PICTURE_PX + 4 + _GAP_PX, _PICTURE_PX + 4 + _GAP_PX + _LINES * _LINE_PX
    sheet = Image.new("RGB", (_COLUMNS * width + _GAP_PX, rows * height + _GAP_PX + _TITLE_PX), _PAPER)
    pen = ImageDraw.Draw(sheet)
    large, font = ImageFont.load_default(16), ImageFont.load_default(11)
    pen.text((_GAP_PX, 8), _fitted(pen, title, large, sheet.width - 2 * _GAP_PX), fill=_INK, font=large)
    progress.begin("drawing the contact sheet", len(shown))
    for number, cell in enumerate(shown):
        row, column = divmod(number, _COLUMNS)
        corner = (_GAP_PX + column * width, _GAP_PX + _TITLE_PX + row * height)
        sheet.paste(_tile(root, cell, font), corner)
        progress.advance()
    progress.end()
    with atomic_path(target) as temporary:
        sheet.save(temporary, "PNG")


def _offenders(findings: Sequence[Finding]) -> Iterator[_Cell]:
    left: dict[str, int] = defaultdict(lambda: _CELLS_PER_KIND)
    order = list(MEANINGS)
    for finding in sorted(findings, key=lambda finding: (not finding.harmful, order.index(finding.kind))):
        for path in finding.files[: left[finding.kind]]:
            yield _Cell(path, finding.kind, _HARM if finding.harmful else _NOTE)
        left[finding.kind] = max(0, left[finding.kind] - len(finding.files))


def _samples(places: Mapping[str, Place]) -> Iterator[_Cell]:
    classes: dict[str, list[str]] = defaultdict(list)
    for path, place in places.items():
        classes[place.label].append(path)
    for label, paths in list(classes.items())[:_CLASSES]:
        for path in sorted(random.Random(0).sample(paths, min(_COLUMNS, len(paths)))):
            yield _Cell(path, label, _PLAIN)


def _tile(root: Path, cell: _Cell, font: _Font) -> Image.Image:
    """A framed picture with its caption, its folder and its name below; crossed out where it cannot be read."""
    tile = Image.new("RGB", (_PICTURE_PX + 4, _PICTURE_PX + 4 + _LINES * _LINE_PX), _PAPER)
    pen = ImageDraw.Draw(tile)
    end = _PICTURE_PX + 2
    pen.rectangle((0, 0, end + 1, end + 1), fill=_EMPTY, outline=cell.colour, width=2)
    try:
        picture = decode(root / cell.path, reduce_to_px=_PICTURE_PX)
        scale = _PICTURE_PX / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.NEAREST)
        tile.paste(picture, (2 + (_PICTURE_PX - size[0]) // 2, 2 + (_PICTURE_PX - size[1]) // 2))
    except (EdgeError, OSError):
        pen.line((2, 2, end, end), fill=cell.colour)
        pen.line((2, end, end, 2), fill=cell.colour)
    folder, _, name = cell.path.rpartition("/")
    for line, text in enumerate((cell.caption, folder, name)):
        colour = _INK if line else cell.colour
        pen.text((2, end + 3 + line * _LINE_PX), _fitted(pen, text, font, _PICTURE_PX), fill=colour, font=font)
    return tile


def _fitted(pen: ImageDraw.ImageDraw, text: str, font: _Font, width_px: int) -> str:
    """`text` as one line that `font` can draw, its middle left out where it is too long."""
    # A build of Pillow without FreeType has one bitmap font, which knows Latin-1 alone.
    encoding = "utf-8" if isinstance(font, ImageFont.FreeTypeFont) else "latin-1"
    text = " ".join(text.encode(encoding, "replace").decode(encoding).splitlines())
    shown, keep = text, len(text)
    while keep > 2 and pen.textlength(shown, font=font) > width_px:
        keep -= 1
        shown = f"{text[: keep // 2]}...{text[-(keep - keep // 2) :]}"
    return shown
