"""Users, sessions and API tokens in MongoDB."""

from collections.abc import Mapping

import msgspec

from runwatch_server.rows import SessionRow, TokenRow, UserRow
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.sql.documents import TOKEN, USER
from runwatch_shared.errors import ConflictError

_OLDEST_FIRST = [("created_us", 1), ("_id", 1)]


class AccessReader:
    """`protocols.AccessReads`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def user(self, user_id: str) -> UserRow | None:
        row = self._view.get("users", user_id)
        return None if row is None else USER.row(row["doc"])

    def user_by_email(self, email: str) -> UserRow | None:
        rows = self._view.find("users", {"email": email}, [("_id", 1)], limit=1)
        return USER.row(rows[0]["doc"]) if rows else None

    def users(self) -> list[UserRow]:
        return [USER.row(row["doc"]) for row in self._view.find("users", {}, _OLDEST_FIRST)]

    def session(self, session_id: str) -> SessionRow | None:
        row = self._view.get("sessions", session_id)
        return None if row is None else _session(row)

    def token(self, token_id: str) -> TokenRow | None:
        row = self._view.get("tokens", token_id)
        return None if row is None else _token(row)

    def tokens(self) -> list[TokenRow]:
        return [_token(row) for row in self._view.find("tokens", {}, _OLDEST_FIRST)]


class AccessWriter(AccessReader):
    """`protocols.AccessWrites`."""

    def save_user(self, row: UserRow) -> None:
        same = self.user_by_email(row.email)
        if same is not None and same.id != row.id:
            raise ConflictError("another user has this address")
        self._view.put("users", row.id, user_fields(row, USER.text(row)))

    def save_session(self, row: SessionRow) -> None:
        fields = {name: getattr(row, name) for name in row.__struct_fields__ if name != "id"}
        self._view.put("sessions", row.id, fields)

    def end_sessions(self, user_id: str, *, but: str | None, at_us: int) -> None:
        """Sessions that ended before keep their moment."""
        where = {"user_id": user_id, "ended_us": None}
        for row in self._view.find("sessions", where, [("_id", 1)]):
            if row["_id"] != but:
                self._view.put("sessions", row["_id"], {**row, "ended_us": at_us})

    def save_token(self, row: TokenRow) -> None:
        fields = token_fields(row, row.last_used_us, TOKEN.text(row))
        self._view.put("tokens", row.id, fields)

    def touch_tokens(self, used: Mapping[str, int]) -> None:
        """Use is noted outside the document and never goes back."""
        for token_id, at_us in used.items():
            row = self._view.get("tokens", token_id)
            if row is not None and (row["last_used_us"] or 0) < at_us:
                self._view.put("tokens", token_id, {**row, "last_used_us": at_us})


def user_fields(row: UserRow, doc: str) -> Fields:
    """A user as it is stored."""
    return {"email": row.email, "created_us": row.created_us, "doc": doc}


def token_fields(row: TokenRow, last_used_us: int | None, doc: str) -> Fields:
    """A token as it is stored."""
    return {"created_us": row.created_us, "last_used_us": last_used_us, "doc": doc}


def _session(row: Fields) -> SessionRow:
    return SessionRow(
        id=row["_id"],
        user_id=row["user_id"],
        created_us=row["created_us"],
        expires_us=row["expires_us"],
        ended_us=row["ended_us"],
    )


def _token(row: Fields) -> TokenRow:
    return msgspec.structs.replace(TOKEN.row(row["doc"]), last_used_us=row["last_used_us"])
