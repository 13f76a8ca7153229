"""All runtimes of a node as one: each run goes to the one its launch is made for."""

from contextlib import AbstractContextManager

from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes.docker import ContainerRuntime
from runwatch_nodemanager.runtimes.process import ProcessRuntime
from runwatch_nodemanager.runtimes.protocol import Growth, Runtime, Started


class ChosenRuntime:
    """See `Runtime`. All have the same supervisors; what a run was begun in its log tells.

    Args:
        names: What a run may have, the first where it asks for none.
    """

    def __init__(
        self, process: ProcessRuntime, containers: ContainerRuntime, *, names: list[str]
    ) -> None:
        self._process = process
        self._containers = containers
        self._names = names

    @property
    def name(self) -> str:
        return self._names[0]

    def offers(self) -> list[str]:
        can_be_had = {*self._process.offers(), *self._containers.offers()}
        return [name for name in self._names if name in can_be_had]

    async def prepare(self, launch: Launch) -> None:
        await self._of(launch).prepare(launch)

    async def start(self, folder: RunFolder, launch: Launch, *, log_limit_bytes: int) -> Started:
        return await self._of(launch).start(folder, launch, log_limit_bytes=log_limit_bytes)

    def stream(self, folder: RunFolder) -> AbstractContextManager[Growth]:
        return self._process.stream(folder)

    def signal(self, folder: RunFolder, number: int) -> bool:
        return self._process.signal(folder, number)

    def stop(self, folder: RunFolder, *, reason: str, grace_s: float) -> bool:
        return self._process.stop(folder, reason=reason, grace_s=grace_s)

    def trust(self, folder: RunFolder, seconds: float) -> bool:
        return self._process.trust(folder, seconds)

    def alive(self, folder: RunFolder) -> bool:
        return self._process.alive(folder)

    def clear(self, folder: RunFolder) -> int:
        # Runs of a container may be left from settings that allowed one.
        return self._containers.clear(folder)

    def _of(self, launch: Launch) -> Runtime:
        return self._process if launch.plan is None else self._containers
