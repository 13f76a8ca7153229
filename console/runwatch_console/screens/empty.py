"""What a screen says when it has nothing to show: why, and what to do about it."""

from textual.content import Content

from runwatch_console.link import LinkState
from runwatch_console.state import ConsoleState


def waiting_text(state: ConsoleState) -> str:
    """Before the first snapshot: what is being waited for."""
    if state.link_state is LinkState.LOST:
        return state.words("empty.unreached", url=state.target.server_url)
    if state.link.connected:
        return state.words("empty.loading")
    return state.words("empty.connecting", url=state.target.server_url)


def attention_empty(state: ConsoleState, *, has_rows: bool) -> Content:
    """For the home screen; nothing at all while there are rows."""
    if has_rows:
        return Content("")
    if not state.fleet.loaded:
        return Content(waiting_text(state))
    if not state.fleet.runs and not (state.fleet.total or 0):
        return Content(state.words("empty.no_runs"))
    stats = state.fleet.stats
    active = stats.active_workflows if stats is not None else len(state.fleet.runs)
    done = stats.completed_today if stats is not None else 0
    return Content(state.words("empty.all_well", active=active, done=done))


def runs_empty(state: ConsoleState, *, shown: int, filter_text: str) -> Content:
    """For the table of runs."""
    if shown:
        return Content("")
    if not state.fleet.loaded:
        return Content(waiting_text(state))
    total = state.fleet.total if state.fleet.total is not None else len(state.fleet.runs)
    if filter_text:
        return Content(state.words("empty.no_match", total=f"{total:,}", filter=filter_text))
    return Content(state.words("empty.no_runs"))


def nodes_empty(state: ConsoleState) -> Content:
    """For the table of nodes."""
    if state.fleet.nodes:
        return Content("")
    if not state.fleet.loaded:
        return Content(waiting_text(state))
    return Content(state.words("empty.no_nodes"))
