"""`mintstream up`, `demo` and `clean`: the embedded stack started, shown at work, and removed.

Not done here: what the demo does (`demo`), and the stack itself (`localnet.stack`).
"""

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Console

from localnet.addresses import StackPorts
from localnet.errors import PortsTaken
from localnet.lock import LOCK, DirectoryLock
from localnet.stack import Stack, StackSettings
from mintstream import demo as main_job
from mintstream.ending import Exit, end
from mintstream.options import DATA, AsJson, DataDir
from mintstream.printing import people, print_json

DEFAULTS: Final = StackPorts()

SlotMs = Annotated[int, typer.Option(min=1, help="Length of the local cluster's slots in milliseconds.")]
FreePorts = Annotated[bool, typer.Option("--free-ports", help="Take free ports, not the usual ones.")]


def _port(usual: int, of: str, most: int = 65_535) -> Any:
    """Return the option for a port; its default is left to `--free-ports`."""
    return typer.Option(min=0, max=most, show_default=str(usual), help=f"Port of {of}; 0 takes a free one.")


ApiPort = Annotated[int | None, _port(DEFAULTS.api, "the API")]
RpcPort = Annotated[int | None, _port(DEFAULTS.rpc, "the cluster's RPC, before that of its WebSocket", 65_534)]
NatsPort = Annotated[int | None, _port(DEFAULTS.nats, "NATS")]
NatsMonitorPort = Annotated[int | None, _port(DEFAULTS.nats_monitor, "NATS's monitoring page")]
PostgresPort = Annotated[int | None, _port(DEFAULTS.postgres, "Postgres")]
IpfsPort = Annotated[int | None, _port(DEFAULTS.ipfs, "the pinning endpoint and its gateway")]


def up(
    data: DataDir = DATA,
    slot_ms: SlotMs = 400,
    api_port: ApiPort = None,
    rpc_port: RpcPort = None,
    nats_port: NatsPort = None,
    nats_monitor_port: NatsMonitorPort = None,
    postgres_port: PostgresPort = None,
    ipfs_port: IpfsPort = None,
    free_ports: FreePorts = False,
    as_json: AsJson = False,
) -> None:
    """Start the embedded stack and leave it up until Ctrl-C.

    JSON has its addresses, once it is ready.

    Example: mintstream up --data /tmp/drop --api-port 9090
    """
    given = {
        "api": api_port,
        "rpc": rpc_port,
        "nats": nats_port,
        "nats_monitor": nats_monitor_port,
        "postgres": postgres_port,
        "ipfs": ipfs_port,
    }
    usual = StackPorts.free() if free_ports else DEFAULTS
    ports = replace(usual, **{name: port for name, port in given.items() if port is not None})
    try:
        _run(_up(StackSettings(data_dir=data, ports=ports, slot_ms=slot_ms), as_json=as_json), data)
    except PortsTaken as error:  # stop: only a person can free them, or do without
        end(Exit.STACK, f"{error}\nOr let --free-ports choose for all.")


def demo(
    data: DataDir = DATA,
    count: Annotated[int, typer.Option(min=1, max=50, help="How many NFTs to mint.")] = 30,
    standard: Annotated[Literal["v1", "v2"], typer.Option(help="v1: token-metadata; v2: MPL-Core.")] = "v2",
    once: Annotated[bool, typer.Option("--once", help="Stop the stack afterwards instead of leaving it up.")] = False,
    free_ports: FreePorts = False,
    slot_ms: SlotMs = 400,
    as_json: AsJson = False,
) -> None:
    """Start the stack, create a collection, mint a batch and check every NFT against the chain.

    Example: mintstream demo --count 10 --standard v1 --once
    """
    ports = StackPorts.free() if free_ports else DEFAULTS
    settings = StackSettings(data_dir=data, ports=ports, slot_ms=slot_ms)
    try:
        _run(_demo(settings, count=count, standard=standard, once=once, as_json=as_json), data)
    except PortsTaken as error:  # stop: only a person can free them, or do without
        end(Exit.STACK, "\n".join([*error.taken.values(), "Stop who has them, or let --free-ports choose others."]))


