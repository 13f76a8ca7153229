"""The pages of the documentation: their command blocks, and what must be there to run them.

A block of ``sh`` is run as it stands, in order with the others of its page, in one shell. A comment
before it, which no reader sees, says what else it needs:

- ``<!-- needs: server node postgres mongo -->``: these run before the page's first block;
- ``<!-- put: WORD=VALUE … -->``: the page's stand-ins (a host name, an id) and what is put there,
  ``␣`` for a blank;
- ``<!-- not run: REASON -->``: this block is not run, and why.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FENCE: Final = re.compile(
    r"(?P<comments>(?:^<!--[^\n]*-->\n)*)^```(?P<kind>[a-z]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
DIRECTIVE: Final = re.compile(r"^<!-- (needs|put|not run): (.*) -->$", re.MULTILINE)
COMMENT: Final = re.compile(r"(^|\s+)#\s.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Commands as they stand on a page."""

    line: int
    text: str
    reason: str | None
    """Why it is not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page with commands on it."""

    path: Path
    blocks: list[Block]
    needs: frozenset[str]
    put: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def script(self) -> str:
        """What is run, of all blocks together."""
        text = "\n".join(block.text for block in self.blocks if block.reason is None)
        for word, value in self.put.items():
            text = text.replace(word, value)
        return text


def page_files() -> list[Path]:
    """Every page in English, decision records left out."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    skipped = (ROOT / "docs/adr", ROOT / "docs/zh")
    return sorted(
        path
        for path in pages
        if path.is_file() and not any(path.is_relative_to(folder) for folder in skipped)
    )


def chinese_of(path: Path) -> Path:
    """Where a page's other language stands."""
    if path.parent == ROOT:
        return path.with_suffix(".zh.md")
    return ROOT / "docs/zh" / path.relative_to(ROOT / "docs")


def read_page(path: Path) -> Page:
    """A page's blocks and what they need."""
    text = path.read_text()
    blocks, needs, put = [], set[str](), dict[str, str]()
    for found in FENCE.finditer(text):
        said = dict(DIRECTIVE.findall(found["comments"]))
        needs |= set(said.get("needs", "").split())
        pairs = (pair.replace("␣", " ") for pair in said.get("put", "").split())
        put |= dict(pair.split("=", 1) for pair in pairs)
        if found["kind"] != "sh":
            continue
        line = text.count("\n", 0, found.start("text"))
        blocks.append(Block(line=line, text=found["text"], reason=said.get("not run")))
    return Page(path=path, blocks=blocks, needs=frozenset(needs), put=put)


def commands_of(path: Path) -> list[list[str]]:
    """A page's commands without their comments, a list a block: what two languages share."""
    return [
        [line.rstrip() for line in COMMENT.sub("", block.text).splitlines() if line.strip()]
        for block in read_page(path).blocks
    ]
