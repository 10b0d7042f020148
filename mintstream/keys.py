"""`mintstream keys`: make, list, revoke and rotate API keys, as facts on the log.

It speaks to the log and not to the gateway, so the first key needs no other. NATS_URL and the other NATS variables say
where that is; without them it is the embedded stack's. A key's text is printed once and kept nowhere.
"""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from chassis.api_keys import ApiKey
from chassis.key_book import KnownKey, read_key_book
from chassis.messaging import Log
from contracts.access import KeyCreated, KeyRevoked, Scope
from mintstream.ending import Exit, end
from mintstream.options import DATA, AsJson, DataDir
from mintstream.places import log_alone
from mintstream.printing import print_json, print_table
from mintstream.reach import carry_out

CALLER_PREFIX: Final = "app:"
OVERLAP_HOURS: Final = 24.0

_CALLER = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")

app = typer.Typer(name="keys", help="API keys: make, list, revoke and rotate them.", no_args_is_help=True)

COLUMNS: Final = ("id", "caller", "scopes", "state", "created", "expires", "revoked")

KeyArgument = Annotated[str, typer.Argument(help="The key's id, as `mintstream keys list` shows it.")]
ExpiresDays = Annotated[
    float | None, typer.Option("--expires-days", min=0.001, help="Days until the key expires; never when left out.")
]


@app.command()
def create(
    caller: Annotated[str, typer.Option(help="Whose key it is: keys of one caller see the same operations.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; give it several times for several.")],
    expires_days: ExpiresDays = None,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Make a key and print it, once.

    Example: mintstream keys create --caller shop --scope mint --scope read
    """
    if not _CALLER.fullmatch(caller):
        raise typer.BadParameter("1 to 48 of a-z, 0-9 and -, not beginning with -", param_hint="--caller")
    key = ApiKey.new()
    fact = KeyCreated(
        key=key.id,
        caller=CALLER_PREFIX + caller,
        scopes=tuple(sorted(set(scope))),
        sha256=key.sha256,
        expires_at=_in_days(expires_days),
    )
    carry_out(_say(data, fact))
    _tell(key, fact, as_json=as_json)


@app.command("list")
def list_keys(as_json: AsJson = False, data: DataDir = DATA) -> None:
    """List every key that was ever made, the oldest first.

    Example: mintstream keys list --json
    """
    now = datetime.now(UTC)
    rows = [_row(each, now) for each in carry_out(_read(data))]
    print_json(rows) if as_json else print_table(rows, COLUMNS, "There is no key; `mintstream keys create` makes one.")


@app.command()
def revoke(key: KeyArgument, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Have a key refused from now on, by every gateway.

    Example: mintstream keys revoke 5wXrqB0zLw1k
    """
    carry_out(_revoke(data, key))
    print_json({"id": key, "state": "revoked"}) if as_json else typer.echo(f"{key} is revoked")


@app.command()
def rotate(
    key: KeyArgument,
    overlap_hours: Annotated[
        float, typer.Option(min=0, help="Hours for which the old key still works beside the new one.")
    ] = OVERLAP_HOURS,
    expires_days: ExpiresDays = None,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Make a new key for the same caller with the same scopes, and let the old one end.

    Example: mintstream keys rotate 5wXrqB0zLw1k --overlap-hours 1
    """
    fresh = ApiKey.new()
    fact = carry_out(_rotate(data, key, fresh, timedelta(hours=overlap_hours), _in_days(expires_days)))
    _tell(fresh, fact, as_json=as_json)


async def _say(data: Path, fact: KeyCreated) -> None:
    async with log_alone(data) as log:
        await log.publish(fact, cause=None, expected_sequence=0)


async def _read(data: Path) -> list[KnownKey]:
    async with log_alone(data) as log:
        return list((await read_key_book(log)).keys.values())


async def _revoke(data: Path, key: str) -> None:
    async with log_alone(data) as log:
        await _known(log, key)
        await log.publish(KeyRevoked(key=key, at=datetime.now(UTC)), cause=None)


async def _rotate(data: Path, key: str, fresh: ApiKey, overlap: timedelta, expires_at: datetime | None) -> KeyCreated:
    async with log_alone(data) as log:
        old = await _known(log, key)
        now = datetime.now(UTC)
        if (state := old.state(now)) != "active":
            end(Exit.FAILED, f"{key} is {state}: make a new one with `mintstream keys create`")
        fact = KeyCreated(
            key=fresh.id,
            caller=old.fact.caller,
            scopes=old.fact.scopes,
            sha256=fresh.sha256,
            expires_at=expires_at,
            replaces=key,
        )
        # The new one first: whatever happens in between, the caller has a key that works.
        await log.publish(fact, cause=None, expected_sequence=0)
        await log.publish(KeyRevoked(key=key, at=now + overlap), cause=None)
        return fact


async def _known(log: Log, key: str) -> KnownKey:
    known = (await read_key_book(log)).keys.get(key)
    if known is None:
        end(Exit.MISSING, f"no key has the id {key}; `mintstream keys list` shows them")
    return known


def _tell(key: ApiKey, fact: KeyCreated, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": key.id, "key": key.text, "caller": fact.caller, "scopes": list(fact.scopes)})
        return
    until = f", until {fact.expires_at:%Y-%m-%d %H:%M} UTC" if fact.expires_at else ""
    typer.echo(f"{fact.caller} may {' and '.join(fact.scopes)}{until}. This is shown once:", err=True)
    sys.stderr.flush()
    typer.echo(key.text)


def _row(known: KnownKey, now: datetime) -> dict[str, str | None]:
    return {
        "id": known.fact.key,
        "caller": known.fact.caller,
        "scopes": " ".join(known.fact.scopes),
        "state": known.state(now),
        "created": _moment(known.created_at),
        "expires": _moment(known.fact.expires_at),
        "revoked": _moment(known.revoked_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


def _in_days(days: float | None) -> datetime | None:
    return datetime.now(UTC) + timedelta(days=days) if days is not None else None
