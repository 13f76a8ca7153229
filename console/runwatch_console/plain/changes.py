"""What a person is told of the fleet: which rows changed so that it matters, as parts of a line;
pure.

Numbers that go on by themselves (tokens, events, cost) and activities are no change of state.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from runwatch_console.facts import why_text
from runwatch_console.fleet import Fleet
from runwatch_console.lens import Lens
from runwatch_console.looks import look_of_node, look_of_run
from runwatch_console.rows import NodeRow, RunRow


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One row that is to be told. `text` is told as it stands, after the time."""

    key: str
    """`run:<id>` or `node:<id>`."""
    word: str
    """Id of its state in the locale; what many at once are counted by."""
    text: str
    urgent: bool
    """Somebody is needed, or something ended badly: told before what is not."""


URGENT = frozenset({"look.wait", "look.fail", "look.timeout", "look.stall", "look.loop"})


def changes(before: Fleet, after: Fleet, lens: Lens, *, verbose: bool) -> list[Change]:
    """What is different, the urgent first, then by id. `verbose`: activities too."""
    told = [*_runs(before, after, lens, verbose), *_nodes(before, after, lens)]
    return sorted(told, key=lambda change: (not change.urgent, change.key))


def _runs(before: Fleet, after: Fleet, lens: Lens, verbose: bool) -> Iterator[Change]:
    ids = after.changed if after.changed is not None else {*before.runs, *after.runs}
    for run_id in ids:
        old, new = before.runs.get(run_id), after.runs.get(run_id)
        if new is None:
            if old is not None:
                text = lens.words("plain.gone", id=old.id, name=old.name)
                yield Change(key=f"run:{old.id}", word="plain.gone_word", text=text, urgent=False)
        elif old is None or _told_of(old, verbose) != _told_of(new, verbose):
            yield run_change(new, lens)


def _nodes(before: Fleet, after: Fleet, lens: Lens) -> Iterator[Change]:
    if before.nodes is after.nodes:
        return
    for node_id in {*before.nodes, *after.nodes}:
        old, new = before.nodes.get(node_id), after.nodes.get(node_id)
        if new is None:
            text = lens.words("plain.node_gone", id=node_id)
            yield Change(key=f"node:{node_id}", word="plain.gone_word", text=text, urgent=False)
        elif old is None or old.status != new.status:
            yield node_change(new, lens)


def _told_of(run: RunRow, verbose: bool) -> tuple[object, ...]:
    wait = run.wait.prompt if run.wait is not None else None
    facts = (look_of_run(run).word, wait, run.queue_code, run.health, run.error, run.exit_code)
    return (*facts, run.activity) if verbose else facts


def run_change(run: RunRow, lens: Lens) -> Change:
    """A run as one line: state, id, name, reason."""
    look = look_of_run(run)
    why, _ = why_text(run, lens)
    parts = [lens.words(look.word), run.id, run.name, why]
    text = ", ".join(part for part in parts if part)
    return Change(key=f"run:{run.id}", word=look.word, text=text, urgent=look.word in URGENT)


def node_change(node: NodeRow, lens: Lens) -> Change:
    """A node as one line: state, id, slots in use."""
    look = look_of_node(node)
    slots = lens.words("fact.slot_counts", used=node.allocated, all=node.capacity)
    text = lens.words("plain.node", state=lens.words(look.word), id=node.id, slots=slots)
    return Change(key=f"node:{node.id}", word=look.word, text=text, urgent=node.status != "online")
