"""The question whether a server that nobody vouches for is to be trusted."""

from collections.abc import Iterable
from typing import Final

from textual import events
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.pins import OfferedCertificate, PinKind
from runwatch_console.state import ConsoleState
from runwatch_console.statustext import in_two_lines
from runwatch_shared.clock import Clock
from runwatch_shared.text import clean

DEAF_S: Final = 0.5
"""Keys that were on their way when it came up were meant for something else."""
FILES: Final = {PinKind.AUTHORITY: "ca.pem", PinKind.CERTIFICATE: "cert.pem"}


class TrustDialog(Dialog[bool]):
    """Answers True only to `y`."""

    def __init__(self, state: ConsoleState, offered: OfferedCertificate, clock: Clock) -> None:
        super().__init__(state)
        self.offered = offered
        self._clock = clock
        self._shown_mono_s = clock.monotonic()

    @property
    def title_text(self) -> str:
        """Which server."""
        return self.state.words("trust.title", host=clean(self.offered.server, limit=200))

    def compose_content(self) -> Iterable[Widget]:
        """What is known of it, how to compare it, and how to answer."""
        words = self.state.words
        pin = self.offered.pin
        file = f"DATA_DIR/tls/{FILES[pin.kind]}"
        place = clean(self.offered.known_hosts, limit=400)
        yield Static(words("trust.why", url=self.state.target.server_url), markup=False)
        yield Static(words(f"trust.{pin.kind}"), classes="apart", markup=False)
        yield Static(in_two_lines(pin.fingerprint), id="trust-fingerprint", markup=False)
        yield Static(words("trust.compare"), classes="apart", markup=False)
        yield Static(
            f"monitor-server fingerprint\nopenssl x509 -noout -fingerprint -sha256 -in {file}",
            classes="indented",
            markup=False,
        )
        yield Static(words("trust.remembered", place=place), classes="apart", markup=False)
        yield Static(words("trust.ask"), id="trust-ask", markup=False)

    def on_key(self, event: events.Key) -> None:
        """One key answers; Enter is none."""
        answers = {"y": True, "n": False}
        if event.key in answers:
            event.stop()
            if self._clock.monotonic() - self._shown_mono_s >= DEAF_S:
                self.dismiss(answers[event.key])
