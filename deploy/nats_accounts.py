"""The production NATS server's accounts and users, from `contracts.permissions`.

`chart_values` gives what `deploy/k8s/platform/nats-accounts.yaml` holds, for the server's Helm chart, `configuration`
what `deploy/images/nats.conf` holds, for a single server; the permission tests run on a server with the latter.
Passwords come by environment variables of the server, on Kubernetes from the secret `nats-users`. The server reads a
variable as a value of its language, so a password has to begin with a letter.
"""

import json
import re
from typing import Any, Final

from contracts.permissions import ROLES, permissions

ACCOUNT: Final = "MINTSTREAM"
SECRET: Final = "nats-users"  # noqa: S105  (the name of a secret)
OPERATOR: Final = "mintstream"
"""The operator's command line: everything within the account."""
SYSTEM: Final = "system"
"""The server's own account, for `nats server report`."""
CONTROLLER: Final = "nack"
"""NACK makes streams and consumers, and says nothing on them."""


_VARIABLE: Final = re.compile(r'"<< (\$\w+) >>"')


def chart_values() -> dict[str, Any]:
    """Return the chart's values: `config.merge` for the accounts, `container.env` for the passwords."""
    names = [*(role.name for role in ROLES), CONTROLLER, OPERATOR, SYSTEM]
    return {
        "config": {"merge": _accounts()},
        "container": {"env": {variable(name): _from_secret(name) for name in names}},
    }


def configuration() -> str:
    """Return a whole nats-server configuration: one server without TLS, with the same accounts."""
    parts: dict[str, Any] = {
        "listen": "0.0.0.0:4222",
        "http": "0.0.0.0:8222",
        "jetstream": {"store_dir": "/data"},
        "max_payload": 2_097_152,
        **_accounts(),
    }
    # JSON is a part of the server's language; what is not quoted there is a variable.
    return _VARIABLE.sub(r"\1", json.dumps(parts, indent=2)) + "\n"


def variable(user: str) -> str:
    """Return the environment variable of the server that holds a user's password."""
    return f"NATS_PASSWORD_{user.upper()}"


def _accounts() -> dict[str, Any]:
    users: list[dict[str, Any]] = [
        {**_login(role.name), "permissions": permissions(role).configuration()} for role in ROLES
    ]
    controller = {"publish": {"allow": ["$JS.API.>"]}, "subscribe": {"allow": ["_INBOX.>"]}}
    users += [{**_login(CONTROLLER), "permissions": controller}, _login(OPERATOR)]
    return {
        "accounts": {
            ACCOUNT: {"jetstream": "enabled", "users": users},
            "SYS": {"users": [_login(SYSTEM)]},
        },
        "system_account": "SYS",
    }


def _login(name: str) -> dict[str, Any]:
    # The chart writes what stands between << and >> without quotes, and the server reads it as a variable.
    return {"user": name, "password": f"<< ${variable(name)} >>"}


def _from_secret(name: str) -> dict[str, Any]:
    return {"valueFrom": {"secretKeyRef": {"name": SECRET, "key": name}}}
