"""Sets of pictures in which four fields' troubles are: X-rays, products, a camera trap, documents.

    python benchmarks/self_checks/field_sets.py documents --pictures DIR --out DIR [--seed 0]

--pictures holds chest_xray, recyclables, flowers128, hymenoptera and receipts, each class a folder.
Each is a list (`path,label,split,group,source`) with pictures beside it, drawn from a seed; `source` is the file that a
picture was made of. What no picture at hand shows is
planted, and said: night and rare animals in front of a camera trap, cluttered backgrounds behind products, invoices
and forms beside real receipts, and the angle and the light of a phone.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter, ImageOps

from drawn_documents import draw_form, draw_invoice
from edge_benchmarks.program import exit_code
from edge_data import assign_folds, pool_data
from edge_runtime import UsageError, scan

Draw: TypeAlias = np.random.Generator
Change: TypeAlias = Callable[[Image.Image, Draw], Image.Image]
# Pictures of the test split that were changed as the field changes them lie in a folder of this name.
FIELD = "field"
TRAP_PX = 128
NIGHT_IN_TRAINING, NIGHT_IN_FIELD = 0.2, 0.6
# Training pictures of each kind in front of the trap; the rarest is one of fifty.
TRAPPED = {"empty": 750, "bees": 75, "ants": 15}


@dataclass(frozen=True, slots=True)
class Row:
    """A picture of a set: the file to take, its class, split and group, and what is done to it."""

    source: Path
    label: str
    split: str
    group: str = ""
    change: Change | None = None
    field: bool = False


def xrays(source: Path, seed: int) -> Iterator[Row]:
    """Chest X-rays of two classes, ill and normal: two fifths train, one validates, two test, copies on one side."""
    for path, label, split, group in shares(source, seed, train=4, val=2, test=4, of=10):
        yield Row(path, "normal" if label == "Normal" else "ill", split, group)


def products(source: Path, seed: int) -> Iterator[Row]:
    """Things on white: a quarter trains; of the rest each tests as it is, and before a background that is drawn."""
    for path, label, split, group in shares(source, seed, train=5, val=1, test=6, of=20):
        yield Row(path, label, split, group)
        if split == "test":
            yield Row(path, label, split, group, clutter, field=True)


def camera_trap(flowers: Path, insects: Path, seed: int) -> Iterator[Row]:
    """Flowers, which are `empty`, bees and ants as 50 : 5 : 1, a fifth of them at night; the test at new cameras.

    Three fifths of the test are at night, and half of it shows an animal.
    """
    draw = np.random.default_rng([seed, 1])
    kinds = {kind: sorted(insects.glob(f"*/{kind}/*.jpg")) for kind in ("bees", "ants")}
    kinds = {"empty": sorted(flowers.glob("*/*.jpg")), **kinds}
    for kind, paths in kinds.items():
        order = [paths[at] for at in draw.permutation(len(paths))]
        count, held = TRAPPED[kind], max(6, TRAPPED[kind] // 6)
        for at, path in enumerate(order[: count + held + 150]):
            split = "train" if at < count else "val" if at < count + held else "test"
            dark = draw.random() < (NIGHT_IN_FIELD if split == "test" else NIGHT_IN_TRAINING)
            camera = draw.integers(*{"train": (0, 6), "val": (6, 8), "test": (8, 12)}[split])
            yield Row(path, kind, split, f"cam{camera}", night if dark else day, field=dark and split == "test")


def documents(receipts: Path, seed: int) -> Iterator[Row]:
    """Scans of receipts, and drawn invoices and forms: 40 of each train; each of 100 tests as scanned and by phone."""
    draw = np.random.default_rng([seed, 2])
    paths = sorted(receipts.rglob("*.jpg"))
    drawn: Mapping[str, Change] = {"invoice": draw_invoice, "form": draw_form}
    for number, at in enumerate(draw.permutation(len(paths))[:160]):
        split = "train" if number < 40 else "val" if number < 60 else "test"
        for label in ("receipt", *drawn):
            make = drawn.get(label)
            yield Row(paths[at], label, split, "", make)
            if split == "test":
                yield Row(paths[at], label, split, "", _photographed(make), field=True)


def write_set(rows: Iterator[Row], folder: Path, seed: int) -> Path:
    """Make the pictures of `rows` and the list `folder/labels.csv` of them; the list is returned."""
    made = []
    for number, row in enumerate(rows):
        name = f"{row.split}/{FIELD if row.field else 'plain'}/{number:05d}.jpg"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if row.change is None:
            shutil.copyfile(row.source, path)
        else:
            with Image.open(row.source) as image:
                changed = row.change(image.convert("RGB"), np.random.default_rng([seed, number]))
            changed.save(path, quality=90)
        made.append((name, row.label, row.split, row.group, str(row.source)))
    if not made:
        raise UsageError(f"there are no pictures for {folder.name}", "name the folders with --pictures")
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "split", "group", "source"))
        table.writerows(made)
    return folder / "labels.csv"


SETS: Mapping[str, Callable[[Path, int], Iterator[Row]]] = {
    "medical": lambda root, seed: xrays(root / "chest_xray", seed),
    "products": lambda root, seed: products(root / "recyclables", seed),
    "wildlife": lambda root, seed: camera_trap(root / "flowers128", root / "hymenoptera", seed),
    "documents": lambda root, seed: documents(root / "receipts", seed),
}


def main() -> int:
    """Write one of the sets into a folder that is not there yet."""
    parser = argparse.ArgumentParser(description="pictures with a field's troubles, as a list")
    parser.add_argument("name", choices=list(SETS))
    parser.add_argument("--pictures", type=Path, required=True, help="folder of the sets' folders")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    given = parser.parse_args()

    def write() -> int:
        if given.out.exists():
            raise UsageError(f"--out {given.out} is there already", "name a folder that is not")
        print(write_set(SETS[given.name](given.pictures, given.seed), given.out, given.seed))
        return 0

    return exit_code(write)


def shares(
    source: Path, seed: int, *, train: int, val: int, test: int, of: int
) -> Iterator[tuple[Path, str, str, str]]:
    """File, class, split and group of the pictures of a folder, of which `train`, `val` and `test` of `of` parts are.

    Every class in proportion, copies and near copies on one side.
    """
    folders = scan(source)
    pooled = pool_data(folders, seed=seed)
    folds = assign_folds(pooled.train, pooled.groups, of, seed=seed, labels=folders.labels)
    for sample, fold in zip(pooled.train, folds, strict=True):
        if fold >= train + val + test:
            continue
        split = "train" if fold < train else "val" if fold < train + val else "test"
        group = pooled.groups.get(sample.path, "")
        yield Path(folders.root) / sample.path, folders.labels[sample.label], split, group


def day(image: Image.Image, draw: Draw) -> Image.Image:
    """A square of the trap's size."""
    del draw
    return ImageOps.fit(image, (TRAP_PX, TRAP_PX))


