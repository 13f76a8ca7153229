"""The commands about instances, proxies and environments (Typer)."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, assert_never

import msgspec
import typer
from msgspec import UNSET

from runwatch_console.headless.exits import ExitCode, usage_error
from runwatch_console.headless.formats import Output, csv_text, json_text
from runwatch_console.headless.launching import (
    OutputOption,
    WatchOption,
    app,
    refuse_json_stream,
    run_to_end,
    session_of,
)
from runwatch_console.headless.polled_lists import INSTANCES, PROXIES, print_polled
from runwatch_console.headless.secrets import read_secret
from runwatch_console.headless.session import ClosableApi, Session
from runwatch_console.machinefacts import environment_facts, outcome_text, shown_value
from runwatch_console.ops import instances as instance_ops
from runwatch_console.ops import nodes as node_ops
from runwatch_console.ops import proxies as proxy_ops
from runwatch_console.rows import short
from runwatch_shared.instances import InstanceRequest
from runwatch_shared.proxies import EnvConfig, ProxyInput

Work = Callable[[ClosableApi], Awaitable[object]]


class InstanceDeed(StrEnum):
    """What `instances` does."""

    LIST = "list"
    CREATE = "create"
    START = "start"
    STOP = "stop"
    DELETE = "delete"


class ProxyDeed(StrEnum):
    """What `proxies` does."""

    LIST = "list"
    ADD = "add"
    CHANGE = "change"
    DEFAULT = "default"
    TEST = "test"
    DELETE = "delete"


class ProxyKind(StrEnum):
    """How one speaks to a proxy (contract 14)."""

    HTTP = "http"
    HTTPS = "https"
    SOCKS5 = "socks5"


def _deed(
    session: Session, work: Work, output: Output
) -> Callable[[ClosableApi], Awaitable[ExitCode]]:
    """Do it and print what the server answered."""

    async def done(api: ClosableApi) -> ExitCode:
        answer = await work(api)
        if not isinstance(answer, msgspec.Struct):
            session.printer.say(session.words("headless.done"))
            return ExitCode.DONE
        match output:
            case Output.TABLE:
                said = getattr(answer, "id", None) or getattr(answer, "message", "")
                session.printer.write(f"{short(str(said))}\n")
            case Output.CSV:
                facts = msgspec.to_builtins(answer)
                session.printer.write(csv_text([facts.keys(), facts.values()]))
            case Output.JSON:
                session.printer.write(f"{json_text(answer, indent=2)}\n")
            case Output.NDJSON:
                session.printer.write(f"{json_text(answer)}\n")
        return ExitCode.DONE

    return done


def _needed(session: Session, value: str, deed: str) -> str:
    if not value:
        raise usage_error(session.words, "headless.needs_id", deed=deed)
    return value


@app.command()
def instances(
    ctx: typer.Context,
    deed: Annotated[
        InstanceDeed, typer.Argument(metavar="[DEED]", help="What to do.")
    ] = InstanceDeed.LIST,
    instance: Annotated[str, typer.Argument(metavar="[ID]", help="Id of the instance.")] = "",
    node: Annotated[str, typer.Option(metavar="ID", help="Of this node; where to make it.")] = "",
    account: Annotated[str, typer.Option(metavar="ID", help="Of this account.")] = "",
    name: Annotated[str, typer.Option(help="How to call it; else as its account.")] = "",
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
) -> None:
    """List the instances, or make, start, stop or delete one."""
    session = session_of(ctx)
    work: Work
    match deed:
        case InstanceDeed.LIST:
            refuse_json_stream(session.words, output, endless=watch)
            run_to_end(
                session,
                lambda api: print_polled(
                    session,
                    INSTANCES,
                    partial(instance_ops.instances, api, node_id=node, account_id=account),
                    output,
                    watch=watch,
                ),
            )
        case InstanceDeed.CREATE:
            if not account or not node:
                raise usage_error(session.words, "headless.login_needs", flags="--account --node")
            request = InstanceRequest(account_id=account, node_id=node, name=name or None)
            work = partial(instance_ops.create_instance, request=request)
        case InstanceDeed.START:
            chosen = _needed(session, instance, deed)
            work = partial(instance_ops.start_instance, instance_id=chosen)
        case InstanceDeed.STOP:
            chosen = _needed(session, instance, deed)
            work = partial(instance_ops.stop_instance, instance_id=chosen)
        case InstanceDeed.DELETE:
            chosen = _needed(session, instance, deed)
            work = partial(instance_ops.delete_instance, instance_id=chosen)
        case _:
            assert_never(deed)
    run_to_end(session, _deed(session, work, output))


@app.command()
def proxies(
    ctx: typer.Context,
    deed: Annotated[
        ProxyDeed, typer.Argument(metavar="[DEED]", help="What to do.")
    ] = ProxyDeed.LIST,
    proxy: Annotated[str, typer.Argument(metavar="[ID]", help="Id of the proxy.")] = "",
    name: Annotated[str | None, typer.Option(help="How it is called.")] = None,
    kind: Annotated[ProxyKind | None, typer.Option("--type", help="How one speaks to it.")] = None,
    host: Annotated[str | None, typer.Option(help="Where it is.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Its port.")] = None,
    username: Annotated[str | None, typer.Option(help="Whom it knows.")] = None,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for its password, or read it.")
    ] = False,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", metavar="FILE", help="Read the password there; - is stdin."),
    ] = None,
    no_proxy: Annotated[
        str | None, typer.Option("--no-proxy", metavar="HOSTS", help="Hosts reached without it.")
    ] = None,
    url: Annotated[str, typer.Option(help="What to fetch in a test.")] = "",
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
) -> None:
    """List the proxies, or add, change, test or delete one."""
    session = session_of(ctx)
    work: Work
    match deed:
        case ProxyDeed.LIST:
            refuse_json_stream(session.words, output, endless=watch)
            run_to_end(
                session,
                lambda api: print_polled(
                    session, PROXIES, partial(proxy_ops.proxies, api), output, watch=watch
                ),
            )
        case ProxyDeed.TEST:
            chosen = _needed(session, proxy, deed)
            work = partial(proxy_ops.try_proxy, proxy_id=chosen, target_url=url)
            run_to_end(session, partial(_test, session, work, output))
        case ProxyDeed.DELETE:
            work = partial(proxy_ops.delete_proxy, proxy_id=_needed(session, proxy, deed))
        case ProxyDeed.DEFAULT:
            chosen = _needed(session, proxy, deed)
            request = ProxyInput(is_default=True)
            work = partial(proxy_ops.change_proxy, proxy_id=chosen, request=request)
        case ProxyDeed.ADD | ProxyDeed.CHANGE:
            wanted = password or secret_file is not None
            secret = read_secret(session, secret_file, "headless.password_ask") if wanted else None
            request = ProxyInput(
                name=UNSET if name is None else name,
                type=UNSET if kind is None else kind.value,
                host=UNSET if host is None else host,
                port=UNSET if port is None else port,
                username=UNSET if username is None else username or None,
                password=UNSET if secret is None else secret,
                no_proxy=UNSET if no_proxy is None else no_proxy or None,
            )
            if deed is ProxyDeed.ADD:
                work = partial(proxy_ops.add_proxy, request=request)
            else:
                chosen = _needed(session, proxy, deed)
                work = partial(proxy_ops.change_proxy, proxy_id=chosen, request=request)
        case _:
            assert_never(deed)
    run_to_end(session, _deed(session, work, output))


async def _test(session: Session, work: Work, output: Output, api: ClosableApi) -> ExitCode:
    """Say how a test went; 1 where nothing came through."""
    answer = await work(api)
    success = bool(getattr(answer, "success", False))
    if output is Output.TABLE:
        session.printer.write(f"{outcome_text(answer, session.words)}\n")  # type: ignore[arg-type]  # of a test
    else:
        session.printer.write(f"{json_text(answer)}\n")
    return ExitCode.DONE if success else ExitCode.FAILED


@app.command()
def environment(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Id of the node.")],
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Give its runs this.")
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="NAME", help="Give it no longer.")
    ] = None,
    test_proxy: Annotated[
        bool, typer.Option("--test-proxy", help="Try its proxy from the node.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show or change what the runs of a node are started with."""
    session = session_of(ctx)
    if test_proxy:
        work: Work = partial(node_ops.try_node_proxy, node_id=node)
        run_to_end(session, partial(_test, session, work, output))
    pairs: dict[str, str] = {}
    for text in values or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise usage_error(session.words, "headless.label", label=short(text.partition("=")[0]))
        pairs[key] = value
    run_to_end(session, partial(_environment, session, node, pairs, tuple(unset or ()), output))


async def _environment(
    session: Session,
    node: str,
    pairs: dict[str, str],
    gone: tuple[str, ...],
    output: Output,
    api: ClosableApi,
) -> ExitCode:
    config = await node_ops.environment(api, node)
    if pairs or gone:
        kept = {key: value for key, value in (config.env_vars or {}).items() if key not in gone}
        changed = msgspec.structs.replace(config, env_vars=kept | pairs)
        config = await node_ops.set_environment(api, node, changed)
    if output is not Output.TABLE:
        indent = 2 if output is Output.JSON else 0
        session.printer.write(f"{json_text(_hidden(config), indent=indent)}\n")
        return ExitCode.DONE
    lens = session.lens(0.0)
    for fact in environment_facts(config, lens):
        label = session.words(fact.label) if fact.label else ""
        session.printer.write(f"{label:<14} {fact.text}\n")
    return ExitCode.DONE


def _hidden(config: EnvConfig) -> EnvConfig:
    """Values of names that speak of a secret stay where they are."""
    names = config.env_vars or {}
    shown = {name: shown_value(name, value) for name, value in names.items()}
    return msgspec.structs.replace(config, env_vars=shown or None)
