"""Users, sessions and API tokens in SQL."""

from collections.abc import Mapping

import msgspec

from runwatch_server.rows import SessionRow, TokenRow, UserRow
from runwatch_server.storage.sql.connection import Connection, SqlRow
from runwatch_server.storage.sql.documents import TOKEN, USER


class AccessReader:
    """`protocols.AccessReads`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = connection.statements("access")

    def user(self, user_id: str) -> UserRow | None:
        text = self._connection.value(self._sql["user"], (user_id,))
        return None if text is None else USER.row(text)

    def user_by_email(self, email: str) -> UserRow | None:
        text = self._connection.value(self._sql["user_by_email"], (email,))
        return None if text is None else USER.row(text)

    def users(self) -> list[UserRow]:
        return [USER.row(text) for (text,) in self._connection.all(self._sql["users"])]

    def session(self, session_id: str) -> SessionRow | None:
        row = self._connection.one(self._sql["session"], (session_id,))
        if row is None:
            return None
        key, user_id, created_us, expires_us, ended_us = row
        return SessionRow(
            id=key,
            user_id=user_id,
            created_us=created_us,
            expires_us=expires_us,
            ended_us=ended_us,
        )

    def token(self, token_id: str) -> TokenRow | None:
        row = self._connection.one(self._sql["token"], (token_id,))
        return None if row is None else _token(row)

    def tokens(self) -> list[TokenRow]:
        return [_token(row) for row in self._connection.all(self._sql["tokens"])]


class AccessWriter(AccessReader):
    """`protocols.AccessWrites`."""

    def save_user(self, row: UserRow) -> None:
        self._connection.run(
            self._sql["save_user"], (row.id, row.email, row.created_us, USER.text(row))
        )

    def save_session(self, row: SessionRow) -> None:
        self._connection.run(
            self._sql["save_session"],
            (row.id, row.user_id, row.created_us, row.expires_us, row.ended_us),
        )

    def end_sessions(self, user_id: str, *, but: str | None, at_us: int) -> None:
        self._connection.run(self._sql["end_sessions"], (at_us, user_id, but))

    def save_token(self, row: TokenRow) -> None:
        self._connection.run(
            self._sql["save_token"], (row.id, row.created_us, row.last_used_us, TOKEN.text(row))
        )

    def touch_tokens(self, used: Mapping[str, int]) -> None:
        for token_id, at_us in used.items():
            self._connection.run(self._sql["touch_token"], (at_us, token_id))


def _token(row: SqlRow) -> TokenRow:
    text, last_used_us = row
    return msgspec.structs.replace(TOKEN.row(text), last_used_us=last_used_us)
