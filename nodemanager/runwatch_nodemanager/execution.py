"""One run on this node, from claim to terminal event; also one that an earlier process began.

Cancelling the task leaves the agent to its supervisor: a later process adopts both.
"""

import asyncio
import contextlib
import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.account import Account
from runwatch_nodemanager.agents.protocol import Draft
from runwatch_nodemanager.assignment import Assignment, save_assignment
from runwatch_nodemanager.changes.before import remember
from runwatch_nodemanager.confidential import Confidential
from runwatch_nodemanager.delivery import RunLostError
from runwatch_nodemanager.following import TRUST_ENDED, Follower
from runwatch_nodemanager.granted import granted_snapshot
from runwatch_nodemanager.leaving import keep_folder, keeps_workspace, wait_for_end, write_record
from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.patience import persist
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.runtimes.container_plan import InstancePlan
from runwatch_nodemanager.runtimes.protocol import RuntimeStartError
from runwatch_nodemanager.start import Refusal, Start, prepare_start
from runwatch_nodemanager.trust import Trust
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.errors import UnreachableError
from runwatch_shared.models import Run, Snapshot
from runwatch_shared.proxies import EnvConfig
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.wire import ClaimAnswer, EventsAnswer, ReportedRun

logger: Final = logging.getLogger(__name__)

LOST_GRACE_S: Final = 2.0
TOLD: Final = "told_by_server"
"""A directive says so; not an answer about this run's own events."""
USER: Final = "user"
"""The reason of a cancel that a person asked for."""
LOGIN_MISSING: Final = "login_missing"
ENDED: Final = "ended"
OTHER_PROCESS: Final = "other_process"
"""Reasons a claim is refused for (contract 11.2)."""


