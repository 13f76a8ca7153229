"""The sessions of this machine as lines of text, without a server: what would be shown, and why."""

from collections.abc import Iterable, Iterator
from typing import Final

from runwatch_nodemanager.sessions.discovery import FoundFile, files_in, folders_of
from runwatch_nodemanager.sessions.head import read_head
from runwatch_nodemanager.sessions.naming import name_of
from runwatch_nodemanager.sessions.roots import Root
from runwatch_shared.text import clean
from runwatch_shared.timestamps import format_time

NAME_CHARS: Final = 80
PATH_CHARS: Final = 300


def list_sessions(roots: Iterable[Root], *, oldest_us: int) -> Iterator[str]:
    """A line a session, the newest first: time, agent, bytes, name and path, separated by tabs."""
    leads: dict[str, FoundFile] = {}
    for root in roots:
        for folder in folders_of(root):
            for found in files_in(root, folder):
                known = leads.get(found.place.external_id)
                newer = known is None or found.modified_us > known.modified_us
                if not found.place.lane and newer and found.modified_us >= oldest_us:
                    leads[found.place.external_id] = found
    for found in sorted(leads.values(), key=lambda one: -one.modified_us):
        try:
            name = name_of(read_head(found.path, root=found.root.path), found.place)
        except OSError:
            continue
        cells = (
            format_time(found.modified_us)[:19] + "Z",
            found.place.agent_type,
            str(found.size),
            clean(name, limit=NAME_CHARS, fold=True),
            clean(str(found.path), limit=PATH_CHARS, fold=True),
        )
        yield "\t".join(cells)
