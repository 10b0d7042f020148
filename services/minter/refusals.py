"""Why the chain refuses a transaction, and whether asking again could help. Pure.

Errors come in the JSON form of the RPC API: a string such as `"AccountNotFound"`, or an object such as
`{"InstructionError": [2, {"Custom": 6016}]}`. They are told apart by structure and number, never by message text.
Numbers: Anchor framework errors 2000-3999; the programs' own from 6000, from their public IDLs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from contracts.mint import FailureCode

TransactionError = str | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal that would come again: a stable code, a sentence for a person, and what to do."""

    code: FailureCode
    reason: str
    cure: str


TREE_FULL: Final = Refusal(
    FailureCode.TREE_FULL,
    "No merkle tree of the collection has a leaf left.",
    "Create a collection with a deeper tree and mint the rest there.",
)
TREE_AUTHORITY: Final = Refusal(
    FailureCode.TREE_AUTHORITY_MISSING,
    "This wallet is neither creator nor delegate of the collection's merkle tree.",
    "Delegate the tree to the minting wallet, or mint with the wallet that created it.",
)
COLLECTION_AUTHORITY: Final = Refusal(
    FailureCode.COLLECTION_AUTHORITY_MISSING,
    "This wallet may not add to the collection.",
    "Make the minting wallet the collection's update authority or its delegate.",
)
METADATA: Final = Refusal(
    FailureCode.METADATA_REFUSED,
    "The program refused the metadata.",
    "Shorten name (32 bytes), symbol (10) or URI (200), and check the creators and the royalty.",
)
COLLECTION_GONE: Final = Refusal(
    FailureCode.COLLECTION_NOT_FOUND,
    "The collection or its tree is not on chain.",
    "Check that the collection was created on this cluster.",
)

_BUBBLEGUM: Final = 6000
"""Anchor's first number for a program's own errors; offsets below are positions in Bubblegum's public error list."""

_BY_CUSTOM_CODE: Final[Mapping[int, Refusal]] = {
    _BUBBLEGUM + 4: METADATA,  # CreatorShareTotalMustBe100
    _BUBBLEGUM + 5: METADATA,  # DuplicateCreatorAddress
    _BUBBLEGUM + 6: METADATA,  # CreatorDidNotVerify
    _BUBBLEGUM + 11: METADATA,  # CreatorsTooLong
    _BUBBLEGUM + 12: METADATA,  # MetadataNameTooLong
    _BUBBLEGUM + 13: METADATA,  # MetadataSymbolTooLong
    _BUBBLEGUM + 14: METADATA,  # MetadataUriTooLong
    _BUBBLEGUM + 15: METADATA,  # MetadataBasisPointsTooHigh
    _BUBBLEGUM + 16: TREE_AUTHORITY,  # TreeAuthorityIncorrect
    _BUBBLEGUM + 17: TREE_FULL,  # InsufficientMintCapacity
    _BUBBLEGUM + 21: COLLECTION_GONE,  # CollectionNotFound
    _BUBBLEGUM + 24: COLLECTION_AUTHORITY,  # UpdateAuthorityIncorrect
    _BUBBLEGUM + 28: COLLECTION_AUTHORITY,  # InvalidCollectionAuthority
    _BUBBLEGUM + 29: COLLECTION_AUTHORITY,  # InvalidDelegateRecord
    _BUBBLEGUM + 45: COLLECTION_AUTHORITY,  # InvalidAuthority
}

INSUFFICIENT_LAMPORTS: Final = 1
"""The system program's ResultWithNegativeLamports, as a custom code."""

_PASSING: Final = frozenset(
    {
        "AccountInUse",
        "AccountNotFound",
        "AddressLookupTableNotFound",
        "BlockhashNotFound",
        "ClusterMaintenance",
        "CommitCancelled",
        "InsufficientFundsForFee",
        "InvalidAddressLookupTableIndex",
        "ProgramCacheHitMaxLimit",
        "ResanitizationNeeded",
        "TooManyAccountLocks",
        "WouldExceedAccountDataBlockLimit",
        "WouldExceedAccountDataTotalLimit",
        "WouldExceedMaxAccountCostLimit",
        "WouldExceedMaxBlockCostLimit",
        "WouldExceedMaxVoteCostLimit",
    }
)
"""Nothing is wrong with the request: the wallet is empty, or the cluster is busy or has moved on, or the
node is behind and does not know a lookup table yet."""
_PASSING_WITH_ACCOUNT: Final = ("InsufficientFundsForRent", "ProgramExecutionTemporarilyRestricted")
"""The same among the errors that name an account."""
_OUT_OF_UNITS: Final = ("ComputationalBudgetExceeded", "ProgramFailedToComplete")
"""How the runtime says that an instruction used up its compute units: in a system call, and between two of them. The
second has other causes too."""


def classify_landed(error: TransactionError) -> Refusal | None:
    """As `classify`, for a transaction that ran with the compute limit it had asked for.

    The units that a mint uses depend on its leaf's number, which is only known when it runs. Running out of them says
    nothing of the request: the next attempt is simulated anew, with all the units that there are, and what has
    another cause is refused there.
    """
    if isinstance(error, Mapping) and _instruction_error(error) in _OUT_OF_UNITS:
        return None
    return classify(error)


def classify(error: TransactionError) -> Refusal | None:
    """Return the refusal that `error` stands for, or None when the same request may succeed later."""
    if isinstance(error, str):
        return None if error in _PASSING else _unknown(error)
    if any(kind in error for kind in _PASSING_WITH_ACCOUNT):
        return None
    kind = _instruction_error(error)
    if kind is None:
        return _unknown(str(dict(error)))
    if not isinstance(kind, Mapping):
        return _unknown(str(kind))
    custom = cast("Mapping[str, object]", kind).get("Custom")
    if custom == INSUFFICIENT_LAMPORTS:
        return None
    if isinstance(custom, int) and custom in _BY_CUSTOM_CODE:
        return _BY_CUSTOM_CODE[custom]
    return _unknown(
        f"custom program error {custom}" if custom is not None else str(dict(cast("dict[str, object]", kind)))
    )


def _instruction_error(error: Mapping[str, object]) -> object | None:
    """Return the error of the instruction that failed, None when `error` is of another kind."""
    detail = error.get("InstructionError")
    if not isinstance(detail, list | tuple) or len(cast("list[object]", detail)) != 2:
        return None
    return cast("list[object]", detail)[1]


def _unknown(what: str) -> Refusal:
    return Refusal(
        FailureCode.PROGRAM_REFUSED,
        f"The chain refused the transaction: {what}.",
        "Look the error up in the program's public error list; the transaction is on the log.",
    )
