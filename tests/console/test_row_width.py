"""Rows fill the width there is, also in a view that was never told of a resize."""

from tests.console.driving import console
from tests.console.records import event
from tests.console.test_run_screen import RUN, open_run


async def test_a_view_that_missed_its_first_size_takes_it_with_the_next_events() -> None:
    async with console((160, 40)) as driven:
        view = await open_run(driven)
        view.log_rows.width = 40
        driven.script.api.logs[RUN] = [event(1, payload={"content": "one line"})]
        page = await driven.script.api.events(RUN, driven.script.api.asked("events")[-1])
        view.load(page)
        assert view.log_rows.width == view.row_width > 40
