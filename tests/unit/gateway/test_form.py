"""The reader of multipart forms: the same form however its bytes are cut, and nothing left behind."""

import errno
from collections.abc import AsyncIterator, Sequence
from tempfile import SpooledTemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.api.form import MAX_PARTS, SPOOL_BYTES, FormReader, Holdings
from services.gateway.errors import ApiError, MalformedBody, Overloaded

BOUNDARY = b"boundary"


def encoded(parts: Sequence[tuple[str, str | None, bytes]]) -> bytes:
    """A multipart body of (field, filename or None, content)."""
    body = b""
    for field, filename, content in parts:
        disposition = f'form-data; name="{field}"' + (f'; filename="{filename}"' if filename is not None else "")
        body += b"--boundary\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"
    return body + b"--boundary--\r\n"


async def cut(body: bytes, sizes: Sequence[int]) -> AsyncIterator[bytes]:
    position, turn = 0, 0
    while position < len(body):
        size = sizes[turn % len(sizes)]
        yield body[position : position + size]
        position, turn = position + size, turn + 1


async def read(body: bytes, sizes: Sequence[int] = (65_536,)) -> FormReader:
    reader = FormReader(BOUNDARY)
    await reader.read(cut(body, sizes))
    return reader


contents = st.binary(max_size=200).filter(lambda content: b"\r\n--boundary" not in content)


@given(
    st.lists(contents, max_size=4),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=4),
    st.lists(st.integers(1, 70), min_size=1, max_size=6),
)
async def test_cutting_does_not_matter(files: list[bytes], texts: list[str], sizes: list[int]) -> None:
    parts = [(f"text{number}", None, text.encode()) for number, text in enumerate(texts)]
    parts += [("images", f"{number}.png", content) for number, content in enumerate(files)]
    reader = await read(encoded(parts), sizes)
    assert reader.form.texts == {f"text{number}": text for number, text in enumerate(texts)}
    assert [await file.read() for file in reader.form.files] == files
    assert [file.size for file in reader.form.files] == [len(content) for content in files]
    assert [file.filename for file in reader.form.files] == [f"{number}.png" for number in range(len(files))]
    reader.form.close()


@given(st.binary(max_size=300), st.integers(0, 300))
async def test_any_bytes_are_a_form_or_refused(noise: bytes, position: int) -> None:
    body = encoded([("a", None, b"1"), ("images", "x.png", b"22")])
    reader = FormReader(BOUNDARY)
    status = 200
    try:
        await reader.read(cut(body[:position] + noise + body[position:], (50,)))
    except ApiError as refused:
        status = refused.status
    assert 200 <= status < 500
    reader.form.close()


@given(st.integers(0, 200))
async def test_a_form_that_breaks_off_is_refused(length: int) -> None:
    body = encoded([("a", None, b"1"), ("images", "x.png", b"2" * 100)])
    reader = FormReader(BOUNDARY)
    with pytest.raises(MalformedBody):
        await reader.read(cut(body[: min(length, len(body) - 5)], (64,)))
    reader.form.close()


@given(st.lists(st.integers(1, 70), min_size=1, max_size=6))
async def test_nothing_but_line_ends_may_stand_before_the_first_part(sizes: list[int]) -> None:
    body = encoded([("name", None, b"Tent")])
    assert (await read(b"\r\n\r\n" + body, sizes)).form.texts == {"name": "Tent"}
    with pytest.raises(MalformedBody):
        await read(b"a preamble\r\n" + body, sizes)
    with pytest.raises(MalformedBody):
        await read(b"--bound", sizes)


async def test_many_small_files_are_not_all_kept_in_memory() -> None:
    contents = [bytes([number]) * (SPOOL_BYTES // 4) for number in range(8)]
    reader = await read(encoded([("images", "x.png", content) for content in contents]))
    assert [await file.read() for file in reader.form.files] == contents
    assert [file.on_disk for file in reader.form.files] == [False] * 4 + [True] * 4
    reader.form.close()


async def test_a_form_that_has_no_room_beside_the_others_is_refused() -> None:
    holdings = Holdings(most=250, most_of_one=150)

    async def read_from(sender: str, size: int) -> FormReader:
        reader = FormReader(BOUNDARY, sender, holdings)
        try:
            await reader.read(cut(encoded([("images", "x.png", bytes(size))]), (64,)))
        except ApiError:
            reader.form.close()
            raise
        return reader

    first = await read_from("a", 100)
    with pytest.raises(Overloaded):
        await read_from("a", 60)
    second = await read_from("b", 100)
    with pytest.raises(Overloaded):
        await read_from("c", 60)
    first.form.close()
    first.form.close()
    third = await read_from("c", 150)
    second.form.close()
    third.form.close()
    (await read_from("a", 150)).form.close()


async def test_a_full_disk_is_no_mistake_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SpooledTemporaryFile, "write", write)
    with pytest.raises(Overloaded):
        await read(encoded([("images", "x.png", b"1")]))


@pytest.mark.parametrize("head", [b"X: " + b"a" * 5_000, b"a" * 5_000 + b": 1", b"a: 1\r\n" * 9])
async def test_the_head_of_a_part_is_bounded(head: bytes) -> None:
    with pytest.raises(MalformedBody):
        await read(b"--boundary\r\n" + head + b"\r\n\r\n1\r\n--boundary--\r\n")


async def test_a_form_of_endless_empty_parts_is_refused() -> None:
    with pytest.raises(MalformedBody):
        await read(encoded([("images", "", b"")] * (MAX_PARTS + 1)))
    (await read(encoded([("images", "", b"")] * MAX_PARTS))).form.close()


async def test_a_file_that_reaches_the_disk_is_read_back_whole() -> None:
    content = bytes(range(256)) * (SPOOL_BYTES // 128)
    reader = await read(encoded([("images", "x.png", content)]))
    [file] = reader.form.files
    assert await file.read() == content
    assert await file.read() == content  # once to check it, once to keep it
    reader.form.close()
    with pytest.raises(ValueError, match="closed"):
        await file.read()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\Users\\\\me\\\\tent.png", "tent.png"),
        ("tent.png", "tent.png"),
        ("t\tent.png", "tent.png"),
        ("x" * 300 + ".png", "x" * 255),
    ],
)
async def test_file_names_are_names_only(sent: str, kept: str) -> None:
    reader = await read(encoded([("images", sent, b"1")]))
    assert [file.filename for file in reader.form.files] == [kept]
    reader.form.close()
