"""The address of a login as a QR code that fills the terminal, for a phone; else the address."""

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content

from runwatch_console.authrows import AuthRow
from runwatch_console.dialogs.base import Dialog
from runwatch_console.dialogs.login import LOOK_S, login_of
from runwatch_console.loginfacts import expiry_text
from runwatch_console.messages import CopyRequested
from runwatch_console.qr import (
    LEAST_QUIET,
    Cell,
    Modules,
    QrError,
    fitted_cells,
    half_cells,
    host_of,
    modules_of,
    whole_cells,
)
from runwatch_console.screens.base import Host
from runwatch_console.themes import THEMES
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.qr_view import QrView
from runwatch_console.widgets.quiet_text import QuietText

BESIDE = 26
"""Columns that the text needs beside a code; with fewer it stands below."""


class LoginQrDialog(Dialog[None]):
    """`Q` makes the code twice as large where there is room, `i` turns light and dark round."""

    BINDINGS = bindings_for("qr")

    def __init__(self, host: Host, row: AuthRow) -> None:
        super().__init__(host.state)
        self.host = host
        self.row = row
        # Without block elements there is only the large form.
        self.whole = self.state.preferences.ascii
        self._over = False
        self._modules: Modules = ()
        self._problem = ""
        try:
            self._modules = modules_of(row.url)
        except QrError as error:
            self._problem = self.state.words(f"qr.{error.refusal}")

    def compose(self) -> ComposeResult:
        """The code, and what it is beside it or below."""
        with Container(id="qr"):
            yield QrView(
                ascii=self.state.preferences.ascii,
                coloured=not self.app.no_color,
                dark_ink=not THEMES[self.state.preferences.theme].dark,
                id="qr-code",
            )
            with VerticalScroll(id="qr-side"):
                yield QuietText(id="qr-text")

    def on_mount(self) -> None:
        """The code, and a text that goes on."""
        self.query_one("#qr-side").focus()
        self.fit_code()
        self.set_interval(LOOK_S, self.show_row)

    def on_resize(self) -> None:
        """Another size may have room for it, or no more."""
        if self.query("#qr-text"):
            self.fit_code()

    def show_row(self) -> None:
        """Whether the login still waits, and for how long."""
        now = login_of(self.host.state, self.row.key)
        # Another address means that the one which is drawn is no good any more.
        self._over = now is None or now.url != self.row.url
        if now is not None and not self._over:
            self.row = now
        self._say()

    def fit_code(self) -> None:
        """Draw the code as it fits."""
        width, height = self.app.size
        cells = self._fitted(width, height)
        self.query_one("#qr-code", QrView).show(cells or [])
        beside = cells is not None and width - len(cells[0]) >= BESIDE
        self.set_class(cells is not None and not beside, "-below")
        self._say()

    def _fitted(self, width: int, height: int) -> list[list[Cell]] | None:
        if not self._modules:
            return None
        return fitted_cells(self._modules, width, height, whole=self.whole)

    def _say(self) -> None:
        state, row = self.host.state, self.row
        words = state.words
        lines = [Content.styled(self.shown(row.account or row.agent), "bold")]
        if self._over:
            lines.append(Content.styled(self.shown(words("login.over")), "$text-error"))
        if row.code:
            lines.append(Content(words("why.login", code=row.code)))
        if row.expires_s is not None:
            lines.append(Content(self.shown(expiry_text(row.expires_s, state.lens))))
        lines += [Content(""), *self._address(), Content("")]
        lines.append(Content.styled(self.shown(words("qr.keys")), "$foreground-muted"))
        self.query_one("#qr-text", QuietText).say(Content("\n").join(lines))

    def _address(self) -> list[Content]:
        """Where it leads, and why there is no code where there is none."""
        words = self.state.words
        lines = []
        if self._problem:
            lines.append(Content.styled(self.shown(self._problem), "$text-error"))
        else:
            lines.append(Content(self.shown(words("qr.leads_to", host=host_of(self.row.url)))))
            if not self.query_one("#qr-code").display:
                make = whole_cells if self.whole else half_cells
                needed = make(self._modules, LEAST_QUIET)
                text = words("qr.no_room", width=len(needed[0]), height=len(needed))
                lines.append(Content.styled(self.shown(text), "$text-warning"))
        if self.row.url:
            lines.append(Content(self.shown(self.row.url)))
        return lines

    def action_large(self) -> None:
        """Twice as large, or as small again."""
        if self.state.preferences.ascii or not self._modules:
            return
        self.whole = not self.whole
        if self._fitted(*self.app.size) is None:
            self.whole = not self.whole
            self.notify(self.state.words("qr.no_larger"), markup=False, timeout=4)
        self.fit_code()

    def action_invert(self) -> None:
        """The terminal is of the other kind."""
        view = self.query_one("#qr-code", QrView)
        if view.coloured:
            self.notify(self.state.words("qr.has_colours"), markup=False, timeout=4)
        else:
            view.invert()

    def action_copy_code(self) -> None:
        """Copy the code."""
        if self.row.code:
            self.app.post_message(CopyRequested(self.row.code))

    def action_copy_url(self) -> None:
        """Copy the address."""
        if self.row.url:
            self.app.post_message(CopyRequested(self.row.url))
