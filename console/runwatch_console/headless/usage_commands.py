"""The commands about the command line itself: `completion`, `man`, and what scripts ask (Typer)."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Final

import typer

from runwatch_console.flags import FLAGS, Flag
from runwatch_console.headless.launching import app, launch_of, session_of
from runwatch_console.headless.session import ClosableApi, Session
from runwatch_console.locale.words import Words
from runwatch_console.ports import ApiError
from runwatch_console.themes import THEMES
from runwatch_console.views import views_of
from runwatch_shared.usage.manual import manual_page
from runwatch_shared.usage.reading import read_tree
from runwatch_shared.usage.shells import Shell, completion_script
from runwatch_shared.usage.tree import DIRECTORIES, FILES, CommandTree, Option
from runwatch_shared.usage.values import MOST, safe_values

SERVER_S: Final = 0.3
"""For the server's answer while a person waits behind the tabulator; later there is none."""
KINDS: Final = {"run_id": "runs", "node": "nodes", "view": "views"}
"""Kinds of value by name of parameter."""
FLAG_CHOICES: Final = {"--theme": tuple(THEMES)}
FLAG_KINDS: Final = {"FILE": FILES, "DIR": DIRECTORIES}
NAME_KINDS: Final = {"--context": "contexts"}


@app.command()
def completion(
    ctx: typer.Context, shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]
) -> None:
    """Print the completion script of a shell."""
    sys.stdout.write(completion_script(_tree(ctx), shell))


@app.command()
def man(ctx: typer.Context) -> None:
    """Print the manual page; read it with: monitor-tui man | man -l -"""
    words = launch_of(ctx).words
    sections = [(words(f"man.{name}"), words(f"man.{name}_text")) for name in ("exit", "files")]
    sections.append((words("man.see"), "monitor-server(1), nodemanager(1)"))
    page = manual_page(_tree(ctx), version=version("runwatch"), sections=sections)
    sys.stdout.write(page)


@app.command("complete-values", hidden=True, context_settings={"ignore_unknown_options": True})
def complete_values(
    ctx: typer.Context,
    kind: str,
    line: Annotated[list[str] | None, typer.Argument()] = None,
) -> None:
    """Print what may stand in a place, one a line: for the completion scripts; silent on failure.

    The words of the line so far are given for their flags: which server is asked.
    """
    session = session_of(ctx)
    if (listed := _of_settings(session, kind)) is not None:
        for name in safe_values(listed):
            session.printer.write(f"{name}\n")
        return
    api = session.network.api()
    # A file system or resolver that hangs must not hold the person's shell either.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, 2 * SERVER_S)
    list_values = VALUES.get(kind)
    found = asyncio.run(_asked(api, list_values)) if list_values is not None else ()
    signal.setitimer(signal.ITIMER_REAL, 0)
    typed = set(line or ())
    for value in safe_values(found):
        if value not in typed:
            session.printer.write(f"{value}\n")


def _of_settings(session: Session, kind: str) -> Sequence[str] | None:
    """Names that the settings have; None for a kind that is the server's."""
    match kind:
        case "views":
            return [view.name for view in views_of(session.settings.views, session.user)]
        case "contexts":
            return sorted(session.settings.contexts)
        case _:
            return None


async def _asked(
    api: ClosableApi, list_values: Callable[[ClosableApi], Awaitable[Sequence[str]]]
) -> Sequence[str]:
    try:
        async with asyncio.timeout(SERVER_S):
            return await list_values(api)
    except (ApiError, TimeoutError):
        return ()
    finally:
        await api.aclose()


async def _runs(api: ClosableApi) -> Sequence[str]:
    page = await api.workflows({"sort": "-attention"}, limit=MOST)
    return [run.id for run in page.workflows]


async def _nodes(api: ClosableApi) -> Sequence[str]:
    return [node.id for node in (await api.nodes()).nodes]


VALUES: Final = {"runs": _runs, "nodes": _nodes}


def _tree(ctx: typer.Context) -> CommandTree:
    words = launch_of(ctx).words
    common = tuple(_option(flag, words) for flag in FLAGS)
    return read_tree(ctx.find_root().command, name="monitor-tui", kinds=KINDS, common=common)


def _option(flag: Flag, words: Words) -> Option:
    named = tuple(flag.value.split("|")) if "|" in flag.value else ()
    return Option(
        names=(flag.name,),
        help=words(flag.help),
        value=flag.value,
        choices=FLAG_CHOICES.get(flag.name, named),
        kind=NAME_KINDS.get(flag.name) or FLAG_KINDS.get(flag.value, ""),
    )
