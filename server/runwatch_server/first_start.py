"""What the first start leaves in the data directory: tokens for local tools, and a first user.

Files are made with mode 0600 and never given to anybody else. Source: contract 2.1, "First start".
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from runwatch_server.access.issuing import create_user, issue_token
from runwatch_server.access.tokens import read_token
from runwatch_server.storage.protocols import Store, WriteTx
from runwatch_shared.clock import Clock
from runwatch_shared.models import Scope

T = TypeVar("T")

FILES: Final[dict[str, Scope]] = {"token": "admin", "node-token": "node"}


def write_now(store: Store, clock: Clock, work: Callable[[WriteTx], T]) -> T:
    """One work in a commit of its own, where no writer runs: before serving, and in commands.

    Raises:
        StoreError: The store failed.
        RefusedError: What the work refused.
    """
    (outcome,), _ = store.write_group([work], clock.now_us())
    if outcome.error is not None:
        raise outcome.error
    return outcome.value  # type: ignore[return-value]  # the work's own value


def ensure_tokens(store: Store, clock: Clock, data_dir: Path) -> list[str]:
    """See that each token file holds a token this store knows; gives the names of new files.

    A file whose token the store does not know (another database, or revoked) is written anew.

    Raises:
        OSError: A file cannot be read or written.
    """
    made: list[str] = []
    for name, scope in FILES.items():
        file = data_dir / name
        if _is_known(store, file):
            continue

        def issue(tx: WriteTx, name: str = name, scope: Scope = scope) -> str:
            _, text = issue_token(
                tx,
                name=f"first-start {name}",
                scope=scope,
                node_id=None,
                life_s=None,
                by_name="first start",
            )
            return text

        _write_private(file, write_now(store, clock, issue))
        made.append(name)
    return made


def ensure_admin(
    store: Store, clock: Clock, *, email: str, password: str, hashed: Callable[[str], str]
) -> bool:
    """Create the user of ``ADMIN_EMAIL`` and ``ADMIN_PASSWORD`` where there is none; whether it
    did."""
    if not email or not password:
        return False
    with store.read() as tx:
        if tx.access.user_by_email(email.strip().lower()) is not None:
            return False
    password_hash = hashed(password)
    write_now(
        store,
        clock,
        lambda tx: create_user(tx, email=email, scope="admin", password_hash=password_hash),
    )
    return True


def _is_known(store: Store, file: Path) -> bool:
    if not file.exists():
        return False
    token = read_token(file.read_text(encoding="utf-8").strip())
    if token is None:
        return False
    with store.read() as tx:
        row = tx.access.token(token.id)
    return row is not None and row.revoked_us is None and row.secret_sha256 == token.secret_sha256


def _write_private(file: Path, text: str) -> None:
    """Write a secret so that at no moment anybody else can read it, and no reader sees half."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as output:
        output.write(f"{text}\n")
    fresh.replace(file)
