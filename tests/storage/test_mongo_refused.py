"""A server where what is acknowledged may be lost is refused at start, in words; one without
transactions is not, as none is ever asked for.
"""

import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import bson
import pytest
from pymongo import monitoring
from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

from runwatch_server.storage.mongo.store import MongoStore
from runwatch_shared.errors import StoreUnavailableError
from tests.mongo import MongoServer
from tests.processes import clean_environment
from tests.storage.making import RULES, a_run, a_spec, an_event, insert_runs, run_id, write

LIMIT_S = 60
OP_MSG = 2013
OP_QUERY = 2004
OP_REPLY = 1
WRITES = frozenset({"insert", "update", "delete"})


class Scripted(socketserver.StreamRequestHandler):
    """As much of MongoDB as a client asks for before its first write (MongoDB, wire protocol)."""

    to_a_write: ClassVar[dict[str, Any]]

    def handle(self) -> None:
        while header := self.rfile.read(16):
            length, request, _, kind = struct.unpack("<iiii", header)
            body = self.rfile.read(length - 16)
            if kind == OP_QUERY:
                end = body.index(b"\0", 4)
                self.answer(request, OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1), self.told({}))
                assert body[end:]
            else:
                asked = bson.decode_all(body[5 : 5 + struct.unpack("<i", body[5:9])[0]])[0]
                self.answer(request, OP_MSG, struct.pack("<iB", 0, 0), self.told(asked))

    def told(self, asked: dict[str, Any]) -> dict[str, Any]:
        if WRITES & asked.keys():
            return self.to_a_write
        return {
            "ok": 1, "isWritablePrimary": True, "ismaster": True, "helloOk": True,
            "minWireVersion": 0, "maxWireVersion": 21, "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
        }  # fmt: skip

    def answer(self, request: int, kind: int, head: bytes, told: dict[str, Any]) -> None:
        body = head + bson.encode(told)
        self.wfile.write(struct.pack("<iiii", 16 + len(body), 1, request, kind) + body)


@contextmanager
def answering(to_a_write: dict[str, Any]) -> Iterator[str]:
    handler = type("Handler", (Scripted,), {"to_a_write": to_a_write})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"mongodb://127.0.0.1:{server.server_address[1]}/runwatch"
        server.shutdown()
        thread.join(LIMIT_S)


REFUSED = {
    "most of its members are away": (
        {"ok": 1, "n": 1, "writeConcernError": {"code": 64, "errmsg": "waiting timed out"}},
        "its journal must be on and most of its members must be there",
    ),
    "it has not enough members": (
        {"ok": 1, "n": 1, "writeConcernError": {"code": 100, "errmsg": "not enough nodes"}},
        "events are acknowledged only when the majority has them on disk",
    ),
    "it keeps no journal": (
        {
            "ok": 0,
            "code": 2,
            "errmsg": "cannot use 'j' option when a host does not have journaling",
        },
        "its journal must be on",
    ),
    "the user may not write": (
        {"ok": 0, "code": 13, "errmsg": "not authorized on runwatch"},
        "does not let this user in, or not write",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_server_that_cannot_keep_what_is_promised_is_refused_with_the_reason(why: str) -> None:
    to_a_write, words = REFUSED[why]
    with answering(to_a_write) as url, pytest.raises(StoreUnavailableError, match=words):
        MongoStore.open(url, RULES)


def test_serve_ends_with_this_reason(tmp_path: Path) -> None:
    to_a_write, words = REFUSED["it has not enough members"]
    program = Path(sys.executable).with_name("monitor-server")
    with answering(to_a_write) as url:
        done = subprocess.run(
            [program, "serve", "--port", "0", "--database", url],
            env=clean_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 74, done
    assert words in done.stdout + done.stderr


class Listener(monitoring.CommandListener):
    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append({"": event.command_name, **event.command})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing: what is asked counts."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing: what is asked counts."""


def test_no_transaction_is_asked_for_and_every_write_waits_for_the_majorities_disks(
    mongo_server: MongoServer,
) -> None:
    listener = Listener()
    monitoring.register(listener)
    store = MongoStore.open(mongo_server.emptied(), RULES)
    try:
        insert_runs(store, a_run(1))
        write(store, lambda tx: tx.events.append(run_id(1), [an_event(1), an_event(2)]))
        write(store, lambda tx: tx.runs.delete(tx.runs.insert(a_run(2), a_spec())))
        with store.read() as tx:
            assert len(tx.events.between(run_id(1), 1, 9)) == 2
    finally:
        monitoring._LISTENERS.command_listeners.remove(listener)
        store.close()
    writes = [asked for asked in listener.commands if asked[""] in WRITES]
    assert {asked["insert"] for asked in writes if "insert" in asked} >= {"journal", "runs"}
    for asked in writes:
        concern = asked["writeConcern"]
        assert (concern["w"], concern["j"]) == ("majority", True), asked
    assert not any({"startTransaction", "autocommit"} & asked.keys() for asked in listener.commands)
