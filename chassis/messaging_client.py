# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""nats-py's client, made to reconnect where it would give up or wait for ever, and to sign for its user by itself.

Used by `chassis.messaging` only.

It overrides inner methods of nats-py 2.16; with a version that is without them, tests/integration/chassis/
test_reconnects.py fails. Not done here: everything that nats-py does well.
"""

from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from chassis.messaging_credentials import UserCredentials

_FORBIDDEN: Final = "permissions violation"
"""The one error that the server says of a message and not of the connection, which it keeps."""


class ReconnectingClient(Client):
    """A connection that ends only by being closed."""

    def _setup_nkeys_jwt_connect(self) -> None:
        """Have the user's JWT and signature ready for each connection; raises UnusableCredentials."""
        credentials = UserCredentials.parse(str(self._user_credentials))
        self._user_jwt_cb = lambda: credentials.jwt
        self._signature_cb = credentials.sign

    async def _process_err(self, err_msg: str) -> None:
        """Take what the server says before it ends a connection for the end of this one; nats-py closes for good.

        Among it are a message that is too large by its headers, a password that was changed and an expired one: the
        first is over with the connection, the others once the server is given what it asks for.
        """
        if _FORBIDDEN in err_msg.lower():
            await super()._process_err(err_msg)
            return
        error = nats.errors.Error(f"nats: {err_msg.strip(chr(39))}")
        await self._error_cb(error)
        await self._process_op_err(error)

    async def _attempt_reconnect(self) -> None:
        """Drop the old connection at once. nats-py has it say what it has to say first, and waits until it has.

        A server that stands still, or a machine that is gone, takes no byte: with more to say than fits between the
        two, no other server was ever asked.
        """
        transport: Any = self._transport
        writer = getattr(transport, "_io_writer", None)  # of a WebSocket there is none
        if writer is not None:
            writer.transport.abort()
        await super()._attempt_reconnect()
