"""What a claim gives a run beside what its task says: proxy, variables, limits (14); pure.

Everything a run's task sets itself counts before it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import msgspec

from runwatch_nodemanager.runtimes.container_environment import PROXY_NAMES
from runwatch_nodemanager.runtimes.placement import MIB, Place
from runwatch_nodemanager.runtimes.wishes import lower
from runwatch_shared.models import Snapshot
from runwatch_shared.proxies import EnvConfig, NodeProxy, RunResources
from runwatch_shared.quantities import cpus_of, memory_bytes_of

NOT_THROUGH: Final = "localhost,127.0.0.1,::1"
"""What no proxy is asked for where nobody names exceptions."""
_SCHEMES: Final = {"http": "http", "https": "https", "socks5": "socks5h"}
"""``socks5h``: names are the proxy's to resolve, as with the others."""
_FAMILIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def granted_snapshot(snapshot: Snapshot, config: EnvConfig | None) -> Snapshot:
    """The run with the variables it gets."""
    if config is None:
        return snapshot
    own = snapshot.env or {}
    env = {**variables_of(config, own), **own}
    return msgspec.structs.replace(snapshot, env=env) if env else snapshot


def variables_of(config: EnvConfig, own: Mapping[str, str]) -> dict[str, str]:
    """The variables a config comes to.

    Args:
        own: The run's: of a proxy variable that it sets in one spelling, it gets no other.
    """
    given = {**_proxy_variables(config.proxy), **(config.env_vars or {})}
    own_proxies = {name.upper() for name in own if name in PROXY_NAMES}
    return {
        name: value
        for name, value in given.items()
        if name not in PROXY_NAMES or name.upper() not in own_proxies
    }


def plain_names(env: Mapping[str, str]) -> list[str]:
    """Proxy variables without a password in them: nothing to be hidden in output."""
    return [name for name in env if name in PROXY_NAMES and "@" not in env[name]]


def proxies_of(env: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables of a run, which count for the fetching of its workspace too."""
    return {name: value for name, value in env.items() if name in PROXY_NAMES}


def bounded(place: Place, resources: RunResources | None) -> Place:
    """Where a run goes, with no more than it may use; an instance's container is as it is."""
    if resources is None or place.instance:
        return place
    limits = place.wishes.limits
    if resources.memory_limit is not None:
        most_mb = max(1, memory_bytes_of(resources.memory_limit) // MIB)
        limits = msgspec.structs.replace(limits, memory_mb=int(lower(most_mb, limits.memory_mb)))
    if resources.cpu_limit is not None:
        limits = msgspec.structs.replace(
            limits, cpus=lower(cpus_of(resources.cpu_limit), limits.cpus)
        )
    return replace(place, wishes=msgspec.structs.replace(place.wishes, limits=limits))


def proxy_url(proxy: NodeProxy) -> str:
    """As programs read it from a variable."""
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    login = ""
    if proxy.username is not None:
        password = "" if proxy.password is None else f":{quote(proxy.password, safe='')}"
        login = f"{quote(proxy.username, safe='')}{password}@"
    return f"{_SCHEMES[proxy.type]}://{login}{host}:{proxy.port}"


def _proxy_variables(proxy: NodeProxy | None) -> dict[str, str]:
    """In both spellings, as programs read one or the other. Empty ones undo this machine's."""
    if proxy is None:
        return {}
    url = proxy_url(proxy) if proxy.enabled else ""
    exceptions = (proxy.no_proxy or NOT_THROUGH) if proxy.enabled else ""
    named = {**dict.fromkeys(_FAMILIES, url), "NO_PROXY": exceptions}
    return {**named, **{name.lower(): value for name, value in named.items()}}
