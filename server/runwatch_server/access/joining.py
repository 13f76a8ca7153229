"""How a node gets its own token: an administrator makes one for joining, the node trades it, once.

A token for joining that names no node is for new nodes only: with it nobody takes the place of one
that is known. One that names a node may renew that node's token; the older ones end then.
"""

import hmac
from typing import Final

import msgspec

from runwatch_server import checks
from runwatch_server.access.issuing import NAME_CHARS, issue_token
from runwatch_server.access.tokens import make_token, read_token
from runwatch_server.ids import is_id
from runwatch_server.rows import TokenRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import NodeId

LIFE_S: Final = 15 * 60
LONGEST_LIFE_S: Final = 24 * 3600
BY: Final = "joined by "
_SECOND_US: Final = 1_000_000


def issue_join_token(
    tx: WriteTx, *, name: str, node_id: str | None, life_s: int, by_name: str
) -> tuple[TokenRow, str]:
    """A token one node may join with: its row, and its text, which is kept nowhere.

    Raises:
        RefusedError: 400 for the name, the node or the life.
    """
    checks.check_text(name, "name", NAME_CHARS)
    if node_id is not None and not is_id(node_id):
        raise RefusedError("invalid_field", "node_id is no id", field="node_id")
    if not 0 < life_s <= LONGEST_LIFE_S:
        raise RefusedError(
            "invalid_field",
            f"expires_in_s must be 1 to {LONGEST_LIFE_S}",
            field="expires_in_s",
            details={"min": 1, "max": LONGEST_LIFE_S},
        )
    token = make_token("join")
    row = TokenRow(
        id=token.id,
        name=name,
        scope="node",
        node_id=None if node_id is None else NodeId(node_id),
        secret_sha256=token.secret_sha256,
        created_us=tx.now_us,
        created_by=by_name,
        expires_us=tx.now_us + life_s * _SECOND_US,
        joins=True,
    )
    tx.access.save_token(row)
    return row, token.text


def join(tx: WriteTx, *, text: str, node_id: str) -> tuple[TokenRow, str]:
    """The node's own token, bound to its id, for one to join with, which ends in this commit.

    Raises:
        RefusedError: 400 for the id; 401 ``invalid_credential`` with ``details.reason`` unknown,
            expired, revoked (used) or node (it is for another node); 409 ``node_conflict``: the id
            is known, and the token names none.
    """
    if not is_id(node_id):
        raise RefusedError("invalid_field", "node_id is no id", field="node_id")
    row = _living(tx, text)
    if row.node_id is None:
        if tx.nodes.get(node_id) is not None or _tokens_of(tx, node_id):
            raise RefusedError(
                "node_conflict",
                "a node of this id is known; make a token for joining that names it",
                field="node_id",
            )
    elif row.node_id != node_id:
        raise _refused("node")
    for old in _tokens_of(tx, node_id):
        if old.created_by.startswith(BY):
            tx.access.save_token(msgspec.structs.replace(old, revoked_us=tx.now_us))
    tx.access.save_token(msgspec.structs.replace(row, revoked_us=tx.now_us))
    return issue_token(
        tx,
        name=f"node {node_id}"[:NAME_CHARS],
        scope="node",
        node_id=node_id,
        life_s=None,
        by_name=f"{BY}{row.id}",
    )


def _living(tx: WriteTx, text: str) -> TokenRow:
    parts = read_token(text)
    row = None if parts is None else tx.access.token(parts.id)
    if (
        parts is None
        or row is None
        or not row.joins
        or not hmac.compare_digest(row.secret_sha256, parts.secret_sha256)
    ):
        raise _refused("unknown")
    if row.revoked_us is not None:
        raise _refused("revoked")
    if row.expires_us is not None and row.expires_us <= tx.now_us:
        raise _refused("expired")
    return row


def _tokens_of(tx: WriteTx, node_id: str) -> list[TokenRow]:
    return [
        row
        for row in tx.access.tokens()
        if row.node_id == node_id and not row.joins and row.revoked_us is None
    ]


def _refused(reason: str) -> RefusedError:
    return RefusedError(
        "invalid_credential",
        "the token for joining is not valid (any more)",
        details={"reason": reason},
    )
