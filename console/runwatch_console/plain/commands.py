"""What is typed in the console in lines, each command one line, each answer lines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

from runwatch_console.eventlines import EventLine, event_line
from runwatch_console.explanation import explanation
from runwatch_console.facts import Fact, run_facts
from runwatch_console.filters import FilterError, filter_problem, parse_filter
from runwatch_console.formats import format_clock, format_count
from runwatch_console.inquiry import inquire
from runwatch_console.looks import look_of_run
from runwatch_console.plain.changes import node_change, run_change
from runwatch_console.plain.console import PlainConsole
from runwatch_console.ports import Api, ApiError, EventBatch, EventQuery, Gap, RunGone, RunStatus
from runwatch_console.rows import RunRow
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.text import clean

PAGE: Final = 20
LAST_EVENTS: Final = 10
EVENTS_A_BATCH: Final = 5
"""Of a followed run; the others of a batch are counted."""
NAMED_IDS: Final = 5
FIRST_S: Final = 10.0
"""How long the first command waits for the first snapshot."""
YES: Final = frozenset({"yes", "y", "是"})


class PlainCommands:
    """Does what is typed."""

    def __init__(self, console: PlainConsole, api: Api, owner: TaskOwner) -> None:
        self._console = console
        self._api = api
        self._owner = owner
        self._asked: RunRow | None = None
        """The run of which it was asked whether it is to be cancelled."""
        self._more: Sequence[str] = ()
        self._total = 0
        self._followed: tuple[str, asyncio.Task[None]] | None = None
        self._table: dict[str, Callable[[str], Awaitable[None]]] = {
            "help": self._help,
            "needs": self._needs,
            "runs": self._runs,
            "more": self._go_on_listing,
            "run": self._run,
            "explain": self._explain,
            "follow": self._follow,
            "cancel": self._cancel,
            "nodes": self._nodes,
            "status": self._status,
            "verbose": self._verbose,
            "hold": self._hold,
            "go": self._go,
            "retry": self._retry,
        }

    async def obey(self, lines: AsyncIterator[str]) -> None:
        """Do line after line, until `quit` or the end of the input."""
        async for line in lines:
            if line.casefold() in ("quit", "q", "exit"):
                break
            if line:
                await self._await_first()
                await self.do(line)
        self._console.tell("plain.end")

    async def _await_first(self) -> None:
        """A command piped in is answered from the fleet, not from nothing."""
        try:
            async with asyncio.timeout(FIRST_S):
                await self._console.loaded.wait()
        except TimeoutError:
            self._console.tell("plain.not_loaded")

    async def do(self, line: str) -> None:
        """One command; what the server refused is said."""
        if (asked := self._asked) is not None:
            self._asked = None
            await self._answered(asked, line)
            return
        typed, _, rest = line.partition(" ")
        work = self._table.get(typed.casefold())
        if work is None:
            self._tell("plain.unknown", typed=clean(typed, limit=40, fold=True))
            return
        try:
            await work(rest.strip())
        except ApiError as error:
            self._tell("plain.refused", error=clean(error.error, limit=300, fold=True))

    def _tell(self, word: str, **facts: object) -> None:
        self._console.tell(word, **facts)

    # Lists.

    async def _help(self, _: str) -> None:
        self._tell("plain.help")

    async def _needs(self, _: str) -> None:
        self._console.needs()

    async def _status(self, _: str) -> None:
        self._console.status()

    async def _nodes(self, _: str) -> None:
        for _, node in sorted(self._console.fleet.nodes.items()):
            self._console.say(node_change(node, self._console.lens).text)
        self._console.status()

    async def _runs(self, text: str) -> None:
        words = self._console.words
        try:
            chosen = parse_filter(text)
        except FilterError as error:
            self._tell("plain.filter", problem=filter_problem(error, words))
            return
        now_s = self._console.state.server_now_s
        runs = [run for run in self._console.fleet.runs.values() if chosen.matches(run, now_s)]
        runs.sort(key=lambda run: (-run.attention, run.id))
        self._total = len(runs)
        self._more = [run.id for run in runs]
        if not runs:
            self._tell("plain.no_match", total=format_count(len(self._console.fleet.runs)))
            return
        await self._go_on_listing("")

    async def _go_on_listing(self, _: str) -> None:
        if not self._more:
            self._tell("plain.no_more")
            return
        page, self._more = self._more[:PAGE], self._more[PAGE:]
        for run_id in page:
            if (run := self._console.fleet.runs.get(run_id)) is not None:
                self._console.say(run_change(run, self._console.lens).text)
        shown = format_count(self._total - len(self._more))
        word = "plain.shown" if self._more else "plain.all_shown"
        self._tell(word, shown=shown, total=format_count(self._total))

    # One run.

    async def _run(self, typed: str) -> None:
        if (run := self._named(typed, "run")) is None:
            return
        self._say_facts(run_facts(run, self._console.lens))
        page = await self._api.events(run.id, EventQuery(tail=True, limit=LAST_EVENTS))
        if not page.events:
            self._tell("plain.no_events")
            return
        self._tell("plain.events", id=run.id)
        for event in page.events:
            self._say_event(event_line(event))

    async def _explain(self, typed: str) -> None:
        if (run := self._named(typed, "explain")) is None:
            return
        inquiry = await inquire(self._api, run.id)
        facts = explanation(run, inquiry.detail, self._console.lens, inquiry.thresholds)
        self._say_facts(facts)
        for piece in inquiry.evidence:
            self._say_event(piece.line)

    def _say_facts(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            label = f"{self._console.words(fact.label)}: " if fact.label else ""
            self._console.say(f"{label}{fact.text}")

    def _say_event(self, line: EventLine) -> None:
        self._console.say(f"{format_clock(line.time_s, None)} {line.label}, {line.text}")

    def _named(self, typed: str, command: str) -> RunRow | None:
        """The run with this id, or with one that alone ends so, or begins so."""
        runs = self._console.fleet.runs
        if not typed:
            self._tell("plain.needs_id", command=command)
            return None
        found = [typed] if typed in runs else [run_id for run_id in runs if run_id.endswith(typed)]
        found = found or [run_id for run_id in runs if run_id.startswith(typed)]
        shown = clean(typed, limit=80, fold=True)
        if not found:
            self._tell("plain.no_run", typed=shown)
        elif len(found) > 1:
            ids = ", ".join(sorted(found)[:NAMED_IDS])
            self._tell("plain.many_runs", typed=shown, n=len(found), ids=ids)
        return runs[found[0]] if len(found) == 1 else None

    # Following.

    async def _follow(self, typed: str) -> None:
        if self._followed is not None:
            run_id, task = self._followed
            self._followed = None
            task.cancel()
            self._tell("plain.follow_ended", id=run_id)
        if typed and (run := self._named(typed, "follow")) is not None:
            store = (await self._api.server_info()).store
            task = self._owner.spawn(self._tell_events(run, store), name="plain follow")
            self._followed = (run.id, task)
            self._tell("plain.following", id=run.id)

    async def _tell_events(self, run: RunRow, store: str) -> None:
        events = self._console.session.network.run_events(store)
        async with aclosing(events.follow(run.id, None)) as items:
            async for item in items:
                match item:
                    case EventBatch():
                        self._tell_batch(item)
                    case Gap():
                        reason = clean(item.reason, limit=80, fold=True)
                        self._tell(
                            "plain.gap",
                            from_seq=format_count(item.from_seq),
                            to_seq=format_count(item.to_seq),
                            reason=reason,
                        )
                    case RunStatus():
                        self._tell("plain.ended", id=run.id, status=clean(item.status, limit=40))
                    case RunGone():
                        self._tell("plain.no_run", typed=run.id)
                    case _:
                        pass

    def _tell_batch(self, batch: EventBatch) -> None:
        for event in batch.events[:EVENTS_A_BATCH]:
            self._say_event(event_line(event))
        if (more := len(batch.events) - EVENTS_A_BATCH) > 0:
            self._tell("plain.more_events", n=more)

    # Doing.

    async def _cancel(self, typed: str) -> None:
        state = self._console.state
        if state.preferences.read_only or state.link.read_only:
            self._tell("plain.read_only")
            return
        if (run := self._named(typed, "cancel")) is None:
            return
        if run.ended:
            self._tell("plain.over", id=run.id)
            return
        self._asked = run
        look = self._console.words(look_of_run(run).word)
        self._tell("plain.ask_cancel", id=run.id, name=run.name, state=look)

    async def _answered(self, run: RunRow, line: str) -> None:
        if line.casefold() not in YES:
            self._tell("plain.left")
            return
        try:
            answer = await self._api.cancel_run(run.id)
        except ApiError as error:
            self._tell("plain.refused", error=clean(error.error, limit=300, fold=True))
            return
        self._tell("plain.cancelled", id=run.id, status=clean(answer.status, limit=40))

    async def _verbose(self, typed: str) -> None:
        self._console.verbose = typed != "off"
        self._tell("plain.verbose_on" if self._console.verbose else "plain.verbose_off")

    async def _hold(self, _: str) -> None:
        self._console.holding = True
        self._tell("plain.held")

    async def _go(self, _: str) -> None:
        self._console.go_on()

    async def _retry(self, _: str) -> None:
        self._console.feed.retry_now()
        self._tell("plain.retrying")
