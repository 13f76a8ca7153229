"""Why a run waits, text by text as the table of contract 12 has them."""

from typing import Any

import pytest

from runwatch_server.fitting import Reason, explain, need_of, queue_detail, survey
from runwatch_server.rows import NodeRow
from runwatch_shared.models import AgentOffer, Constraints, Login, NodeId
from tests.server.domain.making import NOW_US, run_row
from tests.server.fleet.harbour import Harbour


def node(node_id: str, **changes: Any) -> NodeRow:
    return NodeRow(
        id=NodeId(node_id),
        last_heartbeat_us=NOW_US,
        created_us=NOW_US,
        updated_us=NOW_US,
        **{"max_concurrent": 4, **changes},
    )


def full(node_id: str, slots: int = 4, **changes: Any) -> NodeRow:
    return node(node_id, max_concurrent=slots, allocated=slots, **changes)


def offline(node_id: str, **changes: Any) -> NodeRow:
    return node(node_id, status="offline", **changes)


def offers(*types: str) -> list[AgentOffer]:
    return [AgentOffer(type=kind) for kind in types]


LOGGED_OUT = [Login(agent_type="openai-codex", account_id="acc", state="expired")]
NOT_READY = [AgentOffer(type="openai-codex", ready=False)]
CODEX: dict[str, Any] = {"agent_type": "openai-codex"}
GPU: dict[str, Any] = {"constraints": Constraints(node_labels={"gpu": "yes"})}


def pinned(node_id: str) -> dict[str, Any]:
    return {"constraints": Constraints(node_id=node_id)}


