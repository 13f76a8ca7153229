"""What a node may say in the result of an action, checked; what is known stays, field by field."""

from collections.abc import Callable
from typing import Any, Final

from runwatch_shared.errors import RefusedError
from runwatch_shared.models import Json
from runwatch_shared.text import clean, has_control
from runwatch_shared.timestamps import format_time, parse_time

URL_CHARS: Final = 4096
CODE_CHARS: Final = 64
PROMPT_CHARS: Final = 300
NAME_CHARS: Final = 255
TEXT_CHARS: Final = 1024
MOST_FIELDS: Final = 32
GONE_AT_THE_END: Final = ("verify_url", "user_code", "input_prompt", "expires_at")
"""Of use only as long as somebody can still finish the login."""
_SCHEMES: Final = ("https://", "http://")


def merged(known: Json, told: Json) -> Json:
    """What is known, with what a node says now laid over it; ``null`` removes.

    Raises:
        RefusedError: 400, naming the field.
    """
    result = dict(known)
    for name, value in told.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _checked(name, value)
    if len(result) > MOST_FIELDS:
        raise RefusedError(
            "invalid_field", "result has too many fields", field="result",
            details={"max": MOST_FIELDS},
        )  # fmt: skip
    return result


def at_the_end(result: Json) -> Json:
    """What stays when the action is over."""
    return {name: value for name, value in result.items() if name not in GONE_AT_THE_END}


def moment_of(result: Json, name: str) -> int | None:
    """A moment of a checked result in microseconds."""
    text = result.get(name)
    return parse_time(text) if isinstance(text, str) else None


def _checked(name: str, value: Any) -> Any:
    if len(name) > CODE_CHARS or has_control(name):
        raise RefusedError("invalid_field", "result has a name that does not fit", field="result")
    check = _CHECKS.get(name)
    if check is not None:
        if not isinstance(value, str):
            raise _misfit(name, "must be text")
        return check(name, value)
    if isinstance(value, str):
        return clean(value, limit=TEXT_CHARS, marks=False)
    if isinstance(value, bool | int | float):
        return value
    raise _misfit(name, "must be text, a number or a truth value")


def _url(name: str, value: str) -> str:
    # It is opened by people: nothing but the web, and nothing that is not seen.
    if len(value) > URL_CHARS or has_control(value) or not value.lower().startswith(_SCHEMES):
        raise _misfit(name, "must be an address that begins with https:// or http://")
    if any(character.isspace() for character in value):
        raise _misfit(name, "must have no white space")
    return value


def _code(name: str, value: str) -> str:
    if not value or len(value) > CODE_CHARS or has_control(value):
        raise _misfit(name, f"must be 1 to {CODE_CHARS} characters")
    return value


def _prompt(name: str, value: str) -> str:
    return clean(value, limit=PROMPT_CHARS, fold=True, marks=False)


def _moment(name: str, value: str) -> str:
    try:
        return format_time(parse_time(value))
    except ValueError:
        raise _misfit(name, "must be an RFC 3339 time with an offset") from None


def _name(name: str, value: str) -> str:
    if not value or len(value) > NAME_CHARS or has_control(value):
        raise _misfit(name, f"must be 1 to {NAME_CHARS} characters")
    return value


def _misfit(name: str, what: str) -> RefusedError:
    field = f"result.{name}"
    return RefusedError("invalid_field", f"{field} {what}", field=field)


_CHECKS: Final[dict[str, Callable[[str, str], str]]] = {
    "verify_url": _url,
    "user_code": _code,
    "input_prompt": _prompt,
    "expires_at": _moment,
    "account_expires_at": _moment,
    "volume_name": _name,
}