def clean(data: DataDir = DATA, as_json: AsJson = False) -> None:
    """Remove the data directory with everything in it. Refused while a stack uses it.

    That is its log, its database, its chain, what it pinned, and its keys.

    Example: mintstream clean --data /tmp/drop
    """
    if not data.exists():
        print_json({"removed": None}) if as_json else typer.echo(f"{data} is not there; nothing to remove")
        return
    if not (data / "secrets").is_dir() and {each.name for each in data.iterdir()} - {LOCK}:
        end(Exit.USAGE, f"{data} is no data directory of mintstream; remove it by hand if you mean it")
    # A running stack, which holds the lock, would go on with files that are no longer there.
    with DirectoryLock(data.absolute(), "mintstream stack"):
        shutil.rmtree(data)
    print_json({"removed": str(data)}) if as_json else typer.echo(f"removed {data}")


def _run(work: Coroutine[Any, Any, None], data: Path) -> None:
    """Run the stack; a Ctrl-C before it waits for one stops it as well, and with it what it was asked for."""
    try:
        asyncio.run(work)
    except KeyboardInterrupt:  # stop: that is what was asked for
        end(Exit.INTERRUPTED, f"Stopped. What {data} holds stays, and the next start goes on from there.")


async def _up(settings: StackSettings, *, as_json: bool) -> None:
    console = people(stderr=as_json)
    async with _started(settings, console) as stack:
        if as_json:
            print_json(_addresses(stack))
        _tell_addresses(stack, console)
        await stack.run_until_signal()
        console.print("Stopping")


async def _demo(settings: StackSettings, *, count: int, standard: str, once: bool, as_json: bool) -> None:
    console = people(stderr=as_json)
    began = time.monotonic()
    async with _started(settings, console) as stack:
        console.print(f"Stack ready after {time.monotonic() - began:.1f} s")
        try:
            outcome = await main_job.run(stack, console, count=count, standard=standard)
        except main_job.FAILURES as error:
            # Stop: the demo failed; the logs of every process are where the sentence says.
            end(Exit.FAILED, f"The demo failed: {error}\nLogs: {stack.log_file('minter').parent}")
        if as_json:
            print_json(main_job.fields(outcome))
        else:
            main_job.tell(outcome, console)
        console.print(
            f"[bold green]{len(outcome.minted)} NFTs minted in {outcome.seconds:.1f} s[/], each once, "
            f"each proven against its tree's root on chain.",
            soft_wrap=True,
        )
        if not once:
            _tell_addresses(stack, console)
            await stack.run_until_signal()
            console.print("Stopping")


@asynccontextmanager
async def _started(settings: StackSettings, console: Console) -> AsyncGenerator[Stack]:
    first = "" if settings.data_dir.exists() else " (the first start takes a few seconds longer)"
    console.print(
        f"Starting NATS, Postgres, a local Solana cluster, IPFS pinning and the services{first}", soft_wrap=True
    )
    async with AsyncExitStack() as resources:
        with console.status("Waiting until each of them is ready"):
            stack = await resources.enter_async_context(Stack(settings))
        yield stack


def _addresses(stack: Stack) -> dict[str, str]:
    return {
        "api": stack.api_url,
        "apiKey": stack.api_key,
        "rpc": stack.rpc_url,
        "webSocket": stack.ws_url,
        "nats": stack.nats_url,
        "ipfs": stack.ipfs_url,
        "logs": str(stack.log_file("gateway").parent),
    }


def _tell_addresses(stack: Stack, console: Console) -> None:
    rows = {
        "API": stack.api_url,
        "API docs": f"{stack.api_url}/docs",
        "Console": f"{stack.api_url}/console",
        "API key": stack.api_key,
        "Solana RPC and DAS": stack.rpc_url,
        "Solana WebSocket": stack.ws_url,
        "NATS": f"{stack.nats_url}   (nats sub 'mint.>')",
        "IPFS gateway": f"{stack.ipfs_url}/ipfs/<cid>",
        "Logs": str(stack.log_file("gateway").parent),
    }
    console.print()
    for name, value in rows.items():
        console.print(f"  {name:<19} {value}", markup=False, soft_wrap=True)
    console.print(
        "\nThe cluster runs local stand-ins of the on-chain programs, not the deployed ones. Ctrl-C stops everything.",
        soft_wrap=True,
    )
