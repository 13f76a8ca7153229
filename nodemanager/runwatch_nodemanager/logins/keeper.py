"""One small process per login that owns its terminal: reads it, types into it, ends it in time.

Started as ``python -I -m runwatch_nodemanager.logins.keeper FOLDER LOCK`` like a run's supervisor,
with `Order` as JSON on standard input; it outlives the node manager. Nothing of the terminal is
written to disk but the steps that it means.
"""

import contextlib
import os
import selectors
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager.boot_clock import boot_seconds
from runwatch_nodemanager.guarding import signals_as_input
from runwatch_nodemanager.logins.home_files import read_file
from runwatch_nodemanager.logins.keys import keep_variable
from runwatch_nodemanager.logins.recipe import waiting_phase
from runwatch_nodemanager.logins.recogniser import (
    Recogniser,
    Sight,
    failed_because,
    last_words,
    one_line,
)
from runwatch_nodemanager.logins.screen import Screen
from runwatch_nodemanager.logins.step import LoginFolder, Outcome, Step, StepWriter
from runwatch_nodemanager.logins.terminal import COLUMNS, ROWS, Terminal
from runwatch_nodemanager.process_tree import adopt_orphans
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.run_folder import write_atomically
from runwatch_shared.logins import Phase
from runwatch_shared.settings import LoginRecipe

LOOK_S: Final = 0.2
"""Between looks at files and clocks."""
QUIET_S: Final = 0.1
RESTLESS_S: Final = 0.5
"""What is on the screen is looked at when it has stood for so long, or changed for so long."""
ENTER_S: Final = 0.3
"""Between a text and its Enter: programs that draw take both at once for a paste."""
GOODBYE_S: Final = 5.0
"""How long a program that has succeeded may take to end by itself."""
GRACE_S: Final = 2.0
SETTLE_S: Final = 0.5
"""How long after its end what a program wrote may take to be read."""
ENTER: Final = "\r"
SECONDS_PER_MINUTE: Final = 60
WAITING: Final[dict[Phase, str]] = {
    "waiting_input": "Open the page, then enter the code it gives",
    "waiting_device_code": "Open the page and enter the code",
    "waiting_oauth": "Open the page and finish the login there",
}
"""What a person is to do."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to do.

    Args:
        home: The account's, on this machine.
        seconds: After so many it is over.
        start_s: After so many without a page too.
        contained: ``argv`` makes a container, and removes it when its terminal closes.
        secrets: Must not be seen in what is told.
    """

    recipe: LoginRecipe
    agent_type: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    home: str
    seconds: float
    start_s: float
    contained: bool = False
    secrets: list[str] = []


