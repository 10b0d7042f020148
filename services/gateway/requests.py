"""The bodies that callers may send, field by field in the source document's names. Pure.

Read by `domain.py`; also the request schemas of the OpenAPI document. Unknown fields are refused. A body's `image`
may be absent here: the file beside it takes its place, and `domain.py` sees to it that there is exactly one.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError
from pydantic.alias_generators import to_camel

from contracts.collection import MAX_TREES
from contracts.mint import MAX_ITEMS
from services.gateway.errors import Problem, ValidationFailed
from services.gateway.texts import (
    DIGITS,
    Address,
    CollectionId,
    Description,
    ImageText,
    Name,
    Recipient,
    Symbol,
    TraitType,
    TraitValue,
    Truth,
    WebUrl,
)

MAX_BATCH_SIZE = 100
MAX_DELAY_MS = 3_600_000
MAX_ATTRIBUTES = 100
MAX_SIGN_IN_CHARACTERS = 2048
MAX_DOMAIN_CHARACTERS = 255
MAX_SIGNATURE_CHARACTERS = 88
MAX_PROBLEMS = 100
"""Most problems told in one answer; a batch of 1000 wrong NFTs needs no longer list."""

LIST = Strict(False)
"""Beside a tuple: it is sent as a list. A default that is a list would be copied, deeply, for each request."""
Copies = Annotated[int, Field(ge=1, le=MAX_ITEMS), DIGITS]


class Body(BaseModel):
    """What all bodies have in common: camelCase names, and no field that is not known."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, strict=True, use_attribute_docstrings=True
    )


class AttributeBody(BaseModel):
    """One trait, in the field names of the Metaplex JSON standard."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trait_type: TraitType
    value: TraitValue


class MetadataBody(BaseModel):
    """What an NFT is. `symbol` is the collection's when absent."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Name
    description: Description = ""
    image: ImageText | None = None
    symbol: Symbol | None = None
    attributes: Annotated[tuple[AttributeBody, ...], LIST, Field(max_length=MAX_ATTRIBUTES)] = ()
    external_url: WebUrl | None = None


class NftBody(MetadataBody):
    """One NFT of a batch, with the number of its copies."""

    copies: Copies = 1


class MintSingleBody(Body):
    """`POST /api/mint/single`."""

    collection_id: CollectionId
    recipient: Recipient
    metadata: MetadataBody
    copies: Copies = 1


class MintBatchBody(Body):
    """`POST /api/mint/batch`."""

    collection_id: CollectionId
    recipient: Recipient
    nfts: Annotated[list[NftBody], Field(min_length=1, max_length=MAX_ITEMS)]
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE), DIGITS] | None = None
    """Items of a chunk; the service's default when absent."""
    delay_between_batches: Annotated[int, Field(ge=0, le=MAX_DELAY_MS), DIGITS] = 0
    """Milliseconds."""


class TreeBody(Body):
    """The size of a collection's merkle tree; `domain.py` checks it, and fills in what is left out."""

    max_depth: Annotated[int, DIGITS] = 14
    max_buffer_size: Annotated[int, DIGITS] | None = None
    canopy_depth: Annotated[int, DIGITS] | None = None


class CollectionBody(Body):
    """`POST /api/collections`."""

    name: Name
    symbol: Symbol
    standard: Literal["v1", "v2"] = "v2"
    tree: TreeBody = TreeBody()
    trees: Annotated[int, Field(ge=1, le=MAX_TREES), DIGITS] = 1
    """How many such trees to begin with: each takes about one transaction a slot's write lock, side by side."""
    description: Description = ""
    image: ImageText | None = None
    external_url: WebUrl | None = None
    seller_fee_basis_points: Annotated[int, Field(ge=0, le=10_000), DIGITS] = 0
    is_public: Truth = False
    allow_minting: Truth = True


class CollectionFlagsBody(Body):
    """`PATCH /api/collections/{id}`; what is left out stays as it is."""

    is_public: Truth | None = None
    allow_minting: Truth | None = None


class ChallengeBody(Body):
    """`POST /api/auth/challenge`."""

    address: Address
    domain: Annotated[str, Field(max_length=MAX_DOMAIN_CHARACTERS)] | None = None
    """The domain of the page that asks, when this service signs in for several."""


class LoginBody(Body):
    """`POST /api/auth/login`."""

    message: Annotated[str, Field(max_length=MAX_SIGN_IN_CHARACTERS)]
    """What was signed, unchanged: the challenge's `message`, or what `solana:signIn` made of its parts."""
    signature: Annotated[str, Field(max_length=MAX_SIGNATURE_CHARACTERS)]
    """In base58."""


class EstimateBody(Body):
    """`POST /api/collections/estimate`; what a collection would be asked for with, as far as it costs something."""

    name: Name | None = None
    """The longest one is assumed when it is left out."""
    standard: Literal["v1", "v2"] = "v2"
    tree: TreeBody = TreeBody()
    trees: Annotated[int, Field(ge=1, le=MAX_TREES), DIGITS] = 1


class ImportBody(Body):
    """`POST /api/collections/import`."""

    collection_address: Address
    """The MPL-Core collection (V2), or the mint of the token-metadata collection NFT (V1)."""
    tree_addresses: Annotated[list[Address], Field(max_length=MAX_TREES)] = []
    """Its trees; without them, those of the assets that DAS knows in it."""
    symbol: Symbol | None = None
    """Of NFTs that bring none, where the collection has none on chain."""
    is_public: Truth = False
    allow_minting: Truth = True


B = TypeVar("B", bound=BaseModel)


def read_body(body: type[B], fields: Mapping[str, object]) -> B:
    """Return `fields` as `body`. Raises ValidationFailed with every problem found, up to MAX_PROBLEMS."""
    try:
        return body.model_validate(fields)
    except ValidationError as error:  # stop: outside input; the caller has to change it
        found = error.errors(include_url=False, include_input=False)
        problems = [Problem(path_of(one["loc"]), sentence_of(one)) for one in found[:MAX_PROBLEMS]]
        raise ValidationFailed(problems) from None


def path_of(location: tuple[int | str, ...]) -> str:
    """Return a place in a body as callers write it: `nfts[3].name`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


_SENTENCES = {
    "missing": "is required",
    "int_parsing": "must be a whole number",
    "extra_forbidden": "unknown field",
    "string_type": "must be text",
    "string_too_long": "must have at most {max_length} characters",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entry",
    "model_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
"""What pydantic finds, by its stable names, in the words of this API."""


def sentence_of(found: Mapping[str, Any]) -> str:
    """Return one of pydantic's findings in the words of this API."""
    sentence = _SENTENCES.get(found["type"])
    return sentence.format(**found.get("ctx", {})) if sentence else "is not valid"
