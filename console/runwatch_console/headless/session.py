"""What a command without a screen works with: words, the network's seam, and where it prints."""

import shutil
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from runwatch_console.contexts import Context
from runwatch_console.formats import TimeFormat
from runwatch_console.lens import Lens, as_ascii
from runwatch_console.locale.words import Words
from runwatch_console.ports import Api, FeedItem, RunItem, Target
from runwatch_shared.settings import ConsoleSettings
from runwatch_shared.wire import SubscribeFrame


class ClosableApi(Api, Protocol):
    """The requests, with an end."""

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class LiveFeed(Protocol):
    """`ports.Feed`, with frames that can be closed."""

    def frames(self) -> AsyncGenerator[FeedItem, None]:
        """See `ports.Feed`."""
        ...

    def retry_now(self) -> None:
        """See `ports.Feed`."""
        ...


class LiveRun(Protocol):
    """`ports.RunEvents`, with items that can be closed."""

    def follow(self, run_id: str, from_seq: int | None) -> AsyncGenerator[RunItem, None]:
        """See `ports.RunEvents`."""
        ...


class Network(Protocol):
    """Makes what a command needs of the network; the libraries are loaded by the first call."""

    def api(self) -> ClosableApi:
        """Requests."""
        ...

    def feed(self, subscription: SubscribeFrame) -> LiveFeed:
        """The fleet."""
        ...

    def run_events(self, store: str) -> LiveRun:
        """The events of runs of this history."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Printer:
    """Standard output and error, and what they can show."""

    out: TextIO
    err: TextIO
    width: int | None = None
    """Cells of the terminal; None for a pipe or a file: nothing is cut."""
    colour: bool = False
    ascii: bool = False

    def write(self, text: str) -> None:
        """Data, at once: who reads a pipe must not wait for a buffer."""
        self.out.write(as_ascii_lines(text) if self.ascii else text)
        self.out.flush()

    def say(self, text: str) -> None:
        """A sentence for a person, on standard error."""
        self.err.write(f"{as_ascii_lines(text) if self.ascii else text}\n")
        self.err.flush()


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One command."""

    words: Words
    target: Target
    network: Network
    printer: Printer
    settings: ConsoleSettings = field(default_factory=ConsoleSettings)
    user: str = ""
    """Whose runs the view `mine` shows."""
    context: Context | None = None
    """The server of the settings; None where there is none to connect to."""

    def lens(self, now_s: float) -> Lens:
        """How values become text at this moment of the server's clock."""
        return Lens(
            words=self.words,
            now_s=now_s,
            ascii=self.printer.ascii,
            time_format=TimeFormat[self.settings.time.upper()],
        )


def as_ascii_lines(text: str) -> str:
    """Text for a terminal that knows no more; line ends and colours stay."""
    return text if text.isascii() else as_ascii(text)


def terminal_printer(out: TextIO, err: TextIO, environment: Mapping[str, str]) -> Printer:
    """A printer for this process: cuts and colours only for a terminal (https://no-color.org)."""
    tty = out.isatty()
    encoding = (out.encoding or "").lower().replace("-", "").replace("_", "")
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    return Printer(
        out=out,
        err=err,
        width=shutil.get_terminal_size().columns if tty else None,
        colour=tty and not plain,
        ascii=not encoding.startswith("utf"),
    )
