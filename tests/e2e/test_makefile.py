"""The Makefile as a new user meets it: what it lists, and what it says when something is missing."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not on the PATH")


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "Makefile", directory)
    shutil.copytree(ROOT / "requirements", directory / "requirements")
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_make_alone_lists_every_target_that_is_for_people(tmp_path: Path) -> None:
    done = make(tmp_path)
    phony = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert done.returncode == 0
    assert set(re.findall(r"^  make (\S+)", done.stdout, re.MULTILINE)) == phony
    assert {"demo", "test", "up", "clean"} <= phony


def test_without_a_fitting_python_it_says_what_to_install(tmp_path: Path) -> None:
    done = make(tmp_path, "demo", "PYTHON=")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr


def test_a_python_that_cannot_make_environments_leaves_none_behind(tmp_path: Path) -> None:
    done = make(tmp_path, "demo", "PYTHON=false")
    assert done.returncode != 0
    assert "cannot make virtual environments" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_command_runs_the_checkout_from_any_directory(tmp_path: Path) -> None:
    checkout = tmp_path / "a checkout with spaces"
    for room in ("mintstream", ".venv/bin"):
        (checkout / room).mkdir(parents=True)
    (checkout / "mintstream" / "__main__.py").write_text("import sys; print(__file__, sys.argv[1:])")
    (checkout / ".venv" / "bin" / "pip").touch()
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    made = make(checkout, ".venv/bin/mintstream")
    assert made.returncode == 0, made.stderr
    (tmp_path / "mintstream").mkdir()
    command = [checkout / ".venv" / "bin" / "mintstream", "mint", "one word.png"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"{checkout / 'mintstream' / '__main__.py'} {['mint', 'one word.png']}"


def test_clean_without_a_stack_has_nothing_to_do(tmp_path: Path) -> None:
    done = make(tmp_path, "clean")
    assert done.returncode == 0
    assert "nothing to remove" in done.stdout
