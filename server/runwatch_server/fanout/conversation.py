"""What a client may send and how much of it, for every channel; what frames mean is elsewhere.

Source: contract 1.3 and 2.5: 64 KiB a frame (1009), 10 frames a second (4429).
"""

import asyncio
from collections.abc import Callable

from runwatch_server.fanout.sockets import TOO_BIG, TOO_MANY_FRAMES, Socket
from runwatch_shared.settings import Limits


class FrameGate:
    """A bucket that holds one second's frames."""

    def __init__(self, frames_per_s: int, now_s: float) -> None:
        self._rate = frames_per_s
        self._left = float(frames_per_s)
        self._at_s = now_s

    def admits(self, now_s: float) -> bool:
        """Whether one more frame is within the limit."""
        refilled = self._left + (now_s - self._at_s) * self._rate
        self._left = min(float(self._rate), refilled) - 1
        self._at_s = now_s
        return self._left >= 0


async def converse(socket: Socket, limits: Limits, answer: Callable[[bytes], None]) -> None:
    """Hand each frame of a client to ``answer`` until the socket is closed by either side."""
    loop = asyncio.get_running_loop()
    gate = FrameGate(limits.client_frames_per_s, loop.time())
    while (frame := await socket.wire.next_frame()) is not None:
        socket.frames += 1
        payload = frame.encode() if isinstance(frame, str) else frame
        if len(payload) > limits.client_frame_bytes:
            socket.close(TOO_BIG, "frame too big")
        elif not gate.admits(loop.time()):
            socket.close(TOO_MANY_FRAMES, "too many frames")
        else:
            answer(payload)