def night(image: Image.Image, draw: Draw) -> Image.Image:
    """The same by an infrared lamp: grey, bright in the middle, dark and grainy around."""
    grey = np.asarray(day(image, draw).convert("L"), dtype=np.float64)
    y, x = (np.mgrid[:TRAP_PX, :TRAP_PX] / TRAP_PX) - draw.uniform(0.35, 0.65, (2, 1, 1))
    lamp = draw.uniform(0.6, 1.0) * np.exp(-(x**2 + y**2) / draw.uniform(0.08, 0.25)) + 0.08
    dark = 255 * (grey / 255) ** draw.uniform(0.9, 1.3) * lamp + draw.normal(0, draw.uniform(3, 9), grey.shape)
    return _rgb(np.repeat(dark[..., None], 3, axis=2)).filter(ImageFilter.GaussianBlur(draw.uniform(0, 0.8)))


def clutter(image: Image.Image, draw: Draw) -> Image.Image:
    """A thing on white before coarse and fine coloured noise: white takes the colour of what lies behind it."""
    layers = [_noise(image.size, int(cells), draw) for cells in (3, 9, 40)]
    behind = 0.5 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2]
    return ImageChops.multiply(image, _rgb(90 + 0.65 * behind))


def photograph(image: Image.Image, draw: Draw) -> Image.Image:
    """A page on a table, by phone: seen from an angle, turned, half in shade, out of focus, small."""
    width, height = image.size
    table = Image.new("RGB", (width, height), tuple(draw.integers(40, 190, 3).tolist()))
    reach = draw.uniform(0.03, 0.16, (4, 2)) * (width, height)
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
    angle, middle = np.radians(draw.uniform(-8, 8)), np.array([width, height]) / 2
    turn = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    corners = (flat + reach * [(1, 1), (-1, 1), (-1, -1), (1, -1)] - middle) @ turn + middle
    numbers = _homography(corners, flat)
    paper = image.transform(image.size, Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BILINEAR)
    mask = Image.new("L", image.size, 255).transform(image.size, Image.Transform.PERSPECTIVE, numbers)
    table.paste(paper, (0, 0), mask)
    across, down = (np.linspace(*draw.uniform(least, 1.0, 2), side) for least, side in ((0.35, width), (0.6, height)))
    tint = draw.uniform(0.85, 1.0, 3)
    shaded = _rgb(np.asarray(table, dtype=np.float64) * across[None, :, None] * down[:, None, None] * tint)
    small = shaded.reduce(int(draw.integers(1, 4))).resize(image.size, Image.Resampling.BILINEAR)
    return small.filter(ImageFilter.GaussianBlur(draw.uniform(0, 1.2)))


def _photographed(make: Change | None) -> Change:
    return lambda image, draw: photograph(make(image, draw) if make else image, draw)


def _homography(source: NDArray[np.float64], target: NDArray[np.float64]) -> Sequence[float]:
    """The eight numbers of Pillow's map, from `source` to `target` corners `[4, 2]`."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    found: list[float] = np.linalg.solve(np.array(rows), np.array(values)).tolist()
    return found


def _noise(size: tuple[int, int], cells: int, draw: Draw) -> NDArray[np.float64]:
    coarse = Image.fromarray(draw.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)


def _rgb(pixels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    sys.exit(main())
