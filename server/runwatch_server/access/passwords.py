"""Passwords: argon2id in a few threads of its own, so that a login never holds up the loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from runwatch_shared.errors import OverloadedError, RefusedError

T = TypeVar("T")

SHORTEST: Final = 8
LONGEST: Final = 256
THREADS: Final = 2
WAITING: Final = 32
"""Logins that may wait for a thread; the next one is told to come back."""


def check_password(password: str, field: str) -> None:
    """400 for a new password that is too short or too long (contract 2.4)."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise RefusedError(
            "invalid_field",
            f"{field} must have {SHORTEST} to {LONGEST} characters",
            field=field,
            details={"min": SHORTEST, "max": LONGEST},
        )


class Passwords:
    """Hashes and verifies; `verify` takes the same time for a user there is not.

    Args:
        hasher: Other cost parameters, for tests.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash("nobody has this password")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._under_way = 0

    async def hash(self, password: str) -> str:
        """The argon2id hash of a new password.

        Raises:
            OverloadedError: Too many are waiting.
        """
        return await self._run(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one; None is a user there is not.

        Raises:
            OverloadedError: Too many are waiting.
        """
        matches = await self._run(self._matches, stored or self._nobody, password)
        return matches and stored is not None

    def close(self) -> None:
        """Let the threads go; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def hash_now(self, password: str) -> str:
        """`hash` for a command, which has no loop to hold up."""
        return self._hasher.hash(password)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *values: str) -> T:
        if self._under_way >= THREADS + WAITING:
            raise OverloadedError("too many logins are waiting")
        self._under_way += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, work, *values)
        finally:
            self._under_way -= 1
