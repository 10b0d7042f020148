"""Finding out what messages mean in a process of its own, while the rebuild that asks reads on and writes rows.

A third of a rebuild's own processor time is decoding and projecting, which needs nothing but the messages' bytes. The
process is given them in frames on its stdin, a batch each, and answers with a frame of their changes on its stdout. It
ends when its stdin does, so with whoever asks, however that one ends. What cannot be told in a frame, and everything
once the process is gone, is planned where it is asked: the entries are the same. Used by `rebuilding`.
"""

import asyncio
import gc
import os
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import IO, Final

import msgspec

from chassis.log import RawMessage
from chassis.logs import get_logger
from services.indexer.changes import RowChange
from services.indexer.entries import Entry, plan

TURN: Final = 100
"""Messages that are planned before others on the event loop are looked after again."""
RARELY: Final = (500_000, 20, 20)
"""Thresholds of Python's search for cycles: a batch is a hundred thousand objects without any."""
_SIZE: Final = struct.Struct("<I")
_PIPE: Final = 1024 * 1024
"""Bytes that wait in a pipe, the most that Linux gives to everybody: fewer turns for one frame."""
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)
"""When and with which headers a message was stored says nothing about what it means."""

_log = get_logger(__name__)

Planning = Callable[[Sequence[RawMessage]], Awaitable[list[Entry]]]
"""Plans the messages of a batch, in their order."""


class Question(msgspec.Struct, frozen=True, array_like=True):
    """What has to be known of a message to plan it."""

    subject: str
    sequence: int
    payload: bytes


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """A message's changes, or the reason why it is parked; neither when that cannot be told in a frame."""

    changes: Sequence[RowChange] | None = None
    parked: str | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_questions: Final = msgspec.msgpack.Decoder(list[Question]).decode
_decode_answers: Final = msgspec.msgpack.Decoder(list[Answer]).decode


async def plan_here(batch: Sequence[RawMessage]) -> list[Entry]:
    """Plan the messages in this process."""
    entries: list[Entry] = []
    for number, raw in enumerate(batch, 1):
        entries.append(plan(raw))
        if number % TURN == 0:
            await asyncio.sleep(0)
    return entries


@asynccontextmanager
async def planning_apart() -> AsyncGenerator[Planning]:
    """Plan in another process, which ends with the body. One batch is asked for after the other."""
    process = await asyncio.to_thread(start, "-m", __name__)
    try:
        yield Apart(process).plan
    finally:
        await asyncio.to_thread(end, process)


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Run Python with pipes for frames; it finds its modules where we found ours, and nowhere else."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    command = (sys.executable, "-P", *arguments)
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environ, pipesize=_PIPE)  # noqa: S603  (ours)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process, which holds nothing that would be lost; who waits for its answer finds it gone."""
    process.kill()
    with suppress(BrokenPipeError), process:  # stop: what it was still to be asked
        pass


class Apart:
    """Plans in the process for as long as it lives, then here."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process: subprocess.Popen[bytes] | None = process

    async def plan(self, batch: Sequence[RawMessage]) -> list[Entry]:
        """See `Planning`."""
        if self._process is not None:
            try:
                return entries_of(batch, await asyncio.to_thread(_ask, self._process, questions(batch)))
            except (OSError, EOFError, msgspec.MsgspecError, ValueError) as error:
                # Go on without it: it was killed, or what it says is no answer. It knows nothing that is not here.
                _log.warning("planning goes on in this process", reason=f"{type(error).__name__}: {error}")
                self._process = None
        return await plan_here(batch)


def _ask(process: subprocess.Popen[bytes], frame: bytes) -> bytes:
    """Return the answering frame; raises OSError and EOFError when the process is gone. In a thread.

    On the event loop a frame would go by pieces, one for each turn, and turns are long while rows are written.
    """
    assert process.stdin is not None, "it was started with pipes"
    assert process.stdout is not None, "it was started with pipes"
    # It reads a frame whole before it answers, so neither waits for the other.
    process.stdin.write(_SIZE.pack(len(frame)) + frame)
    process.stdin.flush()
    (size,) = _SIZE.unpack(_whole(process.stdout, _SIZE.size))
    return _whole(process.stdout, size)


def _whole(stream: IO[bytes], size: int) -> bytes:
    if len(data := stream.read(size)) < size:
        raise EOFError(f"{len(data)} of {size} bytes")
    return data


def questions(batch: Sequence[RawMessage]) -> bytes:
    """Return the frame that asks for the changes of these messages."""
    return _encode([(raw.subject, raw.sequence, raw.payload) for raw in batch])


def answers(frame: bytes) -> bytes:
    """Return the frame that answers the questions of this one."""
    told = [_answer(question) for question in _decode_questions(frame)]
    encoded = _encoded(told)
    if encoded is None:
        encoded = _encode([each if _encoded(each) is not None else Answer() for each in told])
    return encoded


def entries_of(batch: Sequence[RawMessage], frame: bytes) -> list[Entry]:
    """Return the messages as the frame says that they are planned.

    Raises ValueError or a MsgspecError for one that does not answer the questions of the batch.
    """
    return [_entry(raw, answer) for raw, answer in zip(batch, _decode_answers(frame), strict=True)]


def _answer(question: Question) -> Answer:
    entry = plan(RawMessage(question.subject, question.sequence, _NO_TIME, question.payload, {}))
    return Answer(entry.changes) if entry.parked is None else Answer(parked=entry.parked)


def _encoded(told: object) -> bytes | None:
    try:
        return _encode(told)
    except (OverflowError, ValueError):  # stop: integers beyond 64 bits and broken text are for Postgres to refuse
        return None


def _entry(raw: RawMessage, answer: Answer) -> Entry:
    if answer.changes is not None:
        return Entry(raw, changes=answer.changes)
    return plan(raw) if answer.parked is None else Entry(raw, parked=answer.parked)


def serve(asked: IO[bytes], told: IO[bytes]) -> None:
    """Answer frame by frame until nobody asks any more."""
    while len(head := asked.read(_SIZE.size)) == _SIZE.size:
        (size,) = _SIZE.unpack(head)
        if len(frame := asked.read(size)) < size:
            return
        answer = answers(frame)
        told.write(_SIZE.pack(len(answer)))
        told.write(answer)
        told.flush()


def main() -> None:
    """Run as the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for whoever asks
    gc.set_threshold(*RARELY)
    # Frames alone go where stdout went: whatever is printed goes to stderr.
    told = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with suppress(BrokenPipeError):  # stop: nobody reads the answer
        serve(sys.stdin.buffer, told)


if __name__ == "__main__":
    main()
