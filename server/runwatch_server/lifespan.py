"""What a server opens when it starts and closes when it stops, in order; nothing of HTTP itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from runwatch_server import fleet_log, health
from runwatch_server.access.passwords import Passwords
from runwatch_server.access.rates import Failures
from runwatch_server.access.sessions import Signer
from runwatch_server.accounts.bells import ActionBells
from runwatch_server.accounts.blocked import BlockedRuns
from runwatch_server.accounts.kinds import AgentTypes
from runwatch_server.admission import Admission, Mode
from runwatch_server.alerts.expiry import expiry_rule
from runwatch_server.alerts.message import alert_rule
from runwatch_server.alerts.post import Poster
from runwatch_server.alerts.sender import AlertSender
from runwatch_server.alerts.target import kinds_of, target_of
from runwatch_server.app import openapi_document
from runwatch_server.audit.trail import AuditTrail
from runwatch_server.auth import Authenticator
from runwatch_server.days import day_starts, time_zone, zone_name
from runwatch_server.doorbells import Doorbells
from runwatch_server.hub import Hub
from runwatch_server.ingest import GroupWriter
from runwatch_server.live import LiveSettings
from runwatch_server.metering.exposition import Exposition
from runwatch_server.metering.runtime import free_bytes
from runwatch_server.metrics import Metrics
from runwatch_server.otlp.decoding import OtlpDecoder
from runwatch_server.projection import Projection
from runwatch_server.proxies.testing import ProxyTester
from runwatch_server.readiness import Readiness
from runwatch_server.reads import ReaderPool
from runwatch_server.retainer import Retainer
from runwatch_server.scheduler import Scheduler
from runwatch_server.services import Services
from runwatch_server.steady import keep_going
from runwatch_server.storage.following import follower_of
from runwatch_server.storage.observing import StoreObserver
from runwatch_server.storage.protocols import Commit, Rules, Store, WriteTx
from runwatch_server.storage.sharing import Shared
from runwatch_server.sweeper import Sweeper
from runwatch_server.tally import of_run
from runwatch_server.tracing.opening import Tracing
from runwatch_server.upkeep import Chore, Upkeep
from runwatch_server.vault import Vault
from runwatch_server.version import VERSION
from runwatch_shared.clock import Clock
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tasks import TaskOwner

TICK_S: Final = 15.0
TOUCH_S: Final = 30.0
LAG_EVERY_S: Final = 0.5
SHORTEST_SWEEP_S: Final = 0.05


def rules_of(settings: ServerSettings) -> Rules:
    """What the store applies to every run it saves.

    Raises:
        SettingsError: ``time_zone`` is none, or ``webhook_kinds`` has one there is not.
    """
    day_start_us = day_starts(time_zone(settings.time_zone))
    return Rules(
        tally=lambda before, after, now_us: of_run(
            before, after, now_us, day_start_us=day_start_us
        ),
        due_us=lambda row: health.due_us(row, settings),
        alerts=alert_rule(kinds_of(settings), include_text=settings.webhook_include_text)
        if settings.webhook_url
        else None,
        kept_alerts=expiry_rule(kinds_of(settings)) if settings.webhook_url else None,
    )


@asynccontextmanager
async def open_services(
    settings: ServerSettings,
    store: Store,
    *,
    clock: Clock,
    wall: Clock | None = None,
    mode: Mode,
    signer: Signer,
    metrics: Metrics | None = None,
    passwords: Passwords | None = None,
    ca_pem: Path | None = None,
    tls: bool = False,
    audit_folder: Path | None = None,
    tracing: Tracing | None = None,
    background: bool = True,
) -> AsyncIterator[Services]:
    """Everything a server's application needs, working until the block ends.

    Args:
        store: Open; the caller closes it afterwards.
        wall: What is dated for others goes by it; by ``clock`` where it is not given.
        metrics: Those the store reports to, where it does.
        audit_folder: Where the audit log is written; None writes none.
        tracing: What is told besides; the store reports to it where it does.
        background: Whether scheduler, sweeper and the like run by themselves; False in tests.
    """
    metrics = metrics or Metrics()
    passwords = passwords or Passwords()
    started_us = clock.now_us()
    projection = Projection(
        day_start_us=day_starts(time_zone(settings.time_zone)), started_us=started_us
    )
    observer: StoreObserver = metrics.store if tracing is None else tracing.store(metrics.store)
    reader = ReaderPool(store, observer=observer)
    follower = follower_of(store)
    doorbells = Doorbells()
    action_bells = ActionBells()
    authenticator = Authenticator(
        reader=reader,
        clock=clock,
        signer=signer,
        node_token=settings.node_token,
        observer=metrics.access,
    )
    hub = Hub(
        reader=reader,
        projection=projection,
        clock=clock,
        settings=settings,
        store_id=store.store_id,
        version=VERSION,
        observer=metrics.feeds,
        recheck=authenticator.still_valid,
    )
    authenticator.on_forget = hub.recheck_now
    writer = GroupWriter(
        store,
        clock,
        queue_events=settings.limits.ingest_queue_events,
        group_works=settings.commit_works,
        listeners=(
            projection.apply,
            hub.publish,
            doorbells.on_commit,
            action_bells.on_commit,
            lambda commit: services.blocked.on_commit(commit),
            lambda commit: scheduler.on_commit(commit),
            metrics.commits.on_commit,
            lambda commit: None if follower is None else follower.on_commit(commit),
            lambda commit: upkeep.on_commit(commit),
        ),
        own_listeners=(fleet_log.on_commit,),
        observer=observer,
    )
    scheduler = Scheduler(
        writer=writer,
        reader=reader,
        clock=clock,
        settings=settings,
        observer=metrics.runtime if tracing is None else tracing.scheduler(metrics.runtime),
    )
    blocked = BlockedRuns(writer)
    readiness = Readiness(
        clock,
        probe=store.probe,
        queue_share=lambda: writer.waiting_events / settings.limits.ingest_queue_events,
    )
    services = Services(
        live=LiveSettings(settings),
        clock=clock,
        store_id=store.store_id,
        writer=writer if tracing is None else tracing.writer(writer),
        reader=reader if tracing is None else tracing.reader(reader),
        projection=projection,
        authenticator=authenticator,
        admission=Admission(mode=mode, settings=settings, clock=clock, authenticator=authenticator),
        passwords=passwords,
        login_failures=Failures(settings.limits.login_failures_per_min),
        hub=hub,
        scheduler=scheduler,
        doorbells=doorbells,
        action_bells=action_bells,
        blocked=blocked,
        agent_types=AgentTypes(settings.agent_types),
        metrics=metrics,
        exposition=Exposition(
            metrics.registry,
            projection=projection,
            reader=reader,
            clock=clock,
            wal_bytes=store.wal_bytes,
            search_behind=lambda: 0 if follower is None else follower.behind,
            disk_free_bytes=lambda: free_bytes(settings.data_dir),
            instances=scheduler.instances,
        ),
        otlp=OtlpDecoder(settings),
        vault=Vault(signer.key),
        proxy_tester=ProxyTester(
            clock, allow=settings.proxy_test_allow, target_url=settings.proxy_test_url
        ),
        openapi=openapi_document(),
        readiness=readiness,
        audit=AuditTrail(audit_folder, clock),
        started_us=started_us,
        zone=zone_name(settings.time_zone, started_us),
        ca_pem=ca_pem,
        tls=tls,
        tracing=tracing,
    )
    for follower_of_settings in (
        services.admission.follow,
        services.login_failures.follow,
        hub.follow,
        scheduler.follow,
    ):
        services.live.follow(follower_of_settings)
    upkeep = Upkeep(
        store,
        reader,
        chores=lambda: _chores(services),
        sender=lambda: _sender(settings, clock, wall or clock, writer, metrics, store.store_id),
    )
    shared = store if isinstance(store, Shared) else None
    if shared is not None:
        await asyncio.to_thread(shared.join)
    with store.read() as tx:
        projection.load(tx)
        scheduler.load(tx)
        blocked.load(tx)
        metrics.commits.load(tx)
        upkeep.load(tx)
        if shared is not None:
            shared.follow(tx, writer.wake)
    hub.publish(_nothing_since(projection.revision, started_us))
    writer.start()
    try:
        async with TaskOwner("server") as owner:
            services.audit.start(owner)
            if background:
                _start(owner, services, upkeep)
                if follower is not None:
                    follower.start()
            yield services
            begin_stop(services)
    finally:
        await services.audit.drain()
        await writer.stop()
        await reader.stop()
        if follower is not None:
            await asyncio.to_thread(follower.close)
        readiness.close()
        services.exposition.close()
        services.otlp.close()
        passwords.close()


def _sender(
    settings: ServerSettings,
    clock: Clock,
    wall: Clock,
    writer: GroupWriter,
    metrics: Metrics,
    store_id: str,
) -> AlertSender | None:
    """Who delivers alerts; None where no receiver is set."""
    target = target_of(settings)
    if target is None:
        return None
    return AlertSender(
        Poster(target, wall),
        host=target.host,
        writer=writer,
        clock=clock,
        settings=settings,
        store_id=store_id,
        observer=metrics.alerts,
    )


def begin_stop(services: Services) -> None:
    """Say that the server stops: it is ready no more, long polls are answered."""
    services.readiness.stop()
    services.doorbells.ring_all()
    services.action_bells.ring_all()


def _chores(services: Services) -> list[Chore]:
    sweeper = Sweeper(
        writer=services.writer,
        clock=services.clock,
        settings=services.settings,
        fleet=services.projection.nodes.values,
        on_removed=services.metrics.store.removed_events.inc,
        every_s=max(SHORTEST_SWEEP_S, services.settings.sweep_s),
    )
    retainer = Retainer(
        writer=services.writer,
        clock=services.clock,
        settings=services.settings,
        on_removed=services.metrics.store.removed_events.inc,
    )
    services.live.follow(sweeper.follow)
    services.live.follow(retainer.follow)
    return [services.scheduler, services.blocked, sweeper, retainer]


def _start(owner: TaskOwner, services: Services, upkeep: Upkeep) -> None:
    upkeep.start(owner)
    owner.spawn(services.hub.run(), name="hub")
    owner.spawn(
        keep_going(lambda: _tick(services, upkeep), name="projection-tick"), name="projection-tick"
    )
    owner.spawn(keep_going(lambda: _touch(services), name="token-use"), name="token-use")
    owner.spawn(_measure_lag(services.metrics), name="loop-lag")


async def _tick(services: Services, upkeep: Upkeep) -> None:
    """Levels of minutes in which nothing happens; those of minutes that are over are written."""
    await asyncio.sleep(TICK_S)
    now_us = services.clock.now_us()
    services.projection.tick(now_us)
    if upkeep.held:
        await write_levels(services, now_us)


async def write_levels(services: Services, now_us: int) -> None:
    """Put the levels of ended minutes into the store, so that a restart leaves no hole."""
    levels = services.projection.unwritten_levels(now_us)

    def work(tx: WriteTx) -> None:
        for start_us, name, value in levels:
            tx.count(name, value, spans=(("minute", start_us),))

    if levels:
        await services.writer.write(work)


async def _touch(services: Services) -> None:
    """When tokens were last used, written now and then: a use is no reason for a commit."""
    await asyncio.sleep(TOUCH_S)
    used = services.authenticator.take_used()
    if used:
        await services.writer.write(lambda tx: tx.access.touch_tokens(used))


async def _measure_lag(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        metrics.runtime.loop_lag(max(0.0, loop.time() - due_s))


def _nothing_since(revision: int, now_us: int) -> Commit:
    """A commit that changed nothing: what follows commits learns where they stand."""
    return Commit(
        revision=revision, at_us=now_us, runs=[], nodes=[], tasks=[], events={}, counts=[]
    )
