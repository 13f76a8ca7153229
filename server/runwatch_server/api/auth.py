"""Logins, sessions and passwords over HTTP (contract 2.4); API tokens are in `tokens`."""

import logging
from typing import Final, NoReturn

import msgspec

from runwatch_server.access.passwords import check_password
from runwatch_server.access.sessions import ACCESS_S, REFRESH_S
from runwatch_server.admission import address_of
from runwatch_server.api.call import Call, Route, json, nothing
from runwatch_server.auth import ACCESS_COOKIE, REFRESH_COOKIE, read_cookie
from runwatch_server.ids import new_id
from runwatch_server.problems import Answer
from runwatch_server.rows import SessionRow, UserRow
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.errors import RefusedError
from runwatch_shared.logs import log
from runwatch_shared.models import User
from runwatch_shared.timestamps import format_optional_time, format_time
from runwatch_shared.wire import (
    LoginAnswer,
    LoginRequest,
    MessageAnswer,
    PasswordRequest,
    RefreshAnswer,
    RefreshRequest,
    TokenIdentity,
)

logger: Final = logging.getLogger(__name__)

_LOGIN: Final = msgspec.json.Decoder(LoginRequest)
_REFRESH: Final = msgspec.json.Decoder(RefreshRequest)
_PASSWORD: Final = msgspec.json.Decoder(PasswordRequest)
_COOKIE_PATHS: Final = {ACCESS_COOKIE: "/", REFRESH_COOKIE: "/api/v1/auth"}

Cookies = tuple[tuple[bytes, bytes], ...]


async def login(call: Call) -> Answer:
    request, services = call.decode(_LOGIN), call.services
    email = request.email.strip().lower()
    caller = (address_of(call.scope), email)
    services.login_failures.check(caller, services.clock.monotonic())
    user = await services.reader.read(lambda tx: tx.access.user_by_email(email))
    right = await services.passwords.verify(
        None if user is None else user.password_hash, request.password
    )
    if user is None or not right:
        services.login_failures.add(caller, services.clock.monotonic())
        _refuse_login(call, "invalid_login", "e-mail or password is wrong")
    if user.status == "disabled":
        _refuse_login(call, "account_disabled", "this account is disabled")
    services.login_failures.clear(caller)
    now_us = services.clock.now_us()
    session = SessionRow(
        id=new_id("sess"),
        user_id=user.id,
        created_us=now_us,
        expires_us=now_us + REFRESH_S * 1_000_000,
    )
    await services.writer.write(lambda tx: tx.access.save_session(session))
    signer = services.authenticator.signer
    access = signer.sign(user, session, "access", now_us)
    refresh_token = signer.sign(user, session, "refresh", now_us)
    services.metrics.access.judged("password", "ok")
    call.noted["actor"] = user.email
    log(
        logger,
        logging.INFO,
        "auth",
        "A user logged in",
        event="login_ok",
        kind="password",
        by=user.email,
        scope=user.scope,
        address=caller[0],
    )
    answer = json(
        LoginAnswer(
            user=user_record(user),
            access_token=access,
            refresh_token=refresh_token,
            expires_in_s=ACCESS_S,
        )
    )
    cookies = (
        *_cookie(call, ACCESS_COOKIE, access, ACCESS_S),
        *_cookie(call, REFRESH_COOKIE, refresh_token, REFRESH_S),
    )
    return msgspec.structs.replace(answer, headers=cookies)


async def refresh(call: Call) -> Answer:
    text = call.decode(_REFRESH).refresh_token or read_cookie(call.headers, REFRESH_COOKIE)
    if not text:
        raise RefusedError("missing_field", "refresh_token is required", field="refresh_token")
    authenticator = call.services.authenticator
    session, user = await authenticator.session_of(text, "refresh")
    access = authenticator.signer.sign(user, session, "access", call.services.clock.now_us())
    call.noted["actor"] = user.email
    log(
        logger,
        logging.INFO,
        "auth",
        "A session goes on",
        event="refresh",
        kind="session",
        by=user.email,
    )
    answer = json(RefreshAnswer(access_token=access, expires_in_s=ACCESS_S))
    return msgspec.structs.replace(answer, headers=_cookie(call, ACCESS_COOKIE, access, ACCESS_S))


async def logout(call: Call) -> Answer:
    services = call.services
    if call.principal.kind == "session":
        session_id = call.principal.id
        await services.writer.write(lambda tx: end_session(tx, session_id))
        services.authenticator.forget()
    log(logger, logging.INFO, "auth", "A session ended", event="logout", by=call.principal.name)
    cookies = (*_cookie(call, ACCESS_COOKIE, "", 0), *_cookie(call, REFRESH_COOKIE, "", 0))
    return msgspec.structs.replace(nothing(), headers=cookies)


