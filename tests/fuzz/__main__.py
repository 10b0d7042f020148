"""Fuzzes for as long as it is told: `python -m tests.fuzz [--minutes 10] [--quiet 60] [--only form,image] [--blind]`.

Each target has a process of its own and its share of the time. With Atheris (libFuzzer for Python; Linux, CPython up to
3.13) the inputs are led by the branches that they reach, and those that reached new ones are kept in .data/fuzz for the
next run; without it, or with `--blind`, they are mutations of the samples and of what was taken before. With `--quiet`
a target ends early, when it has reached nothing new for so many seconds. A finding is written into the target's folder
of `tests/fuzz/cases`, where every later test run tries it: fix the parser, keep the file. Ends with status 1 when there
was one.
"""

import argparse
import hashlib
import importlib
import importlib.util
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from types import FrameType
from typing import IO, Any, Final

from tests.bench.report import Section, Table
from tests.chaos.report import RELIABILITY, document
from tests.fuzz.mutation import MAX_BYTES, mutated
from tests.fuzz.progress import Progress
from tests.fuzz.target import CASES, Target, Trial

INPUT_SECONDS: Final = 20
"""An input that takes longer is a finding."""
MEMORY_BYTES: Final = 4 << 30
"""Address space of one fuzzing process; beyond it Python raises MemoryError, which is a finding."""
CORPUS: Final = Path(__file__).resolve().parents[2] / ".data" / "fuzz"
MOST_SAMPLES: Final = 500
STOPPED: Final = 72
"""libFuzzer's exit status when it was interrupted."""
INSTRUMENTED: Final = ["bubblegum", "chassis", "contracts", "services", "unixfs", "python_multipart"]


class TooSlow(Exception):
    """An input has taken INPUT_SECONDS."""


def keep(target: str, data: bytes) -> Path:
    """Write a finding into the cases."""
    path = CASES / target / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def attempt(trial: Trial, target: Target, data: bytes) -> bool | None:
    """Return whether the input was taken, None when it is a finding, which is kept and told."""
    signal.alarm(INPUT_SECONDS)
    try:
        return trial.of(target, data)
    except KeyboardInterrupt:
        raise
    except BaseException:  # go on with the next: solders' panics, for one, are no Exceptions
        signal.alarm(0)
        print(f"{target.name}: {keep(target.name, data)}\n{traceback.format_exc(limit=-6)}", flush=True)
        return None
    finally:
        signal.alarm(0)


def blind(target: Target, seconds: float, seed: int) -> int:
    """Mutate samples and what was taken before; return the number of findings, each kind of them once."""
    random, samples, found, tried = Random(seed), list(target.samples), 0, 0
    until = time.monotonic() + seconds
    with Trial() as trial:
        while time.monotonic() < until and found < 20:
            data = mutated(samples, random)
            tried += 1
            taken = attempt(trial, target, data)
            found += taken is None
            if taken and len(samples) < MOST_SAMPLES and random.random() < 0.05:
                samples.append(data)
    print(f"{target.name}: {tried} inputs, seed {seed}, {found} findings", flush=True)
    return found


def guided(name: str, seconds: float, seed: int) -> int:
    """Let libFuzzer choose by coverage; it ends the process itself, at the first finding with a status of its own."""
    atheris: Any = importlib.import_module("atheris")  # a C extension without types

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for sample in target.samples:
        (folder / hashlib.sha256(sample).hexdigest()[:16]).write_bytes(sample)
    trial = Trial()

    def one(data: bytes) -> None:
        if attempt(trial, target, data) is None:
            os._exit(1)  # libFuzzer would write the same input once more

    def mutate(data: bytes, most: int, number: int) -> bytes:
        return mutated((data, *target.samples), Random(number))[:most]

    options = [f"-max_total_time={seconds:.0f}", f"-seed={seed}", f"-max_len={MAX_BYTES}", "-print_final_stats=1"]
    arguments = [sys.argv[0], *options, str(folder)]
    atheris.Setup(arguments, one, custom_mutator=mutate)
    atheris.Fuzz()
    return 0


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlow(f"an input took {INPUT_SECONDS} s")


