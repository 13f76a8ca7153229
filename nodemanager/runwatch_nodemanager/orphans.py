"""Containers of this node that belong to no run any more: told of, and removed after a grace.

They are left where supervisor and relay were killed while no node manager looked, or an engine was
away when they should have been removed.
"""

import json
import logging
from typing import Final

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.runtimes.container_body import INSTANCE_LABEL, RUN_LABEL
from runwatch_nodemanager.runtimes.docker import MARK, ContainerRuntime
from runwatch_nodemanager.runtimes.engine import Found
from runwatch_nodemanager.runtimes.engine_address import EngineError
from runwatch_shared.clock import Clock
from runwatch_shared.logs import log
from runwatch_shared.text import clean
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time
from runwatch_shared.wire import Orphan

logger: Final = logging.getLogger(__name__)

MOST_TOLD: Final = 100
SHOWN_CHARS: Final = 64


class Orphans:
    """See the module. A container is an orphan if no run's folder names it as its own; those of
    instances are no run's (see `instances`)."""

    def __init__(
        self, runtime: ContainerRuntime, folder: NodeFolder, clock: Clock, *, grace_s: float
    ) -> None:
        self._runtime = runtime
        self._folder = folder
        self._clock = clock
        self._grace_us = grace_s * MICROSECONDS_PER_SECOND
        self._since_us: dict[str, int] = {}
        self._names: dict[str, str] = {}

    def told(self) -> list[Orphan]:
        """What a heartbeat says of them, the oldest ones."""
        known = sorted(self._since_us.items(), key=lambda item: item[1])[:MOST_TOLD]
        return [
            Orphan(kind="container", ref=self._names[container], since=format_time(since_us))
            for container, since_us in known
        ]

    def look(self) -> int:
        """Look for them, and remove those that were seen over the grace ago; how many. Blocks."""
        try:
            found = [one for one in self._runtime.containers() if not self._owned(one)]
        except EngineError:
            # Whether the engine can be reached is told elsewhere.
            return 0
        now_us = self._clock.now_us()
        self._since_us = {one.id: self._since_us.get(one.id, now_us) for one in found}
        self._names = {one.id: clean(one.name, limit=SHOWN_CHARS, fold=True) for one in found}
        due = [one for one in found if now_us - self._since_us[one.id] >= self._grace_us]
        return sum(self._remove(one) for one in due)

    def _owned(self, container: Found) -> bool:
        if INSTANCE_LABEL in container.labels:
            return True
        run_id = container.labels.get(RUN_LABEL, "")
        for path in (self._folder.run(run_id).path, self._folder.login(run_id).path):
            try:
                mark = json.loads((path / MARK).read_bytes())
            except (OSError, ValueError):
                continue
            if mark.get("name") == container.name:
                return True
        return False

    def _remove(self, container: Found) -> bool:
        run_id = clean(container.labels.get(RUN_LABEL, ""), limit=SHOWN_CHARS, fold=True)
        try:
            self._runtime.remove(container.id)
        except EngineError as error:
            sentence = "Could not remove a container without a run"
            log(
                logger,
                logging.WARNING,
                "container.stop",
                sentence,
                run_id=run_id,
                container=container.id[:12],
                error=str(error),
            )
            return False
        self._since_us.pop(container.id, None)
        log(
            logger,
            logging.WARNING,
            "container.stop",
            "Removed a container without a run",
            run_id=run_id,
            container=container.id[:12],
            reason="orphan",
        )
        return True
