"""The command ``nodemanager``: settings from flags, file and environment; joins the parts; the only
place that chooses them.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from prometheus_client import disable_created_metrics

from runwatch_nodemanager import joining, metrics_listener
from runwatch_nodemanager.agents.command import CommandAgent
from runwatch_nodemanager.agents.prices import Prices
from runwatch_nodemanager.agents.protocol import Agent
from runwatch_nodemanager.agents.registry import Agents, agent_type
from runwatch_nodemanager.assignment import load_assignment
from runwatch_nodemanager.beat import Reporter
from runwatch_nodemanager.configuring import config_app
from runwatch_nodemanager.credentials import find_access
from runwatch_nodemanager.ending import end_agents
from runwatch_nodemanager.identity import NodeFolder, find_node, new_process_id
from runwatch_nodemanager.instances.keeper import InstanceKeeper
from runwatch_nodemanager.link import Link
from runwatch_nodemanager.logins.kept_account import Accounts
from runwatch_nodemanager.manager import NodeManager, host_name
from runwatch_nodemanager.metrics import NodeMetrics
from runwatch_nodemanager.node_clock import NodeClock
from runwatch_nodemanager.operating import Config, DataDir, told_on_stderr
from runwatch_nodemanager.redaction.choice import secret_values
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.reloading import Reloading
from runwatch_nodemanager.runtimes.open import open_runtimes
from runwatch_nodemanager.sessions.finishing import Finisher
from runwatch_nodemanager.sessions.keeper import SessionKeeper
from runwatch_nodemanager.sessions.listing import list_sessions
from runwatch_nodemanager.sessions.roots import find_roots
from runwatch_nodemanager.setting_checks import VENDORS_AGENTS, refuse_unusable
from runwatch_nodemanager.spool import used_bytes
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.diagnosing import dump_on_quit
from runwatch_shared.errors import SettingsError
from runwatch_shared.layers import load_settings
from runwatch_shared.log_signals import obey_log_signals
from runwatch_shared.logs import configure_logging, log
from runwatch_shared.notify import Notifier
from runwatch_shared.settings import NodeSettings
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.text import clean
from runwatch_shared.usage.manual import manual_page
from runwatch_shared.usage.reading import read_tree
from runwatch_shared.usage.shells import Shell, completion_script

logger: Final = logging.getLogger(__name__)

STOP_WAIT_S: Final = 60.0
MOST_SESSIONS: Final = 1_000_000
MANUAL: Final = (
    ("Exit status", "0 done; 2 settings; 3 the server refuses this node."),
    ("Files", "$XDG_CONFIG_HOME/runwatch/runwatch.toml: settings, table [node]."),
    ("See also", "monitor-server(1), monitor-tui(1)"),
)
"""Of the manual page, beside what the commands take."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # "[node]" in a help text is a table of the file, not markup
    help="Runs agents on this machine for a Runwatch server.",
)

app.add_typer(config_app, name="config")

NodeId = Annotated[
    str | None, typer.Option("--node-id", help="Default: made once and kept; RUNWATCH_NODE_ID.")
]


