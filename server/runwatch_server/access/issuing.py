"""Making and revoking API tokens and users in the store, for HTTP and for commands."""

from typing import Final

import msgspec

from runwatch_server import checks
from runwatch_server.access.tokens import make_token
from runwatch_server.ids import is_id, new_id
from runwatch_server.rows import TokenRow, UserRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import NodeId, Scope, Token
from runwatch_shared.timestamps import format_optional_time, format_time

NAME_CHARS: Final = 64
EMAIL_CHARS: Final = 254
LONGEST_LIFE_S: Final = 10 * 366 * 86400
_SECOND_US: Final = 1_000_000


def issue_token(
    tx: WriteTx,
    *,
    name: str,
    scope: Scope,
    node_id: str | None,
    life_s: int | None,
    by_name: str,
) -> tuple[TokenRow, str]:
    """A new token: its row, and its text, which is kept nowhere.

    Raises:
        RefusedError: 400 for the name or the node.
    """
    checks.check_text(name, "name", NAME_CHARS)
    if node_id is not None and (scope != "node" or not is_id(node_id)):
        raise RefusedError(
            "invalid_field", "node_id goes with the scope node, and is an id", field="node_id"
        )
    token = make_token(scope)
    row = TokenRow(
        id=token.id,
        name=name,
        scope=scope,
        node_id=None if node_id is None else NodeId(node_id),
        secret_sha256=token.secret_sha256,
        created_us=tx.now_us,
        created_by=by_name,
        expires_us=None if life_s is None else tx.now_us + life_s * _SECOND_US,
    )
    tx.access.save_token(row)
    return row, token.text


def revoke_token(tx: WriteTx, token_id: str) -> bool:
    """End a token; False where there is none that lives."""
    row = tx.access.token(token_id)
    if row is None or row.revoked_us is not None:
        return False
    tx.access.save_token(msgspec.structs.replace(row, revoked_us=tx.now_us))
    return True


def token_record(row: TokenRow) -> Token:
    """A token as the wire shows it, without its text."""
    return Token(
        id=row.id,
        name=row.name,
        scope=row.scope,
        node_id=row.node_id,
        created_at=format_time(row.created_us),
        created_by=row.created_by,
        last_used_at=format_optional_time(row.last_used_us),
        expires_at=format_optional_time(row.expires_us),
    )


def create_user(tx: WriteTx, *, email: str, scope: Scope, password_hash: str) -> UserRow:
    """A new user.

    Raises:
        RefusedError: 400 for the address, 409 ``name_taken``.
    """
    address = email.strip().lower()
    checks.check_text(address, "email", EMAIL_CHARS)
    if "@" not in address.strip("@"):
        raise RefusedError("invalid_field", "email is no address", field="email")
    if tx.access.user_by_email(address) is not None:
        raise RefusedError("name_taken", "a user with this e-mail exists", field="email")
    row = UserRow(
        id=new_id("user"),
        email=address,
        username=address.partition("@")[0],
        role="admin" if scope == "admin" else "user",
        scope=scope,
        password_hash=password_hash,
        created_us=tx.now_us,
        updated_us=tx.now_us,
    )
    tx.access.save_user(row)
    return row


def disable_user(tx: WriteTx, row: UserRow) -> None:
    """Let a user in no more; all sessions end."""
    tx.access.save_user(msgspec.structs.replace(row, status="disabled", updated_us=tx.now_us))
    tx.access.end_sessions(row.id, but=None, at_us=tx.now_us)


def set_password(tx: WriteTx, row: UserRow, password_hash: str) -> None:
    """A new password; all sessions end."""
    changed = msgspec.structs.replace(row, password_hash=password_hash, updated_us=tx.now_us)
    tx.access.save_user(changed)
    tx.access.end_sessions(row.id, but=None, at_us=tx.now_us)
