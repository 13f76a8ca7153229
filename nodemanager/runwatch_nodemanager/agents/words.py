"""What an agent's own words about a failure say of its kind, as codes of the contract."""

import re
from typing import Final

LOGIN_WORDS: Final = re.compile(
    r"(?:status|code|error)\W{1,3}401\b|unauthori[sz]ed|unauthenticated|not logged in"
    r"|auth(?:entication|orization)? method|missing api key|api[ _]key not valid"
    r"|invalid[ \w-]{0,20}api[ _-]?key|auth type is selected|authorization is required"
    r"|missing environment variable: `\w*KEY|log ?in again|sign in again",
    re.IGNORECASE,
)
LIMIT_WORDS: Final = re.compile(
    r"max(?:imum)? (?:session )?turns|TurnLimited|budget of|turn limit", re.IGNORECASE
)


LOGIN_MISSING: Final = "login_missing"


def failure_code(text: str) -> str:
    """An ``error_code`` of contract 5.3: ``login_missing``, ``limit_reached``, ``agent_error``."""
    if LOGIN_WORDS.search(text):
        return LOGIN_MISSING
    return "limit_reached" if LIMIT_WORDS.search(text) else "agent_error"


def error_code(failure: str) -> str:
    """The code of an ``error`` event (contract 9.3), where a failed login has its own name."""
    return "auth_failed" if failure == LOGIN_MISSING else failure
