"""Proxies, what nodes give their runs, and tests that nodes are to make, in every store."""

import msgspec
import pytest

from runwatch_server.proxies import asking, configs, life
from runwatch_server.proxies.rows import EnvConfigRow, ProxyRow, ProxyTestRow
from runwatch_server.rows import NodeRow
from runwatch_server.storage.protocols import Store
from runwatch_server.vault import Vault
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import NodeId
from runwatch_shared.proxies import EnvConfig, NodeProxy, ProxyInput, ProxyTestAnswer
from tests.storage.making import NOW_US, write

VAULT = Vault("k" * 32)
PASSWORD = "pass-4711"
PROXY = NodeProxy(enabled=True, host="p.corp", port=1, username="ann", password=PASSWORD)


@pytest.fixture
def node(store: Store) -> NodeRow:
    row = NodeRow(id=NodeId("n1"), created_us=NOW_US, updated_us=NOW_US, last_heartbeat_us=NOW_US)
    return write(store, lambda tx: tx.nodes.save(row))


def test_there_is_one_default_and_it_is_found_while_it_is_active(store: Store) -> None:
    made = [
        write(
            store,
            lambda tx, n=number: life.create(
                tx, ProxyInput(name=f"p{n}", host="p.corp", is_default=True), vault=VAULT
            ),
        )
        for number in range(3)
    ]
    with store.read() as tx:
        proxies = tx.kept(ProxyRow)
        assert [row.is_default for row in life.every(proxies)].count(True) == 1
        assert life.default(proxies) == made[-1]
    off = ProxyInput(status="inactive")
    write(store, lambda tx: life.change(tx, made[-1].id, off, vault=VAULT))
    with store.read() as tx:
        assert life.default(tx.kept(ProxyRow)) is None


def test_a_config_is_kept_sealed_and_read_as_it_was(store: Store, node: NodeRow) -> None:
    config = EnvConfig(proxy=PROXY, env_vars={"A": "value-4711", "ü": "\udcff"})
    write(store, lambda tx: configs.put(tx, node.id, config, vault=VAULT))
    with store.read() as tx:
        stored = tx.kept(EnvConfigRow).get(node.id)
        assert stored is not None
        assert b"4711" not in msgspec.json.encode(stored)
        assert configs.own_config(tx, node.id, vault=VAULT) == config
        with pytest.raises(RefusedError, match="another key"):
            configs.own_config(tx, node.id, vault=Vault("other" * 10))


def test_what_is_sealed_for_one_node_opens_for_no_other(store: Store, node: NodeRow) -> None:
    config = EnvConfig(proxy=PROXY)
    write(store, lambda tx: configs.put(tx, node.id, config, vault=VAULT))
    with store.read() as tx:
        stored = tx.kept(EnvConfigRow).get(node.id)
    assert stored is not None
    moved = msgspec.structs.replace(stored, id="n2")
    write(store, lambda tx: tx.kept(EnvConfigRow).save(moved))
    with store.read() as tx, pytest.raises(RefusedError, match="another key"):
        configs.own_config(tx, "n2", vault=VAULT)


def test_a_test_is_asked_for_answered_once_and_forgotten(store: Store, node: NodeRow) -> None:
    url = "https://example.org/"
    row = write(store, lambda tx: asking.ask(tx, node, PROXY, url, vault=VAULT))
    with store.read() as tx:
        (order,) = asking.orders(tx, node.id, vault=VAULT, open_=True)
        assert (order.proxy, order.target_url) == (PROXY, url)
        assert asking.answered(tx, row.id) is None
        known = tx.nodes.get(node.id)
        assert known is not None
        assert known.proxy_tests == [row.id]
    told = ProxyTestAnswer(success=True, latency_ms=3, status_code=200, message="ok")
    write(store, lambda tx: asking.answer(tx, node.id, row.id, told))
    later = ProxyTestAnswer(success=False, message="again")
    write(store, lambda tx: asking.answer(tx, node.id, row.id, later))
    with store.read() as tx:
        assert asking.answered(tx, row.id) == told
        assert asking.orders(tx, node.id, vault=VAULT, open_=True) == []
        known = tx.nodes.get(node.id)
        assert known is not None
        assert known.proxy_tests == []
    write(store, lambda tx: asking.forget(tx, [row.id]))
    with store.read() as tx:
        assert tx.kept(ProxyTestRow).get(row.id) is None


def test_a_node_has_so_many_tests_to_make_and_no_more(store: Store, node: NodeRow) -> None:
    url = "https://example.org/"
    for _ in range(asking.MOST_TESTS):
        write(store, lambda tx: asking.ask(tx, node, PROXY, url, vault=VAULT))
    with pytest.raises(RefusedError) as caught:
        write(store, lambda tx: asking.ask(tx, node, PROXY, url, vault=VAULT))
    assert caught.value.code == "rate_limited"
