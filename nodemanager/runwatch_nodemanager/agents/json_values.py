"""Reads values of expected types out of JSON of unknown shape; a wrong type is an absent value."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def text_at(value: Any, *path: str) -> str | None:
    """The string at this path of keys, ``None`` where there is none."""
    found = _at(value, path)
    return found if isinstance(found, str) else None


def int_at(value: Any, *path: str) -> int | None:
    """The whole number at this path; true and false are none."""
    found = _at(value, path)
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found:
        return None
    return int(found) if abs(found) < 2**63 else None


def number_at(value: Any, *path: str) -> float | None:
    found = _at(value, path)
    return None if isinstance(found, bool) or not isinstance(found, int | float) else float(found)


def dict_at(value: Any, *path: str) -> Json:
    """The object at this path, an empty one where there is none."""
    found = _at(value, path)
    return found if isinstance(found, dict) else {}


def list_at(value: Any, *path: str) -> list[Any]:
    found = _at(value, path)
    return found if isinstance(found, list) else []


def present(**facts: Any) -> Json:
    """Those that are not ``None``."""
    return {name: fact for name, fact in facts.items() if fact is not None}


def joined_text(content: Any) -> str:
    """The text of a message: a string, or blocks of which those without text are named."""
    if isinstance(content, str):
        return content
    return "\n".join(_block_texts(content)) if isinstance(content, list) else ""


def _block_texts(blocks: list[Any]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, str):
            yield block
            continue
        text = text_at(block, "text")
        yield text if text is not None else f"[{text_at(block, 'type') or 'block'}]"


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
