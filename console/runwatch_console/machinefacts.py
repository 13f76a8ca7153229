"""What a node's runs are started with, as facts, and how a test of a proxy went, as text; no
secret is among them; pure.
"""

import re
from collections.abc import Callable
from typing import Final

from runwatch_console.facts import Fact
from runwatch_console.formats import UNKNOWN
from runwatch_console.lens import Lens
from runwatch_console.recording.masking import MASK
from runwatch_console.rows import short
from runwatch_shared.proxies import EnvConfig, ProxyTestAnswer
from runwatch_shared.text import clean

MOST_VALUES: Final = 200
_SECRET: Final = re.compile(
    r"key|token|secret|passw|credential|auth|cookie|private|dsn|database_url", re.IGNORECASE
)


def shown_value(name: str, value: str) -> str:
    """The value as it came, but of a name that speaks of a secret, and of an address with a name in
    it.
    """
    hidden = _SECRET.search(name) is not None or re.search(r"://[^/\s]*@", value) is not None
    return MASK if hidden else value


def environment_facts(config: EnvConfig, lens: Lens) -> list[Fact]:
    """Proxy, limits, and the environment by name; no password and no key."""
    words = lens.words
    proxy, limits = config.proxy, config.resources
    if proxy is None or not proxy.enabled:
        facts = [Fact("fact.proxy", words("environment.no_proxy"), "muted")]
    else:
        user = f"{short(proxy.username)}@" if proxy.username else ""
        facts = [Fact("fact.proxy", f"{proxy.type}://{user}{short(proxy.host)}:{proxy.port}")]
        if proxy.password:
            facts.append(Fact("", words("environment.password"), "muted"))
        if proxy.no_proxy:
            facts.append(Fact("proxy.no_proxy", short(proxy.no_proxy, 400)))
    memory = _limit(limits.memory_limit if limits is not None else None)
    cpu = _limit(limits.cpu_limit if limits is not None else None)
    facts.append(Fact("fact.memory_limit", memory))
    facts.append(Fact("fact.cpu_limit", cpu))
    names = sorted(config.env_vars or {})
    for index, name in enumerate(names[:MOST_VALUES]):
        value = (config.env_vars or {})[name]
        text = f"{short(name)}={short(shown_value(name, value), 400)}"
        facts.append(Fact("fact.environment" if index == 0 else "", text))
    if not names:
        facts.append(Fact("fact.environment", words("environment.none"), "muted"))
    return facts


def _limit(value: str | float | None) -> str:
    return UNKNOWN if value is None else short(str(value))


def outcome_text(test: ProxyTestAnswer, words: Callable[..., str]) -> str:
    """How a test went: `works, 204, 31 ms`, or what the server said of it."""
    message = clean(test.message, limit=200, fold=True)
    if not test.success:
        return words("proxy.test_failed", message=message)
    facts = [] if test.status_code is None else [str(test.status_code)]
    facts += [] if test.latency_ms is None else [f"{test.latency_ms:,.0f} ms"]
    return words("proxy.test_done", facts=" · ".join(facts) or message)
