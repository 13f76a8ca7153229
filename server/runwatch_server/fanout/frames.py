"""A WebSocket text frame as bytes, built once for every socket it goes to; no sockets here.

Source: RFC 6455, section 5.2: an unfragmented, unmasked text frame without extensions.
"""

from typing import Final

import msgspec

PART_ROWS: Final = 500
PART_BYTES: Final = 128 * 1024
"""Half of the contract's 256 KiB (7.2 and 10): what a slow peer leaves in our memory is one part
beyond the transport's own limit of 64 KiB.
"""

_TEXT: Final = 0x81
_NOBODY: Final = b'"sub":0'
_ENCODER: Final = msgspec.json.Encoder()


def encode(record: object) -> bytes:
    """A record as JSON."""
    return _ENCODER.encode(record)


def text_frame(payload: bytes) -> bytes:
    """The frame that carries a payload."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


def frame_of(record: object) -> bytes:
    """The frame that carries a record as JSON."""
    return text_frame(_ENCODER.encode(record))


class Addressed:
    """A frame for every subscription: encoded once, and framed once for each ``sub`` it goes to.

    Args:
        record: A frame with ``sub``, which must be 0 in it.
    """

    __slots__ = ("_after", "_before", "_frames")

    def __init__(self, record: object) -> None:
        # The first is the frame's own: only its type stands before it.
        self._before, _, self._after = _ENCODER.encode(record).partition(_NOBODY)
        self._frames: dict[int, bytes] = {}

    def to(self, sub: int) -> bytes:
        """The frame as those get it whose subscription has this id."""
        frame = self._frames.get(sub)
        if frame is None:
            frame = self._frames[sub] = text_frame(
                b'%b"sub":%d%b' % (self._before, sub, self._after)
            )
        return frame


def payloads_of(frames: bytes) -> list[bytes]:
    """The payloads of frames made here that stand one behind the other."""
    payloads = []
    at = 0
    while at < len(frames):
        size = frames[at + 1]
        at += 2
        if size > 125:
            width = 2 if size == 126 else 8
            size = int.from_bytes(frames[at : at + width], "big")
            at += width
        payloads.append(frames[at : at + size])
        at += size
    return payloads
