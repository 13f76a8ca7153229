"""What can be set: one frozen struct per tier, with its defaults. Where values come from: `layers`.

Every setting has the same name in files, environment and flags, with ``-`` for ``_`` in flags.
"""

from typing import Annotated, Literal

import msgspec

from runwatch_shared.logins import OperationType
from runwatch_shared.prices import ModelPrice


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the tiers' settings."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Contract 1.3; shown by ``GET /api/v1/server`` under these names."""

    body_bytes: int = 1024 * 1024
    batch_events: int = 1000
    event_bytes: int = 256 * 1024
    """Of ``payload`` and of ``raw``, each, as JSON."""
    prompt_bytes: int = 256 * 1024
    description_bytes: int = 4 * 1024
    labels: int = 32
    label_key_chars: int = 63
    label_value_chars: int = 255
    url_bytes: int = 4 * 1024
    headers_bytes: int = 16 * 1024
    header_time_s: int = 10
    body_time_s: int = 30
    page_rows: int = 1000
    offset_rows: int = 10_000
    exact_total_rows: int = 10_000
    query_chars: int = 128
    filter_values: int = 64
    filter_ids: int = 200
    ingest_queue_events: int = 8192
    archive_bytes: int = 256 * 1024 * 1024
    """Of a stored copy of an account's login files."""
    otlp_bytes: int = 16 * 1024 * 1024
    """Of a body of OpenTelemetry, unpacked (contract 14)."""
    sockets: int = 1000
    sockets_per_credential: int = 100
    client_frame_bytes: int = 64 * 1024
    client_frames_per_s: int = 10
    reads_per_s: int = 50
    reads_burst: int = 200
    writes_per_s: int = 20
    writes_burst: int = 100
    login_failures_per_min: int = 5
    snapshot_rows: int = 5000
    mailbox_rows: int = 50_000
    stuck_socket_s: int = 60


class HealthThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Contract 6.3; shown by ``GET /api/v1/server`` under these names."""

    stalled_s: int = 300
    looping_calls: int = 4
    looping_window: int = 12
    slow_s: int = 45 * 60
    stuck_queued_s: int = 600
    waiting_long_s: int = 3600


class LeaseTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Contract 8.2 and 8.3, seconds."""

    ttl_s: int = 45
    claim_s: int = 30
    requeue_after_s: int = 15
    lost_after_s: int = 24 * 3600
    cancel_grace_s: int = 60
    node_offline_s: int = 45


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long finished things stay, seconds, and how much of them; 0: no limit."""

    events_s: int = 30 * 86400
    """Of runs that ended."""
    events_max_count: int = 0
    """Over all runs; those of the runs that ended first go first."""
    events_max_bytes: int = 0
    """Of the whole database; events go until it holds no more."""
    events_max_per_run: int = 0
    """Of one run, under way too."""
    runs_s: int = 0
    """Runs that ended, with all that is kept of them."""
    tombstones_s: int = 86400
    minute_buckets_s: int = 86400
    idempotency_s: int = 86400


class AgentTypeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of agent: one table of ``[server.agent_types]``."""

    name: str = ""
    """Empty: as its id."""
    description: str = ""
    image: str = ""
    auth_dir: str = ""
    """In the home of whoever runs it."""
    auth_file: str = ""
    login_cmd: list[str] = []
    login_methods: list[OperationType] = []
    needs_login: bool | None = None
    """None: whether it has a way to log in."""
    aliases: list[str] = []


