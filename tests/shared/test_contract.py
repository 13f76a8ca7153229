"""The records are the contract's tables, field by field; skipped where it is not at hand."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwatch_shared import instances, ledger, logins, models, proxies, wire
from runwatch_shared.errors import STATUS_OF_CODE
from runwatch_shared.models import Agent, AgentOffer, Record
from runwatch_shared.settings import Limits
from runwatch_shared.states import (
    ACCOUNT_STATUSES,
    ACTION_STATUSES,
    ACTION_TRANSITIONS,
    EVENT_TYPES,
    FINAL_ACTION_STATUSES,
    INSTANCE_STATUSES,
    INSTANCE_TRANSITIONS,
    OPERATION_STATUS_OF_ACTION,
    OPERATION_STATUSES,
    OPERATION_TYPES,
    PHASES,
    PROGRESS_OF_ACTION,
    PROGRESS_OF_RUN,
    RUN_STATUSES,
    RUN_TRANSITIONS,
    STATE_OF_ACTION,
    STATE_OF_RUN,
)

ROOT = Path(__file__).parents[2]
CONTRACT = Path(os.environ.get("RUNWATCH_CONTRACT", ROOT.parent / "shared" / "contract.md"))

BEYOND: dict[type[Record], set[str]] = {
    models.Node: {"allocated", "max_concurrent_override"},
    ledger.LedgerRow: {"reason"},
    wire.ErrorFrame: {"details"},
    logins.Action: {"input", "env_config"},
    models.Account: {"rate_limits"},
}
"""``allocated``: from servers of before the ledger; the other stands in a note. ``reason``: why a
row is in its class. ``input``, ``env_config``: only in its node's list (section 13).
``rate_limits``: what ``system_info`` tells is on the account (section 9.3).
``details``: an unknown value names those that are known, as over HTTP (contract 1.1).
"""


@pytest.fixture(scope="module")
def contract() -> str:
    if not CONTRACT.exists():
        pytest.skip("the contract is not beside this checkout")
    return CONTRACT.read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    start = text.index(f"\n### {heading}") if f"\n### {heading}" in text else text.index(heading)
    rest = text[start + 5 :]
    end = re.search(r"\n##+ ", rest)
    return rest[: end.start()] if end else rest


def rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|- :"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def names_of(cell: str) -> dict[str, bool]:
    """Names of one table cell, each with whether it may be left out."""
    names: dict[str, bool] = {}
    cell = re.sub(r"\{[^{}]*\}", "", cell.replace("\\|", "|"))
    for part in cell.split(","):
        match = re.match(r"\s*◆?([a-z_0-9]+)(\??)", part)
        if match:
            names[match[1]] = match[2] == "?"
    return names


def table_fields(text: str) -> dict[str, bool]:
    """Names in the first column of a table; ``a|null`` splits into two cells, which is harmless."""
    fields: dict[str, bool] = {}
    for cells in rows(text):
        if cells[0] not in {"field", "null"}:
            fields.update(names_of(cells[0]))
    return fields


def braces(text: str, after: str) -> dict[str, bool]:
    """Top-level names of the first ``{…}`` that follows a text."""
    start = text.index("{", text.index(after) + len(after))
    depth, end = 0, start
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            break
    inner = text[start + 1 : end]
    while re.search(r"[\[{][^\[\]{}]*[\]}]", inner):
        inner = re.sub(r"[\[{][^\[\]{}]*[\]}]", "", inner)
    return names_of(inner.replace("`", ""))


def fields_of(record: type[Record]) -> dict[str, bool]:
    return {
        field.encode_name: field.default is None or field.default_factory is not msgspec.NODEFAULT
        for field in msgspec.structs.fields(record)
    }


def same_fields(record: type[Record], told: dict[str, bool]) -> None:
    built = fields_of(record)
    assert set(built) - BEYOND.get(record, set()) == set(told)


@pytest.mark.parametrize(
    ("heading", "record"),
    [
        ("5.3 Run", models.Run),
        ("5.5 Node", models.Node),
        ("5.6 Workflow summary", models.WorkflowSummary),
    ],
)
def test_a_record_has_the_fields_of_its_table(
    contract: str, heading: str, record: type[Record]
) -> None:
    told = table_fields(section(contract, heading))

    same_fields(record, told)
    built = fields_of(record)
    wrongly_required = [
        name for name, optional in told.items() if optional and not built.get(name, 1)
    ]
    assert wrongly_required == []


@pytest.mark.parametrize(
    ("after", "record"),
    [
        ("### 5.1 Usage", models.Usage),
        ("### 5.2 Task\n", models.Task),
        ("### 5.4 Event\n", models.Event),
        ("Step: ", models.Step),
        ("`tools:[", models.ToolTotal),
        ("`lanes:[", models.Lane),
        ("User: ", models.User),
        ("| lease? | ", models.Lease),
        ("| cancel? | ", models.Cancel),
        ("| snapshot | ", models.Snapshot),
        ("| ledger [ops] | ", models.NodeLedger),
        ("…numbers,rows:[", ledger.LedgerRow),
        ("| GET /api/v1/node-bootstrap [core] | P | 200 `", wire.Bootstrap),
        ("| GET /api/v1/server [core] | V, N | ", wire.ServerInfo),
        ("| /api/v1/monitor/workflows | ", wire.WorkflowList),
        ("| hello | ", wire.HelloFrame),
        ("| heartbeat | ", wire.HeartbeatFrame),
        ("| resync | ", wire.ResyncFrame),
        ("| error | ", wire.ErrorFrame),
        ("POST /runs/{id}/claim ", wire.ClaimRequest),
        ("\nOperation ", logins.Operation),
        (". Action ", logins.Action),
        ("(list key `agents` or `instances`). Instance ", instances.Instance),
        ("- **Proxies**: ", proxies.Proxy),
        ("GET, PUT /api/v1/nodes/{id}/env-config ", proxies.EnvConfig),
        ("env-config `{proxy?:", proxies.NodeProxy),
        ("POST /{id}/test `{target_url?}` → 200 ", proxies.ProxyTestAnswer),
        ("\nAccount ", models.Account),
        ("\nAgentType ", logins.AgentType),
        ("| POST /api/v1/operations | O | ", logins.OperationRequest),
        ("| POST /api/v1/operations | O | `{type*,config*:", logins.LoginConfig),
        ("volume_name?,…},error?}` | 200 ", logins.ActionAnswer),
        ("Answer after the commit: 201 (200 if nothing was new) ", wire.EventsAnswer),
    ],
)
def test_a_record_has_the_fields_of_its_braces(
    contract: str, after: str, record: type[Record]
) -> None:
    told = braces(contract.replace('"', ""), after)

    same_fields(record, told)


def test_a_detail_adds_to_its_summary_what_the_contract_says(contract: str) -> None:
    line = next(line for line in contract.splitlines() if line.startswith("Detail = summary"))
    paragraph = contract[contract.index(line) :].split("\n\n")[0]
    while re.search(r"[\[{][^\[\]{}]*[\]}]", paragraph):
        paragraph = re.sub(r"[\[{][^\[\]{}]*[\]}]", "", paragraph)
    told = set(re.findall(r"`([a-z_]+)[:`?]", paragraph)) - {"lead"}

    added = set(fields_of(models.WorkflowDetail)) - set(fields_of(models.WorkflowSummary))
    assert added == told


def test_the_statistics_have_the_contracts_keys(contract: str) -> None:
    text = section(contract, "6.4 Stats")
    told = braces(text.replace('"', "").replace("…", "x").replace("\n", ""), "```")

    same_fields(models.Stats, told)


def test_every_machine_code_has_its_status(contract: str) -> None:
    told: dict[str, int] = {}
    for cells in rows(section(contract, "1.2 Errors")):
        statuses = re.findall(r"\d{3}", cells[0])
        codes = [re.findall(r"`([a-z_]+)`", part) for part in cells[1].split("/")]
        flat = re.findall(r"`([a-z_]+)`", cells[1])
        if len(statuses) == 1:
            told.update(dict.fromkeys(flat, int(statuses[0])))
        elif len(statuses) == len(flat):
            told.update({code: int(status) for code, status in zip(flat, statuses, strict=True)})
        elif len(statuses) == len(codes):
            for status, part in zip(statuses, codes, strict=True):
                told.update(dict.fromkeys(part, int(status)))

    assert told == STATUS_OF_CODE


def test_the_event_types_are_the_contracts(contract: str) -> None:
    text = contract[contract.index("### 9.3 Types") : contract.index("A result without `id`")]
    told: list[str] = []
    for cells in rows(text):
        if cells[0] != "type":
            told += [name.strip() for name in cells[0].split(" / ")]

    assert told == list(EVENT_TYPES)


def test_the_lifecycle_is_the_contracts(contract: str) -> None:
    text = contract[contract.index("### 8.2 Life of a run") : contract.index("Terminal statuses")]
    told: set[tuple[str, str]] = set()
    for cells in rows(text):
        befores = [part.strip().split(" ")[0] for part in re.split(r"[,/]", cells[0])]
        afters = [part for part in re.split(r"[,/ ]+", cells[1]) if part in RUN_STATUSES]
        if cells[0] == "– / queued":
            told.add(("queued", "assigned"))
            continue
        told |= {(b, a) for b in befores for a in afters if b in RUN_STATUSES}

    built = {(before, after) for before, afters in RUN_TRANSITIONS.items() for after in afters}
    assert built == told


def test_the_life_of_a_login_is_the_contracts(contract: str) -> None:
    text = contract[contract.index("## 13. ") : contract.index("| POST /api/v1/operations |")]

    def told(after: str) -> list[str]:
        return re.split(r"[;.]", text[text.index(after) + len(after) :])[0].replace("`", "").split()

    assert told("finished_at?,actions?,revision}`; type ") == list(OPERATION_TYPES)
    assert told("`api_key`; status ") == list(OPERATION_STATUSES)
    assert told("operation?,revision}`; status ") == list(ACTION_STATUSES)
    assert told("Phases: ") == list(PHASES)
    assert told("updated_at,revision}`; status ") == list(ACCOUNT_STATUSES)
    assert set(ACTION_STATUSES[-4:]) == FINAL_ACTION_STATUSES
    tables = (ACTION_TRANSITIONS, STATE_OF_ACTION, PROGRESS_OF_ACTION, OPERATION_STATUS_OF_ACTION)
    assert all(set(table) == set(ACTION_STATUSES) for table in tables)
    for before, afters in ACTION_TRANSITIONS.items():
        assert "assigned" not in afters
        assert bool(afters) == (before not in FINAL_ACTION_STATUSES)
        assert not afters or afters >= FINAL_ACTION_STATUSES


def test_the_life_of_an_instance_is_the_contracts(contract: str) -> None:
    text = contract[contract.index("- **Instances**") : contract.index("- **Proxies**")]
    statuses = re.search(r"revision\}`; status ([a-z ]+)\.", text)
    way = re.search(r"pending → [a-z →]+", text)
    assert statuses is not None
    assert way is not None
    assert statuses[1].split() == list(INSTANCE_STATUSES)
    told: dict[str, set[str]] = {status: set() for status in INSTANCE_STATUSES}
    steps = way[0].split(" → ")
    for before, after in pairwise(steps):
        told[before].add(after)
    for before in set(told) - {"error"}:
        told[before].add("error")
    # A failed one can be started again; where to it may go the contract leaves open.
    told["error"] = {"pending"}
    assert {before: set(after) for before, after in INSTANCE_TRANSITIONS.items()} == told


def test_states_and_progress_are_the_contracts() -> None:
    assert set(STATE_OF_RUN) == set(PROGRESS_OF_RUN) == set(RUN_STATUSES)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("body_bytes", 1 << 20),
        ("batch_events", 1000),
        ("event_bytes", 256 << 10),
        ("page_rows", 1000),
        ("offset_rows", 10_000),
        ("ingest_queue_events", 8192),
        ("sockets", 1000),
        ("client_frame_bytes", 64 << 10),
    ],
)
def test_the_default_limits_are_the_contracts(name: str, told: Any) -> None:
    assert getattr(Limits(), name) == told


def test_fields_the_contract_always_has_are_sent_with_their_defaults_too() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Agent(type="command"))) == {
        "type": "command",
        "parameters": {},
    }
    assert msgspec.json.decode(msgspec.json.encode(AgentOffer(type="command"))) == {
        "type": "command",
        "ready": True,
        "accounts": [],
    }
