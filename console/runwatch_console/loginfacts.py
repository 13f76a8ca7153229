"""One login as labelled facts, for its dialog and for the text beside its QR code; pure."""

from typing import get_args

from runwatch_console.accountrows import AccountRow
from runwatch_console.authcolumns import AUTH_COLUMNS, now_cell
from runwatch_console.authrows import AuthRow
from runwatch_console.columns import short_agent
from runwatch_console.facts import Fact
from runwatch_console.fleet import Fleet
from runwatch_console.formats import UNKNOWN, format_clock, zone_of
from runwatch_console.lens import Lens
from runwatch_console.qr import QrError, host_of
from runwatch_console.rows import RunRow
from runwatch_shared.logins import OperationType

_STATE = next(column for column in AUTH_COLUMNS if column.title == "col.state")


def login_facts(row: AuthRow, fleet: Fleet, lens: Lens) -> list[Fact]:
    """What is known of a login: what it asks for, where it leads, what waits for it, its run."""
    words = lens.words
    state, tone = _STATE.cell(row, lens)
    node = row.node or UNKNOWN
    facts = [
        Fact("fact.state", state, tone),
        Fact("fact.where", f"{short_agent(row.agent)} @ {node}"),
    ]
    if row.account:
        facts.append(Fact("fact.account", row.account))
    if row.run_id:
        now, tone = now_cell(row, lens)
        facts.append(Fact("fact.phase", now, tone))
        if row.message and row.message != now and row.under_way:
            facts.append(Fact("", row.message, "muted"))
        if row.method:
            facts.append(Fact("fact.method", _method(row.method, lens)))
    if row.asks:
        facts.append(Fact("fact.asks", row.asks, "waiting"))
    if row.code:
        facts.append(Fact("fact.code", row.code, "waiting"))
    if row.url:
        facts += [Fact("fact.url", row.url), *_leads_to(row.url, lens)]
    if row.expires_s is not None:
        facts.append(Fact("fact.expires", expiry_text(row.expires_s, lens), "waiting"))
    blocks = words("fact.blocks_n", n=row.blocks) if row.blocks else words("auth.blocks_none")
    facts.append(Fact("fact.blocks", blocks, "waiting" if row.blocks else "muted"))
    if row.run_id:
        run = fleet.runs.get(row.run_id)
        return facts if run is None else facts + _run_facts(run, lens)
    account = fleet.accounts.get(row.account_id)
    return facts if account is None else facts + _account_facts(account, lens)


def _method(method: str, lens: Lens) -> str:
    return lens.words(f"method.{method}") if method in get_args(OperationType) else method


def _account_facts(account: AccountRow, lens: Lens) -> list[Fact]:
    """What is kept of an account: its nodes, when it was used and refused, whether it is stored."""
    refused = account.last_401_s
    return [
        Fact("fact.held_by", ", ".join(account.nodes) or lens.words("account.nowhere")),
        Fact("fact.used", lens.since(account.used_s)),
        Fact("fact.refused", lens.since(refused), "failed" if refused is not None else ""),
        Fact("fact.made", lens.since(account.created_s)),
        Fact(
            "fact.stored", lens.words("account.stored" if account.stored else "account.not_stored")
        ),
        Fact("fact.id", account.id, "id"),
    ]


def expiry_text(expires_s: float, lens: Lens) -> str:
    """How long it holds, and until when: `in 9m, at 10:41:00`."""
    at = format_clock(expires_s, zone_of(lens.time_format))
    if expires_s <= lens.now_s:
        return lens.words("login.expired_at", at=at)
    return lens.words("login.expires_at", t=lens.until(expires_s), at=at)


def _leads_to(url: str, lens: Lens) -> list[Fact]:
    try:
        return [Fact("fact.host", host_of(url), "title")]
    except QrError as error:
        return [Fact("fact.host", lens.words(f"qr.{error.refusal}"), "failed")]


def _run_facts(run: RunRow, lens: Lens) -> list[Fact]:
    facts = [Fact("fact.run", run.id), Fact("fact.activity", run.activity or UNKNOWN)]
    if run.wait is not None:
        facts.insert(1, Fact("explain.since", lens.since(run.wait.since_s)))
    return facts