class ServerSettings(Settings, frozen=True, kw_only=True):
    """Settings of ``monitor-server``. Paths are absolute after loading."""

    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: str = ""
    """Empty: ``$XDG_DATA_HOME/runwatch``."""
    database: str = ""
    """Empty: ``sqlite:///<data_dir>/runwatch.db``; or ``postgresql://user@host/database``.
    Environment also ``RUNWATCH_DATABASE_URL``."""
    tls: bool = True
    tls_cert: str = ""
    tls_key: str = ""
    auth: Literal["", "local", "on"] = ""
    """Empty: ``local`` when every listener is loopback, else ``on``."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    ready_file: str = ""
    allowed_hosts: list[str] = []
    allowed_origins: list[str] = []
    trusted_proxies: list[str] = []
    metrics_public: bool = False
    default_timeout_s: int = 86400
    drain_s: float = 5.0
    stop_s: float = 30.0
    time_zone: str = ""
    """Empty: the server's own. An IANA name; where ``today`` begins."""
    admin_email: str = ""
    admin_password: str = ""
    jwt_secret: str = ""
    node_token: str = ""
    sweep_s: float = 1.0
    synchronous: Literal["full", "normal"] = "full"
    commit_works: int = 4096
    """Most requests whose changes share one durable commit; 1 gives each its own."""
    otlp_keep_prompts: bool = False
    """Whether prompts, answers, inputs and outputs that come by OpenTelemetry are kept."""
    otlp_silence_s: int = 900
    """How long an agent's session may send no telemetry before it is taken to be over."""
    search: bool = True
    """Whether ``q`` is answered with an index, in a file beside the database."""
    webhook_url: str = ""
    """Where alerts are sent; empty: nowhere."""
    webhook_secret: str = ""
    """What they are signed with: 24 to 64 bytes in base64, with or without ``whsec_``."""
    webhook_kinds: list[str] = []
    """Empty: waiting, failed, timeout, stalled, recovered."""
    webhook_include_text: bool = False
    """Whether alerts quote what an agent wrote: the prompt of a wait, the error."""
    webhook_ca: str = ""
    webhook_plain_http: bool = False
    webhook_queue: int = 1000
    webhook_attempts: int = 8
    webhook_give_up_s: int = 3600
    webhook_timeout_s: float = 10.0
    agent_types: dict[str, AgentTypeSettings] = {}
    """Kinds of agents beside those built in, or in their place, by id."""
    login_timeout_s: int = 900
    """How long a login may take."""
    trace_endpoint: str = ""
    """Where spans are posted to by OTLP, a whole URL; empty: nothing is traced."""
    trace_share: float = 1.0
    """Of the traces that begin here, how many are kept, 0 to 1."""
    proxy_test_allow: list[str] = []
    """Networks, addresses and host names that tests of proxies may contact although they are
    denied."""
    proxy_test_url: str = "https://example.com/"
    """What tests of proxies ask for where nobody names another."""
    limits: Limits = Limits()
    health: HealthThresholds = HealthThresholds()
    lease: LeaseTimes = LeaseTimes()
    retention: Retention = Retention()


class ContainerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What containers of runs may be: ``[node.containers]``. Nothing may run that is not named."""

    host: str = ""
    """As ``DOCKER_HOST``; empty: that, else the usual socket of Docker or Podman."""
    images: list[str] = []
    """Images a run may ask for; ``*`` stands for anything."""
    default_images: dict[str, str] = {}
    """By agent type, ``*`` for every other: the image of runs that name none; allowed as well."""
    pull: Literal["never", "missing"] = "never"
    mounts: list[str] = []
    """Folders of this machine that a run may ask for; ``PATH:ro`` only for reading."""
    network: str = "bridge"
    """``none``, ``bridge`` or the name of one."""
    networks: list[str] = []
    """Others that a run may ask for; ``none`` it always may."""
    env: list[str] = []
    """Variables of the node manager's own environment that containers get."""
    memory_mb: Annotated[int, msgspec.Meta(ge=0)] = 4096
    cpus: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    pids: Annotated[int, msgspec.Meta(ge=0)] = 1024
    tmp_mb: Annotated[int, msgspec.Meta(ge=1)] = 1024
    read_only: bool = False
    """The image's files cannot be written."""
    user: str = ""
    """``UID:GID``; empty: those of the node manager."""
    userns: str = ""
    init: bool = True
    orphan_grace_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0


class ProcessLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What each process of a run without a container may use: ``[node.process_limits]``; 0: as the
    node manager itself.
    """

    memory_mb: Annotated[int, msgspec.Meta(ge=0)] = 0
    open_files: Annotated[int, msgspec.Meta(ge=0)] = 0
    cpu_s: Annotated[int, msgspec.Meta(ge=0)] = 0


class LoginRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """How one logs in to an agent by a page or a code: ``[node.logins.TYPE.METHOD]``.

    Patterns are regular expressions over what the program's screen shows; of one with groups the
    first that took part counts. An empty one matches nothing.
    """

    command: list[str] = []
    variables: dict[str, str] = {}
    """Of its environment; ``{home}`` stands for the account's home."""
    files: dict[str, str] = {}
    """Written into the home before, unless they are there: path within it and text."""
    url: str = r"https?://\S+"
    """The page to open."""
    code: str = ""
    """The code to enter there."""
    lifetime: str = ""
    """For how many minutes."""
    prompt: str = ""
    """It waits for what the page gave."""
    answers: dict[str, str] = {}
    """Keys to press, by what is asked."""
    refused: str = ""
    """What was typed was not accepted; it goes on."""
    success: str = ""
    failure: str = ""
    token: str = ""
    """The credential itself, shown at the end; kept where the agent finds it."""
    credential: str = ""
    """A file in the home whose coming or changing is the success."""
    exits: bool = True
    """It ends by itself; else it is ended once the login has succeeded."""
    status: list[str] = []
    """A command that tells, by its exit status, whether the account is logged in."""
    auth_dir: str = ""
    """Within the home, what belongs to the login; empty: all of it."""


