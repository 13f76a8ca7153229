"""The tables of docs/logs.md, made from the tags' notes; ``python -m tests.packaging.log_tables``
writes them anew.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runwatch_shared.logtags import NODE_NOTES, SERVER_NOTES, TagNote

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs/logs.md"


def table(notes: Mapping[str, TagNote]) -> str:
    lines = ["| Tag | Levels | When | Facts |", "|---|---|---|---|"]
    for tag, note in sorted(notes.items()):
        facts = " ".join(f"`{fact}`" for fact in note.facts.split())
        lines.append(f"| `[{tag}]` | {', '.join(note.levels.split())} | {note.says} | {facts} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """The document with the tables between its marks."""
    for name, made in (("server", table(SERVER_NOTES)), ("node", table(NODE_NOTES))):
        begin, end = f"<!-- tags of the {name} -->\n", f"\n<!-- end of tags of the {name} -->"
        text, count = re.subn(
            f"(?<={re.escape(begin)}).*?(?={re.escape(end)})",
            lambda _, made=made: made,  # type: ignore[misc]  # bound at once
            text,
            flags=re.DOTALL,
        )
        assert count == 1, name
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
