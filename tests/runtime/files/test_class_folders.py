"""What a person's data folder becomes: classes, splits, notes, and one clear error for each mistake."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edge_runtime import DataError
from edge_runtime.files.class_folders import find_images
from edge_runtime.files.samples import ClassFolders, FolderNote
from edge_runtime.files.scanning import scan
from edge_runtime.files.walk import is_image


def put(root: Path, *paths: str, content: bytes = b"x") -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def paths(folders: ClassFolders, split: str) -> list[str]:
    return [sample.path for sample in folders.splits[split]]


def by_name(folders: ClassFolders, split: str) -> dict[str, str]:
    return {sample.path: folders.labels[sample.label] for sample in folders.splits[split]}


@pytest.mark.parametrize(
    "suffix", ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "avif", "heic", "heif", "hif"]
)
def test_every_known_suffix_is_an_image_in_any_letter_case(suffix: str) -> None:
    assert is_image(f"a.{suffix}")
    assert is_image(Path("folder") / f"a.b.{suffix.upper()}")
    assert is_image(f"a.{suffix.capitalize()}")


@pytest.mark.parametrize(
    "name", ["notes.txt", "jpg", ".jpg", "._a.jpg", "x/.hidden.png", "a.jpg.part", "a.jxl", "Thumbs.db"]
)
def test_other_files_and_dot_entries_are_not_images(name: str) -> None:
    assert not is_image(name)


def test_images_are_found_at_any_depth_in_natural_order(tmp_path: Path) -> None:
    put(tmp_path, "10.jpg", "2.jpg", "sub/10/b.PNG", "sub/9/b.png", "sub/9/notes.txt")
    put(tmp_path, ".hidden/a.jpg", "sub/._2.jpg", "__MACOSX/sub/a.jpg")
    assert find_images(tmp_path) == [tmp_path / name for name in ("2.jpg", "10.jpg", "sub/9/b.png", "sub/10/b.PNG")]


def test_images_are_found_in_a_folder_that_is_itself_hidden(tmp_path: Path) -> None:
    put(tmp_path, ".cache/a.jpg")
    assert find_images(tmp_path / ".cache") == [tmp_path / ".cache/a.jpg"]


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    put(tmp_path, "store/a.jpg", "photos/sub/b.jpg")
    (tmp_path / "photos/linked.jpg").symlink_to(tmp_path / "store/a.jpg")
    (tmp_path / "photos/sub/up").symlink_to(tmp_path)
    (tmp_path / "photos/sub/self.jpg").symlink_to(tmp_path / "photos/sub/self.jpg")
    (tmp_path / "photos/again").symlink_to(tmp_path / "photos/sub")
    found = find_images(tmp_path / "photos")
    assert len(found) == 3, "a.jpg through its link, b.jpg once, and the link to itself for a reader to name"
    assert tmp_path / "photos/linked.jpg" in found


def test_a_pipe_named_like_an_image_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "b.jpg")
    assert find_images(tmp_path) == [tmp_path / "a.jpg"], "reading it would wait for ever"


def test_train_val_test(tmp_path: Path) -> None:
    put(tmp_path, "train/bee/2.jpg", "train/bee/1.jpg", "train/ant/deep/er/3.PNG")
    put(tmp_path, "val/ant/4.jpg", "val/bee/5.jpg", "test/bee/6.jpg", "test/ant/7.jpg")
    folders = scan(tmp_path)
    assert folders.root == tmp_path
    assert folders.labels == ("ant", "bee")
    assert list(folders.splits) == ["train", "val", "test"]
    assert paths(folders, "train") == ["train/ant/deep/er/3.PNG", "train/bee/1.jpg", "train/bee/2.jpg"]
    assert by_name(folders, "test") == {"test/ant/7.jpg": "ant", "test/bee/6.jpg": "bee"}
    assert folders.notes == ()


def test_flat_class_folders_are_one_split(tmp_path: Path) -> None:
    put(
        tmp_path,
        "dog/a.jpg",
        "cat/b.jpg",
        "cat/b.explained.png",
        "cat/b.layer1.explained.png",
        "cat/.DS_Store",
        ".git/x.jpg",
        "__MACOSX/cat/._b.jpg",
    )
    folders = scan(str(tmp_path))
    assert by_name(folders, "all") == {"cat/b.jpg": "cat", "dog/a.jpg": "dog"}
    assert folders.notes == ()


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "valid", "test"),
        ("Train", "VAL", "Test"),
        ("training", "Validation", "Testing"),
        ("training_set", "dev", "Test_Set"),
        ("train-data", "val_set", "test data"),
    ],
)
def test_split_folders_may_be_spelt_as_people_spell_them(tmp_path: Path, train: str, val: str, test: str) -> None:
    for split in (train, val, test):
        put(tmp_path, f"{split}/a/1.jpg", f"{split}/b/2.jpg")
    folders = scan(tmp_path)
    assert list(folders.splits) == ["train", "val", "test"]
    assert paths(folders, "val") == [f"{val}/a/1.jpg", f"{val}/b/2.jpg"]


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/1.jpg", "valid/a/1.jpg")
    with pytest.raises(DataError, match=r"val/ and valid/"):
        scan(tmp_path)


def test_photos_of_trains_are_a_class(tmp_path: Path) -> None:
    put(tmp_path, "bus/1.jpg", "train/2.jpg", "tram/3.jpg")
    folders = scan(tmp_path)
    assert folders.labels == ("bus", "train", "tram")
    assert list(folders.splits) == ["all"]


def test_train_alone_and_train_with_test_are_allowed(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.jpg", "train/b/2.jpg")
    assert list(scan(tmp_path).splits) == ["train"]
    put(tmp_path, "test/a/1.jpg", "test/b/2.jpg")
    assert list(scan(tmp_path).splits) == ["train", "test"]


def test_test_alone_needs_a_models_labels(tmp_path: Path) -> None:
    put(tmp_path, "test/a/1.jpg", "test/b/2.jpg")
    with pytest.raises(DataError, match="no train/"):
        scan(tmp_path)
    folders = scan(tmp_path, labels=["z", "b", "a"])
    assert folders.labels == ("z", "b", "a")
    assert by_name(folders, "test") == {"test/a/1.jpg": "a", "test/b/2.jpg": "b"}
    assert [(note.kind, "'z'" in note.text) for note in folders.notes] == [("no-images", True)]


def test_flat_folders_are_aligned_to_a_models_labels(tmp_path: Path) -> None:
    put(tmp_path, "b/1.jpg")
    folders = scan(tmp_path, labels=["a", "b"])
    assert by_name(folders, "all") == {"b/1.jpg": "b"}
    with pytest.raises(DataError, match="'b'"):
        scan(tmp_path, labels=["a", "c"])


def test_a_class_unknown_to_train_is_named_with_its_split(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/1.jpg", "val/zebra/1.jpg")
    with pytest.raises(DataError) as caught:
        scan(tmp_path)
    assert "'zebra'" in caught.value.message
    assert str(tmp_path / "val") in caught.value.message
    assert "'a', 'b'" in caught.value.hint


def test_a_class_missing_from_a_split_is_named_and_the_others_keep_their_labels(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "train/c/2.jpg", "val/b/1.jpg", "val/c/1.jpg")
    (tmp_path / "val/a").mkdir()
    folders = scan(tmp_path)
    assert by_name(folders, "val") == {"val/b/1.jpg": "b", "val/c/1.jpg": "c"}
    assert folders.notes == (FolderNote("no-images", "val/", "val/ has no images of 1 class: 'a'"),)


def test_an_empty_unknown_folder_in_val_is_left_out_and_said(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/1.jpg", "val/b/1.jpg")
    (tmp_path / "val/New folder").mkdir()
    text = "left out empty folders in val/: 'New folder'"
    assert scan(tmp_path).notes == (FolderNote("empty-class", "val/", text),)


def test_what_is_ignored_is_counted_and_shown(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.jpg", "train/a/2.jxl", "train/a/3.JXL", "train/b/2.jpg", "readme.txt")
    put(tmp_path, "train/stray.jpg", "extra/a/1.jpg")
    found = scan(tmp_path).notes
    notes = "\n".join(note.text for note in found)
    kinds = {(note.kind, note.path) for note in found}
    assert kinds == {("beside-splits", ""), ("other-files", ""), ("loose-images", "train/"), ("other-files", "train/")}
    assert "2 files" in notes
    assert ".jxl" in notes
    assert "train/a/2.jxl" in notes
    assert "train/stray.jpg" in notes
    assert "'extra'" in notes
    assert "readme.txt" in notes


def test_a_test_folder_without_classes_is_left_out_and_said(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/1.jpg", "val/b/1.jpg", "test/1.jpg", "test/2.jpg")
    folders = scan(tmp_path)
    assert list(folders.splits) == ["train", "val"]
    assert any(note.kind == "no-split" and note.text.startswith("left out test/") for note in folders.notes)


def test_a_link_to_nowhere_stays_listed_for_the_check_of_the_images(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "a/gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert paths(scan(tmp_path), "all") == ["a/1.jpg", "a/gone.jpg", "b/1.jpg"]


def test_a_link_to_the_root_brings_no_other_classes_images(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.jpg", "train/b/2.jpg")
    (tmp_path / "train/a/loop").symlink_to(tmp_path)
    (tmp_path / "train/b/loop").symlink_to(tmp_path / "train")
    assert paths(scan(tmp_path), "train") == ["train/a/1.jpg", "train/b/2.jpg"]


def test_class_folders_may_be_links(tmp_path: Path) -> None:
    put(tmp_path, "store/a/1.jpg", "store/b/1.jpg")
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "store" / name)
    assert paths(scan(tmp_path / "data"), "all") == ["a/1.jpg", "b/1.jpg"]


def test_the_same_letters_spelt_in_other_code_points_are_the_same_class(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    put(tmp_path, f"train/{composed}/1.jpg", "train/thé/1.jpg", f"val/{decomposed}/1.jpg", "val/thé/1.jpg")
    assert sorted(by_name(scan(tmp_path), "val").values()) == sorted([composed, "thé"])
    # The names of the files stay as the disk has them, whatever way the class is spelt; labels of an older model, too.
    put(tmp_path, f"train/{decomposed}/2.jpg")
    found = scan(tmp_path)
    assert found.labels == (composed, "thé") and f"train/{decomposed}/2.jpg" in paths(found, "train")
    older = scan(tmp_path, labels=(decomposed, "thé", "x"))
    assert older.labels[0] == decomposed and by_name(older, "train")[f"train/{composed}/1.jpg"] == decomposed
    (tmp_path / f"train/{decomposed}z").mkdir()
    with pytest.raises(DataError, match=f"{decomposed}z has no images"):
        scan(tmp_path)


def test_a_class_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg")
    os.makedirs(os.fsencode(tmp_path) + b"/b\xff")  # noqa: PTH103 (a Path cannot spell it)
    with pytest.raises(DataError, match="UTF-8"):
        scan(tmp_path)


def _empty(root: Path) -> str:
    return str(root)


def _missing(root: Path) -> str:
    return str(root / "nowhere")


def _file(root: Path) -> str:
    return str(put(root, "data.csv") / "data.csv")


def _loose(root: Path) -> str:
    return str(put(root, "a.jpg", "b.jpg"))


def _empty_class(root: Path) -> str:
    put(root, "a/1.jpg", "b/notes.txt")
    return str(root / "b")


def _empty_train_class(root: Path) -> str:
    put(root, "train/a/1.jpg", "val/a/1.jpg")
    (root / "train/b").mkdir()
    return str(root / "train/b")


def _one_class(root: Path) -> str:
    return str(put(root, "only/1.jpg", "only/2.jpg"))


def _loose_train(root: Path) -> str:
    put(root, "train/1.jpg", "val/2.jpg")
    return str(root / "train")


def _empty_val(root: Path) -> str:
    put(root, "train/a/1.jpg", "train/b/1.jpg")
    (root / "val").mkdir()
    return str(root / "val")


def _no_images(root: Path) -> str:
    return str(put(root, "a/notes.txt", "b/notes.txt"))


def _test_beside_classes(root: Path) -> str:
    return str(put(root, "a/1.jpg", "b/1.jpg", "test/a/1.jpg"))


@pytest.mark.parametrize(
    "build",
    [
        _empty,
        _missing,
        _file,
        _loose,
        _empty_class,
        _empty_train_class,
        _one_class,
        _loose_train,
        _empty_val,
        _no_images,
        _test_beside_classes,
    ],
)
def test_a_folder_laid_out_wrongly_is_named_with_what_is_expected(tmp_path: Path, build: object) -> None:
    assert callable(build)
    place = build(tmp_path)
    with pytest.raises(DataError) as caught:
        scan(Path(place) if build in (_missing, _file) else tmp_path)
    assert place in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_the_hint_for_loose_images_shows_the_layout(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(DataError, match="2 images but no class folders") as caught:
        scan(tmp_path)
    assert "train/CLASS" in caught.value.hint


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    put(tmp_path, "photos.zip")
    with pytest.raises(DataError, match="unpack"):
        scan(tmp_path / "photos.zip")


def test_a_data_set_one_folder_further_down_is_pointed_at(tmp_path: Path) -> None:
    put(tmp_path, "bees/train/a/1.jpg", "bees/train/b/1.jpg")
    with pytest.raises(DataError) as caught:
        scan(tmp_path)
    assert str(tmp_path / "bees") in caught.value.hint


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every folder")
def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "b").chmod(0)
    try:
        with pytest.raises(DataError, match="cannot be read"):
            scan(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o700)


def test_the_fingerprint_follows_names_and_sizes_alone(tmp_path: Path) -> None:
    first = scan(put(tmp_path / "one", "a/1.jpg", "b/2.jpg")).fingerprint
    assert first.startswith("sha256:")
    assert len(first) == len("sha256:") + 64
    assert scan(put(tmp_path / "two", "b/2.jpg", "a/1.jpg", "a/.DS_Store")).fingerprint == first
    assert scan(put(tmp_path / "three", "a/1.jpg", "b/3.jpg")).fingerprint != first
    assert scan(put(tmp_path / "two", "a/1.jpg", content=b"longer")).fingerprint != first


def test_thousands_of_images_are_listed_once_each(tmp_path: Path) -> None:
    for label in range(5):
        folder = tmp_path / f"train/class {label}"
        folder.mkdir(parents=True)
        for index in range(1000):
            (folder / f"{index}.jpg").touch()
    folders = scan(tmp_path)
    assert len({sample.path for sample in folders.splits["train"]}) == 5000
    assert [sum(each.label == label for each in folders.splits["train"]) for label in range(5)] == [1000] * 5


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(NAMES, min_size=2, max_size=4))
def test_any_name_a_folder_can_have_is_a_label(tmp_path: Path, names: set[str]) -> None:
    usable = {name for name in names if not name.startswith(".") and name != "__MACOSX" and name.strip()}
    # Names that mean a split mean one here too, and some file systems fold case or code points.
    usable = {unicodedata.normalize("NFC", name) for name in usable}
    folded = {unicodedata.normalize("NFKC", name).casefold() for name in usable}
    if len(usable) < 2 or len(folded) < len(usable):
        return
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    for name in usable:
        put(root, f"train/{name}/1.jpg", f"val/{name}/1.jpg")
    folders = scan(root)
    assert folders.labels == tuple(sorted(usable))
    assert by_name(folders, "val") == {f"val/{name}/1.jpg": name for name in usable}
