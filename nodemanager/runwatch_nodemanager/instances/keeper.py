"""All instances of this node: what the server wants is waited for, what is there is looked at.

A wait brings what somebody just asked for; every half minute, and first of all, everything is
compared, so that what died, vanished or was left behind comes to light.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Self

from runwatch_nodemanager.instances.caretaker import Caretaker
from runwatch_nodemanager.instances.containers import InstanceContainers
from runwatch_nodemanager.instances.plan import STATES, Step, There, next_step
from runwatch_nodemanager.link import AnswerError, Link
from runwatch_nodemanager.runtimes.container_body import INSTANCE_LABEL, instance_name
from runwatch_nodemanager.runtimes.engine import Found
from runwatch_nodemanager.runtimes.engine_address import EngineError, EngineUnreachableError
from runwatch_shared.backoff import Backoff
from runwatch_shared.clock import Clock
from runwatch_shared.errors import UnreachableError
from runwatch_shared.instances import Instance, NodeAgents
from runwatch_shared.logs import log
from runwatch_shared.settings import NodeSettings
from runwatch_shared.tasks import TaskOwner

logger: Final = logging.getLogger(__name__)

EVERY_S: Final = 30.0
PAUSE_S: Final = 1.0
"""Between waits that bring nothing new: what they brought is being done."""
ENGINE_PAUSE_S: Final = 5.0
"""How long an instance rests whose engine did not answer."""
AT_ONCE: Final = 4
"""Instances that are made, started or stopped at the same time."""


class InstanceKeeper:
    """See the module.

    Args:
        containers: ``None`` where this node has no engine: then it only says so.
        orphan_grace_s: How long a container of an instance may stay that the server does not name
            and did not say to be deleted.
    """

    def __init__(
        self,
        link: Link,
        containers: InstanceContainers | None,
        clock: Clock,
        *,
        stop_grace_s: float,
        orphan_grace_s: float,
        wait_s: int,
        every_s: float = EVERY_S,
    ) -> None:
        self._link = link
        self._containers = containers
        self._clock = clock
        self._orphan_grace_s = orphan_grace_s
        self._wait_s = wait_s
        self._every_s = every_s
        self._caretaker = Caretaker(link, containers, grace_s=stop_grace_s)
        self._due_at = float("-inf")
        """When all are compared again."""
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._rest_until: dict[str, float] = {}
        self._unnamed_since: dict[str, float] = {}
        """By the container's id."""
        self._places = asyncio.Semaphore(AT_ONCE)
        self._ended = asyncio.Event()
        self._backoff = Backoff(first_s=PAUSE_S)

    @classmethod
    def of(
        cls,
        settings: NodeSettings,
        link: Link,
        containers: InstanceContainers | None,
        clock: Clock,
        *,
        every_s: float = EVERY_S,
    ) -> Self:
        """As a node's settings say."""
        return cls(
            link,
            containers,
            clock,
            stop_grace_s=settings.stop_grace_s,
            orphan_grace_s=settings.containers.orphan_grace_s,
            wait_s=settings.claim_wait_s,
            every_s=every_s,
        )

    async def run(self) -> None:
        """Until it is cancelled; what is under way then is gone on with by the next process."""
        async with TaskOwner("instances") as owner:
            while True:
                await self._turn(owner)

    async def reconcile(self) -> None:
        """Compare all once and see it through."""
        async with TaskOwner("instances") as owner:
            await self._compare(owner)
            while self._busy:
                await asyncio.wait(list(self._busy.values()))

    async def _turn(self, owner: TaskOwner) -> None:
        try:
            if self._clock.monotonic() >= self._due_at:
                await self._compare(owner)
            elif self._containers is None:
                await asyncio.sleep(max(0.0, self._due_at - self._clock.monotonic()))
            else:
                await self._wait(owner)
        except AnswerError as error:
            await asyncio.sleep(PAUSE_S + self._backoff.next_s(error.retry_after_s))
        except UnreachableError:
            await self._link.rest(PAUSE_S + self._backoff.next_s())
        else:
            self._backoff.reset()

    async def _wait(self, owner: TaskOwner) -> None:
        left_s = self._due_at - self._clock.monotonic()
        self._ended.clear()
        answer = await self._link.instances(wait_s=max(1, min(self._wait_s, round(left_s))))
        begun = sum([self._begin(owner, instance) for instance in answer.agents])
        begun += self._forget(owner, answer)
        if (answer.agents or answer.deleted) and not begun:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    await self._ended.wait()

    async def _compare(self, owner: TaskOwner) -> None:
        answer = await self._link.instances(wait_s=0, status="all")
        self._due_at = self._clock.monotonic() + self._every_s
        found: list[Found] = []
        if self._containers is not None:
            with contextlib.suppress(EngineError):
                # Whether the engine can be reached is told elsewhere, and to whoever waits for it.
                found = await asyncio.to_thread(self._containers.all)
        there = {container.name: container for container in found}
        for instance in answer.agents:
            if not _at_peace(instance, there):
                self._begin(owner, instance)
        self._forget(owner, answer)
        named: set[str] = {*(instance.id for instance in answer.agents), *answer.deleted}
        await self._collect(found, named)

    def _begin(self, owner: TaskOwner, instance: Instance) -> bool:
        """See to an instance, unless that is being done; whether it was begun."""
        return self._spawn(owner, instance.id, lambda: self._caretaker.settle(instance))

    def _forget(self, owner: TaskOwner, answer: NodeAgents) -> int:
        begun = 0
        for instance_id in answer.deleted:

            def forget(instance_id: str = instance_id) -> Awaitable[None]:
                return self._caretaker.forget(instance_id)

            begun += self._spawn(owner, instance_id, forget)
        return begun

    def _spawn(
        self, owner: TaskOwner, instance_id: str, work: Callable[[], Awaitable[None]]
    ) -> bool:
        rests = self._clock.monotonic() < self._rest_until.get(instance_id, float("-inf"))
        if instance_id in self._busy or rests:
            return False
        self._rest_until.pop(instance_id, None)
        task = owner.spawn(self._see_to(instance_id, work), name=f"instance {instance_id}")
        self._busy[instance_id] = task
        task.add_done_callback(lambda _: self._done(instance_id))
        return True

    def _done(self, instance_id: str) -> None:
        self._busy.pop(instance_id, None)
        self._ended.set()

    async def _see_to(self, instance_id: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._places:
                await work()
        except (EngineUnreachableError, UnreachableError, AnswerError, EngineError):
            # Neither the engine nor the server is asked again at once.
            self._rest_until[instance_id] = self._clock.monotonic() + ENGINE_PAUSE_S
        except Exception:
            logger.exception("Could not see to instance %s", instance_id)
            self._rest_until[instance_id] = self._clock.monotonic() + ENGINE_PAUSE_S

    async def _collect(self, found: list[Found], named: set[str]) -> None:
        """Remove containers of instances nobody names any more, once their grace is over."""
        now = self._clock.monotonic()
        unnamed = [
            container
            for container in found
            if _instance_of(container) not in named
            or container.name != instance_name(_instance_of(container))
        ]
        since = {one.id: self._unnamed_since.get(one.id, now) for one in unnamed}
        self._unnamed_since = since
        for container in unnamed:
            if now - since[container.id] >= self._orphan_grace_s and self._containers is not None:
                await self._remove(self._containers, container)

    async def _remove(self, containers: InstanceContainers, container: Found) -> None:
        level, sentence, why = logging.WARNING, "Removed a container that no instance names", None
        try:
            await asyncio.to_thread(containers.remove, container)
        except EngineError as error:
            sentence, why = "Could not remove a container that no instance names", str(error)
        log(
            logger,
            level,
            "container.stop",
            sentence,
            instance_id=_instance_of(container),
            container=container.id[:12],
            reason="orphan" if why is None else why,
        )


def _instance_of(container: Found) -> str:
    return container.labels[INSTANCE_LABEL]


def _at_peace(instance: Instance, there: Mapping[str, Found]) -> bool:
    """Whether nothing is to be done about it, as far as the engine's list tells."""
    container = there.get(instance_name(instance.id))
    state = There.ABSENT if container is None else STATES.get(container.state, There.MOVING)
    return next_step(instance.status, state) is Step.NOTHING
