"""What the server tells in English sentences, in the user's language where their form is known
(contract 6.3, 12, 13); anything else stands as it was told. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from runwatch_console.locale.words import Words
from runwatch_console.rows import RunRow

_Form = tuple[re.Pattern[str], str]


def _forms(*forms: tuple[str, str]) -> Sequence[_Form]:
    return tuple((re.compile(pattern), word) for pattern, word in forms)


_QUEUE: Final = _forms(
    (r"no node known", "queue.no_nodes"),
    (r"no node online \((?P<n>\d+) known\)", "queue.none_online"),
    (r"no online node offers (?P<agent>\S+)", "queue.none_offers"),
    (r"no online node has (?P<labels>.+)", "queue.none_has"),
    (r"(?P<nodes>.+) full(?P<numbers>(?: \([\d/, ]+\))?)", "queue.full"),
    (r"(?P<nodes>.+) lacks? login for (?P<agent>\S+)", "queue.lacks_login"),
    (r"(?P<nodes>.+) (?:has|have) (?P<agent>\S+) not ready", "queue.not_ready"),
    (r"pinned to (?P<node>\S+): (?P<why>.+)", "queue.pinned"),
    (r"instance (?P<id>\S+): (?P<why>.+)", "queue.instance"),
    (r"(?P<nodes>.+) (?:is |are )?in maintenance", "queue.maintenance"),
    (r"(?P<nodes>.+) (?:is |are )?draining", "queue.draining"),
    (r"(?P<node>\S+) did not claim in (?P<t>\S+), trying again", "queue.unclaimed"),
    (r"waiting for the scheduler", "queue.placing"),
    (r"(?P<nodes>.+) (?:is |are )?offline", "queue.offline"),
    (r"(?P<nodes>.+) without (?P<what>\S+)", "queue.without"),
    (r"\+(?P<n>\d+) more", "queue.more"),
)
_WHY: Final = _forms(
    (r"has room, waiting for the scheduler", "queue.why_room"),
    (r"full(?P<numbers>(?: \([\d/, ]+\))?)", "queue.why_full"),
    (r"offline", "queue.why_offline"),
    (r"draining", "queue.why_draining"),
    (r"in maintenance", "queue.why_maintenance"),
    (r"unknown|not known", "queue.why_not_known"),
    (r"stopped", "queue.why_stopped"),
    (r"not on this node", "queue.why_elsewhere"),
    (r"lacks login for (?P<agent>\S+)", "queue.why_lacks_login"),
    (r"without (?P<what>\S+)", "queue.why_without"),
)
"""Why one node, or the instance, does not do."""
_HEALTH: Final = _forms(
    (r"same (?P<tool>.+) call (?P<n>\d+) of last (?P<m>\d+)", "health.looping"),
    (r"silent over (?P<t>\S+), no tool in flight", "health.stalled"),
    (r"running over (?P<t>\S+)", "health.slow"),
    (r"queued over (?P<t>\S+)", "health.stuck_queued"),
    (r"waiting over (?P<t>\S+)", "health.waiting_long"),
)
ERROR_CODES: Final = frozenset(
    [
        *("no_result", "agent_error", "limit_reached", "start_failed", "workspace_failed"),
        *("agent_missing", "login_missing", "interrupted", "node_lost", "timeout"),
        *("cancel_unconfirmed", "auth_failed"),
    ]
)
"""Contract 5.3; more may come, and stand as they are."""
PHASES: Final = frozenset(
    [
        *("initializing", "launching_container", "authenticating", "waiting_oauth"),
        *("requesting_device_code", "waiting_device_code", "polling_token", "waiting_input"),
        *("verifying_credentials", "saving_credentials", "finalizing"),
    ]
)
"""Contract 13."""


def queue_words(run: RunRow, words: Words) -> str:
    """Why it is queued."""
    return queue_text(run.queue_reason, words)


def queue_text(reason: str, words: Words) -> str:
    """`n1 full (4/4); +2 more`, clause by clause. English is the server's own."""
    if words.language == "en" or not reason:
        return reason
    clauses = [_said(clause, _QUEUE, words) for clause in reason.split("; ")]
    return words("queue.joint").join(clauses)


def misfit_text(text: str, words: Words) -> str:
    """Why one node does not do."""
    return text if words.language == "en" else _said(text, (*_WHY, *_QUEUE), words)


def health_words(reason: str, words: Words) -> str:
    """Why it is unhealthy. English is the server's own."""
    return reason if words.language == "en" else _said(reason, _HEALTH, words)


def code_words(code: str, words: Words) -> str:
    """The code of an error."""
    return words(f"error.{code}") if code in ERROR_CODES else code


def error_words(code: str, text: str, words: Words) -> str:
    """The code of an error and what was told of it."""
    return " · ".join(part for part in (code_words(code, words), text) if part)


def phase_words(phase: str, words: Words) -> str:
    """What a login does; a phase that is not known stands as it is."""
    return words(f"phase.{phase}") if phase in PHASES else phase.replace("_", " ")


def _said(text: str, forms: Sequence[_Form], words: Words) -> str:
    for pattern, word in forms:
        if (found := pattern.fullmatch(text)) is not None:
            return words(word, **_facts(found, words))
    return text


def _facts(found: re.Match[str], words: Words) -> Mapping[str, str]:
    facts = {name: value or "" for name, value in found.groupdict().items()}
    if "why" in facts:
        facts["why"] = _said(facts["why"], (*_WHY, *_QUEUE), words)
    return facts
