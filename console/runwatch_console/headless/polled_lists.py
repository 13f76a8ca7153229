"""Lists that do not travel on the feed: instances and proxies, printed once or asked for again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from runwatch_console.columns import Column, RowT
from runwatch_console.formats import format_count
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import Output
from runwatch_console.headless.listings import Listing, RecordT
from runwatch_console.headless.printing import ListPrinter
from runwatch_console.headless.session import Session
from runwatch_console.machinerows import (
    INSTANCE_COLUMNS,
    PROXY_COLUMNS,
    InstanceRow,
    ProxyRow,
    instance_row,
    proxy_row,
)
from runwatch_console.ports import ApiError
from runwatch_shared.instances import Instance
from runwatch_shared.proxies import Proxy
from runwatch_shared.text import clean

ASKED_S: Final = 2.0
UNREACHED: Final = frozenset({0, 502, 503, 504})

INSTANCES: Final[Listing[Instance, InstanceRow]] = Listing(
    topic="nodes",
    # Without a screen an id is there to be copied.
    columns=(
        Column(title="col.instance", width=18, cell=lambda row, _: (row.id, "id")),
        *INSTANCE_COLUMNS[1:],
    ),
    fields=(
        ("id", lambda each: each.id),
        ("name", lambda each: each.name),
        ("status", lambda each: each.status),
        ("account_id", lambda each: each.account_id),
        ("agent_type_id", lambda each: each.agent_type_id),
        ("node_id", lambda each: each.node_id),
        ("container_name", lambda each: each.container_name),
        ("error", lambda each: each.error),
        ("created_at", lambda each: each.created_at),
        ("updated_at", lambda each: each.updated_at),
    ),
    key=lambda each: each.id,
    row=instance_row,
    snapshot=lambda _: (),
    upserts=lambda _: (),
    removals=lambda _: (),
)
PROXIES: Final[Listing[Proxy, ProxyRow]] = Listing(
    topic="nodes",
    columns=(
        Column(title="col.id", width=18, cell=lambda row, _: (row.id, "id")),
        *PROXY_COLUMNS,
    ),
    fields=(
        ("id", lambda each: each.id),
        ("name", lambda each: each.name),
        ("type", lambda each: each.type),
        ("host", lambda each: each.host),
        ("port", lambda each: each.port),
        ("username", lambda each: each.username),
        ("no_proxy", lambda each: each.no_proxy),
        ("is_default", lambda each: each.is_default),
        ("status", lambda each: each.status),
        ("created_at", lambda each: each.created_at),
        ("updated_at", lambda each: each.updated_at),
    ),
    key=lambda each: each.id,
    row=proxy_row,
    snapshot=lambda _: (),
    upserts=lambda _: (),
    removals=lambda _: (),
)


async def print_polled(
    session: Session,
    listing: Listing[RecordT, RowT],
    read: Callable[[], Awaitable[Sequence[RecordT]]],
    output: Output,
    *,
    watch: bool,
) -> ExitCode:
    """Print the list, and with `watch` what changes of it, until interrupted.

    Raises:
        ApiError: It cannot be had; while watching, only what asking again would not mend.
    """
    printer = ListPrinter(listing, output, session)
    records = await read()
    now_s = time.time()
    printer.whole(records, now_s)
    if output is Output.TABLE:
        count = format_count(len(records))
        session.printer.say(session.words("headless.shown", shown=count, total=count))
    shown = {listing.key(record): record for record in records}
    lost = False
    while watch:
        await asyncio.sleep(ASKED_S)
        try:
            newest = {listing.key(record): record for record in await read()}
        except ApiError as error:
            if error.status not in UNREACHED:
                raise
            if not lost:
                detail = clean(error.error, limit=300, fold=True)
                session.printer.say(session.words("headless.lost", detail=detail))
            lost = True
            continue
        if lost:
            session.printer.say(session.words("headless.back"))
        lost = False
        for key, record in newest.items():
            if shown.get(key) != record:
                printer.changed(record, time.time())
        for key in shown.keys() - newest.keys():
            printer.removed(key)
        shown = newest
    return ExitCode.DONE
