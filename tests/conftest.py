"""Fixtures that every tier may use; they live in tests/support."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from localnet.linux import user_change

# How long an example takes says something about the machine, never about the code: no example has a deadline.
settings.register_profile("mintstream", deadline=None)
settings.load_profile("mintstream")

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and stops by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.support.nats", "tests.support.postgres", "tests.support.proxies"]


@pytest.fixture(scope="session", autouse=True)
def passable_temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where Postgres has to run as `nobody`, let it pass through pytest's directories, which are closed by default."""
    if user_change() == "nobody":
        for directory in (tmp_path_factory.getbasetemp(), *tmp_path_factory.getbasetemp().parents):
            if directory.stat().st_uid == os.geteuid() and directory.name.startswith(("pytest-", "popen-")):
                directory.chmod(0o711)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """pytest's own, passable as above."""
    if user_change() == "nobody":
        tmp_path.chmod(0o711)
    return tmp_path
