# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""localnet's NATS and Postgres as child processes: start, restart, isolation, and what earlier runs leave behind."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import nats
import nats.errors
import pytest

from chassis.database import connect
from localnet.child import Child, ChildSpec, running
from localnet.errors import StackError
from localnet.linux import alive, free_port
from localnet.lock import DirectoryLock
from localnet.nats_server import NatsOptions, NatsUser, nats_spec
from localnet.postgres import PostgresOptions, PostgresRole, dsn, postgres_spec, scram_verifier, superuser_dsn
from localnet.postgres_cluster import cache_directory
from localnet.supervisor import Supervisor
from tests.support import small_disk
from tests.support.nats import ACCOUNTS, NatsAccounts, NatsFactory
from tests.support.postgres import OWNER, Database, PostgresServer

READER = PostgresRole("reader", "it's: a/pass@word")


def spawn(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


async def publish(url: str, stream: str = "T") -> int:
    """Sequence of one message published to a stream that is made if it is missing."""
    client = await nats.connect(url, max_reconnect_attempts=1)
    try:
        jetstream = client.jetstream()
        await jetstream.add_stream(name=stream, subjects=[f"{stream}.>"])
        return (await jetstream.publish(f"{stream}.x", b"1")).seq
    finally:
        await client.close()


async def test_nats_keeps_its_streams_over_a_restart_and_a_kill(tmp_path: Path) -> None:
    options = NatsOptions(data_dir=tmp_path, sync_interval="always")
    async with running(nats_spec(options)) as child:
        assert await publish(child.addresses["nats"]) == 1
        child.kill()
        assert await child.wait() == -signal.SIGKILL
        await child.start()
        assert await publish(child.addresses["nats"]) == 2
    assert child.exit_status == 0, "it ended by itself after SIGTERM"
    async with running(nats_spec(options)) as child:
        assert await publish(child.addresses["nats"]) == 3


async def test_a_log_whose_disk_was_full_takes_messages_again_once_there_is_room(tmp_path: Path) -> None:
    if not small_disk.allowed():
        pytest.skip("no disk can be mounted here")
    spec = nats_spec(NatsOptions(data_dir=tmp_path, port=free_port()))
    said: list[str] = []
    with small_disk.small_disk(tmp_path / "jetstream") as disk:
        supervisor = Supervisor([[spec]], said.append)
        await supervisor.start()
        client = await nats.connect(supervisor.addresses("nats")["nats"], max_reconnect_attempts=-1)
        try:
            stream = client.jetstream(timeout=0.5)
            await stream.add_stream(name="S", subjects=["s"])
            await stream.publish("s", b"kept")
            disk.fill()
            with pytest.raises(TimeoutError):
                await asyncio.gather(*(stream.publish("s", b"x" * 100_000) for _ in range(100)))
            held = (await stream.stream_info("S")).state.last_seq
            assert supervisor.restarts("nats") == 0, "without room a new start does not help"
            disk.make_room()
            async with asyncio.timeout(60):
                while supervisor.restarts("nats") == 0:  # noqa: ASYNC110  (the supervisor has no event for it)
                    await asyncio.sleep(0.05)
            assert (await stream.publish("s", b"after", timeout=60)).seq == held + 1
            assert (await stream.get_msg("S", 1)).data == b"kept"
            assert "no space left on device" in said[0]
        finally:
            await client.close()
            await supervisor.stop()


async def test_nats_users_need_their_password_and_see_their_account_only(tmp_path: Path) -> None:
    users = (NatsUser("a", "secret-a", "ONE"), NatsUser("b", "secret-b", "TWO"))
    async with running(nats_spec(NatsOptions(data_dir=tmp_path, users=users))) as child:
        url = child.addresses["nats"]
        assert await publish(url.replace("//", "//a:secret-a@")) == 1
        assert await publish(url.replace("//", "//b:secret-b@")) == 1, "a stream of the same name, but its own"
        for wrong in (url, url.replace("//", "//a:secret-b@")):
            with pytest.raises(nats.errors.Error):
                await publish(wrong)
    assert mode(tmp_path / "nats.conf") == 0o600


async def test_every_test_has_an_account_of_its_own(tmp_path: Path) -> None:
    accounts = NatsAccounts(tmp_path)  # the shared one may go on to its next server in between
    try:
        urls = [await accounts.take() for _ in range(3)]
        assert len(set(urls)) == 3
        assert [await publish(url, "SAME") for url in urls] == [1, 1, 1]
    finally:
        await accounts.close()


async def test_accounts_do_not_run_out(tmp_path: Path) -> None:
    accounts = NatsAccounts(tmp_path)
    try:
        urls = [await accounts.take() for _ in range(ACCOUNTS + 1)]
        assert await publish(urls[-1]) == 1
    finally:
        await accounts.close()


async def test_a_nats_server_of_an_earlier_run_is_stopped_first(tmp_path: Path) -> None:
    first = Child(nats_spec(NatsOptions(data_dir=tmp_path)))
    await first.start()
    second = Child(nats_spec(NatsOptions(data_dir=tmp_path)))
    await second.start()
    try:
        assert await first.wait() == 0
        assert await publish(second.addresses["nats"]) == 1
    finally:
        await second.stop()


@pytest.mark.parametrize("server", ["nats", "postgres"])
async def test_a_taken_port_is_told_with_its_holder(tmp_path: Path, server: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        spec: ChildSpec = (
            nats_spec(NatsOptions(data_dir=tmp_path, port=port))
            if server == "nats"
            else postgres_spec(PostgresOptions(data_dir=tmp_path, port=port))
        )
        with pytest.raises(StackError, match=rf"port {port} is taken by .*pid {os.getpid()}"):
            await Child(spec).start()


async def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"(?s)nats ended at once \(status 1\).*invalid duration"):
        await Child(nats_spec(NatsOptions(data_dir=tmp_path, sync_interval="sometimes"))).start()


async def test_postgres_roles_come_in_with_their_password_only(tmp_path: Path) -> None:
    options = PostgresOptions(data_dir=tmp_path, fast=True, database="mint", owner=OWNER, readers=[READER])
    async with running(postgres_spec(options)) as child:
        url = dsn(child.addresses, "mint", OWNER)
        assert "@127.0.0.1:" in url
        owner = await connect(url)
        await owner.execute('CREATE TABLE t (x int); INSERT INTO t VALUES (1); GRANT SELECT ON t TO "reader"')
        await owner.close()
        reader = await connect(dsn(child.addresses, "mint", READER))
        assert await reader.fetchval("SELECT x FROM t") == 1
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await reader.execute("INSERT INTO t VALUES (2)")
        await reader.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("INSERT INTO t VALUES (2)")
        await reader.close()
        for stranger in (PostgresRole(OWNER.name, "wrong"), PostgresRole("postgres", "postgres")):
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
                await connect(dsn(child.addresses, "mint", stranger))


async def test_postgres_keeps_its_data_and_takes_new_passwords(tmp_path: Path) -> None:
    async with running(postgres_spec(PostgresOptions(data_dir=tmp_path, database="mint", owner=OWNER))) as child:
        connection = await connect(dsn(child.addresses, "mint", OWNER))
        await connection.execute("CREATE TABLE t (x int)")
        await connection.close()
        child.kill()
        await child.wait()
        await child.start()
    changed = PostgresRole(OWNER.name, "changed")
    async with running(postgres_spec(PostgresOptions(data_dir=tmp_path, database="mint", owner=changed))) as child:
        connection = await connect(dsn(child.addresses, "mint", changed))
        assert await connection.fetchval("SELECT count(*) FROM t") == 0
        await connection.close()


async def test_a_password_is_in_no_statement_that_postgres_logs(tmp_path: Path) -> None:
    options = PostgresOptions(data_dir=tmp_path, fast=True, owner=OWNER)
    async with running(postgres_spec(options)) as child:
        superuser = await connect(superuser_dsn(child.addresses))
        await superuser.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        await superuser.close()
    with pytest.raises(StackError, match="its roles and database cannot be made"):
        await Child(postgres_spec(options)).start()
    logged = (tmp_path / "postgres.log").read_text()
    assert f'STATEMENT:  ALTER ROLE "{OWNER.name}"' in logged
    assert OWNER.password not in logged


def test_a_password_that_saslprep_might_change_is_refused() -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        scram_verifier("pässword")


async def test_postgres_starts_again_at_once_after_a_kill(tmp_path: Path) -> None:
    child = Child(postgres_spec(PostgresOptions(data_dir=tmp_path, fast=True)))
    for _ in range(8):  # its helper processes outlive it for a moment and hold the shared memory
        await child.start()
        child.kill()
        await child.wait()


async def test_postgres_compares_texts_by_bytes_and_knows_unicode(database: Database) -> None:
    connection = await connect(database.dsn)
    assert await connection.fetchval("SELECT 'B' < 'a'"), "the C collation"
    assert await connection.fetchval("SELECT current_setting('server_encoding')") == "UTF8"
    await connection.close()


async def test_a_postgres_server_of_an_earlier_run_is_stopped_first(tmp_path: Path) -> None:
    first = Child(postgres_spec(PostgresOptions(data_dir=tmp_path, fast=True)))
    await first.start()
    second = Child(postgres_spec(PostgresOptions(data_dir=tmp_path, fast=True)))
    await second.start()
    try:
        assert await first.wait() == 0
    finally:
        await second.stop()


async def test_a_pid_file_with_the_id_of_another_process_is_dropped(tmp_path: Path) -> None:
    spec = postgres_spec(PostgresOptions(data_dir=tmp_path, fast=True))
    async with running(spec) as child:
        pid_file = tmp_path / "cluster" / "postmaster.pid"
        lines = pid_file.read_text().split("\n", 1)[1]
        child.kill()
        await child.wait()
    with spawn("sleep", "600") as bystander:
        pid_file.write_text(f"{bystander.pid}\n{lines}")
        async with running(spec) as child:
            assert child.pid is not None
            assert bystander.poll() is None, "a process that is not ours is left alone"
        bystander.kill()


async def test_a_long_data_directory_has_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    async with running(postgres_spec(PostgresOptions(data_dir=deep, fast=True, tcp=False))) as child:
        assert not child.addresses["socket"].startswith(str(tmp_path))
        assert mode(child.addresses["socket"]) == 0o700
        connection = await connect(superuser_dsn(child.addresses))
        await connection.close()
    os.rmdir(child.addresses["socket"])


async def test_a_data_directory_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StackError, match=r"was made by Postgres 9, this is Postgres \d+"):
        await Child(postgres_spec(PostgresOptions(data_dir=tmp_path))).start()