async def me(call: Call) -> Answer:
    principal = call.principal
    if principal.kind == "session":
        return json(user_record(await call.services.reader.read(lambda tx: _user(tx, call))))
    token = await call.services.reader.read(lambda tx: tx.access.token(principal.id))
    return json(
        TokenIdentity(
            id=principal.id,
            username=principal.name,
            scope=principal.scope,
            node_id=principal.node_id,
            expires_at=None if token is None else format_optional_time(token.expires_us),
        )
    )


async def password(call: Call) -> Answer:
    request, services = call.decode(_PASSWORD), call.services
    check_password(request.new_password, "new_password")
    if call.principal.kind != "session":
        raise RefusedError("forbidden", "only a user has a password", details={"need": "session"})
    user = await services.reader.read(lambda tx: _user(tx, call))
    if not await services.passwords.verify(user.password_hash, request.old_password):
        _refuse_login(call, "invalid_login", "the old password is wrong")
    hashed = await services.passwords.hash(request.new_password)
    session_id = call.principal.id

    def work(tx: WriteTx) -> None:
        changed = msgspec.structs.replace(user, password_hash=hashed, updated_us=tx.now_us)
        tx.access.save_user(changed)
        tx.access.end_sessions(user.id, but=session_id, at_us=tx.now_us)

    await services.writer.write(work)
    services.authenticator.forget()
    log(logger, logging.INFO, "auth", "A password changed", event="password", by=user.email)
    return json(MessageAnswer(message="the password was changed; other sessions ended"))


async def register(_: Call) -> Answer:
    raise RefusedError(
        "registration_disabled", "users are made by an administrator: monitor-server user create"
    )


def user_record(row: UserRow) -> User:
    """A user as the wire shows it."""
    return User(
        id=row.id,
        email=row.email,
        username=row.username,
        role=row.role,
        scope=row.scope,
        status=row.status,
        created_at=format_time(row.created_us),
        updated_at=format_time(row.updated_us),
    )


def end_session(tx: WriteTx, session_id: str) -> None:
    """End one session; one that ended before stays as it is."""
    session = tx.access.session(session_id)
    if session is not None and session.ended_us is None:
        tx.access.save_session(msgspec.structs.replace(session, ended_us=tx.now_us))


def _user(tx: ReadTx, call: Call) -> UserRow:
    session = tx.access.session(call.principal.id)
    user = None if session is None else tx.access.user(session.user_id)
    if user is None:
        raise RefusedError(
            "invalid_credential", "the session is over", details={"reason": "revoked"}
        )
    return user


def _cookie(call: Call, name: str, value: str, age_s: int) -> Cookies:
    """``Secure`` exactly when the request came over TLS (contract 2.1)."""
    secure = "; Secure" if call.secure else ""
    text = (
        f"{name}={value}; Path={_COOKIE_PATHS[name]}; Max-Age={age_s}"
        f"; HttpOnly; SameSite=Lax{secure}"
    )
    return ((b"set-cookie", text.encode()),)


def _refuse_login(call: Call, code: str, message: str) -> NoReturn:
    call.services.metrics.access.judged("password", code)
    log(
        logger,
        logging.WARNING,
        "auth",
        "A login failed",
        event="login_failed",
        code=code,
        address=address_of(call.scope),
    )
    raise RefusedError(code, message)


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/auth/login",
        handler=login,
        summary="Begin a session",
        body=LoginRequest,
        answers={200: LoginAnswer},
        errors=("missing_field", "invalid_login", "account_disabled", "rate_limited"),
    ),
    Route(
        method="POST",
        path="/api/v1/auth/refresh",
        handler=refresh,
        summary="A new access token for a session",
        body=RefreshRequest,
        answers={200: RefreshAnswer},
        errors=("missing_field", "invalid_credential", "account_disabled"),
    ),
    Route(
        method="POST",
        path="/api/v1/auth/register",
        handler=register,
        summary="Refused: users are made by an administrator",
        answers={},
        errors=("registration_disabled",),
        hidden=True,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/logout",
        handler=logout,
        summary="End this session",
        answers={204: None},
    ),
    Route(
        method="GET",
        path="/api/v1/auth/me",
        handler=me,
        summary="Who is asking",
        answers={200: User | TokenIdentity},
    ),
    Route(
        method="PUT",
        path="/api/v1/auth/password",
        handler=password,
        summary="Change the own password",
        body=PasswordRequest,
        answers={200: MessageAnswer},
        errors=("missing_field", "invalid_field", "invalid_login"),
    ),
)
