"""What a transcript says twice, by two kinds of entries: told at the first, quiet at the second."""

import hashlib
from typing import Final

import msgspec

KEPT: Final = 64
DIGEST_CHARS: Final = 16


class Twins(msgspec.Struct):
    """Texts that were told and whose twin may follow, oldest first: (channel, digest)."""

    waiting: list[tuple[str, str]] = []

    def is_second(self, channel: str, role: str, text: str) -> bool:
        """Whether another channel told this before; each telling is matched once."""
        digest = hashlib.sha256(f"{role}\0{text}".encode("utf-8", "replace")).hexdigest()
        digest = digest[:DIGEST_CHARS]
        for other in self.waiting:
            if other[1] == digest and other[0] != channel:
                self.waiting.remove(other)
                return True
        self.waiting.append((channel, digest))
        del self.waiting[:-KEPT]
        return False