class NodeSettings(Settings, frozen=True, kw_only=True):
    """Settings of ``nodemanager``."""

    server: str = "https://127.0.0.1:8080"
    data_dir: str = ""
    node_id: str = ""
    """Empty: made once and kept in the data directory."""
    labels: dict[str, str] = {}
    capacity: int = 4
    token: str = ""
    token_file: str = ""
    ca: str = ""
    default_agent: str = "claude-code"
    """What a task of type ``general`` runs."""
    agent_programs: dict[str, str] = {}
    """Path of an agent's program, by its type; absent: found on the ``PATH``."""
    prices: dict[str, ModelPrice] = {}
    """By model name, ``*`` stands for anything; for agents that tell no cost themselves."""
    runtimes: list[str] = []
    """``process``, ``docker``, ``podman``: those a run may have, the first where it asks for none.
    Empty: ``process`` alone."""
    containers: ContainerSettings = ContainerSettings()
    process_limits: ProcessLimits = ProcessLimits()
    logins: dict[str, dict[str, LoginRecipe]] = {}
    """By agent type and method (``oauth``, ``device_code``): instead of what is known by itself, or
    of a type that is not."""
    claude_login: Literal["auth", "setup-token"] = "auth"
    """Whether a login to Claude Code is one that is renewed, or a token for a year."""
    logins_stored: bool = False
    """Whether the server keeps a sealed copy of each login for other nodes; else it stays here."""
    login_start_s: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    """How long a login's program may take to show a page."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9100
    metrics_tls_cert: str = ""
    """With ``metrics_tls_key``: ``/metrics`` is served by HTTPS with this certificate (PEM)."""
    metrics_tls_key: str = ""
    metrics_client_ca: str = ""
    """Authority of the certificates a reader of ``/metrics`` must show (PEM); empty: none."""
    heartbeat_s: float = 10.0
    claim_wait_s: int = 25
    spool_limit_bytes: int = 1024 * 1024 * 1024
    run_spool_limit_bytes: int = 256 * 1024 * 1024
    spool_full: Literal["block", "drop"] = "block"
    """While a run's log is full its agent waits, or loses output, which an event counts."""
    redact_patterns: list[str] = []
    """Regular expressions of what is secret in output, beside the known formats; of one with a
    group named ``secret`` that group alone."""
    redact_except: list[str] = []
    """Names of variables, ``*`` and ``?`` allowed, whose values may be seen in output."""
    workspace_roots: list[str] = msgspec.field(default_factory=lambda: ["~"])
    """Folders of this machine that runs may work in or clone from, with all below them."""
    git_protocols: list[str] = msgspec.field(default_factory=lambda: ["https", "ssh", "file"])
    """By which a workspace may be fetched."""
    workspace_keep: Literal["all", "failed", "none"] = "all"
    """Which ended runs' own workspaces stay for ``keep_finished_s``; others go at once."""
    proxy_test_allow: list[str] = []
    """As the server's, for tests that this node makes."""
    stop_grace_s: float = 10.0
    cancel_kill_s: float = 0.5
    """The same when a person cancels a run, who waits for it to be gone."""
    stop_agents: bool = False
    """Stopping the node manager ends its agents too; else they run on and are adopted again."""
    keep_finished_s: int = 86400
    """How long the workspace and spool of an ended run stay."""
    sessions: bool = True
    """Shows the agent sessions of this machine that were begun outside, as runs of this node."""
    sessions_age_s: Annotated[int, msgspec.Meta(ge=0)] = 86400
    """At the start, sessions are shown that are no older than this; 0: whatever their age."""
    sessions_most: Annotated[int, msgspec.Meta(ge=0)] = 100
    """At the start, so many of them, the newest; what is written later is always shown."""
    sessions_first_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1024 * 1024
    """Of each transcript so much is read at first sight, from its end; 0: all of it."""
    session_idle_s: Annotated[float, msgspec.Meta(ge=0)] = 1800.0
    """A session that has been silent for so long is taken as over, unless it is at work."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """How the Runs screen shows what: one table of ``[console.views]``."""

    filter: str = ""
    inverted: bool = False
    """Shows exactly what the filter hides."""
    sort: str = "attention"
    reversed: bool = False
    locked: bool = False
    columns: list[str] = []
    """In this order; empty: as in every other view."""


class ContextSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One server that the console knows by name."""

    url: str = ""
    """Empty: the local server's."""
    token_file: str = ""
    token_command: list[str] = []
    """A program and its arguments; the first line it prints is the token."""
    ca: str = ""
    lang: Literal["", "en", "zh"] = ""
    read_only: bool = False


class ConsoleSettings(Settings, frozen=True, kw_only=True):
    """Settings of ``monitor-tui``."""

    context: str = ""
    """Which of ``contexts``; empty: ``default_context``, unless ``server`` is given for this
    start."""
    default_context: str = ""
    contexts: dict[str, ContextSettings] = {}
    server: str = ""
    """Empty: the local server's ready file, else ``https://127.0.0.1:8080``."""
    data_dir: str = ""
    token: str = ""
    token_file: str = ""
    token_command: list[str] = []
    ca: str = ""
    lang: Literal["", "en", "zh"] = ""
    theme: Literal["", "dark", "light", "high-contrast", "16"] = ""
    """Empty: ``16`` where the terminal says that it has no more colours, else ``dark``."""
    low_bw: bool = False
    plain: bool = False
    """Lines in place of screens, for screen readers."""
    read_only: bool = False
    """Nothing is started, cancelled or written, whatever the credential allows."""
    mouse: bool = True
    time: Literal["relative", "local", "utc"] = "local"
    home: Literal["attention", "runs", "nodes", "auth", "pulse", "tasks"] = "attention"
    """The screen to begin with."""
    default_view: str = ""
    """What the Runs screen shows first; empty: every run, as ``attention`` sorts them."""
    views: dict[str, SavedView] = {}
    columns: dict[str, list[str]] = {}
    """By screen (``runs``, ``nodes``): which columns in which order."""
    keys: dict[str, str] = {}
