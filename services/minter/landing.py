"""The landing state machine: given what the log says was signed and what the chain says of it, what comes next. Pure.

A transaction's life, decided by `next_step` alone:

    nothing signed          -> Sign(1)
    newest attempt unseen   -> Send, again and again, or Wait between sends
    seen, below `confirmed` -> Wait
    confirmed, no error     -> Landed
    every attempt dead      -> Refused, if the newest died of an error that would come again; else Sign(n + 1)

An attempt is *dead* when it can never land: it was executed with an error in a finalized block, or it is *expired*.
It is expired only when one view shows both that the finalized block height is beyond its last valid block height and,
in an answer from a bank at least that new, that its signature is in no block, with the whole history searched. A view
that lags, errs, was not searched or whose history begins later proves nothing: unknown is never failed, and nothing is
signed a second time while the first can still land. (Validators accept 151 recent blockhashes, so a transaction can
land in the block *after* its last valid block height. A finalized height beyond that height means that this block,
too, is settled.)

Carried out by `lander.py`; the classes of errors are in `refusals.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from chassis.chain import BLOCKHASH_BLOCKS
from contracts.mint import Attempt
from services.minter.refusals import Refusal, TransactionError, classify_landed

RESEND_INTERVAL = 2.0
"""Seconds between two sends of the same bytes. Nodes drop transactions silently; sending again is free and safe."""


class Commitment(IntEnum):
    """How settled a block is, in Solana's words; ordered."""

    PROCESSED = 1
    CONFIRMED = 2
    FINALIZED = 3


@dataclass(frozen=True, slots=True)
class SignatureState:
    """What a node says of one signature that it found in a block."""

    slot: int
    commitment: Commitment
    error: TransactionError | None = None


@dataclass(frozen=True, slots=True)
class ChainView:
    """What the chain is known to say of some signatures at one moment.

    `states` holds the signatures that were found; a signature that was asked for and is not in it was not found.
    `finalized_height` is a finalized block height that one node told *before* it answered for the signatures, from a
    bank not newer than the one that it answered from; None when no node gave such a pair. `searched` says whether the
    signatures were looked for in the whole history or among recent ones only.
    """

    states: Mapping[str, SignatureState]
    finalized_height: int | None
    searched: bool
    history_from: int = 0
    """Block height from which on the history was there to be searched."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign attempt `number` with a fresh blockhash and put it on the log."""

    number: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send the newest attempt's bytes (again)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again later."""


@dataclass(frozen=True, slots=True)
class Landed:
    """This attempt is on chain at commitment `confirmed` or higher, without an error."""

    attempt: Attempt
    state: SignatureState


@dataclass(frozen=True, slots=True)
class Refused:
    """No attempt landed, none can, and another would be refused in the same way."""

    refusal: Refusal


Step = Sign | Send | Wait | Landed | Refused


def next_step(attempts: Sequence[Attempt], view: ChainView | None, since_send: float | None) -> Step:
    """Return what to do for one transaction.

    `attempts` are all that the log holds, oldest first; `view` is None when no node answered; `since_send` is the
    seconds since this process last sent the newest attempt, None when it never did.
    """
    if not attempts:
        return Sign(1)
    newest = attempts[-1]
    due = since_send is None or since_send >= RESEND_INTERVAL
    if view is None:
        # Nobody answers. The bytes are on the log, so sending them cannot do harm, and one node may get them.
        return Send() if due else Wait()
    for attempt in attempts:
        state = view.states.get(attempt.signature)
        if state is not None and state.error is None and state.commitment >= Commitment.CONFIRMED:
            return Landed(attempt, state)
    if all(is_dead(attempt, view) for attempt in attempts):
        return _after_death(newest, view)
    if newest.signature in view.states or is_dead(newest, view):
        return Wait()
    return Send() if due else Wait()


def is_dead(attempt: Attempt, view: ChainView) -> bool:
    """Return whether `view` proves that the attempt can never land."""
    state = view.states.get(attempt.signature)
    if state is not None:
        return state.error is not None and state.commitment is Commitment.FINALIZED
    reaches_back = max(0, attempt.last_valid_block_height - BLOCKHASH_BLOCKS) >= view.history_from
    return view.searched and reaches_back and looks_expired(attempt, view.finalized_height)


def looks_expired(attempt: Attempt, finalized_height: int | None) -> bool:
    """Return whether its blockhash is too old for any block that is still to come; no proof that it did not land."""
    return finalized_height is not None and finalized_height > attempt.last_valid_block_height


def _after_death(newest: Attempt, view: ChainView) -> Sign | Refused:
    state = view.states.get(newest.signature)
    if state is not None and state.error is not None:
        refusal = classify_landed(state.error)
        if refusal is not None:
            return Refused(refusal)
    return Sign(newest.number + 1)
