"""What a soak is judged by besides chain, log and tables: webhooks, a replay, and what was written into the logs.

Used by `soak.py`. The judges are pure; each gives a verdict of its own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from solders.keypair import Keypair

from chassis.log import Message
from chassis.redaction import Secret
from services.indexer.history import History
from services.indexer.rebuilding import Rebuild
from services.notifier.domain import subject_of
from tests.support.audit import Verdict
from tests.support.stack import LiveStack

REBUILT: Final = "rebuilt_by_the_soak"
_BLOCK: Final = 1 << 20


def to_be_told(events: Sequence[Message[Any]]) -> dict[str, list[str]]:
    """By operation, the ids of the events that its webhooks are told, in the order of the log."""
    told: dict[str, list[str]] = {}
    for message in events:
        subject = subject_of(message.data)
        if subject is not None and subject.operation is not None:
            told.setdefault(subject.about, []).append(str(message.event.id))
    return told


def judge_deliveries(wanted: Mapping[str, Sequence[str]], taken: Sequence[tuple[str, str]]) -> Verdict:
    """Hold what a receiver took (operation, event id), as it came, to what it was to be told: all, and in order.

    An event may come again, but for the first time only after those before it.
    """
    came: dict[str, dict[str, None]] = {}
    for operation, event in taken:
        came.setdefault(operation, {})[event] = None
    strange: list[str] = []
    lost = 0
    for operation, events in wanted.items():
        first_takes = list(came.get(operation, ()))
        lost += len(set(events) - set(first_takes))
        if [event for event in events if event in came.get(operation, ())] != first_takes:
            strange.append(f"the events of {operation} came in another order, or others came")
    strange += [f"nobody was to be told of {operation}" for operation in came.keys() - wanted.keys()]
    return Verdict(witness="webhooks", lost=lost, strange=strange)


async def replay_verdict(live: LiveStack) -> Verdict:
    """Rebuild the tables from the log, beside the live ones, and compare every row."""
    rebuild = Rebuild(Secret(live.stack.database_url), REBUILT, History(live.log, None))
    await rebuild.prepare(fresh=True)
    await rebuild.catch_up(lambda stream, sequence: None)
    return Verdict(witness="a replay of the log", strange=[str(difference) async for difference in rebuild.verify()])


def secret_texts(live: LiveStack, more: Mapping[str, str]) -> dict[str, str]:
    """Every secret of a run in every form in which it could be written, by what it is; `more` are those made in it."""
    directory = live.stack.data_dir / "secrets"
    found = {
        str(path.relative_to(directory)): path.read_text().strip()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    wallet = bytes(Keypair.from_base58_string(found["wallet_key"]))
    found |= {
        "wallet_key in hexadecimal": wallet[:32].hex(),
        "wallet_key as numbers": ", ".join(map(str, wallet[:32])),
        "wallet_key as JSON": ",".join(map(str, wallet[:32])),
    }
    return {**found, **more}


def judge_logs(directory: Path, secrets: Mapping[str, str]) -> Verdict:
    """Look for every secret in every log below `directory`."""
    logs = [path for path in sorted(directory.rglob("*.log*")) if path.is_file()]
    needles = {name: text.encode() for name, text in secrets.items()}
    assert logs, "there are no logs to look into"
    assert all(len(needle) >= 16 for needle in needles.values()), "so short a secret may be there by chance"
    found: Counter[tuple[str, str]] = Counter()
    for path in logs:
        found.update((name, path.name) for name in _held(path, needles))
    strange = [f"{name} is in {log}" for name, log in sorted(found)]
    return Verdict(witness=f"{len(logs)} logs, {len(secrets)} secrets", strange=strange)


def _held(path: Path, needles: Mapping[str, bytes]) -> set[str]:
    """Names of the needles that a file holds, read a piece at a time."""
    overlap = max(map(len, needles.values()))
    held: set[str] = set()
    tail = b""
    with path.open("rb") as file:
        while piece := file.read(_BLOCK):
            text = tail + piece
            held.update(name for name, needle in needles.items() if needle in text)
            tail = text[-overlap:]
    return held
