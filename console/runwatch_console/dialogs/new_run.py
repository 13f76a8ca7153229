"""A new run: what to do, by which agent, where; the server's own errors stand beside the field they
name.
"""

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from textual import on, work
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Select, Static, TextArea

from runwatch_console.dialogs.base import Dialog
from runwatch_console.ports import ApiError, NewTask
from runwatch_console.screens.base import Host
from runwatch_console.widgets.bindings import bindings_for
from runwatch_shared.states import AGENT_TYPES
from runwatch_shared.text import clean

FIELDS: Final = ("name", "agent", "argv", "prompt", "node", "labels", "priority", "timeout")
_FIELD_OF: Final = {
    "agent.parameters.argv": "argv",
    "agent.parameters": "argv",
    "agent": "agent",
    "type": "agent",
    "agent.type": "agent",
    "constraints.node_id": "node",
    "timeout_s": "timeout",
}


class FormError(ValueError):
    """A field that cannot be used; `word` is an id of the locale."""

    def __init__(self, field: str, word: str) -> None:
        super().__init__(f"{field}: {word}")
        self.field = field
        self.word = word


def task_of_form(values: dict[str, str]) -> NewTask:
    """The task that was asked for.

    Raises:
        FormError: A field is missing or no number, a label has no `=`, a command has an open quote.
    """
    agent = values["agent"]
    argv: tuple[str, ...] = ()
    if agent == "command":
        argv = _argv(values["argv"])
    elif not values["prompt"].strip():
        raise FormError("prompt", "new.missing")
    name = values["name"].strip() or (" ".join(argv) or values["prompt"].strip().split("\n")[0])
    return NewTask(
        name=name[:200],
        agent_type=agent,
        prompt=values["prompt"],
        argv=argv,
        labels=_labels(values["labels"]),
        node_id=values["node"].strip(),
        priority=_integer(values["priority"], "priority") or 0,
        timeout_s=_integer(values["timeout"], "timeout"),
    )


def _argv(text: str) -> tuple[str, ...]:
    try:
        argv = tuple(shlex.split(text))
    except ValueError as error:
        raise FormError("argv", "new.open_quote") from error
    if not argv:
        raise FormError("argv", "new.missing")
    return argv


def _labels(text: str) -> dict[str, str]:
    labels = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise FormError("labels", "new.not_a_label")
        labels[key] = value
    return labels


def _integer(text: str, field: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError as error:
        raise FormError(field, "new.not_a_number") from error


class NewRunDialog(Dialog[str]):
    """Answers the id of the run that was made."""

    BINDINGS = bindings_for("form")

    def __init__(self, host: Host) -> None:
        super().__init__(host.state)
        self.host = host
        self._made: tuple[NewTask, str] | None = None

    @property
    def title_text(self) -> str:
        """New run."""
        return self.state.words("new.title")

    def agents(self) -> Sequence[str]:
        """Agent types the online nodes offer first, then the others there are."""
        nodes = self.state.fleet.nodes.values()
        offered = sorted({agent for node in nodes if node.reachable for agent in node.agents})
        return [*offered, *(agent for agent in AGENT_TYPES if agent not in offered)]

    def compose_content(self) -> Iterable[Widget]:
        """One line a field, its error below it."""
        words = self.state.words
        agents = self.agents()
        for field in FIELDS:
            with Horizontal(id=f"row-{field}", classes="field"):
                yield Label(words(f"new.{field}"), markup=False)
                if field == "agent":
                    first = "command" if "command" in agents else agents[0]
                    options = [(Content(agent), agent) for agent in agents]
                    yield Select(
                        options, value=first, allow_blank=False, compact=True, id="field-agent"
                    )
                elif field == "prompt":
                    yield TextArea(id="field-prompt", tab_behavior="focus")
                else:
                    hint = words(f"new.{field}.hint")
                    yield Input(id=f"field-{field}", placeholder=hint, compact=True)
            yield Static(id=f"error-{field}", classes="error", markup=False)
        yield Static(id="argv-shown", markup=False)
        with Horizontal(id="buttons"):
            yield Button(words("new.submit"), id="submit", variant="primary", compact=True)
            yield Button(words("new.cancel"), id="give-up", compact=True)
        yield Static(id="form-error", classes="error", markup=False)

    def on_mount(self) -> None:
        """Begin at the name."""
        self.query_one("#field-name", Input).focus()
        self._show_fields()

    @on(Select.Changed)
    def _agent_chosen(self) -> None:
        self._show_fields()

    def _show_fields(self) -> None:
        command = self.query_one("#field-agent", Select).value == "command"
        self.query_one("#row-argv").display = command
        self.query_one("#row-prompt").display = not command
        self.query_one("#argv-shown").display = command

    @on(Input.Changed, "#field-argv")
    def _argv_typed(self, event: Input.Changed) -> None:
        """Show how the command is split: it is a list, never a shell's string."""
        try:
            parts = shlex.split(event.value)
        except ValueError:
            parts = [event.value]
        shown = "  ".join(f"[{clean(part)}]" for part in parts)
        self.query_one("#argv-shown", Static).update(Content(shown))

    @on(Button.Pressed, "#give-up")
    def _given_up(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#submit")
    def _pressed(self) -> None:
        self.action_submit()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.action_submit()

    def values(self) -> dict[str, str]:
        """What was typed, by field."""
        typed = dict.fromkeys(FIELDS, "")
        for field in FIELDS:
            if field == "agent":
                typed[field] = str(self.query_one("#field-agent", Select).value)
            elif field == "prompt":
                typed[field] = self.query_one("#field-prompt", TextArea).text
            else:
                typed[field] = self.query_one(f"#field-{field}", Input).value
        return typed

    def action_submit(self) -> None:
        """Check what can be checked here, then ask the server."""
        self._show_error("", "")
        try:
            task = task_of_form(self.values())
        except FormError as error:
            self._show_error(error.field, self.state.words(error.word))
            return
        self.create(task)

    @work(exclusive=True, exit_on_error=False)
    async def create(self, task: NewTask) -> None:
        """Make the task and its run; an error leaves the form as it is."""
        button = self.query_one("#submit", Button)
        button.disabled = True
        connection = await self.host.connection()
        try:
            # A task whose run could not be made is not made a second time.
            if self._made is None or self._made[0] != task:
                self._made = (task, (await connection.api.create_task(task)).id)
            run = await connection.api.create_run(self._made[1])
        except ApiError as error:
            field = _FIELD_OF.get(error.field or "", error.field or "")
            self._show_error(field, clean(error.error, limit=300, fold=True))
            return
        finally:
            button.disabled = False
        self.dismiss(clean(run.id))

    def _show_error(self, field: str, text: str) -> None:
        """Beside its field, or below the form where the field is none of ours."""
        for name in FIELDS:
            self.query_one(f"#error-{name}", Static).update(Content(text if name == field else ""))
        general = text if field not in FIELDS else ""
        self.query_one("#form-error", Static).update(Content(general))
        for name in (*FIELDS, "form"):
            widget = self.query_one("#form-error" if name == "form" else f"#error-{name}", Static)
            shown = bool(text) and (name == field or (name == "form" and bool(general)))
            widget.set_class(shown, "-shown")
