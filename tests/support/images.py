"""The Dockerfile and the Compose file as far as the checks need them."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.generate import ROOT

DOCKERFILE: Final = ROOT / "deploy" / "images" / "Dockerfile"
_STAGES: Final = ("packages", "service")


@dataclass
class Stage:
    """One `FROM ... AS name`: instructions in their order, continuation lines joined."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def every(self, name: str) -> list[str]:
        return [rest for instruction, rest in self.instructions if instruction == name]

    def command(self, name: str) -> list[str]:
        """The arguments of an ENTRYPOINT or HEALTHCHECK in its JSON form."""
        (rest,) = self.every(name)
        return json.loads(rest[rest.index("[") :])


def stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    current = Stage("")
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if not instruction or instruction.startswith("#"):
            continue
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            current = found[name] = Stage(base)
        else:
            current.instructions.append((instruction, rest.strip()))
    return found


def services() -> dict[str, Stage]:
    return {name: stage for name, stage in stages().items() if name not in _STAGES}


def copy_application(name: str, root: Path) -> None:
    """Do what the COPY instructions of a service's image do, from the repository into `root`."""
    every = stages()
    for stage in (every["service"], every[name]):
        for rest in stage.every("COPY"):
            if rest.startswith("--from="):
                continue
            source, target = rest.split()
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, root / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (root / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, root / target)
