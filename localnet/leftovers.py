"""Ends what an earlier run of a stack left running.

Used by `localnet.stack` before it looks at ports. Children die with their supervisor, but they may take their time to
finish what they had in hand, and a stopped (SIGSTOP) one does not notice. Not done here: anything for processes of
another data directory, which are never touched.
"""

import itertools
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

from localnet.linux import runs
from localnet.nats_server import nats_orphan
from localnet.postgres import postgres_orphan

MARK: Final = "STACK_DATA_DIR"
"""Environment variable by which the processes of a stack are known; its value is the data directory."""

_DYING_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 15.0


def end_leftovers(data_dir: Path) -> list[str]:
    """End every process of an earlier run on `data_dir`, politely first; returns their names. Blocks for seconds.

    Only for the holder of the directory's lock: whatever runs there has lost its supervisor.
    """
    found = list(_marked(data_dir))
    known = {process.pid for process in found}
    orphans = (nats_orphan(data_dir / "nats"), postgres_orphan(data_dir / "postgres"))
    found += [psutil.Process(pid) for pid in orphans if pid is not None and pid not in known]
    names = [_name(process) for process in found]
    for process in found:
        _send(process, signal.SIGCONT)
    # The kernel has told them when their supervisor died; a second signal would cut their work in flight off.
    _, left = psutil.wait_procs(found, timeout=_DYING_SECONDS)
    for process in left:
        # PostgreSQL waits for its clients after SIGTERM; SIGINT ends their sessions.
        postgres = runs(process.pid, "postgres", str(data_dir / "postgres" / "cluster"))
        _send(process, signal.SIGINT if postgres else signal.SIGTERM)
    _, left = psutil.wait_procs(left, timeout=_PATIENCE_SECONDS)
    for process in left:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=_PATIENCE_SECONDS)
    return names


def _marked(data_dir: Path) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(data_dir):
                yield process
        except (psutil.Error, OSError):  # stop: not ours, or gone
            continue


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:  # stop: gone is what was wanted
        return


def _name(process: psutil.Process) -> str:
    try:
        command = process.cmdline()
    except psutil.Error:  # stop: only for a sentence
        command = []
    module = next((after for flag, after in itertools.pairwise(command) if flag == "-m"), None)
    return f"{module or (Path(command[0]).name if command else 'a process')} (pid {process.pid})"
