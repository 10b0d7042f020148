"""Look-ups of names that strangers choose, by a real name server on this machine."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from chassis.names import name_service

SILENT = 100
"""Names whose server says nothing, looked up at once."""
HEADER = struct.Struct("!6H")
QUESTION_TAIL = 4
A, FOUND, UNKNOWN = 1, 0x8180, 0x8183


class NameServer(asyncio.DatagramProtocol):
    """Says nothing of silent*.test, knows shop.test, and of every other name that there is no such."""

    def __init__(self) -> None:
        self.silent: set[bytes] = set()
        self.all_silent = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        number, _, _, _, _, _ = HEADER.unpack_from(data)
        end = data.index(b"\x00", HEADER.size) + 1
        name, question = data[HEADER.size : end], data[HEADER.size : end + QUESTION_TAIL]
        if b"silent" in name:
            self.silent.add(name)
            if len(self.silent) == SILENT:
                self.all_silent.set()
            return
        kind = struct.unpack_from("!H", data, end)[0]
        answers = b""
        if name == b"\x04shop\x04test\x00" and kind == A:
            answers = struct.pack("!3HIH4s", 0xC00C, A, 1, 60, 4, socket.inet_aton("93.184.215.14"))
        flags = FOUND if name.startswith(b"\x04shop") else UNKNOWN
        self._transport.sendto(HEADER.pack(number, flags, 1, bool(answers), 0, 0) + question + answers, addr)


@asynccontextmanager
async def name_server() -> AsyncGenerator[tuple[NameServer, str]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    try:
        yield server, "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


async def test_names_whose_servers_are_silent_hold_up_no_other() -> None:
    async with name_server() as (server, address), name_service([address], seconds=120.0) as look_up:
        silent = [asyncio.ensure_future(look_up(f"silent{number}.test")) for number in range(SILENT)]
        await server.all_silent.wait()
        assert await look_up("shop.test") == ["93.184.215.14"]
        assert not any(task.done() for task in silent), "they are waited for still"
        for task in silent:
            task.cancel()
        await asyncio.wait(silent)


async def test_addresses_are_themselves_and_what_is_no_name_has_none() -> None:
    async with name_server() as (_, address), name_service([address], seconds=120.0) as look_up:
        assert await look_up("127.0.0.1") == ["127.0.0.1"]
        assert await look_up("::1") == ["::1"]
        for name in ("unknown.test", "a..b", "a" * 64 + ".test", "fe80::1%eth0", "\x00", ""):
            assert await look_up(name) == [], name