def test_a_wrong_folder_of_binaries_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINTSTREAM_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(StackError, match=r"MINTSTREAM_POSTGRES_BIN=.*: no executable postgres or initdb there"):
        postgres_spec(PostgresOptions(data_dir=tmp_path))


async def test_initdb_runs_when_the_cache_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert not cache_directory().exists()
    async with running(postgres_spec(PostgresOptions(data_dir=tmp_path / "data", fast=True, tcp=False))):
        templates = [path for path in cache_directory().iterdir() if path.is_dir()]
    assert len(templates) == 1
    assert (templates[0] / "PG_VERSION").exists()


async def test_databases_of_tests_are_apart(postgres_server: PostgresServer, database: Database) -> None:
    async def fill(made: Database) -> None:
        connection = await connect(made.dsn)
        await connection.execute("CREATE TABLE filled (x int)")
        await connection.close()

    template = await postgres_server.template("filled", fill)
    assert template == await postgres_server.template("filled", fill), "made once"
    copy = await postgres_server.create_database(template)
    for each, expected in ((copy, "filled"), (database, None)):
        connection = await connect(each.dsn)
        assert await connection.fetchval("SELECT to_regclass('filled')::text") == expected
        await connection.close()
    await postgres_server.drop_database(copy)


async def test_children_end_with_their_parent(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from localnet.child import Child
from localnet.nats_server import NatsOptions, nats_spec
from localnet.postgres import PostgresOptions, postgres_spec

async def main():
    children = [
        Child(nats_spec(NatsOptions(data_dir=Path({str(tmp_path / "n")!r})))),
        Child(postgres_spec(PostgresOptions(data_dir=Path({str(tmp_path / "p")!r}), fast=True, tcp=False))),
    ]
    for child in children:
        await child.start()
    print(*(child.pid for child in children), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with spawn(sys.executable, "-c", program) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        parent.kill()
    for pid in pids:
        while alive(pid):  # the test's time limit is the bound
            os.sched_yield()


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    holder = f"""
import sys
from pathlib import Path
from localnet.lock import DirectoryLock
with DirectoryLock(Path({str(tmp_path)!r}), "mintstream stack"):
    print("held", flush=True)
    sys.stdin.read()
"""
    with spawn(sys.executable, "-c", holder) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        expected = rf"another mintstream stack \(pid {other.pid}\) uses {tmp_path}"
        with pytest.raises(StackError, match=expected), DirectoryLock(tmp_path, "mintstream stack"):
            pass
        other.kill()
    with DirectoryLock(tmp_path, "mintstream stack"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


async def test_a_started_server_keeps_its_port(start_nats: NatsFactory) -> None:
    port = free_port()
    child = await start_nats(port=port)
    child.kill()
    await child.wait()
    await child.start()
    assert child.addresses["nats"].endswith(f":{port}")
