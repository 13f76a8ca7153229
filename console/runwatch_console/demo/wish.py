"""Which made-up fleet is wanted, from the flags of the command line."""

from collections.abc import Mapping
from dataclasses import dataclass

from runwatch_console.feeditems import Target
from runwatch_shared.errors import SettingsError
from runwatch_shared.text import clean


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A fleet of so many runs, of which so many change each second."""

    seed: int = 7
    changes_per_s: float = 6.0
    runs: int = 70


def wish_of(typed: Mapping[str, str | bool]) -> Wish:
    """The wish of a command line.

    Raises:
        SettingsError: A number is none, or too small.
    """
    wish = Wish()
    return Wish(
        seed=_number(typed, "demo_seed", wish.seed, least=0),
        changes_per_s=float(_number(typed, "demo_rate", round(wish.changes_per_s), least=1)),
        runs=_number(typed, "demo_runs", wish.runs, least=20),
    )


def _number(typed: Mapping[str, str | bool], name: str, usual: int, *, least: int) -> int:
    text = str(typed.get(name, usual))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        flag = f"--{name.replace('_', '-')}"
        raise SettingsError(f"{flag} {clean(text, limit=60)}: a number of at least {least}")
    return int(text)


def demo_target(wish: Wish) -> Target:
    """What the top line says of it."""
    return Target(context="demo", server_url=f"demo://seed-{wish.seed}", credential="none")
