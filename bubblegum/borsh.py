"""Borsh, the byte format of the programs' arguments, accounts and events: a writer and a bounded reader.

Used by every encoder and decoder of this package. Integers are little-endian, lengths are u32, an option is one tag
byte. The reader trusts nothing: whatever does not fit the bytes that are there is a DecodeError, so that a hostile
length can never allocate.
"""

from collections.abc import Callable, Iterable
from typing import Self, TypeVar

from solders.pubkey import Pubkey

from bubblegum.errors import DecodeError

T = TypeVar("T")


class Writer:
    """Appends Borsh values; every method returns the writer. Raises OverflowError when an integer does not fit."""

    def __init__(self) -> None:
        self._out = bytearray()

    def done(self) -> bytes:
        """Everything written so far."""
        return bytes(self._out)

    def raw(self, value: bytes) -> Self:
        """Fixed-size bytes, without a length."""
        self._out += value
        return self

    def _integer(self, value: int, size: int) -> Self:
        return self.raw(value.to_bytes(size, "little"))

    def u8(self, value: int) -> Self:
        """One byte."""
        return self._integer(value, 1)

    def u16(self, value: int) -> Self:
        """Two bytes."""
        return self._integer(value, 2)

    def u32(self, value: int) -> Self:
        """Four bytes."""
        return self._integer(value, 4)

    def u64(self, value: int) -> Self:
        """Eight bytes."""
        return self._integer(value, 8)

    def boolean(self, value: bool) -> Self:
        """One byte, 0 or 1."""
        return self.u8(int(value))

    def pubkey(self, value: Pubkey) -> Self:
        """32 bytes."""
        return self.raw(bytes(value))

    def sized(self, value: bytes) -> Self:
        """A u32 length and the bytes."""
        self._out += len(value).to_bytes(4, "little")
        self._out += value
        return self

    def string(self, value: str) -> Self:
        """A u32 length in bytes and the UTF-8."""
        return self.sized(value.encode())

    def option(self, value: T | None, write: Callable[[T], object]) -> Self:
        """A tag byte and, unless `value` is None, what `write` appends to this writer."""
        self.boolean(value is not None)
        if value is not None:
            write(value)
        return self

    def vector(self, values: Iterable[T], write: Callable[[T], object]) -> Self:
        """A u32 count and what `write` appends to this writer for each value."""
        items = list(values)
        self.u32(len(items))
        for item in items:
            write(item)
        return self


class Reader:
    """Reads Borsh values from the front of `data`. Every method raises DecodeError when the bytes do not fit."""

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self._at = offset

    @property
    def offset(self) -> int:
        """Bytes consumed, counted from the start of the data."""
        return self._at

    @property
    def remaining(self) -> int:
        """Bytes not yet consumed."""
        return len(self._data) - self._at

    def finish(self) -> None:
        """Raise DecodeError unless every byte was consumed."""
        if self.remaining:
            raise DecodeError(f"{self.remaining} bytes left over after offset {self._at}")

    def raw(self, size: int) -> bytes:
        """The next `size` bytes."""
        start, end = self._at, self._at + size
        if end > len(self._data):
            raise DecodeError(f"{size} bytes wanted at offset {start}, {self.remaining} there")
        self._at = end
        return self._data[start:end]

    def _integer(self, size: int) -> int:
        return int.from_bytes(self.raw(size), "little")

    def u8(self) -> int:
        """One byte."""
        return self._integer(1)

    def u16(self) -> int:
        """Two bytes."""
        return self._integer(2)

    def u32(self) -> int:
        """Four bytes."""
        return self._integer(4)

    def u64(self) -> int:
        """Eight bytes."""
        return self._integer(8)

    def boolean(self) -> bool:
        """One byte that must be 0 or 1."""
        value = self.u8()
        if value > 1:
            raise DecodeError(f"{value} at offset {self._at - 1} is not a boolean")
        return value == 1

    def pubkey(self) -> Pubkey:
        """32 bytes."""
        return Pubkey.from_bytes(self.raw(32))

    def sized(self) -> bytes:
        """A u32 length and the bytes."""
        return self.raw(self.u32())

    def string(self) -> str:
        """A u32 length in bytes and the UTF-8."""
        start = self._at
        try:
            return self.sized().decode()
        except UnicodeDecodeError as error:
            # The same bytes will never become text: told to the caller as what it is.
            raise DecodeError(f"no UTF-8 at offset {start}") from error

    def option(self, read: Callable[[], T]) -> T | None:
        """A tag byte and, if it is 1, what `read` takes from this reader."""
        return read() if self.boolean() else None

    def vector(self, read: Callable[[], T]) -> tuple[T, ...]:
        """A u32 count and as many values as it says; `read` must consume at least one byte each."""
        count = self.u32()
        if count > self.remaining:
            raise DecodeError(f"{count} items cannot fit in {self.remaining} bytes")
        return tuple(read() for _ in range(count))
