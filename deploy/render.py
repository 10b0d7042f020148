"""Renders the overlays and keeps what comes out as golden files: `python -m deploy.render [--check]`.

`kubectl kustomize` does the rendering; `KUBECTL` names the command. With `--check` nothing is written: the exit status
is 1 when an overlay renders to something else than `deploy/k8s/rendered` holds. A machine without kubectl compares
the digest of everything that the overlays are made of with the one that was rendered: no change goes by unrendered.
"""

import difflib
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

K8S: Final = Path(__file__).resolve().parent / "k8s"
RENDERED: Final = K8S / "rendered"
OVERLAYS: Final = ("local", "staging", "production")
_DIGEST: Final = RENDERED / "inputs.sha256"
_INPUTS: Final = ("base", "components", "overlays")
_SHOWN_LINES: Final = 40


class RenderError(Exception):
    """An overlay cannot be rendered."""


def kubectl() -> str | None:
    """Return the command that renders, or None where there is none."""
    return shutil.which(os.environ.get("KUBECTL", "kubectl"))


def render(overlay: str, command: str) -> str:
    """Return an overlay as one YAML text. Raises RenderError."""
    directory = K8S / "overlays" / overlay
    done = subprocess.run([command, "kustomize", str(directory)], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise RenderError(f"{overlay}: {done.stderr.strip()}")
    return done.stdout


def inputs_digest() -> str:
    """Return a digest of every file that the overlays are made of, names included."""
    digest = hashlib.sha256()
    for folder in _INPUTS:
        for path in sorted((K8S / folder).rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(K8S)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def golden(overlay: str) -> Path:
    """Return where an overlay's golden file is."""
    return RENDERED / f"{overlay}.yaml"


def check() -> list[str]:
    """Return what differs from the golden files, in sentences."""
    problems: list[str] = []
    if not _DIGEST.exists() or _DIGEST.read_text().strip() != inputs_digest():
        problems.append("the overlays were changed since they were rendered")
    command = kubectl()
    if command is None:
        sys.stderr.write("kubectl is not on this machine: only the digest of the overlays was compared\n")
        return problems
    for overlay in OVERLAYS:
        before, now = golden(overlay).read_text().splitlines(), render(overlay, command).splitlines()
        if before != now:
            changes = list(difflib.unified_diff(before, now, "golden", "now", lineterm=""))[:_SHOWN_LINES]
            problems.append("\n".join([f"{overlay} renders to something else:", *changes]))
    return problems


def write() -> None:
    """Render every overlay into its golden file. Raises RenderError."""
    command = kubectl()
    if command is None:
        raise RenderError("kubectl is not on this machine; it renders the overlays")
    for overlay in OVERLAYS:
        golden(overlay).write_text(render(overlay, command))
    _DIGEST.write_text(inputs_digest() + "\n")


def main() -> None:
    """Render, or check."""
    try:
        if "--check" in sys.argv[1:]:
            problems = check()
        else:
            problems = []
            write()
    except RenderError as error:  # stop: the overlay has to be corrected
        sys.exit(str(error))
    if problems:
        sys.exit("\n".join([*problems, "run `make deployment`"]))


if __name__ == "__main__":
    main()
