"""Delivering alerts to a real receiver: retries, refusals, bounds, restarts, stopping."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwatch_server import health, tally
from runwatch_server.alerts import post as post_module
from runwatch_server.alerts import sender as sender_module
from runwatch_server.alerts.message import alert_rule
from runwatch_server.alerts.post import Poster
from runwatch_server.alerts.row import AlertRow
from runwatch_server.alerts.sender import AlertSender
from runwatch_server.alerts.target import kinds_of, target_of
from runwatch_server.certificates import ensure_certificates
from runwatch_server.ingest import GroupWriter
from runwatch_server.metrics import Metrics
from runwatch_server.rows import SpecRow
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Rules, Store, WriteTx
from runwatch_shared.clock import SystemClock
from runwatch_shared.models import Agent, RunId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tasks import TaskOwner
from tests.processes import free_port
from tests.server.alerts.receiver import HANG, SECRET, Came, Receiver
from tests.server.domain.making import run_row

CLOCK = SystemClock()


def settings(url: str, **changes: Any) -> ServerSettings:
    return ServerSettings(**{"webhook_url": url, "webhook_secret": SECRET, **changes})


def opened(path: Path, used: ServerSettings) -> Store:
    rules = Rules(
        tally=lambda before, after, now_us: tally.of_run(
            before, after, now_us, day_start_us=lambda moment_us: 0
        ),
        due_us=lambda row: health.due_us(row, used),
        alerts=alert_rule(kinds_of(used), include_text=used.webhook_include_text),
    )
    return open_store(f"sqlite:///{path / 'runwatch.db'}", rules=rules, synchronous="full")


class Post:
    """A sender with a store of its own, and runs that fail."""

    def __init__(self, store: Store, writer: GroupWriter, sender: AlertSender) -> None:
        self.store = store
        self.writer = writer
        self.sender = sender
        self.metrics = Metrics()

    async def fail(self, *run_ids: str) -> None:
        """New runs that have failed, all in one commit."""

        def work(tx: WriteTx) -> None:
            for run_id in run_ids:
                spec = SpecRow(
                    task_id=run_row().task_id, name="n", agent=Agent(type="x"), prompt=""
                )
                row = tx.runs.insert(run_row(id=RunId(run_id)), spec)
                tx.runs.save(row, msgspec.structs.replace(row, status="failed"))

        await self.writer.write(work)

    def pending(self) -> list[AlertRow]:
        with self.store.read() as tx:
            return tx.pending_alerts()

    def counted(self, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value(
            "runwatch_alerts_total", {"kind": "failed", "outcome": outcome}
        )
        return value or 0.0


@asynccontextmanager
async def posting(path: Path, used: ServerSettings) -> AsyncIterator[Post]:
    """A sender at work; waits between tries are a thousandth of the real ones."""
    target = target_of(used)
    assert target is not None
    store = opened(path, used)
    holder: list[AlertSender] = []
    writer = GroupWriter(
        store, CLOCK, queue_events=100, listeners=(lambda commit: holder[0].on_commit(commit),)
    )
    metrics = Metrics()
    sender = AlertSender(
        Poster(target, CLOCK),
        host=target.host,
        writer=writer,
        clock=CLOCK,
        settings=used,
        store_id=store.store_id,
        observer=metrics.alerts,
        uniform=lambda low, high: high / 1000,
    )
    holder.append(sender)
    post = Post(store, writer, sender)
    post.metrics = metrics
    with store.read() as tx:
        sender.load(tx)
    writer.start()
    try:
        async with TaskOwner("test") as owner:
            sender.start(owner)
            yield post
    finally:
        await writer.stop()
        store.close()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def statuses(*answers: int, **headers: str) -> Callable[[Came], tuple[int, dict[str, str]]]:
    """These statuses one after the other, then 204."""
    left = list(answers)
    return lambda came: (left.pop(0), headers) if left else (204, {})


async def test_a_failed_run_is_told_once_signed_and_forgotten(tmp_path: Path) -> None:
    with Receiver() as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            await post.fail("run-1")
            await until(lambda: receiver.came and not post.pending())
            assert receiver.types == ["run.failed"]
            came = receiver.came[0]
            assert came.is_signed_with(SECRET)
            assert came.headers["webhook-id"] == came.alert["id"]
            assert abs(int(came.headers["webhook-timestamp"]) - time.time()) < 60
            assert came.headers["content-type"] == "application/json"
            assert came.alert["store"] == post.store.store_id
            assert came.alert["workflow"]["id"] == "run-1"
            assert came.alert["revision"] == came.alert["workflow"]["revision"] > 0
            assert post.counted("delivered") == 1


async def test_errors_are_tried_again_with_the_same_id_and_body(tmp_path: Path) -> None:
    with Receiver(statuses(500, 429, 503)) as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            await post.fail("run-1")
            await until(lambda: len(receiver.came) == 4 and not post.pending())
            assert len({came.body for came in receiver.came}) == 1
            assert all(came.is_signed_with(SECRET) for came in receiver.came)
            assert post.counted("retried") == 3


async def test_after_the_last_try_an_alert_is_given_up_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(lambda came: (500, {})) as receiver:
        async with posting(tmp_path, settings(receiver.url, webhook_attempts=3)) as post:
            await post.fail("run-1")
            await until(lambda: post.counted("given_up") and not post.pending())
            assert len(receiver.came) == 3
    assert "An alert is given up" in caplog.text
    assert "very-secret" not in caplog.text


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404])
async def test_a_refusal_is_not_tried_again_and_no_redirect_is_followed(
    tmp_path: Path, status: int
) -> None:
    with Receiver() as elsewhere, Receiver(statuses(status, Location=elsewhere.url)) as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            await post.fail("run-1")
            await until(lambda: post.counted("refused") and not post.pending())
            assert len(receiver.came) == 1
            assert elsewhere.came == []
            await post.fail("run-2")
            await until(lambda: post.counted("delivered"))


async def test_410_stops_all_alerts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(lambda came: (410, {})) as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            await post.fail("run-1", "run-2")
            await until(lambda: post.counted("gone") == 2 and not post.pending())
            await post.fail("run-3")
            await until(lambda: post.counted("gone") == 3 and not post.pending())
            assert len(receiver.came) == 1
    assert "no more alerts" in caplog.text


async def test_after_410_alerts_are_sent_again_when_the_hour_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "GONE_S", 0.0)
    with Receiver(statuses(410)) as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            await post.fail("run-1")
            await until(lambda: post.counted("gone") == 1)
            await post.fail("run-2")
            await until(lambda: post.counted("delivered") == 1 and not post.pending())
            assert len(receiver.came) == 2


async def test_what_follows_the_status_of_an_answer_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post_module, "DRAIN_S", 0.05)
    never_comes = {"content-length": "100"}
    with Receiver(lambda came: (200, never_comes)) as receiver:
        async with posting(tmp_path, settings(receiver.url, webhook_timeout_s=0.5)) as post:
            await post.fail("run-1")
            await until(lambda: post.counted("delivered") or post.counted("retried"))
            await until(lambda: not post.pending())
            assert post.counted("delivered") == 1
            assert len(receiver.came) == 1


async def test_retry_after_is_obeyed_for_all(tmp_path: Path) -> None:
    reply = statuses(503, **{"Retry-After": "1"})
    with Receiver(reply) as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            begun = time.monotonic()
            await post.fail("run-1", "run-2")
            await until(lambda: post.counted("delivered") == 2)
            assert time.monotonic() - begun >= 1.0
            assert len(receiver.came) == 3


async def test_a_receiver_that_says_nothing_costs_one_timeout_a_try(tmp_path: Path) -> None:
    with Receiver(statuses(HANG)) as receiver:
        async with posting(tmp_path, settings(receiver.url, webhook_timeout_s=0.2)) as post:
            await post.fail("run-1")
            await until(lambda: post.counted("delivered"))
            assert post.counted("retried") == 1


async def test_a_receiver_that_comes_later_gets_what_waited(tmp_path: Path) -> None:
    port = free_port()
    used = settings(f"http://127.0.0.1:{port}/", webhook_attempts=1000)
    async with posting(tmp_path, used) as post:
        await post.fail("run-1")
        await until(lambda: post.counted("retried") >= 2)
        with Receiver(port=port) as receiver:
            await until(lambda: post.counted("delivered"))
            assert receiver.types == ["run.failed"]


async def test_of_too_many_the_oldest_are_dropped_counted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(statuses(HANG)) as receiver:
        used = settings(receiver.url, webhook_queue=2, webhook_timeout_s=0.5)
        async with posting(tmp_path, used) as post:
            await post.fail("run-1")
            await until(lambda: receiver.came)
            await post.fail("run-2", "run-3", "run-4")
            await until(lambda: post.counted("delivered") == 2 and not post.pending())
            assert post.counted("dropped") == 2
            told = {came.alert["workflow"]["id"] for came in receiver.came}
            assert told == {"run-1", "run-4"}
    assert "the oldest are dropped" in caplog.text


async def test_alerts_survive_a_restart_with_their_ids_and_their_tries(tmp_path: Path) -> None:
    port = free_port()
    used = settings(f"http://127.0.0.1:{port}/", webhook_attempts=1000)
    async with posting(tmp_path, used) as post:
        await post.fail("run-1", "run-2")
        await until(lambda: post.counted("retried") >= 1)
        await until(lambda: any(alert.attempts for alert in post.pending()))
        before = [alert.id for alert in post.pending()]
    with Receiver(port=port) as receiver:
        async with posting(tmp_path, used) as post:
            await until(lambda: post.counted("delivered") == 2 and not post.pending())
        assert [came.alert["id"] for came in receiver.came] == before


async def test_what_is_delivered_when_the_sender_stops_does_not_come_again(tmp_path: Path) -> None:
    with Receiver() as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            await post.fail("run-1")
            await until(lambda: post.counted("delivered"))
        async with posting(tmp_path, settings(receiver.url)) as post:
            assert post.pending() == []
        assert len(receiver.came) == 1


async def test_stopping_does_not_wait_for_the_receiver_and_loses_nothing(tmp_path: Path) -> None:
    with Receiver(lambda came: (HANG, {})) as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            await post.fail("run-1")
            await until(lambda: receiver.came)
            begun = time.monotonic()
        assert time.monotonic() - begun < 2.0
        store = opened(tmp_path, settings(receiver.url))
        with store.read() as tx:
            assert len(tx.pending_alerts()) == 1
        store.close()


async def test_commits_are_answered_while_the_receiver_hangs(tmp_path: Path) -> None:
    with Receiver(lambda came: (HANG, {})) as receiver:
        async with posting(tmp_path, settings(receiver.url)) as post:
            await post.fail("run-1")
            await until(lambda: receiver.came)
            for number in range(2, 30):
                await asyncio.wait_for(post.fail(f"run-{number}"), 5)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A receiver's context, and the authority that made its certificate."""
    files = ensure_certificates(tmp_path_factory.mktemp("tls"), ["127.0.0.1"], CLOCK)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert_pem, files.key_pem)
    return context, str(files.ca_pem)


async def test_an_own_authority_is_trusted_where_it_is_named(
    tmp_path: Path, tls: tuple[ssl.SSLContext, str]
) -> None:
    with Receiver(tls=tls[0]) as receiver:
        async with posting(tmp_path, settings(receiver.url, webhook_ca=tls[1])) as post:
            await post.fail("run-1")
            await until(lambda: post.counted("delivered"))


async def test_a_certificate_nobody_vouches_for_gets_no_alert(
    tmp_path: Path, tls: tuple[ssl.SSLContext, str], caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(tls=tls[0]) as receiver:
        async with posting(tmp_path, settings(receiver.url, webhook_attempts=2)) as post:
            await post.fail("run-1")
            await until(lambda: post.counted("given_up"))
        assert receiver.came == []
    assert "CERTIFICATE_VERIFY_FAILED" in str([record.__dict__ for record in caplog.records])
