"""What a folder of images and its metadata say is to be minted: read, checked, cut into requests. No network.

Used by `mintstream mint`. The metadata are one CSV, one JSON list, or a JSON file beside each image. Not done here: the
rules for names and URIs, which are the gateway's.
"""

import csv
import hashlib
import json
import mimetypes
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp"})
"""Of the images that the API takes."""
METADATA_FILES: Final = ("metadata.csv", "metadata.json")
FIELDS: Final = ("name", "description", "symbol", "external_url", "copies")
"""Columns of a CSV with a meaning of their own, beside the image's; every other column is a trait."""
IMAGE_COLUMNS: Final = ("image", "file", "filename")
"""What tables for the console call the image as well; the first that a row fills in counts."""
MAX_FILES: Final = 50
"""Most files that the API takes in one request."""
MAX_ITEMS: Final = 1000
"""Most NFTs, copies counted, that the API takes in one request."""
MAX_NAMED: Final = 5
"""Files that an error names."""
MAX_METADATA_BYTES: Final = 64 * 1024 * 1024
_URI: Final = ("ipfs://", "ar://", "https://")


class DropUnreadable(Exception):
    """The folder or its metadata cannot be minted; the text says what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class DropItem:
    """One NFT: its metadata in the API's fields, and its image unless the metadata name a URI."""

    metadata: Mapping[str, Any]
    image: Path | None

    @property
    def copies(self) -> int:
        """How many are minted of it."""
        return int(self.metadata.get("copies", 1))


