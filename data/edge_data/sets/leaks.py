"""Which held-out pictures stand in training, too: the figure that is measured on them is memory."""

from __future__ import annotations

from dataclasses import dataclass

from edge_data.sets.group_by import AUTO, NONE, name_groups, names_column
from edge_data.sets.groups import alike, join_groups
from edge_data.sets.looks import LookBook
from edge_data.sets.sides import HELD
from edge_data.sets.splits import Splits
from edge_runtime import ClassFolders


@dataclass(frozen=True, slots=True)
class Leak:
    """`images` of the `of` images of `split` have their like in training, `example` for one and its like there."""

    split: str
    images: int
    of: int
    example: tuple[str, str]
    why: str

    @property
    def share(self) -> float:
        """The share of the split, 0..1."""
        return self.images / self.of

    @property
    def text(self) -> str:
        """The leak on one line."""
        one, other = self.example
        have = "image stands" if self.images == 1 else "images stand"
        return (
            f"{self.images:,} of {self.of:,} {self.split} {have} in training, too ({self.share:.1%}), {self.why}: "
            f"{one} and {other} for one; the {self.split} accuracy is too good"
        )


def find_leaks(folders: ClassFolders, splits: Splits, book: LookBook, group_by: str = AUTO) -> tuple[Leak, ...]:
    """What the val and test that a folder brings share with training: near copies by what `book` saw, and named groups.

    Raises:
        DataError: `group_by` finds nothing in the path of a picture.
    """
    samples = [sample for split in ("train", *HELD) for sample in getattr(splits, split)]
    paths = [sample.path for sample in samples]
    if group_by == NONE or not paths:
        return ()
    names = join_groups(paths, name_groups(folders, paths, group_by), alike(book.looks(paths)))
    group_of = dict(zip(paths, names, strict=True))
    learned: dict[str, str] = {}
    for sample in splits.train:
        learned.setdefault(group_of[sample.path], sample.path)
    by = folders.group_column if names_column(folders, group_by) else group_by
    why = "the same or nearly" if by == AUTO else f"the same, nearly, or of one group by {by}"
    leaks = []
    for split in (split for split in HELD if split in folders.splits):
        held = getattr(splits, split)
        twice = [sample.path for sample in held if group_of[sample.path] in learned]
        if twice:
            leaks.append(Leak(split, len(twice), len(held), (twice[0], learned[group_of[twice[0]]]), why))
    return tuple(leaks)
