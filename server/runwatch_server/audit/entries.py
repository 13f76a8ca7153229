"""Records of the audit log and the chain that joins them; no file.

Each record carries the digest of the one before it, so none can be changed, removed or put between
others without every later one saying so. What the end of the file loses shows only against a digest
that was kept elsewhere: `monitor-server audit verify` prints it.
"""

import hashlib
from typing import Final

import msgspec

GENESIS: Final = "0" * 64
"""What the first record of all carries as the digest before it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done or refused, as whoever saw it says it.

    Attributes:
        at: RFC 3339, UTC.
        actor: Name of a user or token; empty where nobody is known.
        kind: session, token, node_token, local or command.
        action: Method and route, or the words of a command.
        target: The path that was asked for, or what a command was about.
        status: Of the answer, 0 for a command.
        code: Of the refusal; absent where it was done.
        made: Id of what came to be.
        dropped: Refusals before this one that were not written, as they came too fast.
    """

    at: str
    actor: str
    action: str
    kind: str = ""
    actor_id: str = ""
    scope: str = ""
    target: str = ""
    status: int = 0
    code: str = ""
    made: str = ""
    address: str = ""
    request_id: str = ""
    dropped: int = 0


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the file: an entry, its number from 1 and its place in the chain.

    ``hash`` is the SHA-256 of ``previous``, a space, ``n``, a space and the entry as JSON.
    """

    n: int
    previous: str
    hash: str
    entry: msgspec.Raw


class Head(msgspec.Struct, frozen=True):
    """Where the chain stands: the number of its last record, and that one's digest."""

    n: int = 0
    hash: str = GENESIS


class ChainError(Exception):
    """A record does not fit onto the one before it."""


_ENCODER: Final = msgspec.json.Encoder()
_LINK: Final = msgspec.json.Decoder(Link)


def link(head: Head, entry: Entry) -> tuple[Head, bytes]:
    """The entry as the next line, with its line end, and where the chain stands then."""
    text = _ENCODER.encode(entry)
    n = head.n + 1
    digest = _digest(head.hash, n, text)
    line = _ENCODER.encode(Link(n=n, previous=head.hash, hash=digest, entry=msgspec.Raw(text)))
    return Head(n, digest), line + b"\n"


def follow(head: Head | None, line: bytes) -> tuple[Head, Entry]:
    """Where the chain stands after a line, and what the line says.

    Args:
        head: Where it stood before; None takes the line's own word, as for the first line of the
            oldest file that is left.

    Raises:
        ChainError: The line is none, was changed, or does not follow.
    """
    try:
        found = _LINK.decode(line)
        entry = msgspec.json.decode(found.entry, type=Entry)
    except msgspec.DecodeError as error:
        raise ChainError("it is no record") from error
    before = Head(found.n - 1, found.previous) if head is None else head
    if found.n != before.n + 1 or found.previous != before.hash:
        raise ChainError(f"record {found.n} does not follow record {before.n}")
    if found.hash != _digest(before.hash, found.n, bytes(found.entry)):
        raise ChainError(f"record {found.n} was changed")
    return Head(found.n, found.hash), entry


def last_of(line: bytes) -> Head:
    """Where a chain stands that ends with this line, taken at its word.

    Raises:
        ChainError: The line is none.
    """
    try:
        found = _LINK.decode(line)
    except msgspec.DecodeError as error:
        raise ChainError("the last line is no record") from error
    return Head(found.n, found.hash)


def _digest(previous: str, n: int, text: bytes) -> str:
    return hashlib.sha256(b"%s %d %s" % (previous.encode(), n, text)).hexdigest()
