"""chassis.database without a server: what is told of a connection URL that is none."""

import traceback

import pytest

from chassis import postgres
from chassis.database import UnusableDsn, connect


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:hunter2/x@127.0.0.1:1/d",
        "postgresql://u:hunter2#x@127.0.0.1:1/d",
        "postgresql://u:hunter2:x/@127.0.0.1:1/d",
        "postgresql://u:x?hunter2@127.0.0.1:1/d",
        "postgresql://u:hunter2@h\u2100:1/d",
        "postgresql://u:x@127.0.0.1:1/d?sslmode=hunter2",
    ],
)
async def test_a_password_that_is_not_encoded_is_not_told(dsn: str) -> None:
    """What urllib and asyncpg take for a port, a host or a parameter they quote; here it is the password."""
    with pytest.raises(UnusableDsn) as of_one:
        await connect(dsn)
    with pytest.raises(UnusableDsn) as of_a_pool:
        async with postgres.pool(dsn, application_name="test", wait_seconds=0):
            pass
    for error in (of_one.value, of_a_pool.value):
        assert "percent-encode" in str(error)
        told = "".join(traceback.format_exception(error)).replace(dsn, "")
        assert "hunter2" not in told
