"""What a database's URL says before anything is opened. No message has a part of one: each may be
the password, where it was written without percent-encoding.
"""

from typing import Final
from urllib.parse import SplitResult, urlsplit

from runwatch_shared.errors import SettingsError

UNREADABLE: Final = (
    "database: the URL cannot be read; expected postgresql://user:password@host:port/database with "
    "special characters of the password percent-encoded (/ is %2F, @ is %40, # is %23)"
)

UNREADABLE_MONGO: Final = (
    "database: the URL cannot be used; expected mongodb://user:password@host:port/database with "
    "special characters of the password percent-encoded (/ is %2F, @ is %40, # is %23)"
)

NO_DRIVER: Final = "database: PostgreSQL needs its driver; install runwatch[server,postgres]"
NO_MONGO_DRIVER: Final = "database: MongoDB needs its driver; install runwatch[server,mongo]"


def parts_of(url: str) -> SplitResult:
    """Its parts.

    Raises:
        SettingsError: It has none.
    """
    try:
        parts = urlsplit(url)
        # Of several hosts, as MongoDB may have, only its driver can read the ports.
        if not parts.scheme.startswith("mongodb"):
            _ = parts.port
    except ValueError:
        raise SettingsError(UNREADABLE) from None
    return parts