def read_drop(path: Path, metadata: Path | None = None) -> list[DropItem]:
    """Return the NFTs of a folder, or of a single image; raises DropUnreadable.

    `metadata` is a CSV or a JSON file; by default the folder's metadata.csv or metadata.json, which has to name every
    image of the folder, else the JSON file beside each image, else the images' names.
    """
    if not path.exists():
        raise DropUnreadable(f"{path} is not there: name an image, or a folder of images")
    folder = path if path.is_dir() else path.parent
    described = metadata or (_described(folder) if path.is_dir() else None)
    if described is not None:
        rows = _rows(described)
        if path.is_file():
            rows = [row for row in rows if row.get("image") == path.name] or rows
            if len(rows) != 1:
                raise DropUnreadable(f"{described} has no row whose image is {path.name}")
            rows = [{**rows[0], "image": path.name}]
        items = [_item(row, folder, f"{described}, entry {number}") for number, row in enumerate(rows, start=1)]
    else:
        items = [_beside(image) for image in _images(path)]
    if not items and described is not None:
        raise DropUnreadable(f"{described} has no rows: there is nothing to mint")
    if not items:
        raise DropUnreadable(f"{path} has nothing to mint: no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    if described is not None and metadata is None:
        _check_all_named(items, folder, described)
    return items


def _check_all_named(items: Sequence[DropItem], folder: Path, described: Path) -> None:
    """Refuse images that would be left out without a word."""
    named = {item.image.resolve() for item in items if item.image is not None}
    images = (each for each in folder.iterdir() if each.is_file() and each.suffix.lower() in IMAGE_SUFFIXES)
    if left := sorted(image.name for image in images if image.resolve() not in named):
        more = f" and {len(left) - MAX_NAMED:,} more" if len(left) > MAX_NAMED else ""
        raise DropUnreadable(
            f"{described} has no entry for {', '.join(left[:MAX_NAMED])}{more}: give each image of the folder one, or "
            f"say with --metadata {described} that the others are not to be minted"
        )


def requests_of(items: Sequence[DropItem]) -> Iterator[list[DropItem]]:
    """Yield the items in order, cut into what the API takes in one request."""
    taken: list[DropItem] = []
    files = copies = 0
    for item in items:
        with_file = item.image is not None
        if taken and (files + with_file > MAX_FILES or copies + item.copies > MAX_ITEMS):
            yield taken
            taken, files, copies = [], 0, 0
        taken.append(item)
        files += with_file
        copies += item.copies
    if taken:
        yield taken


def content_key(items: Sequence[DropItem], **wanted: object) -> str:
    """Return the digest of everything that is asked for: metadata, the images' bytes and `wanted`. Reads the images."""
    digest = hashlib.sha256(_canonical(wanted))
    for item in items:
        digest.update(_canonical(item.metadata))
        if item.image is not None:
            try:
                with item.image.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:  # stop: the caller has to put the image right
                raise DropUnreadable(f"{item.image} cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def content_keys(requests: Sequence[Sequence[DropItem]], **wanted: object) -> list[str]:
    """Return a key for each request from its own content, so that a drop which is mended keeps those of the others.

    Requests that say the same are told apart by their order.
    """
    seen, keys = Counter[str](), list[str]()
    for request in requests:
        content = content_key(request, **wanted)
        keys.append(f"{content}-{seen[content]}")
        seen[content] += 1
    return keys


def _canonical(value: Mapping[str, Any]) -> bytes:
    encoded = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return len(encoded).to_bytes(8, "big") + encoded


def _described(folder: Path) -> Path | None:
    return next((folder / name for name in METADATA_FILES if (folder / name).is_file()), None)


def _images(path: Path) -> list[Path]:
    if path.is_file():
        return [_mintable(path)]
    return sorted(_mintable(each) for each in path.iterdir() if each.is_file() and _is_picture(each))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES or (mimetypes.guess_type(path.name)[0] or "").startswith("image/")


def _mintable(image: Path) -> Path:
    """Refuse pictures of other kinds before anything is sent: the API would, with what comes before them minted."""
    if _is_picture(image) and image.suffix.lower() not in IMAGE_SUFFIXES:
        raise DropUnreadable(f"{image} is no image that can be minted: PNG, JPEG, GIF or WebP")
    return image


def _beside(image: Path) -> DropItem:
    """Return an image with the JSON file of its name, or with its name alone."""
    beside = image.with_suffix(".json")
    if not beside.is_file():
        return DropItem({"name": image.stem}, image)
    row = _json(beside)
    if not isinstance(row, dict):
        raise DropUnreadable(f"{beside} is no JSON object")
    return _item({**cast("dict[str, Any]", row), "image": image.name}, image.parent, str(beside))


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix.lower() == ".csv":
        return list(_csv_rows(path))
    rows = _json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in cast("list[object]", rows)):
        raise DropUnreadable(f"{path} is no JSON list of objects with a name and an image each")
    return cast("list[dict[str, Any]]", rows)


def _json(path: Path) -> object:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:  # stop: the caller has to put the file right
        raise DropUnreadable(f"{path}, line {error.lineno}: no JSON: {error.msg}") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_METADATA_BYTES:
            raise DropUnreadable(f"{path} is larger than {MAX_METADATA_BYTES:,} bytes")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:  # stop: the caller has to put the file right
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DropUnreadable(f"{path} cannot be read: {reason}") from None


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(_text(path).splitlines(keepends=True), strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        if columns and "name" not in columns:
            raise DropUnreadable(f"{path}: none of its columns is `name`, they are {', '.join(columns)}")
        for raw in reader:
            if None in raw:
                raise DropUnreadable(f"{path}, line {reader.line_num}: more cells than the heading has columns")
            cells = {str(name).strip(): (value or "").strip() for name, value in raw.items()}
            row: dict[str, Any] = {name: cells[name] for name in FIELDS if cells.get(name)}
            if image := next((cells[name] for name in IMAGE_COLUMNS if cells.get(name)), ""):
                row["image"] = image
            if "copies" in row:
                row["copies"] = _whole(row["copies"], f"{path}, line {reader.line_num}")
            traits = {name: value for name, value in cells.items() if value and name not in (*FIELDS, *IMAGE_COLUMNS)}
            if traits:
                row["attributes"] = [{"trait_type": name, "value": value} for name, value in traits.items()]
            yield row
    except csv.Error as error:  # stop: the caller has to put the file right
        raise DropUnreadable(f"{path}, line {reader.line_num}: {error}") from None


def _whole(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_ITEMS:
        raise DropUnreadable(f"{where}: copies is {text!r} and has to be a number from 1 to {MAX_ITEMS}")
    return int(text)


def _item(row: Mapping[str, Any], folder: Path, where: str) -> DropItem:
    if not isinstance(row.get("name"), str):
        raise DropUnreadable(f"{where}: it has no name")
    metadata = {name: value for name, value in row.items() if name != "image"}
    if "copies" in metadata:
        metadata["copies"] = _whole(str(metadata["copies"]), where)
    named = row.get("image")
    if not isinstance(named, str):
        raise DropUnreadable(f"{where}: it has no image: name a file of the folder, or a URI")
    if named.startswith(_URI):
        return DropItem({**metadata, "image": named}, None)
    image = folder / named
    if not image.resolve().is_relative_to(folder.resolve()) or not image.is_file():
        raise DropUnreadable(f"{where}: its image {named} is not in {folder}")
    return DropItem(metadata, _mintable(image))
