"""docs/security.md names tests that exist, and the scan that it speaks of finds what it should."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_named_test_exists() -> None:
    named = NAMED.findall((ROOT / "docs" / "security.md").read_text())
    assert len(named) > 30
    missing = [f"{path}::{name}" for path, name in named if name not in defined(ROOT / path)]
    assert missing == []


def test_every_threat_names_a_test() -> None:
    _, _, threats = (ROOT / "docs" / "security.md").read_text().partition("## Threats and defences")
    rows = [line for line in threats.partition("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    assert rows
    assert [row for row in rows if not NAMED.search(row)] == []


def test_a_key_that_is_committed_is_found(tmp_path: Path) -> None:
    leak, clean = tmp_path / "leak.py", tmp_path / "clean.py"
    leak.write_text('KEY = "AKIA' + 'IOSFODNN7QUAGMIR"\n')  # put together here, so that this file is clean
    clean.write_text('KEY = "of no kind"\n')
    assert [scan(leak), scan(clean)] == [1, 0]


def scan(path: Path) -> int:
    command = [Path(sys.executable).with_name("detect-secrets-hook"), "--no-verify", "--baseline", ".secrets.baseline"]
    return subprocess.run([*command, path], cwd=ROOT, check=False, capture_output=True).returncode


def defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text()) if path.exists() else ast.parse("")
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