def one_target(name: str, seconds: float, seed: int, *, led: bool) -> int:
    """Fuzz one target in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _too_slow)
    if led:
        return guided(name, seconds, seed)
    from tests.fuzz.targets import TARGETS

    return blind(TARGETS[name], seconds, seed)


def main() -> int:
    """Read the arguments and run; each target in a child process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of all targets together")
    parser.add_argument("--only", type=lambda text: text.split(","), help="names of targets")
    parser.add_argument("--seed", type=int, default=Random().randrange(2**31))
    parser.add_argument("--blind", action="store_true", help="do not use Atheris")
    parser.add_argument("--quiet", type=float, help="seconds without anything new after which a target is done")
    parser.add_argument("--document", action="store_true", help=f"write the outcome into {RELIABILITY.name}")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    led = not options.blind and importlib.util.find_spec("atheris") is not None
    if options.one is not None:
        return min(one_target(options.one, options.minutes * 60, options.seed, led=led), 1)
    from tests.fuzz.targets import TARGETS

    names = list(TARGETS) if options.only is None else options.only
    print(f"{'led by coverage (Atheris)' if led else 'blind'}, seed {options.seed}", flush=True)
    command = f"python -m tests.fuzz --minutes {options.minutes:g} --seed {options.seed}"
    command += f" --quiet {options.quiet:g}" if options.quiet is not None else ""
    section = Section("Fuzzing", command)
    table = Table(("target", "inputs", "branches", "nothing new since", "seconds"))
    runs = {name: Run(name, options) for name in names}
    for run in runs.values():
        run.to_its_end(options.minutes * 60 / len(names), led=led)
        table.add(*run.row())
    section.show(table)
    failed = [name for name, run in runs.items() if run.failed]
    section.say(f"Findings in: {', '.join(failed)}." if failed else "No findings.")
    if options.document:
        document(section, {name: asdict(run.progress) for name, run in runs.items()})
    return 1 if failed else 0


class Run:
    """One target's process, and what it tells."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.progress = Progress()
        self.failed = False
        self._name = name
        self._seed: int = options.seed
        self._quiet: float | None = options.quiet
        self._seconds = 0.0

    def to_its_end(self, seconds: float, *, led: bool) -> None:
        """Run for `seconds`, or until nothing new has come for a while."""
        command = [sys.executable, "-m", "tests.fuzz", "--one", self._name, "--minutes", str(seconds / 60)]
        command += ["--seed", str(self._seed), *(() if led else ("--blind",))]
        began = time.monotonic()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
            listening = threading.Thread(target=self._listen, args=(process.stderr, began))
            listening.start()
            stopped = False
            while process.poll() is None:
                time.sleep(0.2)
                silent = time.monotonic() - began - self.progress.newest_at
                if self.progress.branches and not stopped and self._quiet is not None and silent > self._quiet:
                    stopped = True
                    process.send_signal(signal.SIGTERM)  # libFuzzer tells its counts and ends
            listening.join()
        self._seconds = time.monotonic() - began
        self.failed = process.returncode not in ((0, STOPPED, -signal.SIGTERM) if stopped else (0,))

    def _listen(self, lines: IO[str], began: float) -> None:
        for line in lines:
            if not self.progress.read(line, time.monotonic() - began):
                sys.stderr.write(line)

    def row(self) -> Sequence[str]:
        """The run as a row of the table."""
        told = self.progress
        if not told.branches:
            return self._name, "?", "?", "?", f"{self._seconds:.0f}"
        since = f"input {told.newest_input}, {told.newest_at:.0f} s"
        return self._name, str(told.inputs), str(told.branches), since, f"{self._seconds:.0f}"


if __name__ == "__main__":
    sys.exit(main())
