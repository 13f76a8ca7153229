"""Frames made here are read by the library's own parser, whatever their size."""

import pytest
from websockets.extensions import Extension
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from runwatch_server.fanout.conversation import FrameGate
from runwatch_server.fanout.frames import payloads_of, text_frame
from runwatch_server.websocket_protocol import HubProtocol, missing_internals, websocket_options
from runwatch_shared.settings import Limits

SIZES = (0, 1, 125, 126, 65_535, 65_536, 300_000)


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_a_whole_unmasked_text_frame(size: int) -> None:
    payload = b"x" * size
    reader = StreamReader()
    reader.feed_data(text_frame(payload))
    extensions: list[Extension] = []
    parsing = Frame.parse(reader.read_exact, mask=False, max_size=None, extensions=extensions)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    frame: Frame = parsed.value.value
    assert (frame.fin, frame.opcode, bytes(frame.data)) == (True, Opcode.TEXT, payload)


def test_frames_that_stand_together_are_taken_apart() -> None:
    payloads = [b"x" * size for size in SIZES]
    assert payloads_of(b"".join(map(text_frame, payloads))) == payloads


def test_this_uvicorn_is_built_as_the_fast_protocol_needs() -> None:
    assert missing_internals() == []
    assert websocket_options(Limits())["ws"] is HubProtocol


def test_another_uvicorn_is_told_and_served_by_its_own_protocol(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("uvicorn.__version__", "0.99.0")
    assert websocket_options(Limits())["ws"] == "websockets-sansio"
    assert "not the expected one" in caplog.text


def test_a_gate_admits_a_second_of_frames_and_then_their_rate() -> None:
    gate = FrameGate(10, now_s=0)
    assert [gate.admits(0) for _ in range(11)] == [True] * 10 + [False]
    assert not gate.admits(0.05)
    assert gate.admits(1.0)
