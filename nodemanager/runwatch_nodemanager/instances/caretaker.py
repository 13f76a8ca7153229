"""Brings one instance from what is there to what the server wants, and says so; see `plan`."""

import asyncio
import logging
from typing import Any, Final, assert_never

import msgspec

from runwatch_nodemanager.homes import HomeError
from runwatch_nodemanager.instances.containers import InstanceContainers, Look
from runwatch_nodemanager.instances.plan import Step, There, next_step
from runwatch_nodemanager.link import AnswerError, Link
from runwatch_nodemanager.runtimes.container_body import instance_name
from runwatch_nodemanager.runtimes.engine_address import EngineError, EngineUnreachableError
from runwatch_nodemanager.runtimes.protocol import PlacementError, RuntimeStartError
from runwatch_shared.instances import ERROR_CHARS, Instance, InstancePatch, InstanceStatus
from runwatch_shared.logs import NodeTag, log
from runwatch_shared.text import clean

logger: Final = logging.getLogger(__name__)

SETTLE_S: Final = 0.3
"""How long a container must run before it counts as started: what cannot run ends at once."""
STALE: Final = frozenset({"not_found", "invalid_transition"})
"""Answers that say that the server wants something else by now."""
NO_ENGINE: Final = "this node has no container engine"


class StaleError(Exception):
    """What was to be done is not wanted any more."""


class Caretaker:
    """Of all instances of a node.

    Args:
        containers: ``None`` where the node has no engine.
        grace_s: How long what runs in one may take to end when it is stopped.
    """

    def __init__(
        self, link: Link, containers: InstanceContainers | None, *, grace_s: float
    ) -> None:
        self._link = link
        self._containers = containers
        self._grace_s = grace_s

    async def settle(self, instance: Instance) -> None:
        """Do what is to be done about it.

        Raises:
            EngineUnreachableError: Nothing could be done; the server was told why.
            AnswerError: The server could not be told.
            UnreachableError: Likewise.
        """
        try:
            if self._containers is None:
                await self._without_engine(instance)
            else:
                await self._settle(instance, self._containers)
        except EngineUnreachableError as error:
            await self._wait_for_engine(instance, str(error))
            raise
        except StaleError:
            return
        except (EngineError, PlacementError, RuntimeStartError, HomeError) as error:
            await self._fail(instance, str(error))
        except OSError as error:
            await self._fail(instance, f"a folder cannot be made: {error.strerror}")

    async def forget(self, instance_id: str) -> None:
        """Remove what is left of one that was deleted, and say so.

        Raises:
            As `settle`, and EngineError.
        """
        if self._containers is None:
            return
        await asyncio.to_thread(self._containers.forget, instance_id)
        _say(logging.INFO, "container.stop", "Removed a deleted instance", instance_id)
        try:
            patch = InstancePatch(status="stopped", removed=True)
            await self._link.report_instance(instance_id, patch)
        except AnswerError as error:
            if error.code != "not_found":
                raise

    async def _settle(self, instance: Instance, containers: InstanceContainers) -> None:
        look = await asyncio.to_thread(containers.look, instance)
        match next_step(instance.status, look.there):
            case Step.NOTHING:
                return
            case Step.MAKE:
                instance = await self._creating(instance)
                if look.there is There.ABSENT and instance.status == "running":
                    sentence = "An instance's container is gone, making it again"
                    _say(logging.WARNING, "container.start", sentence, instance.id)
                await self._make(instance, containers)
                await self._start(instance, containers)
            case Step.START:
                instance = await self._creating(instance)
                await self._start(instance, containers)
            case Step.SAY_RUNNING:
                instance = await self._creating(instance)
                await self._say(instance, "running", container=True)
            case Step.STOP:
                await self._stop(instance, containers)
                await self._say(instance, "stopped")
            case Step.STOP_QUIETLY:
                await self._stop(instance, containers)
            case Step.SAY_STOPPED:
                await self._say(instance, "stopped")
            case Step.SAY_ENDED:
                await self._fail(instance, _words(look))
            case other:
                assert_never(other)

    async def _creating(self, instance: Instance) -> Instance:
        """The server's leave to make one that is pending: it may be deleted by now."""
        if instance.status != "pending":
            return instance
        await self._say(instance, "creating")
        return msgspec.structs.replace(instance, status="creating")

    async def _make(self, instance: Instance, containers: InstanceContainers) -> None:
        try:
            await asyncio.to_thread(containers.make, instance)
        except EngineUnreachableError:
            raise
        except EngineError:
            # An engine goes on with what a node manager asked for that was killed meanwhile.
            look = await asyncio.to_thread(containers.look, instance)
            if look.there is There.ABSENT:
                raise

    async def _start(self, instance: Instance, containers: InstanceContainers) -> None:
        await asyncio.to_thread(containers.start, instance)
        await asyncio.sleep(SETTLE_S)
        look = await asyncio.to_thread(containers.look, instance)
        if look.there is not There.RUNNING:
            await self._fail(instance, _words(look))
            return
        name = instance_name(instance.id)
        sentence = "Started an instance"
        _say(logging.INFO, "container.start", sentence, instance.id, container=name)
        await self._say(instance, "running", container=True)

    async def _stop(self, instance: Instance, containers: InstanceContainers) -> None:
        await asyncio.to_thread(containers.stop, instance, grace_s=self._grace_s)
        name = instance_name(instance.id)
        _say(logging.INFO, "container.stop", "Stopped an instance", instance.id, container=name)

    async def _without_engine(self, instance: Instance) -> None:
        if instance.status not in ("stopped", "error"):
            await self._fail(instance, NO_ENGINE)

    async def _fail(self, instance: Instance, why: str) -> None:
        why = clean(why, limit=ERROR_CHARS, fold=True)
        if instance.status in ("stopped", "error") and instance.error == why:
            return
        _say(logging.WARNING, "container.stop", "An instance failed", instance.id, error=why)
        try:
            await self._say(instance, "error", error=why)
        except StaleError:
            return

    async def _wait_for_engine(self, instance: Instance, why: str) -> None:
        """Somebody waits for it: say for what."""
        why = clean(why, limit=ERROR_CHARS, fold=True)
        if instance.status in ("pending", "creating", "stopping") and instance.error != why:
            try:
                await self._say(instance, instance.status, error=why)
            except StaleError:
                return

    async def _say(
        self,
        instance: Instance,
        status: InstanceStatus,
        *,
        error: str | None = None,
        container: bool = False,
    ) -> None:
        """
        Raises:
            StaleError: The server wants something else by now.
        """
        name = instance_name(instance.id) if container else None
        patch = InstancePatch(status=status, was=instance.status, error=error, container_name=name)
        try:
            await self._link.report_instance(instance.id, patch)
        except AnswerError as refusal:
            if refusal.code in STALE:
                raise StaleError from refusal
            raise


def _words(look: Look) -> str:
    if look.there is not There.ENDED:
        return "its container does not start"
    if look.out_of_memory:
        return f"its container was out of memory, exit code {look.exit_code}"
    return f"its container ended with exit code {look.exit_code}"


def _say(level: int, tag: NodeTag, sentence: str, instance_id: str, **facts: Any) -> None:
    log(logger, level, tag, sentence, instance_id=instance_id, **facts)
