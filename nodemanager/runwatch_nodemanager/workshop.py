"""What all runs of a node share; joined in `cli`."""

from dataclasses import dataclass, field
from typing import Final

from runwatch_nodemanager.agents.registry import Agents
from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.link import Link
from runwatch_nodemanager.logins.kept_account import Accounts
from runwatch_nodemanager.metrics import NodeMetrics
from runwatch_nodemanager.runtimes.engine_address import engine_socket
from runwatch_nodemanager.runtimes.placement import Placement
from runwatch_nodemanager.runtimes.protocol import Collector, Runtime
from runwatch_shared.clock import Clock
from runwatch_shared.settings import Limits, NodeSettings

BODY_MARGIN_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The parts a run is carried out with."""

    link: Link
    runtime: Runtime
    agents: Agents
    metrics: NodeMetrics
    settings: NodeSettings
    folder: NodeFolder
    clock: Clock
    orphans: tuple[Collector, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def placement(self) -> Placement:
        """Where runs may go."""
        return Placement(self.settings, engine=engine_socket(self.settings.containers.host))

    @property
    def accounts(self) -> Accounts:
        """Those this node is logged in to."""
        return Accounts(self.folder)

    @property
    def log_limit_bytes(self) -> int:
        """Most a run's log may hold before its agent has to wait."""
        share = self.settings.spool_limit_bytes // max(1, self.settings.capacity)
        return min(self.settings.run_spool_limit_bytes, share)

    @property
    def batch_bytes(self) -> int:
        """Most the events of one request may take."""
        return self.limits.body_bytes - BODY_MARGIN_BYTES
