"""Who called whom, where a node does not tell: stack heights inferred from what the programs are known to do.

Used by `bubblegum.transaction`. Nodes before Solana 1.14, and streams that were fed by them, give inner instructions in
order but without `stackHeight`. What is inferred is only what `bubblegum.decode` needs, and it never takes more than
the heights would have shown: a noop counts as account compression's own word only right behind its instruction and
only on the tree that this instruction names, and once that was said the call into Bubblegum is over. What somebody
else says around it then contradicts, and is reported as `Unknown`, or is said to nobody.
"""

from collections.abc import Iterator, Sequence

from solders.pubkey import Pubkey

from bubblegum.errors import DecodeError
from bubblegum.leaf import ChangeLogEvent, decode_noop
from bubblegum.programs import BUBBLEGUM, COMPRESSION_PROGRAMS, NOOP_PROGRAMS

Called = tuple[Pubkey, tuple[Pubkey, ...], bytes]
"""Program, accounts and data of one inner instruction."""

_DIRECT = 2
"""Stack height of what the top-level instruction calls."""


def infer_heights(top: Pubkey, called: Sequence[Called]) -> Iterator[int]:
    """Yield the stack height of each instruction that the top-level one, of program `top`, called, in order."""
    open_call = 1 if top == BUBBLEGUM else None
    """Height of the Bubblegum instruction that is still at work."""
    compression: tuple[int, Pubkey | None] | None = None
    """Height of the account compression instruction just before, and the tree that it names."""
    for program, accounts, data in called:
        if program in NOOP_PROGRAMS and compression is not None and _tells_of(compression[1], data):
            yield compression[0] + 1
            compression, open_call = None, None
            continue
        compression = None
        if program == BUBBLEGUM:
            open_call = _DIRECT
            yield open_call
            continue
        height = _DIRECT if open_call is None else open_call + 1
        if program in COMPRESSION_PROGRAMS:
            compression = (height, accounts[0] if accounts else None)
        yield height


def _tells_of(tree: Pubkey | None, data: bytes) -> bool:
    try:
        event = decode_noop(data)
    except DecodeError:
        # It claims to be an event and is none; whoever reads the instruction's events reports that.
        return True
    return isinstance(event, ChangeLogEvent) and event.tree == tree
