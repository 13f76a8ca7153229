"""The commands about logins and accounts (Typer); what they do is in `logging_in`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from runwatch_console.accountrows import AccountRow
from runwatch_console.headless import logging_in
from runwatch_console.headless.exits import ExitCode, usage_error
from runwatch_console.headless.fleet_listings import ACCOUNTS
from runwatch_console.headless.fleet_lists import print_fleet_list
from runwatch_console.headless.formats import Output
from runwatch_console.headless.launching import (
    FilterOption,
    OutputOption,
    WatchOption,
    app,
    refuse_json_stream,
    run_to_end,
    session_of,
)
from runwatch_console.headless.secrets import read_secret
from runwatch_console.headless.session import ClosableApi, Session
from runwatch_console.ops import logins
from runwatch_console.rows import short
from runwatch_shared.logins import LoginConfig, OperationRequest, OperationType

SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", metavar="FILE", help="Read the key or code there; - is stdin."),
]
DEFAULT_METHODS: Final = {"openai-codex": "device_code"}


class LoginDeed(StrEnum):
    """What `login` does."""

    BEGIN = "begin"
    FOLLOW = "follow"
    INPUT = "input"
    CANCEL = "cancel"


class LoginMethod(StrEnum):
    """How one logs in (contract 13)."""

    OAUTH = "oauth"
    DEVICE_CODE = "device_code"
    API_KEY = "api_key"


class AccountDeed(StrEnum):
    """What `accounts` does."""

    LIST = "list"
    DELETE = "delete"


@app.command()
def login(
    ctx: typer.Context,
    deed: Annotated[LoginDeed, typer.Argument(metavar="DEED", help="What to do.")],
    login_id: Annotated[
        str, typer.Argument(metavar="[ID]", help="Of the login: act-… or op-….")
    ] = "",
    agent: Annotated[str, typer.Option(metavar="TYPE", help="Agent type.")] = "",
    name: Annotated[str, typer.Option(help="Name of the account.")] = "",
    node: Annotated[str, typer.Option(metavar="ID", help="Where to log in.")] = "",
    method: Annotated[
        LoginMethod | None, typer.Option(help="How; else as the agent usually does.")
    ] = None,
    proxy: Annotated[str, typer.Option(metavar="ID", help="Through this proxy.")] = "",
    secret_file: SecretFile = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print the id and do not follow it.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Give up after that (exit 124).")
    ] = None,
    qr: Annotated[bool, typer.Option("--qr", help="Draw addresses as QR codes too.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Begin a login, follow it, give what it asks for, or end it.

    Exit code: 0 logged in, 1 failed, 2 usage, 4 auth, 5 unreachable, 124 timeout.
    """
    session = session_of(ctx)
    words = session.words
    if deed is not LoginDeed.BEGIN and not login_id:
        raise usage_error(words, "headless.login_id", deed=deed.value)
    match deed:
        case LoginDeed.BEGIN:
            refuse_json_stream(words, output, endless=not no_wait)
            request = _request(session, agent, name, node, method, proxy, secret_file)
            run_to_end(
                session,
                lambda api: logging_in.begin(
                    session, api, request, output, follow=not no_wait, qr=qr, timeout_s=timeout
                ),
            )
        case LoginDeed.FOLLOW:
            refuse_json_stream(words, output, endless=True)
            run_to_end(
                session,
                lambda api: logging_in.follow_login(
                    session, api, login_id, output, qr=qr, timeout_s=timeout
                ),
            )
        case LoginDeed.INPUT:
            text = read_secret(session, secret_file, "headless.code_ask")
            run_to_end(session, lambda api: logging_in.give(session, api, login_id, text))
        case LoginDeed.CANCEL:
            run_to_end(session, lambda api: logging_in.cancel(session, api, login_id))


def _request(
    session: Session,
    agent: str,
    name: str,
    node: str,
    method: LoginMethod | None,
    proxy: str,
    secret_file: Path | None,
) -> OperationRequest:
    missing = [flag for flag, value in (("--agent", agent), ("--name", name), ("--node", node))
               if not value]  # fmt: skip
    if missing:
        raise usage_error(session.words, "headless.login_needs", flags=" ".join(missing))
    chosen = method.value if method is not None else DEFAULT_METHODS.get(agent, "oauth")
    key = None
    if chosen == LoginMethod.API_KEY:
        key = read_secret(session, secret_file, "headless.key_ask")
    config = LoginConfig(name=name, agent_type=agent, proxy_id=proxy or None, api_key=key)
    kind: OperationType = chosen  # type: ignore[assignment]  # one of the three
    return OperationRequest(type=kind, config=config, node_id=node)


@app.command()
def accounts(
    ctx: typer.Context,
    deed: Annotated[
        AccountDeed, typer.Argument(metavar="[DEED]", help="What to do.")
    ] = AccountDeed.LIST,
    account: Annotated[str, typer.Argument(metavar="[ID]", help="Id of the account.")] = "",
    purge: Annotated[
        bool, typer.Option("--purge", help="With its stored copy, when it is deleted.")
    ] = False,
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
    chosen: FilterOption = "",
) -> None:
    """List the accounts with their health, or delete one."""
    session = session_of(ctx)
    if deed is AccountDeed.DELETE:
        if not account:
            raise usage_error(session.words, "headless.needs_id", deed=deed.value)
        run_to_end(session, lambda api: _delete(session, api, account, purge=purge))
    refuse_json_stream(session.words, output, endless=watch)
    words = chosen.casefold().split()

    def matches(row: AccountRow) -> bool:
        said = f"{row.id} {row.name} {row.agent} {row.status} {' '.join(row.nodes)}".casefold()
        return all(word in said for word in words)

    run_to_end(session, lambda _: print_fleet_list(session, ACCOUNTS, matches, output, watch=watch))


async def _delete(session: Session, api: ClosableApi, account: str, *, purge: bool) -> ExitCode:
    await logins.delete_account(api, account, purge=purge)
    session.printer.say(session.words("account.deleted", account=short(account)))
    return ExitCode.DONE
