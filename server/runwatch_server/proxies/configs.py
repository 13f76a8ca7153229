"""What a node gives its runs, and what one run gets of it. Domain, over a transaction.

A run's own proxy (``agent.parameters.proxy_id``) counts before its node's, and that before the
default. Source: contract 14.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from runwatch_server import checks
from runwatch_server.ids import is_id
from runwatch_server.proxies import life
from runwatch_server.proxies.rows import EnvConfigRow, NodeProxyRow, ProxyRow
from runwatch_server.proxies.sealing import opened, opened_variables, sealed, sealed_variables
from runwatch_server.rows import RunRow, SpecRow
from runwatch_server.storage.kept import K, KeptReads
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.vault import Vault
from runwatch_shared.errors import RefusedError, RunwatchError, not_found
from runwatch_shared.proxies import (
    HIDDEN,
    NO_PROXY_AT_ALL,
    PROXY_PARAMETER,
    EnvConfig,
    NodeProxy,
    RunResources,
)
from runwatch_shared.quantities import cpus_of, memory_bytes_of

VALUE_BYTES: Final = 32 * 1024
FIELD: Final = f"agent.parameters.{PROXY_PARAMETER}"
_WITHOUT: Final = NodeProxy(enabled=False)


class NoProxyError(RunwatchError):
    """A run asks for a proxy that cannot be had."""


class ConfigReads(Protocol):
    """Either kind of transaction."""

    def kept(self, row: type[K]) -> KeptReads[K]: ...


def shown(tx: ConfigReads, node_id: str, *, vault: Vault) -> EnvConfig:
    """As administrators see it; the password is hidden."""
    config = _config(tx.kept(EnvConfigRow).get(node_id), vault)
    proxy = config.proxy
    if proxy is not None and proxy.password is not None:
        config = msgspec.structs.replace(
            config, proxy=msgspec.structs.replace(proxy, password=HIDDEN)
        )
    return config


def put(tx: WriteTx, node_id: str, config: EnvConfig, *, vault: Vault) -> None:
    """Set all of it. A password or value that is ``***`` is the one that is kept.

    Raises:
        RefusedError: 400 naming the field, 404.
    """
    if tx.nodes.get(node_id) is None:
        raise not_found("node")
    configs = tx.kept(EnvConfigRow)
    before = configs.get(node_id)
    known = _config(before, vault)
    env = _env_vars(config.env_vars, known.env_vars or {})
    _check_resources(config.resources)
    configs.save(
        EnvConfigRow(
            id=node_id,
            created_us=tx.now_us if before is None else before.created_us,
            updated_us=tx.now_us,
            proxy=None if config.proxy is None else proxy_row(config.proxy, known, node_id, vault),
            env_vars=sealed_variables(vault, node_id, env) if env else None,
            resources=config.resources,
        )
    )


def proxy_row(proxy: NodeProxy, known: EnvConfig, owner: str, vault: Vault) -> NodeProxyRow:
    """A node's proxy as it is stored.

    Args:
        known: Where a password that is ``***`` stands.

    Raises:
        RefusedError: 400 naming the field.
    """
    if proxy.enabled or proxy.host:
        proxy = msgspec.structs.replace(proxy, host=life.checked_host(proxy.host, "proxy.host"))
    if proxy.enabled and not proxy.port:
        proxy = msgspec.structs.replace(proxy, port=life.USUAL_PORTS[proxy.type])
    password = proxy.password
    if password == HIDDEN:
        password = None if known.proxy is None else known.proxy.password
    life.check_login(proxy.username, "proxy.username")
    life.check_login(password, "proxy.password")
    life.check_no_proxy(proxy.no_proxy, "proxy.no_proxy")
    fields = {name: getattr(proxy, name) for name in NodeProxy.__struct_fields__}
    return NodeProxyRow(**(fields | {"password": sealed(vault, owner, password)}))


def opened_proxy(row: NodeProxyRow, owner: str, vault: Vault) -> NodeProxy:
    """With its password as it was given."""
    fields = {name: getattr(row, name) for name in NodeProxy.__struct_fields__}
    return NodeProxy(**(fields | {"password": opened(vault, owner, row.password)}))


def of_proxy(row: ProxyRow, vault: Vault) -> NodeProxy:
    """A proxy of the list as its node is given it."""
    return NodeProxy(
        enabled=True,
        type=row.type,
        host=row.host,
        port=row.port,
        username=row.username,
        password=opened(vault, row.id, row.password),
        no_proxy=row.no_proxy,
    )


def own_config(tx: ConfigReads, node_id: str, *, vault: Vault) -> EnvConfig:
    """What a node's administrators set, open."""
    return _config(tx.kept(EnvConfigRow).get(node_id), vault)