CASES: dict[str, tuple[dict[str, Any], list[NodeRow], str, str]] = {
    "no node": ({}, [], "no_nodes", "no node known"),
    "all offline": (
        {},
        [offline("n1"), offline("n2"), offline("n3")],
        "none_online",
        "no node online (3 known)",
    ),
    "full": ({}, [full("n1"), full("n2", 2)], "full", "n1, n2 full (4/4, 2/2)"),
    "over full": (
        {},
        [node("n1", max_concurrent_override=1, allocated=3)],
        "full",
        "n1 full (3/1)",
    ),
    "no agent": (
        CODEX,
        [node("n1", agents=offers("claude-code")), offline("n2")],
        "agent_missing",
        "no online node offers openai-codex",
    ),
    "agent under its alias": (
        CODEX,
        [full("n1", agents=offers("codex"))],
        "full",
        "n1 full (4/4)",
    ),
    "no login": (
        CODEX,
        [node("n3", agents=NOT_READY, logins=LOGGED_OUT)],
        "login_missing",
        "n3 lacks login for openai-codex",
    ),
    "no login on two": (
        CODEX,
        [node(name, agents=NOT_READY, logins=LOGGED_OUT) for name in ("n1", "n2")],
        "login_missing",
        "n1, n2 lack login for openai-codex",
    ),
    "account elsewhere": (
        {**CODEX, "account_id": "acc"},
        [node("n3", agents=offers("openai-codex"))],
        "login_missing",
        "n3 lacks login for openai-codex",
    ),
    "account expired": (
        {**CODEX, "account_id": "acc"},
        [node("n3", logins=LOGGED_OUT)],
        "login_missing",
        "n3 lacks login for openai-codex",
    ),
    "not ready": (
        CODEX,
        [node("n1", agents=NOT_READY), full("n2", 2), full("n3", 2)],
        "full",
        "n2, n3 full (2/2, 2/2); n1 has openai-codex not ready",
    ),
    "labels": (
        GPU,
        [node("n1"), node("n2", reported_labels={"gpu": "no"})],
        "labels",
        "no online node has gpu=yes",
    ),
    "labels on some": (
        GPU,
        [full("n1", reported_labels={"gpu": "yes"}), node("n2")],
        "full",
        "n1 full (4/4); n2 without gpu=yes",
    ),
    "pinned, offline": (
        pinned("n3"),
        [node("n1"), offline("n3")],
        "pinned",
        "pinned to n3: offline",
    ),
    "pinned, full": (
        pinned("n3"),
        [node("n1"), full("n3", 2)],
        "pinned",
        "pinned to n3: full (2/2)",
    ),
    "pinned, draining": (
        pinned("n3"),
        [node("n3", status="draining", admin_status="draining")],
        "pinned",
        "pinned to n3: draining",
    ),
    "pinned, unknown": (pinned("n9"), [node("n3")], "pinned", "pinned to n9: unknown"),
    "pinned, lacks login": (
        {**pinned("n3"), "agent_type": "openai-codex"},
        [node("n3", agents=NOT_READY, logins=LOGGED_OUT)],
        "pinned",
        "pinned to n3: lacks login for openai-codex",
    ),
    "instance": (
        {"agent_instance_id": "agent-0123456789ab"},
        [node("n1")],
        "instance",
        "instance agent-0123456789ab: not known",
    ),
    "draining": (
        {},
        [node("n4", status="draining", admin_status="draining")],
        "draining",
        "n4 draining",
    ),
    "maintenance": (
        {},
        [node("n4", status="maintenance", admin_status="maintenance")],
        "draining",
        "n4 in maintenance",
    ),
    "unhealthy": ({}, [node("n4", status="unhealthy")], "draining", "n4 unhealthy"),
    "several, most frequent first": (
        CODEX,
        [
            full("n1"),
            full("n2", 2),
            node("n3", agents=NOT_READY, logins=LOGGED_OUT),
        ],
        "full",
        "n1, n2 full (4/4, 2/2); n3 lacks login for openai-codex",
    ),
    "many": (
        {},
        [full(f"n{n}", 1) for n in range(1, 8)],
        "full",
        "n1, n2, n3 full (1/1, 1/1, 1/1); +4 more",
    ),
    "room": ({}, [node("n1")], "placing", "waiting for the scheduler"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_says_why_it_waits(case: str) -> None:
    run, nodes, code, text = CASES[case]
    need = need_of(run_row(status="queued", **run))
    found = explain(need, survey(need, nodes), {one.id: one for one in nodes})
    assert found == Reason(code, text)  # type: ignore[arg-type]  # a code of the table


def test_a_reason_is_at_most_two_hundred_characters() -> None:
    names = [f"node-{n}-{'x' * 100}" for n in range(5)]
    nodes = [full(name) for name in names]
    need = need_of(run_row(status="queued"))
    assert len(explain(need, survey(need, nodes), {one.id: one for one in nodes}).text) <= 200


def test_the_queue_detail_has_a_row_a_node_at_most_fifty() -> None:
    nodes = [full("n1"), node("n2"), offline("n3"), *(full(f"x{n:02}") for n in range(60))]
    rows = queue_detail(run_row(status="queued"), nodes)
    assert len(rows) == 50
    assert [(row.node_id, row.code, row.text) for row in rows[:3]] == [
        ("n1", "full", "full (4/4)"),
        ("n2", "placing", "has room, waiting for the scheduler"),
        ("n3", "none_online", "offline"),
    ]


def test_general_runs_anywhere_and_a_node_that_names_no_agents_takes_any() -> None:
    for run, one in (
        ({"agent_type": "general"}, full("n1", agents=offers("claude-code"))),
        ({"agent_type": "some-new-agent"}, full("n1")),
    ):
        need = need_of(run_row(status="queued", **run))
        assert explain(need, survey(need, [one]), {"n1": one}).code == "full"


def test_general_waits_where_the_node_says_that_its_default_agent_is_not_ready() -> None:
    need = need_of(run_row(status="queued", agent_type="general"))
    one = node("n1", agents=[*offers("command"), AgentOffer(type="general", ready=False)])
    assert explain(need, survey(need, [one]), {"n1": one}).code == "agent_missing"


def test_a_reason_is_written_only_when_it_is_another(harbour: Harbour) -> None:
    run = harbour.queued_run()
    harbour.place()
    first = harbour.run(run.id)
    assert (first.queue_reason_code, first.queue_reason) == ("no_nodes", "no node known")
    commits = len(harbour.commits)
    harbour.place()
    assert harbour.run(run.id) == first
    assert all(not commit.runs for commit in harbour.commits[commits:])
    harbour.beat(slots=0)
    harbour.place()
    assert harbour.run(run.id).queue_reason == "n1 full (0/0)"


def test_a_placed_run_says_nothing_any_more(harbour: Harbour) -> None:
    run = harbour.queued_run()
    harbour.place()
    harbour.beat()
    harbour.place()
    row = harbour.run(run.id)
    assert (row.status, row.queue_reason, row.queue_reason_code) == ("assigned", None, None)
