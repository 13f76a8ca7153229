"""The server: whether it answers, by which trust, its version, its clock and what the credential
may do.
"""

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Final, Protocol, runtime_checkable

from runwatch_console.contexts import Access, Context
from runwatch_console.doctor.findings import Finding, fail, ok, warn
from runwatch_console.formats import format_age, moment_s
from runwatch_console.known_hosts import KnownHosts, KnownHostsError
from runwatch_console.ports import Api, ApiError
from runwatch_shared.text import clean
from runwatch_shared.wire import PROTOCOL, ServerInfo, TokenIdentity

MOST_SKEW_S: Final = 2.0
EXPIRES_SOON_S: Final = 7 * 86400.0

Now = Callable[[], float]
"""Seconds since the epoch by this machine's clock."""


@runtime_checkable
class KnowsIdentity(Protocol):
    """Requests that can tell whose they are."""

    async def identity(self) -> TokenIdentity:
        """GET /auth/me, of a token or of a user."""
        ...


async def look_at_server(
    context: Context, api: Api, now: Now = time.time
) -> AsyncIterator[Finding]:
    """One request to get to know it, one more to measure its clock, one for the credential."""
    access = context.access()
    url = clean(access.url, limit=200, fold=True)
    try:
        await api.server_info()
        begun_s = now()
        info = await api.server_info()
        took_s = now() - begun_s
    except ApiError as error:
        yield _unreached(error, url)
        return
    yield ok("server.reached", "doctor.reached", url=url, ms=f"{took_s * 1000:.0f}")
    yield _trust(access)
    yield _version(info)
    yield _skew(info, begun_s, took_s)
    if isinstance(api, KnowsIdentity):
        yield await _credential(context, access, api, now())


def _unreached(error: ApiError, url: str) -> Finding:
    facts = {"url": url, "detail": clean(error.error, limit=300, fold=True)}
    if error.code == "untrusted_certificate":
        return fail("server.trust", "doctor.untrusted", "doctor.untrusted.mend", **facts)
    if error.status == 401:
        return fail("server.token", "doctor.refused", "doctor.refused.mend", **facts)
    if error.status:
        return fail("server.reached", "doctor.not_well", "doctor.unreached.mend", **facts)
    return fail("server.reached", "doctor.unreached", "doctor.unreached.mend", **facts)


def _trust(access: Access) -> Finding:
    if not access.secure:
        if access.loopback:
            return ok("server.trust", "doctor.plain_loopback")
        return warn("server.trust", "doctor.plain", "doctor.plain.mend")
    known = None
    if access.known_hosts is not None:
        try:
            known = KnownHosts(access.known_hosts).find(access.host, access.port)
        except KnownHostsError:
            known = None
    if known is not None:
        place = clean(f"{access.known_hosts}:{known.line}", limit=200, fold=True)
        return ok("server.trust", "doctor.remembered", place=place)
    if access.ca_file is not None:
        place = clean(str(access.ca_file), limit=200, fold=True)
        return ok("server.trust", "doctor.by_ca", place=place)
    return ok("server.trust", "doctor.by_system")


def _version(info: ServerInfo) -> Finding:
    facts = {
        "version": clean(info.version, limit=40, fold=True),
        "low": info.protocol_min,
        "high": info.protocol,
        "own": PROTOCOL,
    }
    if info.protocol_min <= PROTOCOL <= info.protocol:
        return ok("server.version", "doctor.version", **facts)
    return fail("server.version", "doctor.other_protocol", "doctor.other_protocol.mend", **facts)


def _skew(info: ServerInfo, begun_s: float, took_s: float) -> Finding:
    """The server's clock against ours at the middle of the request; what is not known is half of
    the round trip.
    """
    there_s = moment_s(info.server_time)
    if there_s is None:
        return warn("server.clock", "doctor.no_clock")
    skew_s = there_s - (begun_s + took_s / 2)
    facts = {"ms": f"{round(skew_s * 1000):+d}", "half": f"{took_s * 500:.0f}"}
    if abs(skew_s) - took_s / 2 > MOST_SKEW_S:
        return warn("server.clock", "doctor.skewed", "doctor.skewed.mend", **facts)
    return ok("server.clock", "doctor.clock", **facts)


async def _credential(
    context: Context, access: Access, api: KnowsIdentity, now_s: float
) -> Finding:
    credential = clean(context.target().credential, limit=200, fold=True)
    if access.token is None:
        return warn("server.token", "doctor.no_token", "doctor.no_token.mend")
    try:
        identity = await api.identity()
    except ApiError as error:
        facts = {"detail": clean(error.error, limit=300, fold=True), "url": access.url}
        return fail("server.token", "doctor.refused", "doctor.refused.mend", **facts)
    expiry_s = moment_s(identity.expires_at)
    facts = {
        "credential": credential,
        "name": clean(identity.username, limit=80, fold=True),
        "scope": clean(identity.scope, limit=20, fold=True),
    }
    if expiry_s is None:
        return ok("server.token", "doctor.token", **facts)
    facts |= {
        "left": format_age(expiry_s - now_s),
        "at": datetime.fromtimestamp(expiry_s, UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    if expiry_s - now_s < EXPIRES_SOON_S:
        return warn("server.token", "doctor.token_ends", "doctor.token_ends.mend", **facts)
    return ok("server.token", "doctor.token_until", **facts)
