"""What --data stands for: every way of naming pictures, each picture once, and what is said where there are none."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")

from edge_batch import list_all
from edge_batch.locations import without_secrets
from edge_runtime import DataError, ImageError, UsageError


def names(paths: tuple[str, ...], folder: Path) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in paths]


def test_a_folder_is_read_at_any_depth_and_without_what_is_hidden(photos: Path) -> None:
    listing = list_all([str(photos)])
    assert len(listing.paths) == 13 and listing.paths[0].endswith("far/away/0.jpg")
    assert names(listing.paths, photos)[-1] == "near/broken.jpg"
    assert listing.known_bytes == (sum(Path(path).stat().st_size for path in listing.paths), 13)
    assert list_all([f"file://{photos}"]).paths == listing.paths


def test_a_pattern_a_file_and_a_folder_name_each_picture_once(photos: Path) -> None:
    listing = list_all([f"{photos}/near/*.png", f"{photos}/near/1.png", f"{photos}/**/*.jpg"])
    assert names(listing.paths, photos)[:4] == ["near/1.png", "near/5.png", "near/7.png", "near/11.png"]
    assert len(set(listing.paths)) == len(listing.paths) == 9


def test_a_list_names_files_beside_it_and_uris(photos: Path) -> None:
    lines = ["path,label", "near/1.png,", f"{photos}/far/away/0.jpg,x", "s3://photos/a.jpg,"]
    (photos / "list.csv").write_text("\n".join(lines))
    listing = list_all([str(photos / "list.csv")])
    assert listing.paths == (f"{photos}/near/1.png", f"{photos}/far/away/0.jpg", "s3://photos/a.jpg")
    assert listing.sizes[2] is None


def test_a_list_may_name_files_as_uris(photos: Path) -> None:
    (photos / "near" / "1.png").rename(photos / "near" / "a 1.png")
    (photos / "list.csv").write_text(f"path\nfile://{photos}/near/a%201.png\nfile://{photos}/near/5.png\nnear/5.png\n")
    listing = list_all([str(photos / "list.csv"), f"file://{photos}/near/a%201.png"])
    assert names(listing.paths, photos) == ["near/a 1.png", "near/5.png"] and None not in listing.sizes


def test_a_list_may_be_parquet(photos: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"path": ["near/1.png", "near/5.png"]}), photos / "list.parquet")
    assert names(list_all([str(photos / "list.parquet")]).paths, photos) == ["near/1.png", "near/5.png"]


def test_a_list_that_names_a_file_that_is_not_there_is_refused_with_its_line(photos: Path) -> None:
    (photos / "list.csv").write_text("path\nnear/1.png\nnear/none.png\n")
    with pytest.raises(DataError, match=r"line 3: no file 'near/none.png'"):
        list_all([str(photos / "list.csv")])


@pytest.mark.parametrize("name", ["nowhere", "", "nowhere/*.jpg", "file:///nowhere/at/all"])
def test_what_stands_for_no_picture_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        list_all([name])
    with pytest.raises(UsageError, match="no pictures are named"):
        list_all([])


def test_a_name_that_no_table_can_hold_is_refused(photos: Path) -> None:
    os.rename(bytes(photos / "near" / "1.png"), bytes(photos / "near") + b"/\xff.png")  # noqa: PTH104
    with pytest.raises(DataError, match="not valid UTF-8"):
        list_all([str(photos)])


def test_secrets_in_a_list_are_used_and_not_kept(bucket: tuple[dict[str, bytes], str], tmp_path: Path) -> None:
    files, options = bucket
    files["a/1.jpg"] = b"one"
    rows = ["path", "s3://photos/a/gone.jpg", f"s3://KEY:SECRET@photos/a/1.jpg?{options}"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    listing = list_all([str(tmp_path / "list.csv")])
    assert listing.paths == ("s3://photos/a/gone.jpg", "s3://photos/a/1.jpg")
    assert listing.locations.read(listing.paths[1]) == b"one"


def test_of_an_address_what_is_asked_for_is_a_part() -> None:
    for uri in ("https://img.example/a.jpg?w=640&h=480", "http://img.example/a.jpg?X-Signature=0"):
        assert without_secrets(uri) == uri
    assert without_secrets("https://me:word@img.example/a.jpg?w=640") == "https://img.example/a.jpg?w=640"
    assert without_secrets("s3://KEY:SECRET@b/a.jpg?region=x") == "s3://b/a.jpg"


def test_a_name_that_stands_for_nothing_is_told_beside_others(
    photos: Path, bucket: tuple[dict[str, bytes], str]
) -> None:
    files, options = bucket
    files["a/1.jpg"] = b"one"
    with pytest.raises(DataError, match=r"^s3://photos/a/\*\.jpgg has no images in it"):
        list_all([str(photos), f"s3://KEY:SECRET@photos/a/*.jpgg?{options}"])
    # What is there twice stands for something.
    assert len(list_all([str(photos), str(photos / "near")]).paths) == 13


def test_the_hash_tells_one_listing_from_another(photos: Path) -> None:
    before = list_all([str(photos)]).sha256
    assert list_all([str(photos)]).sha256 == before
    (photos / "near" / "1.png").write_bytes(b"another")
    changed = list_all([str(photos)]).sha256
    (photos / "near" / "1.png").unlink()
    assert len({before, changed, list_all([str(photos)]).sha256}) == 3


def test_a_bucket_is_read_like_a_folder(bucket: tuple[dict[str, bytes], str]) -> None:
    files, options = bucket
    files |= {"a/10.jpg": b"ten", "a/2.jpg": b"two", "a/b/c #?.png": b"odd", "a/.b/1.png": b"", "a/x.txt": b""}
    files |= {"a/2.explained.png": b"drawn"}
    files["lists/some.csv"] = b"path\n2.jpg\ns3://photos/a/10.jpg\n"

    def found(place: str) -> tuple[str, ...]:
        return list_all([f"s3://KEY:SECRET@photos/{place}?{options}"]).paths

    assert found("a") == ("s3://photos/a/2.jpg", "s3://photos/a/10.jpg", "s3://photos/a/b/c #?.png")
    assert found("a/*.jpg") == ("s3://photos/a/2.jpg", "s3://photos/a/10.jpg")
    assert found("**/*.png") == ("s3://photos/a/b/c #?.png",)
    files |= {"of [2024]/1.jpg": b"one", "of [2024]/what?.jpg": b"two"}
    assert found("of [2024]") == ("s3://photos/of [2024]/1.jpg", "s3://photos/of [2024]/what?.jpg")
    assert found("of [2024]/what?.jpg") == ("s3://photos/of [2024]/what?.jpg",)
    assert found("a/2.jpg") == ("s3://photos/a/2.jpg",)
    assert found("lists/some.csv") == ("s3://photos/lists/2.jpg", "s3://photos/a/10.jpg")


def test_a_list_in_a_bucket_names_keys_as_paths_are_named(bucket: tuple[dict[str, bytes], str]) -> None:
    files, options = bucket
    files["a/b/list.csv"] = b"path\n1.jpg\n./1.jpg\n../2.jpg\nc\\3.jpg\n../..//4.jpg\n"
    place = f"s3://KEY:SECRET@photos/a/b/list.csv?{options}"
    expected = ("a/b/1.jpg", "a/2.jpg", "a/b/c/3.jpg", "4.jpg")
    assert list_all([place]).paths == tuple(f"s3://photos/{key}" for key in expected)
    files["a/b/list.csv"] = (
        b"path\n1.jpg\n/data/1.jpg\nC:\\1.jpg\n../../../1.jpg\nfile:///data/1.jpg\ns3://K:a/b@c/1.jpg\n"
    )
    with pytest.raises(DataError) as raised:
        list_all([place])
    assert raised.value.message == (
        "s3://photos/a/b/list.csv, line 3: '/data/1.jpg' is a path of one machine, in a list of a bucket; "
        "line 4: 'C:/1.jpg' is a path of one machine, in a list of a bucket; "
        "line 5: '../../../1.jpg' leaves s3://photos; "
        "line 6: 'file:///data/1.jpg' is a file of one machine, in a list of a bucket; "
        "line 7: the secret in the URI s3://… has a slash: write it %2F"
    )


def test_a_secret_with_a_slash_is_refused_and_not_shown(tmp_path: Path) -> None:
    for uri in ("s3://AKIA:abc/def+gh@photos/a", "gs://me:1/2@photos/a.csv", "http://me:w/x@img.example/a.jpg"):
        with pytest.raises(UsageError, match="has a slash: write it %2F") as raised:
            list_all([uri])
        assert not {"AKIA", "abc", "def", "1/2", "w/x"} & set(re.split(r"[^\w/+]", str(raised.value)))
        (tmp_path / "list.csv").write_text(f"path\n{uri}\n")
        with pytest.raises(DataError, match="line 2: the secret in the URI"):
            list_all([str(tmp_path / "list.csv")])
    assert without_secrets("s3://AKIA:abc%2Fdef@photos/a@2x.jpg") == "s3://photos/a@2x.jpg"
    for uri in ("hdfs://namenode:8020/of/me@here/a.jpg", "http://[::1]:80/@2x.jpg", "s3://photos/a:b/c@2x.jpg"):
        assert without_secrets(uri) == uri


def test_pictures_of_a_bucket_are_read_elsewhere_by_what_the_listing_was_given(
    bucket: tuple[dict[str, bytes], str],
) -> None:
    files, options = bucket
    files["a/c #?.png"] = b"odd"
    listing = list_all([f"s3://KEY:SECRET@photos/a?{options}"])
    assert listing.names == ("s3://photos/a",) and listing.sizes == (3,)
    elsewhere = pickle.loads(pickle.dumps(listing.locations))
    assert elsewhere.read(listing.paths[0]) == b"odd"
    with pytest.raises(ImageError, match=r"s3://photos/a/gone.png does not exist"):
        elsewhere.read("s3://photos/a/gone.png")


def test_a_lost_bucket_is_one_line_without_its_secret(bucket: tuple[dict[str, bytes], str]) -> None:
    _, options = bucket
    with pytest.raises(DataError, match=r"^s3://lost/a does not exist") as raised:
        list_all([f"s3://KEY:SECRET@lost/a?{options}"])
    assert "SECRET" not in str(raised.value) and "\n" not in str(raised.value)
    with pytest.raises(DataError, match="s3://lost/a") as raised:
        list_all([f"s3://KEY:SECRET@lost/a?{options.replace('127.0.0.1', '127.0.0.1:1')}"])
    with pytest.raises(DataError, match="nothing://x cannot be reached: Protocol not known"):
        list_all(["nothing://x/y"])


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (
            "s3://KEYID:SECRET@photos/a?endpoint=minio:9000&scheme=http",
            "s3://photos cannot be reached: Unexpected query parameter in S3 URI: 'endpoint'",
        ),
        (
            "s3://KEYID:SECRET@photos/a?endpoint_override=127.0.0.1:9&scheme=htp",
            "s3://photos cannot be reached: Invalid S3 connection scheme 'htp'",
        ),
        ("s3://KEYID:SECRET%ZZ@photos/a", "s3://photos cannot be reached: Cannot parse URI: 's3://photos'"),
        ("s3://KEYID:SECRET@pho tos/a", "s3://pho tos cannot be reached: Cannot parse URI: 's3://pho tos'"),
        ("gs://photos/a?foo=1", "gs://photos cannot be reached: Unexpected query parameter in GCS URI: 'foo'"),
    ],
)
def test_a_mistyped_option_is_named_without_the_secret(uri: str, said: str) -> None:
    with pytest.raises(DataError) as raised:
        list_all([uri])
    assert raised.value.message.startswith(said), raised.value.message
    assert "endpoint_override" in raised.value.hint
    assert not any(word in str(raised.value) for word in ("KEYID", "SECRET", "pip install"))


def test_what_fsspec_repeats_is_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec.core

    def refuse(uri: str) -> None:
        raise ValueError(f"bad {uri}, KEYID with SEC/RET or SEC%2FRET")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    with pytest.raises(DataError) as raised:
        list_all(["oss://KEYID:SEC%2FRET@photos/a"])
    assert raised.value.message == "oss://photos cannot be reached: bad oss://photos, … with … or …"


def test_other_file_systems_are_fsspecs() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({"/photos/1.png": b"one", "/photos/deep/2.png": b"two"})
    try:
        listing = list_all(["memory://photos"])
        assert listing.paths == ("memory://photos/1.png", "memory://photos/deep/2.png")
        assert [listing.locations.read(path) for path in listing.paths] == [b"one", b"two"]
    finally:
        memory.rm("/photos", recursive=True)
