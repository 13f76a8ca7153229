"""What the feed brings and where it comes from, as records that know nothing of the wire.

The first frame is made of these: the records of the wire are loaded after it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runwatch_console.pins import OfferedCertificate
    from runwatch_console.ports import FleetFrame
    from runwatch_shared.wire import HelloFrame


class Cause(StrEnum):
    """What the console itself saw happen to an open connection; the screen has words for each."""

    SILENT = "silent"
    """Nothing came, no heartbeat either."""
    STUCK = "stuck"
    """The other side takes nothing."""
    CUT = "cut"
    """It ended without a closing frame."""


class LossReason(StrEnum):
    """Why there is no connection; the screen chooses its words and its advice by this."""

    REFUSED = "refused"
    """Nobody listens, no route, name not known, or no answer in time."""
    CLOSED = "closed"
    """An open connection ended: server stopped, network cut, or the server closed it."""
    UNAUTHORIZED = "unauthorized"
    """401: no credential, or one that is not valid (any more)."""
    NO_TOKEN = "no_token"
    """There should be a token and is none: its program failed, or others can read its file."""
    FORBIDDEN = "forbidden"
    """403: the credential is known and may not do this, or the host is not allowed."""
    UNTRUSTED_CERTIFICATE = "untrusted_certificate"
    """The certificate is signed by nobody we trust, or cannot be used: expired, another name."""
    CHANGED_CERTIFICATE = "changed_certificate"
    """The certificate is another than the one remembered for this server."""
    NEEDS_TLS = "needs_tls"
    """The address speaks TLS and was asked in the clear."""
    NO_TLS = "no_tls"
    """What answers at the address does not speak TLS, and was asked for it."""
    VERSION = "version"
    """The server speaks a protocol this console does not, older or newer."""
    BUSY = "busy"
    """429 or 503: the server asks us to come back later."""
    DEFECT = "defect"
    """The server sent what the contract does not allow; reported as it is, and retried."""


HOPELESS: Final = frozenset(
    {
        LossReason.UNAUTHORIZED,
        LossReason.NO_TOKEN,
        LossReason.FORBIDDEN,
        LossReason.UNTRUSTED_CERTIFICATE,
        LossReason.CHANGED_CERTIFICATE,
    }
)
"""Another try by itself would end the same way; somebody has to do something first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connecting:
    """An attempt begins; `attempt` counts from 1 since the last success."""

    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """The socket is open and has said hello (contract 7.2). `hello.resumed` tells whether
    `change` frames follow or a snapshot does."""

    hello: "HelloFrame"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One frame of `/ws/monitor?mode=delta` after hello."""

    frame: "FleetFrame"


@dataclass(frozen=True, kw_only=True, slots=True)
class Disconnected:
    """There is no connection. The feed goes on by itself unless `retry_in_s` is None."""

    reason: LossReason
    detail: str = ""
    """For people, not yet cleaned: the console cleans it."""
    cause: Cause | None = None
    """Where nobody else said why: `detail` says the same in English, for logs."""
    retry_in_s: float | None = None
    """Seconds to the next attempt; None: only `retry_now` tries again (401, 403, certificate)."""
    fingerprint: str | None = None
    """SHA-256 of what the server offers, `SHA256:AA:BB:…`, where its certificate is the reason."""
    offered: "OfferedCertificate | None" = None
    """The same, whole."""
    known_fingerprint: str = ""
    """Of what is remembered for this server, with CHANGED_CERTIFICATE."""
    known_place: str = ""
    """`file:line` where it is remembered."""
    server_protocol: tuple[int, int] | None = None
    """(protocol_min, protocol) of the server, with VERSION."""


FeedItem = Connecting | Connected | Frame | Disconnected


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where the console looks; known before anything of the network is imported."""

    context: str
    """Short name of the context, `local` without a config file."""
    server_url: str
    credential: str
    """Which credential is used, in words (`token file ~/…/token`, `none`); never the secret."""


def other_scheme(url: str) -> str:
    """The same address over TLS, or without."""
    scheme, separator, rest = url.partition("://")
    return f"{'http' if scheme == 'https' else 'https'}{separator}{rest}"
