"""The images without an engine: their steps in clean folders, with the locked packages of services alone."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.settings import describe, load
from deploy.generate import ROOT
from deploy.services import SETTINGS
from localnet.child import ChildSpec, ports_file_ready, running
from services.indexer.settings import MigrationSettings
from tests.support.images import copy_application, services, stages
from tests.support.nats import NatsAccounts

NAMES = tuple(SETTINGS)
EXAMPLES = {
    "DATABASE_URL": "postgresql://somebody@postgres/mintstream",
    "RPC_URL": "https://rpc.example",
    "WEBHOOK_SEALING_KEYS": "A" * 43 + "=",
}


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> "Image":
    """A virtual environment from requirements/runtime.txt, by its hashes, and room for the code beside it."""
    directory = tmp_path_factory.mktemp("image")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory / "venv")], check=True)
    python = directory / "venv" / "bin" / "python"
    uv, locked = Path(sys.executable).with_name("uv"), ROOT / "requirements" / "runtime.txt"
    subprocess.run(
        [
            *(str(uv), "pip", "install", "--quiet", "--python", str(python)),
            *("--require-hashes", "--only-binary", ":all:", "--requirement", str(locked)),
        ],
        check=True,
        timeout=280,
        # As in the image, where it spares every start from compiling what it imports.
        env={**os.environ, "UV_COMPILE_BYTECODE": "1"},
    )
    return Image(python, directory)


class Image:
    def __init__(self, python: Path, directory: Path) -> None:
        self._python = python
        self._directory = directory

    def command(self, name: str) -> list[str]:
        program, *arguments = services()[name].command("ENTRYPOINT")
        assert program == "python"
        return [str(self._python), *arguments]

    def environ(self, name: str) -> dict[str, str]:
        root = self._directory / name
        if not root.exists():
            copy_application(name, root)
        return {"PYTHONPATH": str(root), "PYTHONSAFEPATH": "1", "PATH": os.defpath}

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command(name), *arguments],
            env=self.environ(name),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_service_has_all_that_it_imports_and_asks_for_its_variables(image: Image, name: str) -> None:
    done = image.run(name)
    assert done.returncode == 2, done.stderr
    assert "NATS_URL: missing" in done.stderr


def test_the_migration_has_all_that_it_imports(image: Image) -> None:
    done = image.run("indexer", "--migrate-only")
    assert done.returncode == 2, done.stderr
    assert "DATABASE_URL: missing" in done.stderr


async def test_a_service_in_its_image_serves_what_its_health_check_asks(
    image: Image, nats_accounts: NatsAccounts, tmp_path: Path
) -> None:
    """The gateway: it starts without its database, and serves the API and the probes on one port."""
    url = await nats_accounts.take()
    _, _, rest = url.partition("//")
    user, _, host = rest.partition("@")
    name, _, password = user.partition(":")
    ports_file = tmp_path / "ports.json"
    environ = image.environ("gateway") | {
        "NATS_URL": f"nats://{host}",
        "NATS_USER": name,
        "NATS_PASSWORD": password,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "API_KEY": "k" * 32,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PORTS_FILE": str(ports_file),
    }
    spec = ChildSpec(
        name="gateway",
        command=tuple(image.command("gateway")),
        log_file=tmp_path / "gateway.log",
        ready=ports_file_ready(ports_file),
        environ=environ,
    )
    async with running(spec) as child:
        program, *check = services()["gateway"].command("HEALTHCHECK")
        assert program == "python"
        asked = [argument.replace("http://127.0.0.1:8080", child.addresses["api"]) for argument in check]
        assert asked != check
        done = await asyncio.create_subprocess_exec(image.command("gateway")[0], *asked, cwd="/")
        assert await done.wait() == 0


def test_every_image_runs_as_nobody_in_particular_and_holds_its_own_service_alone() -> None:
    assert set(services()) == set(NAMES)
    for name, stage in services().items():
        assert stage.base == "service"
        assert stage.every("USER") == ["10001:10001"]
        copied = {rest.split()[0] for rest in stage.every("COPY")}
        assert {source for source in copied if source.startswith("services/")} == {f"services/{name}"}
        assert stage.command("ENTRYPOINT") == ["python", "-m", f"services.{name}"]
        assert stage.every("EXPOSE") == ["8080" if name == "gateway" else "8081"]
    everything = {rest.split()[0] for stage in stages().values() for rest in stage.every("COPY")}
    assert not {source for source in everything if source.split("/")[0] in ("localnet", "mintstream", "programs")}
    assert not any(stage.every("ADD") for stage in stages().values())


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / "images" / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", [*NAMES, "migrate"])
def test_a_service_of_the_compose_file_would_start_with_its_environment(name: str) -> None:
    service = compose()[name]
    settings = SETTINGS.get(name, MigrationSettings)
    given: dict[str, str] = {}
    for variable, value in service["environment"].items():
        assert isinstance(value, str), f"{variable} is not a text"
        if value.startswith("/run/secrets/"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]
            secret = variable.removesuffix("_FILE")
            given[secret] = EXAMPLES.get(secret, 64 * "x")
        else:
            given[variable] = value
    load(settings, given)
    assert set(given) <= {row.variable for row in describe(settings)}


def test_the_wallets_key_is_in_one_container_of_the_compose_file() -> None:
    assert [name for name, service in compose().items() if "private_key" in service.get("secrets", ())] == ["minter"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_uploaded_is_not_held_in_the_memory_that_a_container_is_given(name: str) -> None:
    """A tmpfs counts as the container's memory: forms would have it killed long before the gateway refuses one."""
    service = compose()[name]
    assert service["read_only"]
    assert service["volumes"] == ["/tmp"]
    assert "tmpfs" not in service


def test_images_of_others_are_named_by_version() -> None:
    for name, service in compose().items():
        tag = service["image"].rpartition(":")[2]
        assert tag not in ("", "latest"), name
