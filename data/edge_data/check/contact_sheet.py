"""A contact sheet: the pictures a check found something about, or samples of every class, on one PNG."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edge_data.check.findings import MEANINGS, Finding, Place
from edge_data.drawing.sheet import Sheet, check_png_target
from edge_runtime import LIGHT, EdgeError, Progress, UsageError, decode

_COLUMNS = 8
_CELLS = 96
_CELLS_PER_KIND = 16
_CLASSES = 12
_PICTURE_PX = 144
_GAP_PX = 10
_LINE_PX = 14
_LINES = 3
_TITLE_PX = 30
_HARM, _NOTE, _PLAIN = LIGHT.wrong, LIGHT.second, LIGHT.other


@dataclass(frozen=True, slots=True)
class _Cell:
    path: str
    caption: str
    colour: str


def check_target(target: Path, folders: Sequence[Path]) -> None:
    """Raises UsageError or OutputError, before any work, where no sheet should or could be written."""
    check_png_target(target)
    for root in folders:
        if target.resolve().is_relative_to(root.resolve()):
            raise UsageError(
                f"`out` {target} lies in the data folder {root}", "a check changes nothing there: write beside it"
            )


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
    sheet = Sheet(_COLUMNS * width + _GAP_PX, rows * height + _GAP_PX + _TITLE_PX)
    sheet.text(_GAP_PX, 8, sheet.fitted(title, 16, _COLUMNS * width - _GAP_PX), size=16)
    progress.begin("drawing the contact sheet", len(shown))
    for number, cell in enumerate(shown):
        row, column = divmod(number, _COLUMNS)
        _draw(sheet, _GAP_PX + column * width, _GAP_PX + _TITLE_PX + row * height, root, cell)
        progress.advance()
    progress.end()
    sheet.save(target)


def _offenders(findings: Sequence[Finding]) -> Iterator[_Cell]:
    left: dict[str, int] = defaultdict(lambda: _CELLS_PER_KIND)
    order = list(MEANINGS)
    for finding in sorted(findings, key=lambda finding: (not finding.harmful, order.index(finding.kind))):
        for path in finding.files[: left[finding.kind]]:
            # The frame's colour does not speak alone.
            said = (f"! {finding.kind}", _HARM) if finding.harmful else (finding.kind, _NOTE)
            yield _Cell(path, *said)
        left[finding.kind] = max(0, left[finding.kind] - len(finding.files))


def _samples(places: Mapping[str, Place]) -> Iterator[_Cell]:
    classes: dict[str, list[str]] = defaultdict(list)
    for path, place in places.items():
        classes[place.shown].append(path)
    for label, paths in list(classes.items())[:_CLASSES]:
        for path in sorted(random.Random(0).sample(paths, min(_COLUMNS, len(paths)))):
            yield _Cell(path, label, _PLAIN)


def _draw(sheet: Sheet, x: int, y: int, root: Path, cell: _Cell) -> None:
    """A framed picture with its caption, its folder and its name below; crossed out where it cannot be read."""
    sheet.box(x, y, _PICTURE_PX + 4, _PICTURE_PX + 4, cell.colour)
    sheet.box(x + 2, y + 2, _PICTURE_PX, _PICTURE_PX, LIGHT.line)
    try:
        picture = decode(root / cell.path, reduce_to_px=_PICTURE_PX)
        scale = _PICTURE_PX / max(picture.size)
        width, height = (max(1, round(length * scale)) for length in picture.size)
        how = Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.NEAREST
        left, top = x + 2 + (_PICTURE_PX - width) // 2, y + 2 + (_PICTURE_PX - height) // 2
        sheet.picture(left, top, picture, (width, height), how)
    except (EdgeError, OSError):
        end = _PICTURE_PX + 2
        sheet.line([(x + 2, y + 2), (x + end, y + end)], cell.colour)
        sheet.line([(x + 2, y + end), (x + end, y + 2)], cell.colour)
    folder, _, name = cell.path.rpartition("/")
    for line, text in enumerate((cell.caption, folder, name)):
        top = y + _PICTURE_PX + 5 + line * _LINE_PX
        sheet.text(x + 2, top, sheet.fitted(text, 11, _PICTURE_PX), size=11)
