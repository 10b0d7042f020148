"""`mintstream dead`: messages that a consumer gave up on, replayed or dropped by a person.

It speaks to the log: NATS_URL and the other NATS variables, else the embedded stack's. Not done here: what a replay is
(`chassis.dead_letters`).
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer

from chassis import dead_letters
from chassis.dead_letters import AlreadySettled, Letter, NoSuchLetter, Superseded
from chassis.messaging import Log
from mintstream.ending import Exit, end
from mintstream.options import DATA, AsJson, DataDir
from mintstream.places import log_alone
from mintstream.printing import print_json, print_table, tell
from mintstream.reach import carry_out

app = typer.Typer(name="dead", help="Dead letters: list, show, replay and drop them.", no_args_is_help=True)

COLUMNS: Final = ("letter", "buried", "consumer", "subject", "deliveries", "reason", "state")

Number = Annotated[int, typer.Argument(metavar="LETTER", help="The letter's number, as `dead list` shows it.")]
T = TypeVar("T")


@app.command("list")
def list_letters(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were replayed or dropped.")] = False,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """List the messages that a consumer gave up on, the oldest first.

    Example: mintstream dead list --json
    """

    async def work(log: Log) -> list[dict[str, Any]]:
        return [_row(letter) async for letter in dead_letters.letters(log, settled=everything)]

    rows = _run(data, work)
    print_json(rows) if as_json else print_table(rows, COLUMNS, "There is no dead letter.")


@app.command()
def show(number: Number, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Show a letter with its message, whole.

    Example: mintstream dead show 3
    """
    letter = _run(data, lambda log: dead_letters.letter(log, number))
    fields = _row(letter) | {"headers": dict(letter.fact.headers), "payload": letter.fact.payload}
    tell(fields, as_json=as_json)


@app.command()
def replay(number: Number, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Say the letter's message again, so that its consumer is given it once more. Mend the cause first.

    It is refused when something else was said on its subject since: then the log has gone on without it.

    Example: mintstream dead replay 3
    """
    done = _run(data, lambda log: dead_letters.replay(log, number))
    tell({"letter": done.letter, "state": done.outcome, "sequence": done.said_at}, as_json=as_json)


@app.command()
def drop(number: Number, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Take a letter off the list: its message will never be handled. It stays on the log.

    Example: mintstream dead drop 3
    """
    done = _run(data, lambda log: dead_letters.drop(log, number))
    tell({"letter": done.letter, "state": done.outcome}, as_json=as_json)


def _run(data: Any, work: Callable[[Log], Awaitable[T]]) -> T:
    async def done() -> T:
        async with log_alone(data) as log:
            return await work(log)

    try:
        return carry_out(done())
    except NoSuchLetter as error:
        end(Exit.MISSING, f"{error}; `mintstream dead list` shows them")
    except (AlreadySettled, Superseded) as error:
        end(Exit.FAILED, f"{error}; `mintstream dead --help` tells what can be done")


def _row(letter: Letter) -> dict[str, Any]:
    return {
        "letter": letter.number,
        "buried": f"{letter.buried_at:%Y-%m-%dT%H:%M:%SZ}",
        "consumer": letter.fact.consumer,
        "subject": letter.fact.subject_name,
        "sequence": letter.fact.stream_sequence,
        "deliveries": letter.fact.deliveries,
        "reason": letter.fact.reason,
        "state": "open" if letter.settled is None else letter.settled.outcome,
    }
