"""Checks of single values: text, numbers, addresses and URIs, as types that a request model is made of. Pure.

Each check raises ValueError with a sentence that follows the field's name. Not done here: which fields a request has
(`requests.py`), and what its parts mean together (`domain.py`).
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field
from solders.pubkey import Pubkey
from solders.signature import Signature

from chassis.log import EARLIEST, LATEST

MAX_NAME_BYTES = 32
"""Bubblegum refuses longer names in UTF-8 (its MetadataArgs checks Token Metadata's MAX_NAME_LENGTH)."""
MAX_SYMBOL_BYTES = 10
"""Token Metadata's MAX_SYMBOL_LENGTH, checked likewise."""
MAX_DESCRIPTION_CHARACTERS = 5_000
MAX_TRAIT_CHARACTERS = 200
MAX_URI_CHARACTERS = 2_048

SYSTEM_PROGRAM: Final = str(Pubkey.default())

_DECIMAL = re.compile(r"-?[0-9]{1,19}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""The control characters of ASCII and Latin-1, and Unicode's own ends of a line."""
_URI = re.compile(r"[\x21-\x7e]+")
_IPFS_PATH = re.compile(r"[A-Za-z0-9]{32,}(/.*)?")
_ARWEAVE_PATH = re.compile(r"[A-Za-z0-9_-]{43}(/.*)?")


def storable(text: str) -> str:
    """Refuse text that JSON, Postgres or a wallet cannot hold: NUL and lone surrogates."""
    if text.isprintable():  # neither is, and most text is
        return text
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:  # stop: outside input; the caller has to change it
        raise ValueError("must be valid Unicode") from None
    return text


def one_line(text: str) -> str:
    """Refuse control characters, and text of which nothing would be seen."""
    if text.isprintable() and not text.isspace() and text:
        return text
    storable(text)
    if all(character.isspace() or unicodedata.category(character) == "Cf" for character in text):
        raise ValueError("must not be blank")
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def _fits(text: str, limit: int) -> str:
    size = len(text.encode())
    if size > limit:
        raise ValueError(f"is {size} bytes in UTF-8; the chain keeps at most {limit}")
    return text


def on_chain_name(text: str) -> str:
    """Refuse names that Bubblegum would refuse."""
    return _fits(one_line(text), MAX_NAME_BYTES)


def on_chain_symbol(text: str) -> str:
    """Refuse symbols that Bubblegum would refuse."""
    return _fits(one_line(text), MAX_SYMBOL_BYTES)


def solana_address(text: str) -> str:
    """Refuse what is not 32 bytes in base58. Off-curve addresses (of programs and vaults) may own NFTs."""
    try:
        Pubkey.from_string(text)
    except ValueError:  # stop: outside input
        raise ValueError("must be a Solana address: 32 bytes in base58") from None
    return text


def owner_address(text: str) -> str:
    """Refuse what cannot own an NFT: no address, or the System Program's, which libraries write where none was set."""
    if solana_address(text) == SYSTEM_PROGRAM:
        raise ValueError("is the address of the System Program: an NFT there is lost; name a wallet")
    return text


def transaction_signature(text: str) -> str:
    """Refuse what is not 64 bytes in base58."""
    try:
        Signature.from_string(text)
    except ValueError:  # stop: outside input
        raise ValueError("must be a transaction's signature: 64 bytes in base58") from None
    return text


def web_url(text: str) -> str:
    """Refuse what is not an absolute http or https URL."""
    if not _URI.fullmatch(text):
        raise ValueError("must be a URL of visible ASCII characters")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:  # stop: outside input, such as an unclosed IPv6 bracket or port 70000
        raise ValueError("must be a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("must begin with https:// or http:// and name a host")
    return text


def image_uri(text: str) -> str:
    """Refuse what is not an `ipfs://`, `ar://` or `https://` URI."""
    scheme, separator, rest = text.partition("://")
    known = separator and _URI.fullmatch(text)
    if known and scheme == "ipfs" and _IPFS_PATH.fullmatch(rest):
        return text
    if known and scheme == "ar" and _ARWEAVE_PATH.fullmatch(rest):
        return text
    if known and scheme == "https":
        return web_url(text)
    raise ValueError("must be a file, or a URI that begins with ipfs://<cid>, ar://<id> or https://")


def whole_number(value: object) -> object:
    """Take an integer, or its decimal digits as forms send them; refuse booleans, fractions and other spellings."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    raise ValueError("must be a whole number")


def truth(value: object) -> object:
    """Take a boolean, or the words true and false as forms send them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    raise ValueError("must be true or false")


def uuid_of_text(value: object) -> UUID:
    """Take the canonical text form of a UUID; refuse braces, URNs and bare hexadecimal digits."""
    if isinstance(value, UUID):
        return value
    if isinstance(value, str) and _UUID.fullmatch(value):
        return msgspec.convert(value, UUID)  # in half the time of UUID's own reading
    raise ValueError("must be a UUID")


def rfc_3339_time(value: object) -> object:
    """Take a time as RFC 3339 writes it; refuse numbers and the other spellings of ISO 8601.

    What is before or behind all times that the log knows is the first or the last of them: it asks for the same.
    """
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            return max(EARLIEST, min(datetime.fromisoformat(value.upper()), LATEST)).astimezone(UTC)
        except ValueError:  # stop: outside input, such as the 31st of February
            pass
    raise ValueError("must be a time with its zone, such as 2026-01-02T03:04:05Z")


Name = Annotated[str, AfterValidator(on_chain_name), Field(max_length=MAX_NAME_BYTES)]
Symbol = Annotated[str, AfterValidator(on_chain_symbol), Field(max_length=MAX_SYMBOL_BYTES)]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARACTERS), AfterValidator(storable)]
TraitType = Annotated[str, Field(max_length=MAX_TRAIT_CHARACTERS), AfterValidator(one_line)]
TraitValue = Annotated[str, Field(max_length=MAX_TRAIT_CHARACTERS), AfterValidator(storable)]
Address = Annotated[str, AfterValidator(solana_address), Field(max_length=44)]
Recipient = Annotated[str, AfterValidator(owner_address), Field(max_length=44)]
TransactionSignature = Annotated[str, AfterValidator(transaction_signature), Field(max_length=88)]
WebUrl = Annotated[str, Field(max_length=MAX_URI_CHARACTERS), AfterValidator(web_url)]
ImageText = Annotated[str, Field(max_length=MAX_URI_CHARACTERS), AfterValidator(image_uri)]
CollectionId = Annotated[UUID, BeforeValidator(uuid_of_text)]
DIGITS = BeforeValidator(whole_number)
"""Beside an int with bounds: digits in a string are a number too."""
Truth = Annotated[bool, BeforeValidator(truth)]
Moment = Annotated[AwareDatetime, BeforeValidator(rfc_3339_time)]
