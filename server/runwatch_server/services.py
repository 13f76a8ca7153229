"""What handlers may use, joined by `lifespan`; no behaviour."""

from dataclasses import dataclass
from pathlib import Path

from runwatch_server.access.passwords import Passwords
from runwatch_server.access.rates import Failures
from runwatch_server.accounts.bells import ActionBells
from runwatch_server.accounts.blocked import BlockedRuns
from runwatch_server.accounts.kinds import AgentTypes
from runwatch_server.admission import Admission
from runwatch_server.audit.trail import AuditTrail
from runwatch_server.auth import Authenticator
from runwatch_server.doorbells import Doorbells
from runwatch_server.hub import Hub
from runwatch_server.live import LiveSettings
from runwatch_server.metering.exposition import Exposition
from runwatch_server.metrics import Metrics
from runwatch_server.otlp.decoding import OtlpDecoder
from runwatch_server.projection import Projection
from runwatch_server.proxies.testing import ProxyTester
from runwatch_server.readiness import Readiness
from runwatch_server.scheduler import Scheduler
from runwatch_server.storage.protocols import Reader, Writer
from runwatch_server.tracing.opening import Tracing
from runwatch_server.vault import Vault
from runwatch_shared.clock import Clock
from runwatch_shared.settings import ServerSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """One server's parts, alive from start to stop."""

    live: LiveSettings
    clock: Clock
    store_id: str
    writer: Writer
    reader: Reader
    projection: Projection
    authenticator: Authenticator
    admission: Admission
    passwords: Passwords
    login_failures: Failures
    hub: Hub
    scheduler: Scheduler
    doorbells: Doorbells
    action_bells: ActionBells
    blocked: BlockedRuns
    agent_types: AgentTypes
    metrics: Metrics
    exposition: Exposition
    otlp: OtlpDecoder
    vault: Vault
    proxy_tester: ProxyTester
    openapi: bytes
    readiness: Readiness
    audit: AuditTrail
    started_us: int
    zone: str
    """The name of the time zone days are counted in."""
    ca_pem: Path | None
    """The certificate of the server's own authority; None with none or another's."""
    tls: bool
    tracing: Tracing | None = None
    """None where nothing is traced."""

    @property
    def settings(self) -> ServerSettings:
        """Those in force now; who keeps a part of them follows ``live``."""
        return self.live.settings