class Execution:
    """One run. Methods that are not coroutines return at once; the coroutine in `task` acts."""

    def __init__(self, run_id: str, workshop: Workshop) -> None:
        self.run_id = run_id
        self.epoch = 0
        self._known_seq = 0
        self.outcome: str | None = None
        """How it ended here: a terminal status, ``lost`` or ``refused``."""
        self._shop = workshop
        self._folder = workshop.folder.run(run_id)
        self._assignment = Assignment(run_id=run_id, phase="claiming")
        self._follower: Follower | None = None
        self._stop_reason: str | None = None
        self._stopping = asyncio.Event()
        self._lost_reason = ""
        self._refused_for = ""
        """Why the claim was refused."""
        self._lost = asyncio.Event()
        self._trust = Trust(
            workshop.clock, lambda seconds: workshop.runtime.trust(self._folder, seconds)
        )
        self._began_at: float | None = None
        self._account = Account(run_id, workshop.metrics, lambda: self._assignment)
        self._confidential: Confidential | None = None
        """Known with the claim's answer."""

    @property
    def begun(self) -> bool:
        """Whether the agent was started, here or by an earlier process."""
        return self._began_at is not None

    @property
    def contained(self) -> bool:
        """Whether its agent was started in a container."""
        return self._assignment.container is not None

    @property
    def settled(self) -> bool:
        """Whether nothing that was read is still on its way to the server."""
        return self._follower is None or self._follower.settled

    def reported(self) -> ReportedRun | None:
        """What a heartbeat says of it; nothing before it is claimed."""
        if self.epoch == 0 or self._lost.is_set():
            return None
        return ReportedRun(
            id=self.run_id,
            epoch=self.epoch,
            alive=self._shop.runtime.alive(self._folder),
            spooled_seq=self._follower.last_seq if self._follower else self._known_seq,
            acked_seq=self._follower.acked_seq if self._follower else self._known_seq,
        )

    def spooled(self) -> tuple[int, int, int | None]:
        """Events and bytes not yet acknowledged, and the moment of the oldest. Blocks briefly."""
        return self._follower.spooled() if self._follower else (0, 0, None)

    def renew(self, *, sent_at: float, ttl_s: float) -> None:
        """The lease was granted again to a request sent at this monotonic time."""
        self._trust.renew(sent_at=sent_at, ttl_s=ttl_s)

    def cancel(self, reason: str) -> None:
        """Stop the agent, report everything and end; again is without effect."""
        if self._stop_reason is not None:
            return
        self._stop_reason = reason
        self._stopping.set()
        self._account.say(logging.INFO, "run.cancel", "Stopping a run", reason=reason)
        self._stop_agent(reason, self._grace_s(reason))

    def lose(self, reason: str) -> None:
        """Stop the agent and report nothing more.

        A run whose terminal event is on its way may already be over for the server, which then
        calls it lost too: what the server answers to that event decides.
        """
        ending = self._follower is not None and self._follower.terminal is not None
        if not self._lost.is_set() and not (ending and reason == TOLD):
            self._lost_reason = reason
            self._lost.set()
            self._stopping.set()

    async def begin(self) -> None:
        """Claim a run that was assigned to this node and carry it out."""
        self._folder.create()
        await asyncio.to_thread(save_assignment, self._folder, self._assignment)
        answer = await self._claim(None)
        if answer is None:
            await asyncio.to_thread(shutil.rmtree, self._folder.path, ignore_errors=True)
            self.outcome = "refused"
            return
        await self._start(answer)
        await self._report(answer)

    async def take_up(self, run: Run, *, never_started: bool) -> None:
        """Go on with a run an earlier process claimed and left nothing of that could be read.

        Args:
            never_started: Its agent was certainly not started; else the run ends, interrupted.
        """
        answer = await self._claim(run.lease.epoch if run.lease else None)
        if answer is None:
            self.outcome = "refused"
            return
        self._folder.create()
        if never_started:
            await self._start(answer)
        else:
            await self._keep(answer.run.snapshot)
            await write_record(
                self._shop,
                self._folder,
                kinds.GONE,
                {"error": "this node knows nothing of the run any more"},
            )
        await self._report(answer)

    async def adopt(self, assignment: Assignment) -> None:
        """Go on with a run an earlier process of this node began."""
        self._assignment = assignment
        self._began_at = self._shop.clock.monotonic()
        self._folder.create()
        answer = await self._claim(assignment.epoch)
        if answer is None and self._refused_for == OTHER_PROCESS:
            answer = await self._claim_again(assignment.epoch)
        if answer is None:
            self.lose(self._refused_for)
            await self._put_aside()
            return
        self._assignment = msgspec.structs.replace(assignment, epoch=self.epoch)
        await asyncio.to_thread(save_assignment, self._folder, self._assignment)
        self._account.say(
            logging.INFO,
            "run.adopt",
            "Adopted a run of an earlier process",
            status="alive" if self._shop.runtime.alive(self._folder) else "gone",
            last_seq=answer.last_seq,
        )
        await self._report(answer)

    async def abandon(self) -> None:
        """Give up on a run that this program cannot carry out: stop it, and say so once."""
        self.lose("defect")
        with contextlib.suppress(AnswerError, UnreachableError):
            error = "the node manager could not carry out the run"
            await self._shop.link.fail(self.run_id, self.epoch, error)
        await self._put_aside()

    async def _claim(self, epoch: int | None) -> ClaimAnswer | None:
        sent_at = 0.0

        async def ask() -> ClaimAnswer:
            nonlocal sent_at
            sent_at = self._shop.clock.monotonic()
            return await self._shop.link.claim(self.run_id, epoch=epoch)

        try:
            answer = await persist(
                ask, rest=self._shop.link.rest, on_retry=self._account.claim_retried
            )
        except AnswerError as error:
            self._refused_for = str(error.details.get("reason") or error.code)
            self._account.claim_refused(self._refused_for)
            return None
        answer = msgspec.structs.replace(
            answer,
            run=msgspec.structs.replace(
                answer.run, snapshot=granted_snapshot(answer.run.snapshot, answer.env_config)
            ),
        )
        self.epoch = answer.lease.epoch
        self._known_seq = answer.last_seq
        self._assignment = msgspec.structs.replace(
            self._assignment,
            phase="claimed",
            epoch=self.epoch,
            first_seq=self._assignment.first_seq if epoch else answer.next_seq,
            retry_on_lost=answer.run.retry_on_lost,
            node_id=self._shop.link.node_id,
        )
        self._confidential = await asyncio.to_thread(
            Confidential.of, self._shop, answer.run.snapshot
        )
        self._trust.watched = answer.run.retry_on_lost
        self._trust.renew(sent_at=sent_at, ttl_s=answer.lease.ttl_s)
        self._account.claimed(answer.run.agent_type, again=epoch is not None)
        if answer.run.cancel is not None:
            self.cancel(answer.run.cancel.reason)
        return answer

    async def _claim_again(self, known_epoch: int) -> ClaimAnswer | None:
        """A claim that an earlier process of this node was killed over, before it noted the answer.

        That process cannot live: this one holds the node's lock.
        """
        try:
            run = await persist(
                lambda: self._shop.link.run(self.run_id),
                rest=self._shop.link.rest,
                on_retry=self._account.claim_retried,
            )
        except AnswerError:
            return None
        lease = run.lease
        ours = lease is not None and lease.node_id == self._shop.link.node_id
        if lease is None or not ours or lease.epoch <= known_epoch:
            return None
        return await self._claim(lease.epoch)

    async def _keep(self, snapshot: Snapshot, **changes: Any) -> None:
        if self._confidential is not None:
            snapshot = self._confidential.snapshot(snapshot)
        self._assignment = msgspec.structs.replace(self._assignment, snapshot=snapshot, **changes)
        await asyncio.to_thread(save_assignment, self._folder, self._assignment)

    async def _start(self, answer: ClaimAnswer) -> None:
        """Start the agent, or write to the log why not."""
        snapshot = answer.run.snapshot
        await self._keep(snapshot)
        self._account.say(logging.INFO, "run.execute", "Executing a run")
        start = await self._prepared(snapshot, answer.env_config)
        if start is None or self._confidential is None:
            await write_record(
                self._shop, self._folder, kinds.REFUSED, {"reason": self._stop_reason or "lease"}
            )
            return
        if isinstance(start, Refusal):
            await self._refuse(start)
            return
        await self._keep(
            snapshot,
            workspace=start.workspace,
            workspace_type=start.workspace_type,
            agent_version=start.agent_version,
            argv=[self._confidential.rules.text(argument) for argument in start.launch.argv],
            memory=self._confidential.rules.tree(start.launch.memory),
            unprotected=list(self._confidential.unprotected),
        )
        launch = dataclasses.replace(
            start.launch, log=self._confidential.log, trusted_until=self._trust.deadline
        )
        await self._remember(start)
        runtime = self._shop.runtime
        try:
            started = await runtime.start(
                self._folder, launch, log_limit_bytes=self._shop.log_limit_bytes
            )
        except RuntimeStartError as error:
            self._account.started(None, contained=launch.plan is not None)
            await self._refuse(Refusal(code="start_failed", error=str(error)))
            return
        self._trust.tell()
        if launch.plan is not None and started.running:
            await self._keep(snapshot, container=started.container, image=launch.plan.image)
        self._account.started(started, contained=launch.plan is not None)

    async def _remember(self, start: Start) -> None:
        """How the workspace is now, so that what the run changes can be told."""
        # What others of an instance have seen already may have been made a repository of theirs.
        alone = not isinstance(start.launch.plan, InstancePlan)
        place, cloned = self._folder.changes, alone and start.workspace_type == "git"
        try:
            await asyncio.to_thread(remember, place, Path(start.workspace), cloned=cloned)
        except OSError as error:
            sentence = "What a run changes will not be told"
            self._account.say(logging.WARNING, "workspace", sentence, error=str(error))

    async def _prepared(
        self, snapshot: Snapshot, config: EnvConfig | None
    ) -> Start | Refusal | None:
        """What to start; nothing if the run is to stop or its lease in doubt before that is known.

        A clone may take longer than a lease of which no renewal comes through.
        """
        async with TaskOwner(f"start of {self.run_id}") as owner:
            preparing = owner.spawn(
                prepare_start(
                    self._shop,
                    self.run_id,
                    self._folder,
                    snapshot,
                    epoch=self.epoch,
                    resources=None if config is None else config.resources,
                ),
                name=f"prepare {self.run_id}",
            )
            stopping = owner.spawn(self._stopping.wait(), name=f"stop of {self.run_id}")
            if self._trust.watched:
                owner.spawn(self._guard_trust(), name=f"lease of {self.run_id}")
            await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return None if self._stopping.is_set() else preparing.result()

    async def _refuse(self, refusal: Refusal) -> None:
        code, error = refusal.code, refusal.error
        if self._confidential is not None:
            error = self._confidential.rules.text(error)
        self._account.refused(code, error)
        await write_record(
            self._shop, self._folder, kinds.REFUSED, {"error": error, "error_code": code}
        )

    async def _report(self, answer: ClaimAnswer) -> None:
        """Report all that the log tells, to its end or to the loss of the run."""
        if self._lost.is_set():
            await self._put_aside()
            return
        if self._began_at is None:
            self._began_at = self._shop.clock.monotonic()
        if self._stop_reason is not None:
            self._stop_agent(self._stop_reason, self._grace_s(self._stop_reason))
        follower = Follower(
            self._shop,
            self._folder,
            self._assignment,
            answer,
            rules=self._confidential.rules if self._confidential else Rules(),
            on_answer=self._answered,
        )
        self._follower = follower
        try:
            async with TaskOwner(f"run {self.run_id}") as owner:
                follow = owner.spawn(self._follow(follower), name=f"report {self.run_id}")
                lost = owner.spawn(self._lost.wait(), name=f"loss of {self.run_id}")
                if self._trust.watched:
                    owner.spawn(self._guard_trust(), name=f"lease of {self.run_id}")
                await asyncio.wait({follow, lost}, return_when=asyncio.FIRST_COMPLETED)
                if follow.done() and not self._lost.is_set():
                    follow.result()
        finally:
            await follower.close()
        if self._lost.is_set():
            await self._put_aside()
        else:
            await self._finish(follower.terminal)

    async def _follow(self, follower: Follower) -> None:
        try:
            await follower.follow()
        except RunLostError as error:
            self.lose(error.reason)

    def _answered(self, answer: EventsAnswer, sent_at: float) -> None:
        if answer.lease is not None:
            self._trust.renew(sent_at=sent_at)
        if answer.cancel is not None:
            self.cancel(answer.cancel)

    async def _guard_trust(self) -> None:
        """A run that may be given to another must not go on when the lease is in doubt."""
        await self._trust.ended()
        self.lose(TRUST_ENDED)

    def _grace_s(self, reason: str) -> float:
        """How long what is stopped for this reason may take: a person waits for it to be gone."""
        settings = self._shop.settings
        longest_s = settings.cancel_kill_s if reason == USER else settings.stop_grace_s
        return min(longest_s, settings.stop_grace_s)

    def _stop_agent(self, reason: str, grace_s: float) -> bool:
        return self._shop.runtime.stop(self._folder, reason=reason, grace_s=grace_s)

    async def _finish(self, terminal: Draft | None) -> None:
        payload = terminal.payload if terminal else {}
        self.outcome = str(payload.get("status", "failed"))
        seconds = self._shop.clock.monotonic() - (self._began_at or 0.0)
        self._account.ended(payload, self.outcome, seconds)
        self._judge_login(payload)
        await self._leave(self._shop.folder.ended / self.run_id, self.outcome)
        if not keeps_workspace(self._shop.settings.workspace_keep, self.outcome):
            for own in self._shop.folder.own_workspaces(self.run_id):
                await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)

    def _judge_login(self, payload: dict[str, Any]) -> None:
        """An agent that began and was told it has no login: its account has none any more."""
        snapshot = self._assignment.snapshot
        account_id = snapshot.agent.account_id if snapshot else None
        refused = (
            payload.get("error_code") == LOGIN_MISSING and payload.get("exit_code") is not None
        )
        if account_id is not None and refused:
            self._shop.accounts.refuse(account_id)

    async def _put_aside(self) -> None:
        self.outcome = "lost"
        if self._lost_reason == ENDED:
            # Its terminal event was stored, and only this node did not get to know it.
            await self._leave(self._shop.folder.ended / self.run_id, ENDED)
            return
        self._account.lost(self._lost_reason)
        self._stop_agent("lease", LOST_GRACE_S)
        name = f"{self.run_id}.{self.epoch or self._assignment.epoch}"
        await self._leave(self._shop.folder.aside / name, f"lost: {self._lost_reason}")

    async def _leave(self, target: Path, outcome: str) -> None:
        await wait_for_end(self._shop, self._folder)
        await asyncio.to_thread(self._shop.runtime.clear, self._folder)
        await keep_folder(
            self._shop,
            self._folder,
            target,
            run_id=self.run_id,
            epoch=self.epoch,
            outcome=outcome,
        )