class Keeper:
    """Sees one login through, from its program's start to its last step."""

    def __init__(self, folder: LoginFolder, order: Order) -> None:
        self._folder = folder
        self._order = order
        self._recipe = order.recipe
        self._writer = StepWriter(folder)
        self._terminal = Terminal(tied=not order.contained)
        self._screen = Screen(ROWS, COLUMNS)
        self._recogniser = Recogniser(order.recipe)
        self._selector = selectors.DefaultSelector()
        self._control = os.open(folder.control, os.O_RDWR | os.O_NONBLOCK)
        self._orders = b""
        self._began_at = boot_seconds()
        self._secrets = list(order.secrets)
        self._typed = 0
        self._enter_at: float | None = None
        self._answered = False
        """Whether what is asked for was typed; until it is asked again."""
        self._said: dict[str, Any] = {}
        """Of the page, as it was told last."""
        self._refused: str | None = None
        self._last_refusal: str | None = None
        self._end: tuple[Outcome, str] | None = None
        self._succeeded_at: float | None = None
        self._kill_at: float | None = None
        self._ended_at: float | None = None
        self._read_out = False
        self._credential = self._stamp()
        self._fed_at = self._began_at
        self._unseen_since: float | None = None
        """Since when there is output that was not looked at."""

    def run(self, wakeup: int) -> None:
        """Until the program is gone and the last step told."""
        if self._start():
            self._selector.register(self._control, selectors.EVENT_READ)
            self._selector.register(wakeup, selectors.EVENT_READ)
            self._selector.register(self._terminal.descriptor, selectors.EVENT_READ)
            while not self._gone():
                for key, _ in self._selector.select(QUIET_S if self._unseen_since else LOOK_S):
                    self._hear(key.fd, wakeup)
                if self._terminal.tree.reap():
                    self._ended_at = boot_seconds()
                self._tick()
        outcome, words = self._end or ("failed", "the login's program ended")
        if outcome == "succeeded":
            self._tell("authenticating", words, outcome=outcome)
        else:
            error = self._clean(words)
            self._tell("authenticating", "The login failed", error=error, outcome=outcome)

    def close(self) -> None:
        self._writer.close()
        self._terminal.close()
        os.close(self._control)

    def _start(self) -> bool:
        recipe, order = self._recipe, self._order
        if order.contained:
            self._tell("launching_container", "Starting a container for the login")
        for place, text in recipe.files.items():
            path = Path(order.home) / place
            if not path.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(path, text.encode())
        try:
            self._terminal.start(order.argv, cwd=order.cwd, env=order.env)
        except OSError as error:
            what = recipe.command[0]
            missing = isinstance(error, FileNotFoundError)
            words = f"{what} is not there" if missing else f"{what}: {error.strerror or error}"
            self._end = ("failed", words)
            return False
        device = bool(recipe.code)
        self._tell(
            "requesting_device_code" if device else "authenticating",
            f"Started {Path(recipe.command[0]).name}, waiting for its page",
        )
        return True

    def _hear(self, descriptor: int, wakeup: int) -> None:
        if descriptor == wakeup:
            if any(number != _SIGCHLD for number in os.read(wakeup, 4096)):
                self._finish("failed", "the login was ended on its node")
        elif descriptor == self._control:
            self._take_orders()
        else:
            self._read()

    def _read(self) -> None:
        data = self._terminal.read()
        if data is None:
            self._selector.unregister(self._terminal.descriptor)
            self._read_out = True
            return
        self._screen.feed(data)
        now = boot_seconds()
        self._fed_at = now
        if self._unseen_since is None:
            self._unseen_since = now

    def _look(self, now: float) -> None:
        """Once nothing more comes: half an address is none."""
        if self._unseen_since is None:
            return
        if now - self._fed_at >= QUIET_S or now - self._unseen_since >= RESTLESS_S:
            self._unseen_since = None
            self._judge(self._recogniser.look(self._screen))

    def _judge(self, sight: Sight) -> None:
        if self._end is not None or self._succeeded_at is not None:
            self._keep_token(sight)
            return
        if sight.answer is not None:
            self._terminal.type(sight.answer)
        if sight.refused is not None:
            self._last_refusal = sight.refused
            self._refused = f"Not accepted: {self._clean(sight.refused)}"
            self._answered = False
            self._tell("authenticating", self._refused)
        if sight.asking is None:
            self._answered = False
        if sight.failure is not None:
            because = f" ({self._last_refusal})" if self._last_refusal else ""
            self._finish("failed", sight.failure + because)
        elif sight.succeeded:
            self._succeed()
            self._keep_token(sight)
        else:
            self._show(sight)

    def _show(self, sight: Sight) -> None:
        """Tell of the page, once a change of it; and that something is asked for."""
        recipe = self._recipe
        if sight.url is None or (recipe.code and sight.code is None):
            return
        asking = sight.asking is not None and not self._answered and self._enter_at is None
        page: dict[str, Any] = {"verify_url": sight.url, "user_code": sight.code}
        if sight.lifetime_min is not None:
            page["expires_in_s"] = sight.lifetime_min * SECONDS_PER_MINUTE
        page["input_prompt"] = one_line(sight.asking or "") if asking else None
        if page == self._said:
            return
        new_page = page["verify_url"] != self._said.get("verify_url")
        if self._answered and not new_page:
            return
        self._said = page
        if new_page or not asking:
            self._wait_in(waiting_phase(recipe), {**page, "input_prompt": None})
        if asking:
            self._wait_in("waiting_input", page)

    def _wait_in(self, phase: Phase, page: dict[str, Any]) -> None:
        because = f" {self._refused}." if self._refused else ""
        self._tell(phase, f"{WAITING[phase]}.{because}", waiting=True, result=page)

    def _take_orders(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._orders += os.read(self._control, 65536)
        *lines, self._orders = self._orders.split(b"\n")
        for line in lines:
            # What is no order has no effect: the login must not pay for a defect of the sender.
            with contextlib.suppress(ValueError, TypeError, KeyError):
                self._obey(msgspec.json.decode(line))

    def _obey(self, order: dict[str, Any]) -> None:
        match order["do"]:
            case "stop":
                self._finish("cancelled", "it was cancelled")
            case "input":
                self._type(str(order["text"]).strip())

    def _type(self, text: str) -> None:
        if not text or not text.isprintable() or self._end is not None:
            return
        self._secrets += [text, *text.split("#")]
        self._terminal.type(text)
        self._enter_at = boot_seconds() + ENTER_S
        self._answered = True
        self._typed += 1
        self._refused = None
        self._said = {**self._said, "input_prompt": None}
        result = {"input_prompt": None}
        self._tell("polling_token", "The code was entered, waiting for the answer", result=result)

    def _tick(self) -> None:
        now = boot_seconds()
        self._look(now)
        if self._enter_at is not None and now >= self._enter_at:
            self._enter_at = None
            self._terminal.type(ENTER)
        if self._end is None:
            self._look_at_end(now)
        if (self._end is not None and self._ended_at is None) or self._leftovers():
            self._stop(now)

    def _look_at_end(self, now: float) -> None:
        recipe = self._recipe
        if self._ended_at is not None and (self._read_out or now > self._ended_at + SETTLE_S):
            self._finish(*self._by_exit())
        elif self._succeeded_at is not None:
            if now > self._succeeded_at + (GOODBYE_S if recipe.exits else 0.0):
                self._finish("succeeded", "The agent is logged in")
        elif recipe.credential and self._credential_came():
            self._succeed()
        elif now > self._began_at + self._order.seconds:
            self._finish("timeout", "nobody finished the login in time")
        elif not self._said and now > self._began_at + self._order.start_s:
            words = last_words(self._screen)
            self._finish("failed", f"its program showed no page to open: {words}")

    def _by_exit(self) -> tuple[Outcome, str]:
        """What it means that the program ended by itself."""
        recipe, status = self._recipe, self._terminal.tree.status or 0
        code = os.waitstatus_to_exitcode(status)
        sight = self._recogniser.look(self._screen)
        done = self._succeeded_at is not None or sight.succeeded or self._credential_came()
        self._keep_token(sight)
        if done or (code == 0 and not recipe.success and not recipe.credential):
            return "succeeded", "The agent is logged in"
        words = sight.failure or last_words(self._screen) or "it said nothing"
        if self._order.contained and code == CONTAINER_FAILED:
            return "failed", last_words(self._screen)
        return "failed", f"{words} (exit {code})" if sight.failure is None else words

    def _succeed(self) -> None:
        self._succeeded_at = boot_seconds()

    def _keep_token(self, sight: Sight) -> None:
        if sight.token is not None and sight.token not in self._secrets:
            self._secrets.append(sight.token)
            keep_variable(Path(self._order.home), self._order.agent_type, sight.token)

    def _finish(self, outcome: Outcome, words: str) -> None:
        if self._end is None:
            self._end = (outcome, words)

    def _stop(self, now: float) -> None:
        if self._kill_at is None:
            self._kill_at = now + GRACE_S
            self._terminal.tree.signal(_SIGTERM)
        elif now >= self._kill_at:
            self._terminal.tree.signal(_SIGKILL)

    def _leftovers(self) -> bool:
        return self._ended_at is not None and bool(self._terminal.tree.alive())

    def _gone(self) -> bool:
        return self._end is not None and self._ended_at is not None and not self._leftovers()

    def _stamp(self) -> tuple[int, int] | None:
        """When the credential was changed, and its size."""
        if not self._recipe.credential:
            return None
        try:
            found = (Path(self._order.home) / self._recipe.credential).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _credential_came(self) -> bool:
        """It is there, new, whole, and not about to be written."""
        stamp = self._stamp()
        if stamp is None or stamp == self._credential or stamp[1] == 0:
            return False
        if not self._recipe.credential.endswith(".json"):
            return True
        try:
            msgspec.json.decode(read_file(Path(self._order.home), self._recipe.credential) or b"")
        except msgspec.MsgspecError:
            return False
        return True

    def _clean(self, words: str) -> str:
        return Rules(self._secrets).text(failed_because(words))

    def _tell(self, phase: Phase, message: str, **more: Any) -> Step:
        return self._writer.tell(phase, one_line(message), typed=self._typed, **more)


CONTAINER_FAILED: Final = 125
"""The exit status of `contained` where there is no container."""
_SIGTERM, _SIGKILL, _SIGCHLD = 15, 9, 17


def main() -> int:
    folder = LoginFolder(Path(sys.argv[1]))
    lock = int(sys.argv[2])
    os.set_inheritable(lock, False)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    adopt_orphans()
    keeper = Keeper(folder, order)
    try:
        with signals_as_input() as wakeup:
            os.write(1, b"ready\n")
            keeper.run(wakeup)
    finally:
        keeper.close()
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
