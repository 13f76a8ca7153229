"""`login`: a login begun, followed to its end, fed and cancelled, without a screen."""

import asyncio
import time
from typing import Final

import msgspec

from runwatch_console.authrows import AuthRow
from runwatch_console.formats import moment_s
from runwatch_console.headless.exits import CommandError, ExitCode, usage_error
from runwatch_console.headless.formats import Output, csv_text, json_text
from runwatch_console.headless.login_addresses import address_text
from runwatch_console.headless.session import Session
from runwatch_console.looks import LOGIN
from runwatch_console.ops import logins
from runwatch_console.ports import Api, ApiError
from runwatch_console.rows import short
from runwatch_console.told import phase_words
from runwatch_shared.logins import Action, OperationRequest

ASKED_S: Final = 0.5
PATIENCE_S: Final = 60.0
"""How long the server may be away while a login is followed."""
UNREACHED: Final = frozenset({0, 502, 503, 504})
OVER: Final = frozenset({"success", "failed", "timeout", "cancelled"})
_FIELDS: Final = (
    "id", "status", "phase", "message", "progress", "verify_url", "user_code", "input_prompt",
    "expires_at", "error",
)  # fmt: skip


async def begin(
    session: Session,
    api: Api,
    request: OperationRequest,
    output: Output,
    *,
    follow: bool,
    qr: bool,
    timeout_s: float | None,
) -> ExitCode:
    """Begin it, print its id, and follow it to its end."""
    made = await logins.begin_login(api, request)
    if not follow:
        text = f"{short(made.action_id)}\n" if output is Output.TABLE else f"{json_text(made)}\n"
        session.printer.write(text)
        return ExitCode.DONE
    return await follow_login(session, api, made.action_id, output, qr=qr, timeout_s=timeout_s)


async def follow_login(
    session: Session,
    api: Api,
    action_id: str,
    output: Output,
    *,
    qr: bool = False,
    timeout_s: float | None = None,
    end_at_wait: bool = False,
) -> ExitCode:
    """Print each phase as it comes, until the login is over.

    Raises:
        ApiError: It cannot be had, or the server is away for too long.
        CommandError: The time is over.
    """
    if output is Output.CSV:
        session.printer.write(csv_text([_FIELDS]))
    began_s = heard_s = time.monotonic()
    before: tuple[object, ...] = ()
    while True:
        try:
            action = await logins.action(api, action_id)
        except ApiError as error:
            if error.status not in UNREACHED or time.monotonic() - heard_s > PATIENCE_S:
                raise
        else:
            heard_s = time.monotonic()
            told = (action.status, action.phase, action.message, action.result, action.error)
            if told != before:
                before = told
                _print(session, action, output, qr=qr)
            if action.status in OVER:
                return ExitCode.DONE if action.status == "success" else ExitCode.FAILED
            if end_at_wait and action.status == "waiting":
                return ExitCode.WAITING
        if timeout_s is not None and time.monotonic() - began_s > timeout_s:
            facts = {"id": short(action_id), "seconds": f"{timeout_s:g}"}
            raise CommandError(ExitCode.TIMEOUT, session.words("headless.login_timeout", **facts))
        await asyncio.sleep(ASKED_S)


def _result(action: Action, name: str) -> str:
    value = (action.result or {}).get(name)
    return value if isinstance(value, str) else ""


def _print(session: Session, action: Action, output: Output, *, qr: bool) -> None:
    match output:
        case Output.TABLE:
            session.printer.write(_lines(session, action, qr=qr))
        case Output.CSV:
            plain = msgspec.to_builtins(action) | (action.result or {})
            line = [plain.get(name) for name in _FIELDS]
            session.printer.write(csv_text([line]))
        case _:
            record = msgspec.structs.replace(action, operation=None)
            session.printer.write(f"{json_text(record)}\n")


def _lines(session: Session, action: Action, *, qr: bool) -> str:
    words = session.words
    phase = phase_words(short(action.phase or ""), words) or short(action.message or "")
    text = f"{short(action.id)}  {action.status}  {action.progress}%  {phase}".rstrip() + "\n"
    if action.error:
        text += f"{short(action.error, 600)}\n"
    url = short(_result(action, "verify_url"), 2_000)
    if action.status == "waiting" and url:
        code = short(_result(action, "user_code"), 80)
        text += f"{words('why.login', code=code)}\n" if code else ""
        text += f"{url}\n"
        text += address_text(_row(action, url), session, qr=True) if qr else ""
        if prompt := _result(action, "input_prompt"):
            asks = words("headless.login_asks", id=short(action.id), asks=short(prompt, 200))
            text += f"{asks}\n"
    return text


def _row(action: Action, url: str) -> AuthRow:
    return AuthRow(
        key=f"run:{action.id}",
        account=short(action.id),
        agent="",
        node="",
        state="login",
        look=LOGIN,
        code="",
        url=url,
        expires_s=moment_s(action.expires_at),
        blocks=0,
        run_id=short(action.id),
        stale=False,
    )


async def give(session: Session, api: Api, action_id: str, text: str) -> ExitCode:
    """Give what the agent asks for."""
    try:
        await logins.give_input(api, action_id, text)
    except ApiError as error:
        if error.code == "invalid_transition":
            raise usage_error(session.words, "login.not_asked") from error
        raise
    session.printer.say(session.words("login.given"))
    return ExitCode.DONE


async def cancel(session: Session, api: Api, some_id: str) -> ExitCode:
    """End a login by the id of its operation or its action."""
    operation_id = some_id
    if some_id.startswith("act-"):
        operation_id = (await logins.action(api, some_id)).operation_id
    operation = await logins.cancel_login(api, operation_id)
    facts = {"id": short(operation.id), "status": operation.status}
    session.printer.write(f"{session.words('headless.wait_done', **facts)}\n")
    return ExitCode.DONE
