"""Tests of proxies that a node is to make: asked for by its row, answered into the test's.

The node learns of it by a directive, which any server of the store can give it; what is to be tried
is not in the directive, as it has a password. Domain, over a transaction.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from runwatch_server.ids import new_id
from runwatch_server.proxies.configs import ConfigReads, opened_proxy, proxy_row
from runwatch_server.proxies.rows import ProxyTestRow
from runwatch_server.rows import NodeRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.vault import Vault
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.proxies import HIDDEN, EnvConfig, NodeProxy, ProxyTestAnswer, ProxyTestOrder
from runwatch_shared.text import clean

WAIT_S: Final = 20.0
"""How long somebody waits: a heartbeat interval and a test, with room."""
MOST_TESTS: Final = 20
MESSAGE_CHARS: Final = 200
LONGEST_MS: Final = 3_600_000
SECOND_US: Final = 1_000_000


def ask(
    tx: WriteTx, node: NodeRow, proxy: NodeProxy, target_url: str, *, vault: Vault
) -> ProxyTestRow:
    """A test for a node; those nobody waits for any more go.

    Raises:
        RefusedError: 400 for a proxy that can be none, 429 while the node has too many to make.
    """
    tests = tx.kept(ProxyTestRow)
    forget(tx, [row.id for row in tests.due(tx.now_us, limit=MOST_TESTS)])
    if len(tests.find(node_id=node.id, limit=MOST_TESTS)) >= MOST_TESTS:
        raise RefusedError("rate_limited", "this node has tests to make", retry_after_s=5)
    test_id = new_id("proxy")
    row = ProxyTestRow(
        id=test_id,
        created_us=tx.now_us,
        updated_us=tx.now_us,
        node_id=node.id,
        proxy=proxy_row(proxy, EnvConfig(), test_id, vault),
        target_url=target_url,
        until_us=tx.now_us + round(WAIT_S * SECOND_US),
    )
    saved = tests.save(row)
    known = tx.nodes.get(node.id) or node
    tx.nodes.save(
        msgspec.structs.replace(known, proxy_tests=[*known.proxy_tests, test_id][-MOST_TESTS:])
    )
    return saved


def orders(tx: ConfigReads, node_id: str, *, vault: Vault, open_: bool) -> list[ProxyTestOrder]:
    """The tests a node has to make.

    Args:
        open_: With their passwords: for the node alone.
    """
    asked = tx.kept(ProxyTestRow).find(node_id=node_id, status=("asked",), limit=MOST_TESTS)
    made = []
    for row in asked:
        proxy = opened_proxy(row.proxy, row.id, vault)
        if not open_ and proxy.password is not None:
            proxy = msgspec.structs.replace(proxy, password=HIDDEN)
        made.append(ProxyTestOrder(id=row.id, proxy=proxy, target_url=row.target_url))
    return made


def answer(tx: WriteTx, node_id: str, test_id: str, told: ProxyTestAnswer) -> ProxyTestRow:
    """What a node found; the first answer counts.

    Raises:
        RefusedError: 404 for a test nobody waits for.
    """
    row = tx.kept(ProxyTestRow).get(test_id)
    if row is None or row.node_id != node_id:
        raise not_found("proxy test")
    if row.status == "answered":
        return row
    _release(tx, node_id, test_id)
    latency_ms = None if told.latency_ms is None else max(0, min(told.latency_ms, LONGEST_MS))
    status_code = told.status_code
    if status_code is not None and not 100 <= status_code <= 999:
        status_code = None
    return tx.kept(ProxyTestRow).save(
        msgspec.structs.replace(
            row,
            status="answered",
            updated_us=tx.now_us,
            success=told.success,
            latency_ms=latency_ms,
            status_code=status_code,
            message=clean(told.message, limit=MESSAGE_CHARS, fold=True, marks=False),
        )
    )


def answered(tx: ConfigReads, test_id: str) -> ProxyTestAnswer | None:
    """The answer, once it is there."""
    row = tx.kept(ProxyTestRow).get(test_id)
    if row is None or row.status == "asked":
        return None
    return ProxyTestAnswer(
        success=row.success,
        latency_ms=row.latency_ms,
        status_code=row.status_code,
        message=row.message,
    )


def forget(tx: WriteTx, test_ids: Collection[str]) -> None:
    """Remove tests, answered or not."""
    tests = tx.kept(ProxyTestRow)
    for test_id in test_ids:
        row = tests.get(test_id)
        if row is not None:
            _release(tx, row.node_id, test_id)
            tests.delete(test_id)


def _release(tx: WriteTx, node_id: str, test_id: str) -> None:
    node = tx.nodes.get(node_id)
    if node is not None and test_id in node.proxy_tests:
        left = [each for each in node.proxy_tests if each != test_id]
        tx.nodes.save(msgspec.structs.replace(node, proxy_tests=left))
