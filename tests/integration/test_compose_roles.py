"""The roles that the Compose file's Postgres makes, by the script that its image runs, on a real server."""

import asyncio
import os
from pathlib import Path

from chassis.database import connect
from deploy.generate import ROOT
from localnet.child import running
from localnet.postgres import PostgresOptions, PostgresRole, dsn, postgres_spec
from localnet.postgres_cluster import SUPERUSER, find_binaries

SCRIPT = ROOT / "deploy" / "images" / "postgres-roles.sh"
ROLES = [PostgresRole(f"mintstream_{name}", f"hunter2's {name}") for name in ("owner", "writer", "reader")]


async def test_the_roles_come_in_with_passwords_that_nothing_tells(tmp_path: Path) -> None:
    """Neither the arguments of a process, which every user of a machine sees, nor the log when a statement fails."""
    options = PostgresOptions(data_dir=tmp_path / "postgres", fast=True)
    async with running(postgres_spec(options)) as child:
        assert await run_script(child.addresses["socket"], child.addresses["port"], tmp_path) == 0
        for role in ROLES:
            connection = await connect(dsn(child.addresses, "mintstream", role))
            assert await connection.fetchval("SELECT current_user") == role.name
            await connection.close()
        assert await run_script(child.addresses["socket"], child.addresses["port"], tmp_path) != 0
    told = (tmp_path / "arguments").read_text() + (tmp_path / "postgres" / "postgres.log").read_text()
    assert 'role "mintstream_owner" already exists' in told
    assert "hunter2" not in told


async def run_script(socket: str, port: str, directory: Path) -> int:
    """Run it with a psql that notes its arguments; return its status."""
    programs = directory / "bin"
    programs.mkdir(exist_ok=True)
    noting = programs / "psql"
    noting.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"{directory}/arguments"\nexec "{find_binaries()}/psql" "$@"\n')
    noting.chmod(0o700)
    environ = {"PATH": f"{programs}:{os.environ['PATH']}", "PGHOST": socket, "PGPORT": port, "POSTGRES_USER": SUPERUSER}
    environ |= {f"PASSWORD_{role.name.removeprefix('mintstream_')}": role.password for role in ROLES}
    process = await asyncio.create_subprocess_exec("sh", str(SCRIPT), env=environ)
    return await process.wait()
