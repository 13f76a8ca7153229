"""A form: fields below each other, each with its error below it; what is asked of the server and
what a field means is a subclass's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from textual import on, work
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Select, Static

from runwatch_console.dialogs.base import AnswerT, Dialog
from runwatch_console.ports import ApiError, Asking
from runwatch_console.screens.base import Host
from runwatch_console.widgets.bindings import bindings_for
from runwatch_shared.text import clean

OTHER: Final = "other"
"""Where an error stands that names no field of the form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One line of a form."""

    id: str
    label: str
    """Id of the locale."""
    kind: Literal["text", "secret", "choice"] = "text"
    hint: str = ""
    value: str = ""
    choices: Sequence[tuple[str, str]] = ()
    """What is shown, and the value; of a choice never empty."""
    longest: int = 256


class SecretInput(Input):
    """What is typed is not shown, not copied and not kept."""

    def __init__(self, **options: object) -> None:
        super().__init__(password=True, **options)  # type: ignore[arg-type]  # an Input's own

    def action_copy(self) -> None:
        """Nothing leaves it."""

    def action_cut(self) -> None:
        """Nothing leaves it."""


class FormError(ValueError):
    """A field that cannot be used; `word` is an id of the locale."""

    def __init__(self, field: str, word: str) -> None:
        super().__init__(f"{field}: {word}")
        self.field = field
        self.word = word


class FormDialog(Dialog[AnswerT]):
    """Enter or the button sends; an error leaves the form as it is."""

    BINDINGS = bindings_for("form")
    SUBMIT = "form.submit"
    """Id of what the button says."""
    FIELD_OF: Mapping[str, str] = {}
    """The field that a server's `field` means, where it has another name."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.state)
        self.host = host
        self.fields: tuple[Field, ...] = tuple(self.make_fields())

    def make_fields(self) -> Iterable[Field]:
        """The fields, in order."""
        raise NotImplementedError

    async def send(self, api: Asking, values: Mapping[str, str]) -> AnswerT:
        """Ask the server.

        Raises:
            FormError: A field cannot be used.
            ApiError: The server refuses.
        """
        raise NotImplementedError

    def compose_content(self) -> Iterable[Widget]:
        """One line a field, its error below it."""
        words = self.state.words
        for field in self.fields:
            with Horizontal(id=f"row-{field.id}", classes="field"):
                yield Label(words(field.label), markup=False)
                yield self._input(field)
            yield Static(id=f"error-{field.id}", classes="error", markup=False)
        yield Static(id=f"error-{OTHER}", classes="error", markup=False)
        with Horizontal(id="buttons"):
            yield Button(words(self.SUBMIT), id="submit", variant="primary", compact=True)
            yield Button(words("new.cancel"), id="give-up", compact=True)

    def _input(self, field: Field) -> Widget:
        name = f"field-{field.id}"
        hint = self.shown(self.state.words(field.hint)) if field.hint else ""
        if field.kind == "choice":
            value = field.value or field.choices[0][1]
            return Select(
                [(Content(self.shown(shown)), each) for shown, each in field.choices],
                value=value,
                allow_blank=False,
                compact=True,
                id=name,
            )
        if field.kind == "secret":
            return SecretInput(id=name, placeholder=hint, compact=True, max_length=field.longest)
        return Input(field.value, id=name, placeholder=hint, compact=True, max_length=field.longest)

    def on_mount(self) -> None:
        """Begin at the first field that is still empty."""
        self.begin()

    def begin(self) -> None:
        """Give the keys to the first field that is still empty."""
        values = self.values()
        empty = [field.id for field in self.fields if not values[field.id] and self.has(field.id)]
        self.query_one(f"#field-{(empty or [self.fields[0].id])[0]}").focus()

    def has(self, name: str) -> bool:
        """Whether the field is shown."""
        return bool(self.query_one(f"#row-{name}").display)

    def show_field(self, name: str, shown: bool) -> None:
        """Show the field, or hide it."""
        self.query_one(f"#row-{name}").display = shown

    def values(self) -> dict[str, str]:
        """What was typed and chosen, by field."""
        typed = {}
        for field in self.fields:
            widget = self.query_one(f"#field-{field.id}")
            assert isinstance(widget, Input | Select)
            typed[field.id] = str(widget.value)
        return typed

    def choose_from(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        """Offer these; what was chosen stays where it is still offered."""
        select = self.query_one(f"#field-{name}", Select)
        before = select.value
        select.set_options([(Content(self.shown(shown)), value) for shown, value in choices])
        if before in [value for _, value in choices]:
            select.value = before

    @on(Button.Pressed, "#give-up")
    def _given_up(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#submit")
    def _pressed(self) -> None:
        self.action_submit()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.action_submit()

    def action_submit(self) -> None:
        """Ask the server; what is wrong is said beside its field."""
        self.say_error("", "")
        self.submit(self.values())

    @work(exclusive=True, group="submit", exit_on_error=False)
    async def submit(self, values: Mapping[str, str]) -> None:
        """Send it; an error leaves the form as it is."""
        button = self.query_one("#submit", Button)
        button.disabled = True
        connection = await self.host.connection()
        try:
            answer = await self.send(connection.api, values)
        except FormError as error:
            self.say_error(error.field, self.state.words(error.word))
            return
        except ApiError as error:
            field = self.FIELD_OF.get(error.field or "", error.field or "")
            self.say_error(field, clean(error.error, limit=300, fold=True))
            return
        finally:
            if self.is_attached:
                button.disabled = False
        self.dismiss(answer)

    def say_error(self, field: str, text: str) -> None:
        """Beside its field, or below the form where the field is none that is shown."""
        known = [each.id for each in self.fields if self.has(each.id)]
        place = field if field in known else OTHER
        for name in (*(each.id for each in self.fields), OTHER):
            widget = self.query_one(f"#error-{name}", Static)
            said = text if name == place else ""
            widget.update(Content(self.shown(said)))
            widget.set_class(bool(said), "-shown")
