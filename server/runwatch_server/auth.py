"""Who is asking: credentials become principals, in the order of contract 2.1, and stay checked.

What a principal may do is in `access.table`; whether a request is let in at all is in `admission`.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal, NoReturn, Protocol

import msgspec

from runwatch_server.access import sessions, tokens
from runwatch_server.principals import Principal
from runwatch_server.rows import SessionRow, TokenRow, UserRow
from runwatch_server.storage.protocols import Reader, ReadTx
from runwatch_shared.clock import Clock
from runwatch_shared.errors import RefusedError
from runwatch_shared.wire import BEARER_SUBPROTOCOL_PREFIX

ACCESS_COOKIE: Final = "access_token"
REFRESH_COOKIE: Final = "refresh_token"
KNOWN_S: Final = 2.0
"""How long a checked credential is believed: what another process revokes counts within it."""
MOST_KNOWN: Final = 4096
SHARED_NODE: Final = Principal(kind="node_token", scope="node", id="shared", name="node-token")

Headers = Mapping[bytes, bytes]
CredentialKind = Literal["token", "node_token", "session", "password"]


class AuthObserver(Protocol):
    """Hears of every credential that was judged."""

    def judged(self, kind: CredentialKind, result: str) -> None: ...


class Known(msgspec.Struct, frozen=True):
    """A credential that was found good."""

    principal: Principal
    until_s: float
    """Monotonic: asked again afterwards."""
    expires_us: int | None


class Authenticator:
    """Judges credentials against the store, remembering good ones for a moment.

    Args:
        node_token: The shared one of ``RUNWATCH_NODE_TOKEN``; empty for none.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        clock: Clock,
        signer: sessions.Signer,
        node_token: str,
        observer: AuthObserver,
    ) -> None:
        self.signer = signer
        self._reader = reader
        self._clock = clock
        self._node_token = node_token.encode()
        self._observer = observer
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._used: dict[str, int] = {}
        self.on_forget: Callable[[], None] = lambda: None
        """Who else has to look again: the open sockets."""

    async def principal(self, headers: Headers, *, socket: bool = False) -> Principal | None:
        """The principal of the first credential found; None where there is none.

        Args:
            socket: Whether a subprotocol may carry one.

        Raises:
            RefusedError: 401 ``invalid_credential``: one is there and it is not good.
        """
        if (bearer := headers.get(b"authorization")) is not None:
            scheme, _, text = bearer.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer":
                self._refuse("token", "unknown")
            return await self._judge(text.strip())
        if (node := headers.get(b"x-node-token")) is not None:
            return await self._judge(node.decode("latin-1").strip(), of_node=True)
        if (cookie := read_cookie(headers, ACCESS_COOKIE)) is not None:
            return await self._judge(cookie)
        if socket and (offered := _offered_bearer(headers)) is not None:
            return await self._judge(offered)
        return None

    async def still_valid(self, principals: Sequence[Principal]) -> list[bool]:
        """Whether the credential of each open socket still holds, all of one moment."""
        now_us = self._clock.now_us()
        return await self._reader.read(lambda tx: [_holds(tx, each, now_us) for each in principals])

    def forget(self) -> None:
        """Believe nothing that was checked before: something was revoked, ended or changed."""
        self._known.clear()
        self.on_forget()

    def take_used(self) -> dict[str, int]:
        """Tokens used since the last call, by id, with the moment of the last use."""
        used, self._used = self._used, {}
        return used

    async def session_of(self, text: str, kind: sessions.Kind) -> tuple[SessionRow, UserRow]:
        """The living session of a token of this kind, and its user.

        Raises:
            RefusedError: 401 ``invalid_credential``, 403 ``account_disabled``.
        """
        now_us = self._clock.now_us()
        claims = self.signer.read(text)
        if claims is None or claims.type != kind:
            self._refuse("session", "unknown")
        if claims.exp * 1_000_000 <= now_us:
            self._refuse("session", "expired")
        found = await self._reader.read(lambda tx: _live_session(tx, claims.sid))
        if found is None or found[1].id != claims.sub:
            self._refuse("session", "revoked")
        session, user = found
        if user.status == "disabled":
            self._observer.judged("session", "disabled")
            raise RefusedError("account_disabled", "this account is disabled")
        if (reason := _session_end(session, now_us)) is not None:
            self._refuse("session", reason)
        return session, user

    async def _judge(self, text: str, *, of_node: bool = False) -> Principal:
        known = self._known.get(text)
        now_us = self._clock.now_us()
        if (
            known is None
            or known.until_s <= self._clock.monotonic()
            or (known.expires_us is not None and known.expires_us <= now_us)
        ):
            known = await self._find(text)
            self._known[text] = known
            self._known.move_to_end(text)
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        principal = known.principal
        if of_node and not principal.is_node:
            self._refuse("node_token", "unknown")
        if principal.kind != "session" and principal is not SHARED_NODE:
            self._used[principal.id] = now_us
        self._observer.judged(_kind_of(principal), "ok")
        return principal

    async def _find(self, text: str) -> Known:
        until_s = self._clock.monotonic() + KNOWN_S
        if self._node_token and hmac.compare_digest(text.encode(), self._node_token):
            return Known(SHARED_NODE, until_s, None)
        if text.startswith(tokens.PREFIX):
            row = await self._token_row(text)
            return Known(principal_of_token(row), until_s, row.expires_us)
        session, user = await self.session_of(text, "access")
        claims = self.signer.read(text)
        assert claims is not None
        principal = Principal(kind="session", scope=user.scope, id=session.id, name=user.email)
        return Known(principal, until_s, claims.exp * 1_000_000)

    async def _token_row(self, text: str) -> TokenRow:
        parts = tokens.read_token(text)
        if parts is None or parts.scope == "join":
            self._refuse("token", "unknown")
        row = await self._reader.read(lambda tx: tx.access.token(parts.id))
        if row is None or not hmac.compare_digest(row.secret_sha256, parts.secret_sha256):
            self._refuse("token", "unknown")
        if (reason := _token_end(row, self._clock.now_us())) is not None:
            self._refuse("token", reason)
        return row

    def _refuse(self, kind: CredentialKind, reason: str) -> NoReturn:
        self._observer.judged(kind, reason)
        raise RefusedError(
            "invalid_credential",
            "the credential is not valid (any more)",
            details={"reason": reason},
        )


