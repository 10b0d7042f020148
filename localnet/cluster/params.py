"""Reading the parameters of a JSON-RPC request, which are hostile; and the error that says what is wrong with them.

Used by every RPC method. All readers raise RpcError(INVALID_PARAMS).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from localnet.cluster.model import Commitment, Json

# JSON-RPC 2.0 section 5.1.
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# Agave: rpc-client-api `custom_error`.
PREFLIGHT_FAILURE = -32002
SIGNATURE_VERIFICATION_FAILURE = -32003
BLOCK_NOT_AVAILABLE = -32004
SLOT_SKIPPED = -32007
UNSUPPORTED_TRANSACTION_VERSION = -32015
MIN_CONTEXT_SLOT_NOT_REACHED = -32016

# Agave still understands these names of before 1.5 (`CommitmentLevel` deprecations), and old clients send them.
_COMMITMENTS = {
    "processed": Commitment.PROCESSED,
    "recent": Commitment.PROCESSED,
    "confirmed": Commitment.CONFIRMED,
    "single": Commitment.CONFIRMED,
    "singleGossip": Commitment.CONFIRMED,
    "finalized": Commitment.FINALIZED,
    "max": Commitment.FINALIZED,
    "root": Commitment.FINALIZED,
}


class RpcError(Exception):
    """A JSON-RPC error answer. Stops the request; whether to retry is the client's decision, from `code`."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def body(self) -> Json:
        """The `error` object of the answer."""
        body: dict[str, Json] = {"code": self.code, "message": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def invalid(message: str) -> RpcError:
    """An INVALID_PARAMS error to raise."""
    return RpcError(INVALID_PARAMS, message)


class Config:
    """A named-parameter object: the trailing one of most methods, empty when absent."""

    def __init__(self, values: Mapping[str, Json]) -> None:
        self._values = values

    def raw(self, name: str) -> Json:
        """The value as sent; None when absent or null."""
        return self._values.get(name)

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise invalid(f"invalid type for {name}: expected a string")
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false when absent."""
        value = self._values.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise invalid(f"invalid type for {name}: expected a boolean")
        return value

    def natural(self, name: str, most: int = 2**64 - 1) -> int | None:
        """An unsigned integer up to `most`, or None when absent."""
        value = self._values.get(name)
        return None if value is None else natural(value, name, most)

    def section(self, name: str) -> Config | None:
        """A nested object, or None when absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid(f"invalid type for {name}: expected an object")
        return Config(value)

    def commitment(self, default: Commitment = Commitment.FINALIZED, name: str = "commitment") -> Commitment:
        """A commitment level; finalized when absent, as on a real node."""
        value = self.text(name)
        if value is None:
            return default
        if value not in _COMMITMENTS:
            raise invalid(f"unknown variant `{value}`, expected one of `processed`, `confirmed`, `finalized`")
        return _COMMITMENTS[value]


class Params:
    """The positional parameters of one request."""

    def __init__(self, values: Sequence[Json]) -> None:
        self._values = values

    def raw(self, index: int) -> Json:
        """The value at a position; None when absent."""
        return self._values[index] if index < len(self._values) else None

    def text(self, index: int, name: str) -> str:
        """A required string."""
        value = self.raw(index)
        if not isinstance(value, str):
            raise invalid(f"`params` should have a string `{name}` at position {index}")
        return value

    def natural(self, index: int, name: str, most: int = 2**64 - 1) -> int:
        """A required unsigned integer."""
        return natural(self.raw(index), name, most)

    def texts(self, index: int, name: str, most: int) -> list[str]:
        """A required array of at most `most` strings."""
        value = self.raw(index)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid(f"`params` should have an array of strings `{name}` at position {index}")
        if len(value) > most:
            raise invalid(f"Too many inputs provided; max {most}")
        return cast("list[str]", value)

    def pubkey(self, index: int) -> Pubkey:
        """A required address."""
        return pubkey(self.text(index, "address"))

    def signature(self, index: int) -> str:
        """A required transaction signature, in its canonical base58."""
        return signature(self.text(index, "signature"))

    def config(self, index: int) -> Config:
        """The optional named parameters at a position."""
        value = self.raw(index)
        if value is None:
            return Config({})
        if not isinstance(value, dict):
            raise invalid(f"`params` should have an object at position {index}")
        return Config(value)


def natural(value: Json, name: str, most: int) -> int:
    """An unsigned integer."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise invalid(f"invalid value for {name}: expected an integer from 0 to {most}")
    return value


def pubkey(text: str) -> Pubkey:
    """A base58 address of 32 bytes."""
    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise invalid("Invalid param: not a base58 address of 32 bytes") from None


def signature(text: str) -> str:
    """A base58 signature of 64 bytes."""
    try:
        return str(Signature.from_string(text))
    except ValueError:
        raise invalid("Invalid param: not a base58 signature of 64 bytes") from None


def blockhash(text: str) -> bytes:
    """A base58 block hash of 32 bytes."""
    try:
        return bytes(Hash.from_string(text))
    except ValueError:
        raise invalid("Invalid param: not a base58 hash of 32 bytes") from None
