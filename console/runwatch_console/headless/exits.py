"""Exit codes, and what to tell a person when something ended a command; no network."""

from enum import IntEnum
from typing import Final

from runwatch_console.locale.words import Words
from runwatch_console.ports import (
    ApiError,
    Disconnected,
    LossReason,
    Target,
    UntrustedCertificateError,
    other_scheme,
)
from runwatch_shared.errors import RunwatchError
from runwatch_shared.text import clean
from runwatch_shared.wire import PROTOCOL


class ExitCode(IntEnum):
    """Console rules, "Without a screen"."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    WAITING = 3
    AUTH = 4
    UNREACHABLE = 5
    TIMEOUT = 124
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class CommandError(RunwatchError):
    """A command that ends here: its code, and the sentence for standard error."""

    def __init__(self, code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def usage_error(words: Words, word_id: str, **facts: object) -> CommandError:
    """What was typed cannot be done."""
    return CommandError(ExitCode.USAGE, words(word_id, **facts))


def api_error(error: ApiError, words: Words, target: Target) -> CommandError:
    """The end of a command whose request did not succeed."""
    detail = clean(error.error, limit=500, fold=True)
    facts = _facts(target, detail)
    if isinstance(error, UntrustedCertificateError):
        return loss_error(error.loss, words, target)
    if error.code == LossReason.NO_TOKEN:
        return CommandError(ExitCode.AUTH, words("headless.no_token", **facts))
    if error.code in _WRONG_SCHEME:
        return _wrong_scheme(error.code, words, facts)
    if error.status == 0:
        return _unreachable(words, target, facts)
    if error.status == 401:
        return CommandError(ExitCode.AUTH, words("headless.unauthorized", **facts))
    if error.status == 403:
        return CommandError(ExitCode.AUTH, words("headless.forbidden", **facts))
    if error.status == 404:
        return CommandError(ExitCode.USAGE, words("headless.not_found", **facts))
    if error.status in (502, 503, 504):
        return _unreachable(words, target, facts)
    code = ExitCode.USAGE if error.status == 400 else ExitCode.FAILED
    shown = clean(error.code, limit=80, fold=True)
    return CommandError(code, words("headless.refused", code=shown, **facts))


def loss_error(loss: Disconnected, words: Words, target: Target) -> CommandError:
    """The end of a command that cannot go on without its socket."""
    detail = clean(loss.detail, limit=500, fold=True)
    facts = _facts(target, detail)
    match loss.reason:
        case LossReason.UNAUTHORIZED:
            return CommandError(ExitCode.AUTH, words("headless.unauthorized", **facts))
        case LossReason.NO_TOKEN:
            return CommandError(ExitCode.AUTH, words("headless.no_token", **facts))
        case LossReason.FORBIDDEN:
            return CommandError(ExitCode.AUTH, words("headless.forbidden", **facts))
        case LossReason.UNTRUSTED_CERTIFICATE | LossReason.CHANGED_CERTIFICATE:
            return _distrusted(loss, words, facts)
        case LossReason.NEEDS_TLS | LossReason.NO_TLS:
            return _wrong_scheme(loss.reason, words, facts)
        case LossReason.VERSION:
            low, high = loss.server_protocol or (0, 0)
            text = words("headless.version", low=low, high=high, own=PROTOCOL, **facts)
            return CommandError(ExitCode.UNREACHABLE, text)
        case _:
            return _unreachable(words, target, facts)


def _facts(target: Target, detail: str) -> dict[str, str]:
    return {
        "url": target.server_url,
        "context": target.context,
        "credential": target.credential,
        "detail": detail,
    }


_WRONG_SCHEME: Final = frozenset({LossReason.NEEDS_TLS, LossReason.NO_TLS})


def _wrong_scheme(reason: str, words: Words, facts: dict[str, str]) -> CommandError:
    text = words(f"headless.{reason}", other=other_scheme(facts["url"]), **facts)
    return CommandError(ExitCode.UNREACHABLE, text)


def _distrusted(loss: Disconnected, words: Words, facts: dict[str, str]) -> CommandError:
    """Which of the three: another one than before, one to ask about, one that cannot be used."""
    if loss.reason is LossReason.CHANGED_CERTIFICATE:
        word_id = "headless.changed"
    elif loss.offered is not None and loss.offered.may_be_trusted:
        word_id = "headless.untrusted"
    else:
        word_id = "headless.unusable"
    text = words(
        word_id,
        fingerprint=loss.fingerprint or "?",
        known=loss.known_fingerprint,
        place=loss.known_place,
        **facts,
    )
    return CommandError(ExitCode.UNREACHABLE, text)


def _unreachable(words: Words, target: Target, facts: dict[str, str]) -> CommandError:
    word_id = "headless.unreachable_local" if target.context == "local" else "headless.unreachable"
    return CommandError(ExitCode.UNREACHABLE, words(word_id, **facts))
