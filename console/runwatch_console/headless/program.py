"""One command line without a screen: help in the user's language, errors as one sentence."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TextIO

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from runwatch_console.headless import (
    commands,
    doctor_command,
    inquiry_commands,
    login_commands,
    machine_commands,
    plain_commands,
    recording_commands,
    screen_commands,
    serve_commands,
    trust_commands,
    usage_commands,
)
from runwatch_console.headless.exits import CommandError, ExitCode
from runwatch_console.headless.launching import Launch, app
from runwatch_console.headless.session import Session
from runwatch_console.headless.words import ZH_HELP
from runwatch_console.headless.zh_help import ZH_HELP_OF_LOGINS
from runwatch_console.locale.words import Words
from runwatch_console.replay.playback import Playback

COMMANDS = (
    commands,
    doctor_command,
    inquiry_commands,
    login_commands,
    machine_commands,
    plain_commands,
    recording_commands,
    screen_commands,
    serve_commands,
    trust_commands,
    usage_commands,
)
"""Loading them adds their commands to `app`, in this order."""


def _no_screen(_: Playback) -> int:
    return ExitCode.USAGE


def run_command(
    arguments: Sequence[str],
    open_session: Callable[[], Session],
    words: Words,
    err: TextIO,
    play: Callable[[Playback], int] = _no_screen,
    typed: Mapping[str, str | bool] = MappingProxyType({}),
) -> int:
    """Run one command line; gives the exit code.

    `open_session` is called when a command begins; what ended it is told on `err`. `play` shows a
    recording. `typed`: the common flags, by setting name.
    """
    try:
        command = parser(words)
        launch = Launch(open_session=open_session, words=words, play=play, typed=typed)
        command.main(list(arguments), prog_name="monitor-tui", obj=launch)
    except CommandError as error:
        err.write(f"{words('headless.error', text=error.text)}\n")
        return error.code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else ExitCode.DONE
        if code == ExitCode.PIPE_CLOSED:
            # Nobody reads any more; the interpreter must not fail once more when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    return ExitCode.DONE


def parser(words: Words) -> TyperGroup:
    """The command line's parser, its help in the user's language."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    group.help = words("headless.title")
    if words.language == "zh":
        texts = {**ZH_HELP, **ZH_HELP_OF_LOGINS}
        for command in group.commands.values():
            command.help = texts.get(command.help or "", command.help)
            for parameter in command.params:
                if isinstance(parameter, TyperArgument | TyperOption):
                    parameter.help = texts.get(parameter.help or "", parameter.help)
    return group