def of_claim(tx: WriteTx, node_id: str, row: RunRow, *, vault: Vault) -> EnvConfig | None:
    """What the claimer of a run is given for it.

    Raises:
        NoProxyError, RefusedError: As `of_run`; but a run that has begun has its proxy already.
    """
    spec = tx.runs.spec(row.id)
    if spec is None or row.origin != "scheduled":
        return None
    try:
        return of_run(tx, node_id, spec, vault=vault)
    except NoProxyError:
        if row.status == "running":
            return None
        raise


def of_run(tx: ConfigReads, node_id: str, spec: SpecRow, *, vault: Vault) -> EnvConfig | None:
    """What one run gets on a node; None where there is nothing to give.

    Raises:
        NoProxyError: The run names a proxy that is not there or not active; it must not go without.
        RefusedError: 503: the server has not the key it was sealed with.
    """
    wanted = spec.agent.parameters.get(PROXY_PARAMETER)
    return effective(tx, own_config(tx, node_id, vault=vault), wanted, vault=vault)


def effective(
    tx: ConfigReads, config: EnvConfig, wanted: Any = None, *, vault: Vault
) -> EnvConfig | None:
    """A node's own config with the proxy that counts: the wanted one, the node's, the default.

    Raises:
        NoProxyError, RefusedError: As `of_run`.
    """
    proxies = tx.kept(ProxyRow)
    proxy = config.proxy
    if wanted == NO_PROXY_AT_ALL:
        proxy = _WITHOUT
    elif wanted is not None:
        row = proxies.get(str(wanted)) if is_id(str(wanted)) else None
        if row is None or row.status != "active":
            raise NoProxyError(f"its proxy {clean_id(wanted)} is not there or not active")
        proxy = of_proxy(row, vault)
    elif proxy is None:
        row = life.default(proxies)
        proxy = None if row is None else of_proxy(row, vault)
    config = msgspec.structs.replace(config, proxy=proxy)
    return None if config == EnvConfig() else config


def clean_id(wanted: Any) -> str:
    """What a run names, if it can be an id."""
    text = str(wanted)
    return text if is_id(text) else "?"


def of_logins(
    tx: ConfigReads, node_id: str, proxy_ids: Mapping[str, str | None], *, vault: Vault
) -> dict[str, EnvConfig]:
    """What the logins of a node get, each with the id of the proxy it names. One whose proxy cannot
    be had, or cannot be opened, is left out, as is one that gets nothing.
    """
    given = {}
    for action_id, wanted in proxy_ids.items():
        try:
            config = effective(tx, own_config(tx, node_id, vault=vault), wanted, vault=vault)
        except (NoProxyError, RefusedError):
            continue
        if config is not None:
            given[action_id] = config
    return given


def check_wanted(tx: ConfigReads, parameters: Mapping[str, Any]) -> None:
    """400 for a run that names a proxy there is none of."""
    check_named(tx, parameters.get(PROXY_PARAMETER), FIELD)


def check_named(tx: ConfigReads, wanted: Any, field: str) -> None:
    """400, naming the field, for the id of no proxy; none, and the word for none, pass."""
    if wanted is None or wanted == NO_PROXY_AT_ALL:
        return
    row = tx.kept(ProxyRow).get(wanted) if isinstance(wanted, str) and is_id(wanted) else None
    if row is None:
        raise RefusedError("invalid_field", f"{field} names no proxy", field=field)


def _config(row: EnvConfigRow | None, vault: Vault) -> EnvConfig:
    if row is None:
        return EnvConfig()
    return EnvConfig(
        proxy=None if row.proxy is None else opened_proxy(row.proxy, row.id, vault),
        env_vars=None if row.env_vars is None else opened_variables(vault, row.id, row.env_vars),
        resources=row.resources,
    )


def _env_vars(given: dict[str, str] | None, known: Mapping[str, str]) -> dict[str, str]:
    checks.check_env(given, "env_vars")
    env = {
        name: known.get(name, value) if value == HIDDEN else value
        for name, value in (given or {}).items()
    }
    for name, value in env.items():
        if len(value.encode("utf-8", "surrogatepass")) > VALUE_BYTES:
            field = checks.entry("env_vars", name)
            raise RefusedError("invalid_field", f"{field} is too long", field=field)
    return env


def _check_resources(resources: RunResources | None) -> None:
    if resources is None:
        return
    for field, read in (("memory_limit", memory_bytes_of), ("cpu_limit", cpus_of)):
        value = getattr(resources, field)
        try:
            if value is not None:
                read(value)
        except ValueError:
            name = f"resources.{field}"
            raise RefusedError("invalid_field", f"{name} is no such amount", field=name) from None
