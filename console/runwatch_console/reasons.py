"""Why a connection could not be made, in few words, however deep a library buried the cause."""

import os
import ssl
from collections.abc import Iterator


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def reason_of(error: BaseException) -> str:
    """The system's own words (`Connection refused`) where there are any, else the error's."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {cause.reason or cause}"
        if isinstance(cause, OSError) and cause.errno is not None:
            # A name that is not known has numbers of its own, and its words in `strerror`.
            text = os.strerror(cause.errno) if cause.errno > 0 else cause.strerror
            return text or str(cause)
    return str(error) or type(error).__name__
