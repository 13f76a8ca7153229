"""Which values of a run's environment are secret; finds nothing in texts."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import unquote, urlsplit

from runwatch_nodemanager.redaction.spellings import LEAST_BYTES

SECRET_NAME: Final = re.compile(
    r"KEYS?(_|$)|TOKEN|SECRET|PASS|PWD$|CREDENTIAL|AUTH(_|$)|COOKIE|PRIVATE|DSN$|CONNECTION_STRING",
    re.IGNORECASE,
)
"""In the name of a variable that this machine gives to its agents."""
PLAIN_NAMES: Final = (
    *("PATH", "HOME", "PWD", "OLDPWD", "SHELL", "USER", "LOGNAME", "HOSTNAME", "TERM", "COLORTERM"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP", "EDITOR", "PAGER", "CI", "DEBUG"),
    *("NO_COLOR", "FORCE_COLOR", "NODE_ENV", "RAILS_ENV", "RACK_ENV", "APP_ENV", "ENVIRONMENT"),
    *("PYTHON*PATH", "PYTHONUNBUFFERED", "PYTHONIOENCODING", "JAVA_HOME", "GOPATH", "GOROOT"),
    *("LOG_LEVEL", "SSH_AUTH_SOCK", "*_ASKPASS", "XDG_*", "*_LOG_LEVEL", "RUNWATCH_*"),
)
"""Of a run's own variables those that are shown: names for ``fnmatch``."""


PLAIN_VALUES: Final = frozenset(
    {
        *("production", "development", "staging", "testing", "default", "enabled", "disabled"),
        *("localhost", "verbose", "warning", "message", "content", "result", "system", "success"),
        *("assistant", "command", "session", "string", "object", "function"),
    }
)
"""Words that stand everywhere, also in the formats that agents write: no secrets."""


def secret_values(
    asked: Mapping[str, str], inherited: Mapping[str, str], *, plain: Iterable[str] = ()
) -> list[str]:
    """Values that must not be seen in what the agent writes.

    Of a URL with a password the password alone, too.

    Args:
        asked: The run's own variables: all are secret but `PLAIN_NAMES`.
        inherited: The machine's: secret are those whose name says so.
        plain: More names of variables that are not secret.
    """
    shown = (*PLAIN_NAMES, *plain)
    chosen = [value for name, value in asked.items() if not _matches(name, shown)]
    chosen += [
        value
        for name, value in inherited.items()
        if SECRET_NAME.search(name) and not _matches(name, shown)
    ]
    chosen += [password for value in chosen for password in _passwords(value)]
    return sorted({value for value in chosen if not _unfit(value)})


def unprotected(asked: Mapping[str, str], *, plain: Iterable[str] = ()) -> list[str]:
    """Names of variables that are meant to be secret and cannot be looked for."""
    shown = (*PLAIN_NAMES, *plain)
    return sorted(
        name
        for name, value in asked.items()
        if value and _unfit(value) and SECRET_NAME.search(name) and not _matches(name, shown)
    )


def _unfit(value: str) -> bool:
    word = value.strip()
    too_short = len(word.encode("utf-8", "surrogateescape")) < LEAST_BYTES
    return too_short or word.casefold() in PLAIN_VALUES


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _passwords(value: str) -> list[str]:
    try:
        password = urlsplit(value).password if "://" in value else None
    except ValueError:
        return []
    return [password, unquote(password)] if password else []
