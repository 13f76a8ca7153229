"""Secrets as the store keeps them: encrypted with a key that lies elsewhere."""

import base64
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runwatch_shared.errors import RunwatchError

PREFIX: Final = "sealed:1:"
PURPOSE: Final = b"runwatch run environment"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12

Environment = dict[str, str]


class VaultError(RunwatchError):
    """A value that was sealed with another key, or was changed since."""


class Vault:
    """Seals and opens values; a value belongs to its variable's name.

    Args:
        secret: From which the key is derived (HKDF-SHA256); all servers of a store share it.
    """

    def __init__(self, secret: str) -> None:
        derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=PURPOSE)
        self._cipher = AESGCM(derive.derive(secret.encode()))

    def seal(self, env: Environment | None) -> Environment | None:
        """The variables with values only this key opens."""
        if env is None:
            return None
        return {name: self._sealed(name, value) for name, value in env.items()}

    def open(self, env: Environment | None) -> Environment | None:
        """The variables as they were; one that was never sealed stays.

        Raises:
            VaultError: One was sealed with another key.
        """
        if env is None:
            return None
        return {name: self._opened(name, value) for name, value in env.items()}

    def seal_text(self, name: str, value: str) -> str:
        """One value; only under the same name it is opened again."""
        return self._sealed(name, value)

    def open_text(self, name: str, sealed: str) -> str:
        """One value as it was.

        Raises:
            VaultError: It was sealed with another key or name.
        """
        return self._opened(name, sealed)

    def seal_bytes(self, name: str, data: bytes) -> bytes:
        """Bytes; only under the same name they are opened again."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, name.encode())

    def open_bytes(self, name: str, sealed: bytes) -> bytes:
        """Bytes as they were.

        Raises:
            VaultError: They were sealed with another key or name.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise VaultError(f"{name} was sealed with another key") from error

    def _sealed(self, name: str, value: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        text = self._cipher.encrypt(nonce, value.encode("utf-8", "surrogatepass"), name.encode())
        return PREFIX + base64.b64encode(nonce + text).decode()

    def _opened(self, name: str, value: str) -> str:
        if not value.startswith(PREFIX):
            return value
        try:
            data = base64.b64decode(value.removeprefix(PREFIX), validate=True)
            text = self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise VaultError(f"{name} was sealed with another key") from error
        return text.decode("utf-8", "surrogatepass")
