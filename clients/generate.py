"""Generates the clients from clients/openapi.json. `python clients/generate.py [--into DIR] [python | typescript]`.

Called by `make clients` and by the tests. The generators are pinned: the Python one by requirements/clients.txt, in an
environment of its own because it wants an older typer than the command line does; the other by its package-lock.json.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE / "openapi.json"
REQUIREMENTS = HERE.parent / "requirements" / "clients.txt"


def python(into: Path) -> None:
    """Write the package `mintstream_client` into the directory."""
    uv = Path(sys.executable).with_name("uv")
    generator = ("run", "--isolated", "--no-project", "--with-requirements", str(REQUIREMENTS), "openapi-python-client")
    target = into / "python" / "mintstream_client"
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    options = ("--path", str(DOCUMENT), "--output-path", str(target), "--meta", "none", "--fail-on-warning")
    run(str(uv), *generator, "generate", *options)
    (target / "py.typed").touch()


def typescript(into: Path) -> None:
    """Write `schema.d.ts`, all types of the API, into the directory."""
    generator = HERE / "typescript" / "node_modules" / ".bin" / "openapi-typescript"
    target = into / "typescript" / "src" / "schema.d.ts"
    target.parent.mkdir(parents=True, exist_ok=True)
    # What has a default may be left out of a request.
    run(str(generator), str(DOCUMENT), "--default-non-nullable", "false", "--output", str(target))


def run(*command: str) -> None:
    """Run a generator; what it says is shown when it fails only."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout}")


def main() -> None:
    """Generate what is asked for, or both."""
    generators = {"python": python, "typescript": typescript}
    parser = argparse.ArgumentParser(description="Generate the clients from openapi.json.")
    parser.add_argument("--into", type=Path, default=HERE, help="directory to write below")
    parser.add_argument("which", nargs="?", choices=list(generators), help="both when left out")
    asked = parser.parse_args()
    for name in [asked.which] if asked.which else generators:
        generators[name](asked.into)


if __name__ == "__main__":
    main()
