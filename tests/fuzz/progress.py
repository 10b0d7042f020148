"""How far a fuzzing process has come: what libFuzzer tells on its way, and when it last found something new.

Used by the long runs. A target is on its *plateau* when a while of inputs has reached no new branch. Pure.
Source: the status lines of https://llvm.org/docs/LibFuzzer.html#output (`cov`: branches that were reached so far).
"""

import re
from dataclasses import dataclass
from typing import Final

_STATUS: Final = re.compile(r"^#(\d+)\s+(\S+)\s+cov: (\d+)")
_EXECUTED: Final = re.compile(r"^stat::number_of_executed_units:\s+(\d+)")


@dataclass
class Progress:
    """Counts of one target. Without coverage (blind) there are no branches."""

    inputs: int = 0
    branches: int = 0
    newest_input: int = 0
    """The input that reached a new branch last."""
    newest_at: float = 0.0
    """Seconds into the run when that was."""

    def read(self, line: str, seconds: float) -> bool:
        """Take in a line of libFuzzer's; return whether it was one."""
        if executed := _EXECUTED.match(line):
            self.inputs = int(executed[1])
        elif status := _STATUS.match(line):
            self.inputs = int(status[1])
            branches = int(status[3])
            if branches > self.branches:
                self.branches, self.newest_input, self.newest_at = branches, self.inputs, seconds
        else:
            return line.startswith(("INFO:", "stat::", "Done ", "=="))
        return True
