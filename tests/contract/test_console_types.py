"""The console's scripts against TypeScript's checker, strictly: they have no build step that would do it."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TSC = ROOT / "clients" / "typescript" / "node_modules" / ".bin" / "tsc"


@pytest.mark.node
@pytest.mark.skipif(not TSC.exists(), reason="the npm packages of clients/typescript are not installed")
def test_the_scripts_have_no_type_errors() -> None:
    done = subprocess.run(
        [str(TSC), "-p", str(ROOT / "console" / "jsconfig.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
