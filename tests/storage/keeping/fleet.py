"""A store with some of everything, made by the domain, for tests of keeping and moving it."""

from functools import partial

from runwatch_server import found, health, retention, tally, tasks
from runwatch_server.accounts.rows import AccountRow, ActionRow, ArchivePartRow
from runwatch_server.alerts.kinds import KINDS
from runwatch_server.alerts.message import alert_rule
from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.rows import (
    Bounds,
    PruneRow,
    ReplayRow,
    RunRow,
    SessionRow,
    TokenRow,
    UserRow,
)
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Rules, WriteTx
from runwatch_shared.models import NodeId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.wire import FoundRunRequest
from tests.server.domain.keeping import ANY_NODE
from tests.server.fleet.harbour import Harbour
from tests.storage.making import a_run, a_spec, an_account, an_action

DAY_US = 86_400_000_000


class KeptFleet(Harbour):
    """A harbour over the store of a URL."""

    SETTINGS = ServerSettings()

    def __init__(self, url: str, *, messages: int = 20) -> None:
        """
        Args:
            messages: How many a run has at least.
        """
        super().__init__()
        self._messages = messages
        self.store.close()
        rules = Rules(
            tally=partial(tally.of_run, day_start_us=lambda moment: moment - moment % DAY_US),
            due_us=lambda row: health.due_us(row, self.settings),
            alerts=alert_rule(frozenset(KINDS), include_text=True),
        )
        self.store = open_store(url, rules=rules, synchronous="full")

    def live(self) -> None:
        """Runs of every fate, and a row of everything else there is."""
        self.write(lambda tx: tx.housekeeping.look_again("as they are"))
        self.beat("n1", slots=9)
        self.beat("n2", slots=2)
        self.work(self.running(labels={"team": "core", "区": "北"}), end="done")
        self.work(self.running(name="构建 é"), end="failed")
        self.work(self.running())
        self.lost()
        self.queued_run(prompt="x" * 200_000)
        self.cancel(self.queued_run())
        self.trimmed()
        self.found()
        self.write(self.beside)

    def work(self, run: RunRow, end: str | None = None) -> None:
        """Messages, tools that succeed and fail, usage, and perhaps an end."""
        usage = {"input_tokens": 7, "output_tokens": 5, "cost_usd": 0.25}
        epoch = run.epoch
        self.append(run, *["message"] * self._messages, epoch=epoch, content="hello", usage=usage)
        self.append(run, "tool_use_start", epoch=epoch, id="a", name="Bash", input={"c": "ls"})
        self.append(run, "tool_use_start", epoch=epoch, id="b", name="Read", lane="sub")
        self.append(run, "tool_result", epoch=epoch, id="a", name="Bash", success=False)
        self.append(run, "approval_request", epoch=epoch, id="w", prompt="may I?")
        self.wait(3)
        if end is not None:
            self.end(run, end)

    def lost(self) -> None:
        """A run with an open call whose node fell silent, and that another one goes on with."""
        run = self.running("n2", retry_on_lost=True)
        self.append(run, "tool_use_start", epoch=run.epoch, id="q", name="Bash", input={"c": "ls"})
        self.later(200, "n1")
        self.later(200, "n1")
        self.beat("n2", slots=2)

    def trimmed(self) -> None:
        """A run whose first events retention removed."""
        run = self.running()
        self.work(run)
        some = self._messages * 2 // 5
        self.write(lambda tx: retention.remove_events(tx, tx.runs.get(run.id), limit=some))  # type: ignore[arg-type]  # it is there

    def found(self) -> None:
        request = FoundRunRequest(
            external_id="s1", name="found", agent_type="claude-code", process_id="n1-p1"
        )

        def announce(tx: WriteTx) -> RunRow:
            done = found.announce(tx, "n1", request, by=ANY_NODE, settings=self.settings)
            return done.row

        self.work(self.write(announce))

    def beside(self, tx: WriteTx) -> None:
        """What is no run, task or node, and a run with texts no interface lets in any more."""
        now_us = self.now_us
        odd = a_run(77, created_us=now_us, name="zero \0 é", labels={"a": "b\0c"})
        tx.runs.insert(odd, a_spec())
        tx.prunes.put(PruneRow(asked_us=now_us, bounds=Bounds(max_events=5)))
        told = tx.telemetry.put(
            TelemetryRow(agent_type="claude-code", session_id="s9", last_us=now_us)
        )
        tx.telemetry.remember(told, [2**63 - 1, 5])
        tx.kept(AccountRow).save(
            an_account("zoé", created_us=now_us, logged_in={NodeId("n1"): now_us})
        )
        tx.kept(ActionRow).save(an_action(7, api_key="sealed:1:x", expires_us=now_us + 9))
        tx.kept(ArchivePartRow).save(
            ArchivePartRow(id="a.0", data="sealed:1:y" * 9_000, created_us=1, updated_us=1)
        )
        self.access(tx)

    def access(self, tx: WriteTx) -> None:
        now_us = self.now_us
        user = UserRow(
            id="u1",
            email="ada@example.org",
            username="ada",
            role="admin",
            scope="admin",
            password_hash="$argon2id$none",
            created_us=now_us,
            updated_us=now_us,
        )
        tx.access.save_user(user)
        tx.access.save_session(
            SessionRow(id="s1", user_id="u1", created_us=now_us, expires_us=now_us + 9)
        )
        tx.access.save_token(
            TokenRow(
                id="t1",
                name="ci",
                scope="viewer",
                secret_sha256="0" * 64,
                created_us=now_us,
                created_by="ada",
            )
        )
        tx.access.touch_tokens({"t1": now_us + 5})
        tx.replays.put(
            ReplayRow(
                principal="t1",
                route="POST /runs",
                key="k",
                body_sha256="1" * 64,
                status=201,
                body=b"\x00\xff{}",
                at_us=now_us,
            )
        )

    def forget_a_task(self) -> None:
        """Delete a task with its run, so that removals are known."""
        run = self.queued_run()
        self.write(
            lambda tx: tasks.delete_task(tx, run.task_id, force=True, settings=self.settings)
        )
