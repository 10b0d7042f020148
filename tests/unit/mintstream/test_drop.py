"""What a folder says is to be minted, what is wrong with it, and what its key depends on."""

import json
from pathlib import Path

import pytest

from mintstream.drop import (
    MAX_FILES,
    MAX_ITEMS,
    DropItem,
    DropUnreadable,
    content_key,
    content_keys,
    read_drop,
    requests_of,
)


def image(folder: Path, name: str, content: bytes = b"png") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_images_alone_are_named_after_their_files(tmp_path: Path) -> None:
    image(tmp_path, "b.png")
    image(tmp_path, "a.JPG")
    image(tmp_path, "notes.txt")
    assert read_drop(tmp_path) == [
        DropItem({"name": "a"}, tmp_path / "a.JPG"),
        DropItem({"name": "b"}, tmp_path / "b.png"),
    ]


@pytest.mark.parametrize("column", ["image", "file", "filename"])
def test_columns_that_are_no_fields_are_traits(tmp_path: Path, column: str) -> None:
    image(tmp_path, "1.png")
    (tmp_path / "metadata.csv").write_text(f'\ufeff{column},name,copies,Colour,Size\n1.png,"One, first",3,red,\n')
    [item] = read_drop(tmp_path)
    assert item.image == tmp_path / "1.png"
    assert item.metadata == {
        "name": "One, first",
        "copies": 3,
        "attributes": [{"trait_type": "Colour", "value": "red"}],
    }


def test_no_image_of_the_folder_is_left_out_without_a_word(tmp_path: Path) -> None:
    table = tmp_path / "metadata.csv"
    table.write_text("name,image\nOne,1.png\n")
    for number in range(1, 9):
        (tmp_path / f"{number}.png").write_bytes(b"p")
    with pytest.raises(DropUnreadable, match=r"no entry for 2\.png, 3\.png, 4\.png, 5\.png, 6\.png and 2 more"):
        read_drop(tmp_path)
    assert [item.image for item in read_drop(tmp_path, table)] == [tmp_path / "1.png"], "part of it, on purpose"


def test_json_takes_files_and_uris(tmp_path: Path) -> None:
    image(tmp_path, "1.png")
    rows = [{"name": "A", "image": "1.png"}, {"name": "B", "image": "ipfs://cid", "copies": 2}]
    (tmp_path / "metadata.json").write_text(json.dumps(rows))
    first, second = read_drop(tmp_path)
    assert (first.image, first.metadata) == (tmp_path / "1.png", {"name": "A"})
    assert (second.image, second.metadata) == (None, {"name": "B", "image": "ipfs://cid", "copies": 2})


def test_a_json_file_beside_each_image(tmp_path: Path) -> None:
    one = image(tmp_path, "1.png")
    (tmp_path / "1.json").write_text('{"name": "One", "image": "elsewhere.png"}')
    assert read_drop(tmp_path) == read_drop(one) == [DropItem({"name": "One"}, one)]


def test_one_image_finds_its_row_in_metadata_that_are_named(tmp_path: Path) -> None:
    image(tmp_path, "1.png")
    two = image(tmp_path, "2.png")
    rows = tmp_path / "rows.csv"
    rows.write_text("image,name\n1.png,One\n2.png,Two\n")
    assert read_drop(two, rows) == [DropItem({"name": "Two"}, two)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image,name\n1.png,One,more\n", "line 2: more cells"),
        ("image,name,copies\n1.png,One,no\n", "line 2: copies is 'no'"),
        ("image,name\n2.png,Two\n", "entry 1: its image 2.png is not in"),
        ("image,name\n../secret.png,Two\n", "entry 1: its image ../secret.png is not in"),
        ("image,name\n1.png,\n", "entry 1: it has no name"),
        ("image,Title\n1.png,One\n", "none of its columns is `name`, they are image, Title"),
        ("name\nOne\n", "entry 1: it has no image"),
        ("image,name\n", "has no rows"),
        ("", "has no rows"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    image(folder, "1.png")
    image(tmp_path, "secret.png")
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(DropUnreadable, match=told):
        read_drop(folder)


@pytest.mark.parametrize("table", [None, "image,name\n1.png,One\n2.svg,Two\n"])
def test_a_picture_that_the_api_refuses_is_refused_before_anything_is_sent(tmp_path: Path, table: str | None) -> None:
    for name in ("1.png", "2.svg", "index.html"):
        image(tmp_path, name)
    if table:
        (tmp_path / "metadata.csv").write_text(table)
    with pytest.raises(DropUnreadable, match=r"2\.svg is no image that can be minted"):
        read_drop(tmp_path)
    (tmp_path / "2.svg").unlink()
    (tmp_path / "metadata.csv").unlink(missing_ok=True)
    assert [one.image for one in read_drop(tmp_path)] == [tmp_path / "1.png"]  # a page beside the images is none


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
def test_json_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metadata.json").write_text(text)
    with pytest.raises(DropUnreadable, match="no JSON"):
        read_drop(tmp_path)


def test_requests_hold_what_the_api_takes(tmp_path: Path) -> None:
    files = [DropItem({"name": str(number)}, tmp_path / "x.png") for number in range(2 * MAX_FILES + 1)]
    linked = [DropItem({"name": "l", "image": "ar://x", "copies": MAX_ITEMS - 1}, None)] * 2
    cut = list(requests_of([*files, *linked]))
    assert [item for part in cut for item in part] == [*files, *linked]
    assert all(sum(item.copies for item in part) <= MAX_ITEMS for part in cut)
    assert all(sum(item.image is not None for item in part) <= MAX_FILES for part in cut)
    assert len(cut) == 4


def test_the_key_changes_with_everything_that_is_asked_for(tmp_path: Path) -> None:
    path = image(tmp_path, "1.png")
    item = DropItem({"name": "One", "copies": 1}, path)
    keys = [content_key([item], to="a"), content_key([item], to="b"), content_key([item, item], to="a")]
    keys.append(content_key([DropItem({"name": "Two", "copies": 1}, path)], to="a"))
    assert content_key([DropItem({"copies": 1, "name": "One"}, path)], to="a") == keys[0]
    path.write_bytes(b"another")
    keys.append(content_key([item], to="a"))
    assert len(set(keys)) == len(keys)


def test_requests_that_are_as_they_were_keep_their_keys(tmp_path: Path) -> None:
    one, two, three = ([DropItem({"name": name}, None)] for name in ("1", "2", "3"))
    before = content_keys([one, two, one], to="a")
    assert content_keys([one, three, one], to="a") == [before[0], content_keys([three], to="a")[0], before[2]]
    assert len(set(before)) == 3, "the same content twice is minted twice"