@app.command()
def run(
    server: Annotated[str | None, typer.Option(help="URL of the server.")] = None,
    data_dir: DataDir = None,
    node_id: NodeId = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE; repeatable.")] = None,
    capacity: Annotated[int | None, typer.Option(help="Runs at once.")] = None,
    config: Config = None,
    token_file: Annotated[str | None, typer.Option(help="File with the node token.")] = None,
    ca: Annotated[str | None, typer.Option(help="PEM of the authority to trust.")] = None,
    default_agent: Annotated[str | None, typer.Option(help="What 'general' runs.")] = None,
    metrics_host: Annotated[str | None, typer.Option(help="Address of /metrics.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Its port; 0 takes a free one.")] = None,
    stop_agents: Annotated[
        bool | None, typer.Option("--stop-agents", help="End the agents when this program ends.")
    ] = None,
    sessions: Annotated[
        bool | None,
        typer.Option(
            "--sessions/--no-sessions", help="Show agent sessions begun outside; default: yes."
        ),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run the node manager until it is told to stop.

    Flags win over RUNWATCH_… variables, those over the file, that over the defaults. SIGTERM or
    Ctrl-C stops it and leaves its agents running under their supervisors; the next start adopts
    them. With --stop-agents, or by 'nodemanager stop --agents', they end with it. A second signal
    ends it at once.
    """
    flags: dict[str, Any] = {
        "server": server,
        "data_dir": data_dir,
        "node_id": node_id,
        "labels": _labels(label),
        "capacity": capacity,
        "token_file": token_file,
        "ca": ca,
        "default_agent": default_agent,
        "metrics_host": metrics_host,
        "metrics_port": metrics_port,
        "stop_agents": stop_agents,
        "sessions": sessions,
        "log_format": log_format,
        "log_level": log_level,
    }
    with told_on_stderr():
        notifier = Notifier.taken()
        read = partial(load_settings, NodeSettings, "node", config=config, flags=flags)
        settings = read()
        refuse_unusable(settings)
        configure_logging(settings.log_format, settings.log_level, default_tag="node")
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        dump_on_quit()
        asyncio.run(_serve(settings, reread=read, notifier=notifier))


@app.command()
def join(
    server: Annotated[str, typer.Argument(help="URL of the server.")],
    token: Annotated[
        str | None,
        typer.Option(
            envvar="RUNWATCH_JOIN_TOKEN",
            help="What 'monitor-server node join-token' printed; else read from standard input.",
        ),
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option(help="Fingerprint of the server's authority; without it the system's count."),
    ] = None,
    data_dir: DataDir = None,
    node_id: NodeId = None,
    config: Config = None,
) -> None:
    """Make this machine a node of a server, with a token that counts once.

    The server's authority is held against the fingerprint before anything is sent to it. Token and
    authority are left in the data directory, where 'nodemanager run' finds them.
    """
    with told_on_stderr():
        settings, folder = _place(data_dir, node_id, config)
        text = token if token is not None else sys.stdin.readline()
        try:
            file = asyncio.run(
                joining.join(
                    server,
                    token=text.strip(),
                    authority=authority,
                    node_id=folder.path.name,
                    data_dir=Path(settings.data_dir),
                )
            )
        except OSError as error:
            raise SettingsError(f"cannot write the token: {error}") from error
        kept = "" if authority else f" --token-file {file}"
        typer.echo(f"joined as {folder.path.name}; now: nodemanager run --server {server}{kept}")


@app.command("watch-sessions")
def watch_sessions(
    server: Annotated[str | None, typer.Option(help="URL of the server.")] = None,
    data_dir: DataDir = None,
    node_id: NodeId = None,
    config: Config = None,
    token_file: Annotated[str | None, typer.Option(help="File with the node token.")] = None,
    ca: Annotated[str | None, typer.Option(help="PEM of the authority to trust.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Of whatever age, and from their beginnings.")
    ] = False,
    only_list: Annotated[
        bool, typer.Option("--list", help="Print what would be shown; nothing is sent.")
    ] = False,
) -> None:
    """Show the agent sessions of this machine and run nothing; until it is told to stop.

    Transcripts of Claude Code, Codex, Gemini CLI and Qwen Code are read where these programs write
    them, and never changed. 'nodemanager run' shows them too, unless --no-sessions is given.
    """
    flags: dict[str, Any] = {
        "server": server,
        "data_dir": data_dir,
        "node_id": node_id,
        "token_file": token_file,
        "ca": ca,
        "sessions": True,
    }
    if everything:
        flags |= {"sessions_age_s": 0, "sessions_most": MOST_SESSIONS, "sessions_first_bytes": 0}
    with told_on_stderr():
        settings = load_settings(NodeSettings, "node", config=config, flags=flags)
        if only_list:
            oldest_us = time.time_ns() // 1000 - settings.sessions_age_s * 1_000_000
            roots = find_roots(Path.home(), os.environ)
            for line in list_sessions(roots, oldest_us=oldest_us if settings.sessions_age_s else 0):
                typer.echo(line)
            return
        refuse_unusable(settings)
        configure_logging(settings.log_format, settings.log_level, default_tag="node")
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        asyncio.run(_serve(msgspec.structs.replace(settings, capacity=0)))


@app.command()
def runs(data_dir: DataDir = None, node_id: NodeId = None, config: Config = None) -> None:
    """List the runs this machine holds, also while no node manager runs."""
    with told_on_stderr():
        folder = _folder(data_dir, node_id, config)
        paths = sorted(folder.runs.iterdir()) if folder.runs.is_dir() else []
        for path in paths:
            held = folder.run(path.name)
            assignment = load_assignment(held)
            snapshot = assignment.snapshot if assignment else None
            state = "running" if held.supervised() else "not running"
            cells = (
                clean(path.name, limit=64, fold=True),
                state,
                clean(snapshot.agent.type, limit=32, fold=True) if snapshot else "-",
                f"{used_bytes(held.log)} bytes",
                clean(snapshot.name, limit=80, fold=True) if snapshot else "-",
            )
            typer.echo("\t".join(cells))


@app.command()
def accounts(
    data_dir: DataDir = None,
    node_id: NodeId = None,
    config: Config = None,
    forget: Annotated[str | None, typer.Option(help="Remove the login of this account.")] = None,
) -> None:
    """List the accounts this machine is logged in to, also while no node manager runs."""
    with told_on_stderr():
        kept = Accounts(_folder(data_dir, node_id, config))
        if forget is not None and not kept.forget(forget):
            raise SettingsError(f"this machine has no login {forget}")
        for account in kept.all():
            state, _ = account.worth(time.time_ns() // 1000)
            method = clean(account.record.method, limit=32, fold=True)
            typer.echo(f"{account.record.id}\t{state}\t{method}")


@app.command()
def alive(data_dir: DataDir = None, node_id: NodeId = None, config: Config = None) -> None:
    """Say whether a node manager runs with this data directory; exit status 1 where none does."""
    with told_on_stderr():
        pid = _folder(data_dir, node_id, config).holder()
        typer.echo("no node manager runs here" if pid is None else f"node manager {pid} runs")
        raise typer.Exit(1 if pid is None else 0)


@app.command()
def stop(
    data_dir: DataDir = None,
    node_id: NodeId = None,
    config: Config = None,
    agents: Annotated[bool, typer.Option("--agents", help="End its agents too.")] = False,
) -> None:
    """Stop the node manager of this data directory, and wait for its end."""
    with told_on_stderr():
        settings, folder = _place(data_dir, node_id, config)
        pid = folder.holder()
        if pid is None:
            typer.echo("no node manager runs here")
        else:
            os.kill(pid, signal.SIGUSR2 if agents else signal.SIGTERM)
            _wait_for_end(folder, pid)
            typer.echo(f"node manager {pid} stopped")
        if agents:
            # One that was only starting may have ended before it had taken up its runs.
            runtimes = open_runtimes(
                settings, node_id=folder.path.name, folder=folder, clock=NodeClock()
            )
            left = end_agents(folder, runtimes.runtime, grace_s=settings.stop_grace_s)
            if left:
                typer.echo(f"{left} agents stopped")


@app.command()
def completion(
    ctx: typer.Context, shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]
) -> None:
    """Print the completion script of a shell."""
    tree = read_tree(ctx.find_root().command, name="nodemanager")
    typer.echo(completion_script(tree, shell), nl=False)


@app.command()
def man(ctx: typer.Context) -> None:
    """Print the manual page; read it with: nodemanager man | man -l -"""
    tree = read_tree(ctx.find_root().command, name="nodemanager")
    page = manual_page(tree, version=version("runwatch"), sections=MANUAL)
    typer.echo(page, nl=False)


def _wait_for_end(folder: NodeFolder, pid: int) -> None:
    deadline = time.monotonic() + STOP_WAIT_S
    while folder.holder() == pid:
        if time.monotonic() > deadline:
            raise SettingsError(f"node manager {pid} did not end in {STOP_WAIT_S:.0f} s")
        time.sleep(0.1)


def main() -> None:
    """Entry point of the command."""
    app()


async def _serve(
    settings: NodeSettings,
    *,
    reread: Callable[[], NodeSettings] | None = None,
    notifier: Notifier | None = None,
) -> None:
    notifier = notifier or Notifier()
    node_id, folder = find_node(Path(settings.data_dir), settings.node_id)
    folder.create()
    program_version = version("runwatch")
    metrics = NodeMetrics(node_id=node_id, version=program_version)
    clock = NodeClock()
    with folder.held(), _metrics_served(metrics, settings):
        link = Link(
            lambda: find_access(settings),
            node_id=node_id,
            process_id=new_process_id(),
            clock=clock,
        )
        async with link:
            runtimes = open_runtimes(settings, node_id=node_id, folder=folder, clock=clock)
            workshop = Workshop(
                link=link,
                runtime=runtimes.runtime,
                orphans=runtimes.orphans,
                agents=_agents(settings),
                metrics=metrics,
                settings=settings,
                folder=folder,
                clock=clock,
            )
            reporter = Reporter(workshop, hostname=host_name(), version=program_version)
            sessions = _sessions(workshop) if settings.sessions else None
            instances = InstanceKeeper.of(settings, link, runtimes.instances, clock)
            manager = NodeManager(workshop, reporter, sessions, instances)
            reloading = Reloading(settings, reread or (lambda: settings), notifier)
            _obey_signals(manager, reloading, notifier)
            log(
                logger,
                logging.INFO,
                "node",
                "Node manager started",
                node_id=node_id,
                pid=os.getpid(),
                url=settings.server,
                capacity=settings.capacity,
                version=program_version,
                path=str(folder.path),
            )
            async with TaskOwner("service") as owner:
                owner.spawn(reloading.run(), name="reloading")
                obey_log_signals(asyncio.get_running_loop(), level=settings.log_level, tag="node")
                notifier.start(owner)
                notifier.ready(f"working for {settings.server} as {node_id}")
                await manager.run()
    log(logger, logging.INFO, "node", "Node manager stopped", node_id=node_id)


def _sessions(shop: Workshop) -> SessionKeeper:
    """What finds and shows the sessions of this user on this machine."""
    settings = shop.settings
    secrets = secret_values({}, os.environ, plain=settings.redact_except)
    if shop.link.token is not None:
        secrets.append(shop.link.token)
    finisher = Finisher(Rules(secrets, settings.redact_patterns), Prices(settings.prices))
    return SessionKeeper(shop, find_roots(Path.home(), os.environ), finisher=finisher)


def _agents(settings: NodeSettings) -> Agents:
    prices = Prices(settings.prices)
    programs = {agent_type(name): path for name, path in settings.agent_programs.items()}
    made: list[Agent] = [
        kind(programs.get(kind.type, kind.program), prices) for kind in VENDORS_AGENTS
    ]
    return Agents([CommandAgent(), *made], default=settings.default_agent)


def _obey_signals(manager: NodeManager, reloading: Reloading, notifier: Notifier) -> None:
    loop = asyncio.get_running_loop()
    asked = False

    def stop(*, agents: bool) -> None:
        nonlocal asked
        if asked:
            # All that matters is on disk, and agents have supervisors of their own.
            os._exit(1)
        asked = True
        notifier.stopping("telling the server what is left")
        manager.stop(agents=agents)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: stop(agents=False))
    # Where somebody started it at a terminal this says that the terminal is gone.
    by_hand = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    loop.add_signal_handler(
        signal.SIGHUP, (lambda: stop(agents=False)) if by_hand else reloading.ask
    )
    loop.add_signal_handler(signal.SIGUSR2, lambda: stop(agents=True))


@contextlib.contextmanager
def _metrics_served(metrics: NodeMetrics, settings: NodeSettings) -> Iterator[None]:
    """A node works without its metrics too: another program may have the port."""
    with contextlib.ExitStack() as stack:
        try:
            port = stack.enter_context(
                metrics_listener.served(
                    metrics.registry,
                    settings.metrics_host,
                    settings.metrics_port,
                    metrics_listener.tls_of(settings),
                )
            )
        except OSError as error:
            log(
                logger,
                logging.WARNING,
                "node",
                "Metrics are not served",
                listen=f"{settings.metrics_host}:{settings.metrics_port}",
                error=error.strerror,
            )
        else:
            listen = f"{settings.metrics_host}:{port}"
            log(logger, logging.INFO, "node", "Metrics are served", listen=listen)
        yield


def _labels(pairs: list[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--label")
        labels[key] = value
    return labels


def _folder(data_dir: str | None, node_id: str | None, config: Path | None) -> NodeFolder:
    return _place(data_dir, node_id, config)[1]


def _place(
    data_dir: str | None, node_id: str | None, config: Path | None
) -> tuple[NodeSettings, NodeFolder]:
    flags = {"data_dir": data_dir, "node_id": node_id}
    settings = load_settings(NodeSettings, "node", config=config, flags=flags)
    return settings, find_node(Path(settings.data_dir), settings.node_id)[1]


if __name__ == "__main__":
    main()
