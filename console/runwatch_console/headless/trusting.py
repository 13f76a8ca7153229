"""`monitor-tui trust`: a server's certificate is shown, compared and remembered, or forgotten."""

from collections.abc import Callable
from dataclasses import replace

from runwatch_console.contexts import Access, Context, parse_url
from runwatch_console.headless.exits import CommandError, ExitCode, loss_error, usage_error
from runwatch_console.headless.session import Session
from runwatch_console.known_hosts import KnownHosts, KnownHostsError
from runwatch_console.pins import OfferedCertificate, is_fingerprint, same_fingerprint, server_name
from runwatch_console.ports import Disconnected, LossReason
from runwatch_console.reasons import reason_of
from runwatch_console.trust import look_at, try_handshake, wrong_scheme

Ask = Callable[[str], bool]
"""Puts a question to a person; True is only what they typed for it."""


async def trust_server(session: Session, url: str, fingerprint: str, ask: Ask | None) -> ExitCode:
    """Remember the certificate of a server if it is the one with this fingerprint, or if a person
    says yes.

    Args:
        url: Empty for the server of the settings.
        ask: None when nobody can be asked.

    Raises:
        CommandError: It cannot be reached, is not to be trusted, or was not trusted.
    """
    words = session.words
    access, hosts = _server(session, url)
    if fingerprint and not is_fingerprint(fingerprint):
        raise usage_error(words, "headless.no_fingerprint", given=fingerprint)
    try:
        loss = await try_handshake(access)
        offered = await look_at(access) if loss is None else loss.offered
        if loss is not None and (offered is None or not offered.may_be_trusted):
            raise _refused(session, access, loss)
        if fingerprint and not _is(offered, fingerprint):
            raise _differs(session, access, fingerprint, offered)
        if loss is None or offered is None:
            return _trusted_already(session, access, hosts)
        if not fingerprint:
            _put_question(session, access, loss, offered, ask)
        hosts.add(access.host, access.port, offered.pin)
    except KnownHostsError as error:
        raise CommandError(ExitCode.FAILED, str(error)) from error
    except OSError as error:
        raise await _unreachable(session, access, error) from error
    name = server_name(access.host, access.port)
    session.printer.say(words("headless.trusted", host=name, place=hosts.path))
    return ExitCode.DONE


def _put_question(
    session: Session,
    access: Access,
    loss: Disconnected,
    offered: OfferedCertificate,
    ask: Ask | None,
) -> None:
    if ask is None:
        raise _refused(session, access, loss)
    session.printer.say(f"{access.url}\n  {offered.pin.fingerprint}")
    if not ask(session.words("headless.trust_asked")):
        raise CommandError(ExitCode.AUTH, session.words("headless.not_trusted", url=access.url))


def _trusted_already(session: Session, access: Access, hosts: KnownHosts) -> ExitCode:
    known = hosts.find(access.host, access.port)
    word_id = "trusted_system" if known is None else "trusted_already"
    shown = "" if known is None else known.pin.fingerprint
    session.printer.say(session.words(f"headless.{word_id}", url=access.url, fingerprint=shown))
    return ExitCode.DONE


def forget_server(session: Session, url: str) -> ExitCode:
    """Remove what is remembered of a server; the next connection asks again.

    Raises:
        CommandError: Nothing is remembered of it, or the file cannot be written.
    """
    access, hosts = _server(session, url)
    name = server_name(access.host, access.port)
    try:
        known = hosts.remove(access.host, access.port)
    except KnownHostsError as error:
        raise CommandError(ExitCode.FAILED, str(error)) from error
    if not known:
        raise usage_error(session.words, "headless.not_known", host=name, place=hosts.path)
    session.printer.say(session.words("headless.forgotten", host=name, place=hosts.path))
    return ExitCode.DONE


def _server(session: Session, url: str) -> tuple[Access, KnownHosts]:
    context = session.context
    assert isinstance(context, Context)
    access = (replace(context, given_url=parse_url(url)) if url else context).access()
    if not access.secure:
        raise usage_error(session.words, "headless.trust_no_tls", url=access.url)
    if access.known_hosts is None:
        raise usage_error(session.words, "headless.trust_by_ca", url=access.url)
    return access, KnownHosts(access.known_hosts)


def _is(offered: OfferedCertificate | None, fingerprint: str) -> bool:
    """Of the authority, or of the certificate that it signed and that came with it."""
    return offered is not None and (
        same_fingerprint(fingerprint, offered.pin.fingerprint)
        or same_fingerprint(fingerprint, offered.leaf_fingerprint)
    )


def _differs(
    session: Session, access: Access, given: str, offered: OfferedCertificate | None
) -> CommandError:
    shown = "?" if offered is None else offered.pin.fingerprint
    facts = {"url": access.url, "given": given, "fingerprint": shown}
    return CommandError(ExitCode.AUTH, session.words("headless.trust_differs", **facts))


def _refused(session: Session, access: Access, loss: Disconnected) -> CommandError:
    context = session.target.context if access.loopback else access.host
    target = replace(session.target, context=context, server_url=access.url)
    return loss_error(loss, session.words, target)


async def _unreachable(session: Session, access: Access, error: OSError) -> CommandError:
    scheme = await wrong_scheme(error, access)
    loss = Disconnected(reason=scheme or LossReason.REFUSED, detail=reason_of(error))
    return _refused(session, access, loss)
