"""Which certificates count for a server, and what there is to say of one that does not.

Trust itself is `tls.client_context` or, for a server that a person said yes to,
`pinning.pinned_context`.
"""

import asyncio
import socket
import ssl
from dataclasses import replace
from typing import Final

from runwatch_console.contexts import Access
from runwatch_console.known_hosts import KnownHost, KnownHosts, KnownHostsError
from runwatch_console.pinning import (
    NOT_ABOUT_TRUST,
    pin_candidates,
    pinned_context,
    shake_hands,
    why_not_pinned,
)
from runwatch_console.pins import OfferedCertificate
from runwatch_console.ports import Disconnected, LossReason
from runwatch_console.reasons import causes
from runwatch_shared.offered import offered_chain
from runwatch_shared.tls import client_context


def connection_context(access: Access) -> ssl.SSLContext:
    """What the handshake with this server is held against: its pin alone where one is remembered,
    else the authority named or found, else those of the system.

    Raises:
        KnownHostsError: What is remembered cannot be read; nobody is trusted instead.
        OSError: The authority's file cannot be read or holds no certificate.
    """
    known = _known(access)
    if known is None:
        return client_context(access.ca_file)
    try:
        return pinned_context(known.pin)
    except ssl.SSLError as error:
        place = f"{access.known_hosts}:{known.line}"
        raise KnownHostsError(f"{place} is damaged; remove that line") from error


def _known(access: Access) -> KnownHost | None:
    if access.known_hosts is None:
        return None
    return KnownHosts(access.known_hosts).find(access.host, access.port)


async def try_handshake(access: Access) -> Disconnected | None:
    """Whether the server would be spoken to; None if so, else what to say. Nothing is sent.

    Raises:
        KnownHostsError: What is remembered cannot be read.
        OSError: It cannot be reached, or speaks no TLS.
    """
    context = await asyncio.to_thread(connection_context, access)
    try:
        await shake_hands(context, access.host, access.port)
    except ssl.SSLCertVerificationError as error:
        return await examine(error, access)
    return None


async def examine(failure: ssl.SSLCertVerificationError, access: Access) -> Disconnected:
    """What to say of a server whose certificate was refused. Looks at what it offers."""
    detail = explain_failure(failure)
    try:
        known = await asyncio.to_thread(_known, access)
    except KnownHostsError as error:
        return untrusted(str(error))
    offered = await look_at(access)
    about_trust = failure.verify_code not in NOT_ABOUT_TRUST
    if known is not None and about_trust:
        return Disconnected(
            reason=LossReason.CHANGED_CERTIFICATE,
            detail=detail,
            fingerprint=None if offered is None else offered.pin.fingerprint,
            known_fingerprint=known.pin.fingerprint,
            known_place=f"{access.known_hosts}:{known.line}",
        )
    if offered is None:
        return untrusted(detail)
    askable = about_trust and known is None and access.known_hosts is not None
    if askable and offered.problem:
        detail = offered.problem
    may_be_trusted = askable and not offered.problem
    return untrusted(detail, replace(offered, may_be_trusted=may_be_trusted))


def untrusted(detail: str, offered: OfferedCertificate | None = None) -> Disconnected:
    """A server that is not spoken to; only `retry_now` tries again."""
    return Disconnected(
        reason=LossReason.UNTRUSTED_CERTIFICATE,
        detail=detail,
        fingerprint=None if offered is None else offered.pin.fingerprint,
        offered=offered,
    )


async def look_at(access: Access) -> OfferedCertificate | None:
    """What a server offers, and whether it could be used if it were trusted; None without any.

    Reads the certificates and hangs up: no request, no credential.
    """
    chain = await offered_chain(access.host, access.port)
    found = None
    for pin in pin_candidates(chain):
        problem = await why_not_pinned(pin, access.host, access.port)
        found = OfferedCertificate(
            host=access.host,
            port=access.port,
            leaf=chain[0],
            known_hosts="" if access.known_hosts is None else str(access.known_hosts),
            pin=pin,
            may_be_trusted=problem is None,
            problem="" if problem is None else explain_failure(problem),
        )
        if problem is None or getattr(problem, "verify_code", 0) in NOT_ABOUT_TRUST:
            break
    return found


def certificate_failure(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The failed verification behind an error, however deep a library buried it."""
    failures = (c for c in causes(error) if isinstance(c, ssl.SSLCertVerificationError))
    return next(failures, None)


def explain_failure(failure: ssl.SSLError) -> str:
    """OpenSSL's own sentence: `self-signed certificate`, `Hostname mismatch, …`."""
    message = getattr(failure, "verify_message", "")
    return message or failure.reason or str(failure) or "certificate verify failed"


_NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
)
"""OpenSSL's reasons for an answer that is no TLS at all."""


async def wrong_scheme(error: BaseException, access: Access) -> LossReason | None:
    """Whether a connection failed because one side speaks TLS and the other does not.

    An address that took an http request and hung up is looked at once more: does it offer a
    certificate? One that refuses or does not answer is not.
    """
    found = list(causes(error))
    if access.secure:
        tls = (each for each in found if isinstance(each, ssl.SSLError))
        return LossReason.NO_TLS if any(each.reason in _NOT_TLS for each in tls) else None
    if any(isinstance(each, _NO_ANSWER) for each in found):
        return None
    return LossReason.NEEDS_TLS if await offered_chain(access.host, access.port) else None


_NO_ANSWER: Final = (ConnectionRefusedError, TimeoutError, socket.gaierror)
