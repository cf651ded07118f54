"""`edge data preview`: a PNG of the very pixels training sees; it replaces nothing but a PNG."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_data.augment.presets import AUGMENTATIONS
from edge_data.augment.preview import write_preview
from edge_runtime import DataError, ImageError, OutputError, UsageError

# Where the first picture stands, and how far apart they are, in a sheet of cells of 128 px.
LEFT, TOP, ACROSS, DOWN = 6, 60, 134, 154

Edge = Callable[..., "subprocess.CompletedProcess[str]"]


class Listener:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def begin(self, task: str, total: int, unit: str = "images") -> None: ...

    def advance(self, count: int = 1) -> None: ...

    def end(self) -> None: ...


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for split, count in (("train", 5), ("val", 2)):
        for label in ("ant", "bee", "wasp"):
            (root / split / label).mkdir(parents=True)
            for number in range(count):
                noise = np.random.default_rng([len(split), len(label), number]).integers(0, 256, (9, 12, 3), np.uint8)
                picture = Image.fromarray(noise).resize((240, 180), Image.Resampling.BICUBIC)
                picture.save(root / split / label / f"{number}.png")
    return root


def cell(sheet: Path, row: int, column: int) -> np.ndarray:
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB"))
    top, left = TOP + row * DOWN, LEFT + column * ACROSS
    return pixels[top : top + 128, left : left + 128]


def test_the_columns_are_the_epochs_of_training(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from edge_data import split
    from edge_data.sets.image_store import ImageStore
    from edge_runtime import scan
    from edge_train.run.batches import training_batches

    made = write_preview(str(data), tmp_path / "a.png", augment="standard", image_size=128, seed=5, draws=3)
    assert made.columns == ("none", "epoch 1", "epoch 2", "epoch 3")
    assert (made.preprocessing.resize_px, made.preprocessing.width_px) == (146, 128)
    training = split(scan(data), seed=5).train
    store = ImageStore(data, made.preprocessing, cache_bytes=0, threads=1)
    for epoch in (1, 2, 3):
        batches = training_batches(store, training, AUGMENTATIONS["standard"], batch_size=15, seed=5, epoch=epoch)
        order = np.random.default_rng([5, epoch]).permutation(len(training)).tolist()
        seen = next(iter(batches))[0].numpy()
        for row, path in enumerate(made.images):
            place = order.index([sample.path for sample in training].index(path))
            assert np.array_equal(cell(made.path, row, epoch), seen[place])
    for row, path in enumerate(made.images):
        assert np.array_equal(cell(made.path, row, 0), made.preprocessing(data / path))


def test_near_copies_stand_where_the_run_puts_them(tmp_path: Path) -> None:
    """Kept together they move images between training and validation, and each is drawn by its place in training."""
    from edge_data import split_data
    from edge_runtime import scan

    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(12):
            noise = np.random.default_rng([ord(label), number // 4]).integers(0, 256, (9, 12, 3), np.uint8)
            picture = Image.fromarray(noise).resize((240, 180), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "data" / label / f"{number}.png", compress_level=number % 4)
    made = write_preview(
        str(tmp_path / "data"), tmp_path / "a.png", augment="light", image_size=128, images=99, draws=1
    )
    training = split_data(scan(tmp_path / "data"), seed=0).train
    assert sorted(made.images) == sorted(sample.path for sample in training)
    for row, path in enumerate(made.images):
        place = [sample.path for sample in training].index(path)
        picture = made.preprocessing.resize(made.preprocessing.decode(tmp_path / "data" / path))
        drawn = AUGMENTATIONS["light"](picture, made.preprocessing, np.random.default_rng([0, 1, place]))
        assert np.array_equal(cell(made.path, row, 1), drawn)


def test_all_draws_every_preset_once(data: Path, tmp_path: Path) -> None:
    made = write_preview(str(data), tmp_path / "a.png", augment="all", image_size=128, images=2)
    assert made.columns == tuple(AUGMENTATIONS)
    assert len({cell(made.path, 0, column).tobytes() for column in range(6)}) == 6


def test_rows_are_training_images_and_classes_take_turns(data: Path, tmp_path: Path) -> None:
    made = write_preview(str(data), tmp_path / "a.png", images=6)
    assert [path.split("/")[:2] for path in made.images] == [["train", c] for c in ("ant", "bee", "wasp")] * 2
    assert len(set(made.images)) == 6
    assert write_preview(str(data), tmp_path / "b.png", images=99).images[:6] == made.images
    other = write_preview(str(data), tmp_path / "c.png", images=6, seed=1)
    assert other.images != made.images


def test_the_same_seed_draws_the_same_file(data: Path, tmp_path: Path) -> None:
    first, again, other = (
        write_preview(str(data), tmp_path / f"{n}.png", augment="strong", seed=seed).path.read_bytes()
        for n, seed in enumerate((3, 3, 4))
    )
    assert first == again != other


def test_small_pictures_are_used_whole_and_enlarged_to_be_seen(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (20, 20), (number * 40, 90, 90)).save(tmp_path / "data" / label / f"{number}.png")
    made = write_preview(str(tmp_path / "data"), tmp_path / "a.png", augment="light")
    assert (made.preprocessing.resize_px, made.preprocessing.width_px) == (64, 64)
    with Image.open(made.path) as sheet:
        assert sheet.width == LEFT + 7 * ACROSS


@pytest.mark.parametrize(("side_px", "image_size"), [(None, None), (224, None), (28, None), (500, None), (96, 96)])
def test_the_contract_is_the_one_training_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side_px: int | None, image_size: int | None
) -> None:
    pytest.importorskip("torchvision")
    from edge_data import find_data
    from edge_runtime import scan
    from edge_train import find_backbone
    from edge_train.network.input_preprocessing import choose_preprocessing

    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    for path in [tmp_path / "data" / label / f"{n}.png" for label in "ab" for n in range(2)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side_px or 1, side_px or 1)).save(path)
    source = find_data(str(tmp_path / "data") if side_px else "shapes")
    chosen, _ = choose_preprocessing(find_backbone("resnet18"), source, scan(source.root), image_size)
    made = write_preview(str(source.root) if side_px else "shapes", tmp_path / "a.png", image_size=image_size)
    assert made.preprocessing == chosen
    assert made.preprocessing.resize_px == {None: 64, 224: 224, 28: 64, 500: 256, 96: 96}[side_px]


def test_an_unreadable_image_is_named_and_left_out(data: Path, tmp_path: Path) -> None:
    for path in (data / "train" / "ant").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    listener = Listener()
    made = write_preview(str(data), tmp_path / "a.png", progress=listener)
    assert not any("ant" in path for path in made.images) and len(made.images) == 4
    assert listener.lines and all("ant" in line for line in listener.lines)


def test_nothing_readable_is_an_error_and_leaves_no_file(data: Path, tmp_path: Path) -> None:
    for path in (data / "train").glob("*/*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(ImageError):
        write_preview(str(data), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_it_replaces_a_png_and_refuses_anything_else(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "notes.png"
    out.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match=r"notes\.png is there and is not a PNG"):
        write_preview(str(data), out)
    assert out.read_text(encoding="utf-8") == "precious"
    with pytest.raises(UsageError, match="not a file"):
        write_preview(str(data), tmp_path)
    with pytest.raises(OutputError, match="nowhere"):
        write_preview(str(data), tmp_path / "nowhere" / "a.png")
    Image.new("RGB", (3, 3)).save(out := tmp_path / "old.png")
    with Image.open(write_preview(str(data), out).path) as sheet:
        assert sheet.width > 100


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": "stong"}, "`augment` stong is not known"),
        ({"draws": 0, "augment": "light"}, "0 draws"),
        ({"images": 0}, "0 images"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_senseless_settings_are_refused(data: Path, tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_preview(str(data), tmp_path / "a.png", **settings)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        write_preview(str(tmp_path / "nowhere"), tmp_path / "a.png")


def test_a_label_in_any_script_can_be_captioned(data: Path, tmp_path: Path) -> None:
    (data / "train" / "ant").rename(data / "train" / "蚂蚁")
    (data / "val" / "ant").rename(data / "val" / "蚂蚁")
    assert "train/蚂蚁/" in write_preview(str(data), tmp_path / "a.png", images=3).images[2]


def test_the_command_says_where_it_is(data: Path, tmp_path: Path, edge: Edge) -> None:
    done = edge("data", "preview", "--data", data, "--augment", "document", "--image-size", "64", "--seed", "2")
    assert (done.returncode, done.stdout) == (0, "augmentation.png\n"), done.stderr
    with Image.open(tmp_path / "augmentation.png") as sheet:
        assert sheet.format == "PNG"
    (tmp_path / "x.txt").write_text("precious", encoding="utf-8")
    done = edge("data", "preview", "--data", data, "--out", "x.txt")
    assert done.returncode == 2 and "x.txt is there and is not a PNG" in done.stderr
    assert "Traceback" not in done.stderr and not done.stdout


def test_it_needs_no_torch(data: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from edge_data.augment.preview import write_preview; "
        "write_preview(sys.argv[1], Path(sys.argv[2])); "
        "assert not {'torch', 'torchvision', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(data), str(tmp_path / "a.png")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_data_is_only_ever_read(data: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*.png")}
    write_preview(str(data), tmp_path / "a.png")
    assert before == {path: path.read_bytes() for path in data.rglob("*.png")}


def test_a_manifest_is_drawn_as_its_folders_are(data: Path, tmp_path: Path) -> None:
    from edge_data import list_images
    from edge_runtime import scan

    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "labels.csv").write_text("".join(list_images(scan(data), lists)))
    drawn = [
        write_preview(str(place), tmp_path / f"{number}.png", augment="light", draws=1)
        for number, place in enumerate((data, lists / "labels.csv"))
    ]
    assert drawn[0].images == drawn[1].images
    assert np.array_equal(*(cell(made.path, 0, 1) for made in drawn))


def test_lists_of_several_labels_and_of_tasks_are_drawn(data: Path, tmp_path: Path) -> None:
    names = sorted(path.relative_to(tmp_path).as_posix() for path in data.glob("train/*/*.png"))
    for number, (header, cells, given) in enumerate(
        (
            ("path,label", ["cat|dog", "", "dog"], {"multi_label": True}),
            ("path,kind,colour", ["rose,red", "lily,", "rose,blue"], {"tasks": ["kind", "colour"]}),
        )
    ):
        rows = [f"{name},{cells[place % 3]}" for place, name in enumerate(names)]
        (tmp_path / "list.csv").write_text("\n".join([header, *rows]))
        made = write_preview(str(tmp_path / "list.csv"), tmp_path / f"{number}.png", images=3, draws=1, **given)
        assert {rows[names.index(path)].partition(",")[2] for path in made.images} == {*cells}


def test_a_picture_of_the_data_is_not_drawn_over_nor_added(data: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to("data")
    before = {path: path.read_bytes() for path in data.rglob("*.png")}
    for source, target in ((data, data / "train/ant/1.png"), (tmp_path / "linked", data / "val/bee/new.png")):
        with pytest.raises(UsageError, match=r"would be a picture in .*, a folder of the data"):
            write_preview(str(source), target)
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"{path},{path.parent.name}\n" for path in before))
    with pytest.raises(UsageError, match=r"is a picture of the data, .*1\.png"):
        write_preview(str(tmp_path / "list.csv"), tmp_path / "linked/train/ant/1.png")
    assert before == {path: path.read_bytes() for path in data.rglob("*.png")}
    assert write_preview(str(data), data / "look.png", images=1).path.is_file(), "no class folder"
