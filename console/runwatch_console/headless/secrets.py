"""Secrets for a command: from a file, from standard input, or typed unseen; never from a line that
others can see in a list of processes.
"""

import sys
from getpass import getpass
from pathlib import Path

from runwatch_console.headless.exits import usage_error
from runwatch_console.headless.session import Session

LONGEST = 64 * 1024


def read_secret(session: Session, file: Path | None, ask: str) -> str:
    """The secret of `file` (`-`: standard input); without one it is typed unseen, or comes by
    standard input where that is no terminal. `ask`: id of what is said to who types.

    Raises:
        CommandError: There is none.
    """
    try:
        if file is not None and str(file) != "-":
            with file.open("r", encoding="utf-8") as opened:
                text = opened.read(LONGEST)
        elif file is None and sys.stdin.isatty():
            text = getpass(session.words(ask), stream=session.printer.err)
        else:
            text = sys.stdin.read(LONGEST)
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise usage_error(session.words, "headless.no_secret", detail=str(error)) from error
    secret = text.strip()
    if not secret:
        raise usage_error(session.words, "headless.no_secret", detail="–")
    return secret
