"""Secrets at rest: sealed with a key from the settings, so that the log holds nothing that signs.

The gateway seals webhook secrets, the notifier opens them (Fernet: AES-128-CBC with HMAC-SHA256, from `cryptography`).
Keys are rotated by putting a new one in front: the first seals, all open. Not done here: whose secret it is.
"""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from chassis.redaction import Secret


class Unsealable(Exception):
    """No key that is known opens this; it was sealed with another, or altered."""


class Sealer:
    """Seals and opens. Raises ValueError, without the keys in its text, when they are no Fernet keys."""

    def __init__(self, keys: Secret) -> None:
        """`keys`: one or more, comma separated, each 32 bytes in URL-safe base64; the newest first."""
        try:
            self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.reveal().split(",") if key.strip()])
        except ValueError:  # stop: the operator has to correct it; the library's text may quote the key
            raise ValueError("must be keys of 32 bytes in URL-safe base64, comma separated") from None

    def seal(self, secret: Secret) -> str:
        """Return the secret as it may be stored."""
        return self._fernet.encrypt(secret.reveal().encode()).decode()

    def open(self, sealed: str) -> Secret:
        """Return the secret. Raises Unsealable."""
        try:
            return Secret(self._fernet.decrypt(sealed).decode())
        except (InvalidToken, ValueError):  # stop: only another key helps; what is no ASCII or UTF-8 is a ValueError
            raise Unsealable("no key in WEBHOOK_SEALING_KEYS opens it") from None