def principal_of_token(row: TokenRow) -> Principal:
    """Who an API token makes of its bearer."""
    return Principal(
        kind="node_token" if row.scope == "node" else "token",
        scope=row.scope,
        id=row.id,
        name=row.name,
        node_id=row.node_id,
    )


def read_cookie(headers: Headers, name: str) -> str | None:
    """The value of a cookie; None without it or where the header cannot be read."""
    raw = headers.get(b"cookie")
    if raw is None:
        return None
    try:
        morsel = SimpleCookie(raw.decode("latin-1")).get(name)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def offered_subprotocols(headers: Headers) -> list[str]:
    """What a client offered in ``Sec-WebSocket-Protocol``."""
    raw = headers.get(b"sec-websocket-protocol", b"").decode("latin-1")
    return [part.strip() for part in raw.split(",") if part.strip()]


def _offered_bearer(headers: Headers) -> str | None:
    for protocol in offered_subprotocols(headers):
        if protocol.startswith(BEARER_SUBPROTOCOL_PREFIX):
            return protocol.removeprefix(BEARER_SUBPROTOCOL_PREFIX)
    return None


def _holds(tx: ReadTx, principal: Principal, now_us: int) -> bool:
    match principal.kind:
        case "local":
            return True
        case "session":
            found = _live_session(tx, principal.id)
            if found is None or found[1].status == "disabled":
                return False
            return _session_end(found[0], now_us) is None
        case "token" | "node_token":
            if principal is SHARED_NODE:
                return True
            row = tx.access.token(principal.id)
            return row is not None and _token_end(row, now_us) is None


def _live_session(tx: ReadTx, session_id: str) -> tuple[SessionRow, UserRow] | None:
    session = tx.access.session(session_id)
    user = None if session is None else tx.access.user(session.user_id)
    return None if session is None or user is None else (session, user)


def _session_end(session: SessionRow, now_us: int) -> str | None:
    if session.ended_us is not None:
        return "revoked"
    return "expired" if session.expires_us <= now_us else None


def _token_end(row: TokenRow, now_us: int) -> str | None:
    if row.revoked_us is not None:
        return "revoked"
    return "expired" if row.expires_us is not None and row.expires_us <= now_us else None


def _kind_of(principal: Principal) -> CredentialKind:
    return "token" if principal.kind == "local" else principal.kind
