"""What nodes have, on the Nodes screen: the ledger, instances, proxies and the environment."""

from typing import Any

import pytest

from runwatch_console.lens import Lens
from runwatch_console.locale.words import Words
from runwatch_console.machinefacts import environment_facts, outcome_text
from runwatch_console.machinerows import (
    INSTANCE_COLUMNS,
    LEDGER_COLUMNS,
    PROXY_COLUMNS,
    instance_row,
    ledger_line,
    proxy_row,
)
from runwatch_console.ports import ApiError
from runwatch_shared.instances import InstanceRequest
from runwatch_shared.ledger import LedgerRow
from runwatch_shared.proxies import EnvConfig, NodeProxy, ProxyInput, ProxyTestAnswer
from runwatch_shared.wire import MessageAnswer
from tests.console.driving import Driven, console, is_harmless
from tests.console.hostile import MARKUP, SEQUENCES
from tests.console.machines import (
    INSTANCE,
    NODES,
    PROXY,
    environment,
    instance,
    ledger,
    machine_answers,
    proxy,
)
from tests.console.records import NOW_S, accounts, at, fleet_accounts

LENS = Lens(words=Words("en"), now_s=NOW_S)
INSTANCES = "/api/v1/instances"
PROXIES = "/api/v1/proxies"
DONE = MessageAnswer(message="done")


async def nodes(driven: Driven, *keys: str) -> None:
    driven.script.api.answers |= machine_answers()
    driven.script.api.ledgers |= {name: ledger(name) for name in NODES}
    driven.script.feed.say(accounts(*fleet_accounts()))
    await driven.until(lambda: len(driven.app.state.fleet.accounts) == 4)
    await driven.press("4", *keys)


def answers(driven: Driven, method: str, path: str, answer: Any = DONE) -> None:
    driven.script.api.answers[method, path] = answer


@pytest.mark.requirement("screen.nodes.ledger")
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_ledger_says_row_by_row_why(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await nodes(driven, "l")
        await driven.until_text("Ledger of n6", "phantom 1", "pid 4711")
        wrong, good = driven.line_with("pid 4711"), driven.line_with("run-8f21a0c")
        assert "orphan" in wrong
        assert driven.lines.index(wrong) < driven.lines.index(good)
        await driven.press("j", "j", "enter")
        await driven.until(lambda: driven.app.state.run_id == "run-8f21a0c4d2e1")


@pytest.mark.requirement("screen.nodes.instances")
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_instances_are_started_stopped_and_deleted(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        answers(driven, "POST", f"{INSTANCES}/agent-0000000000a2/start")
        answers(driven, "POST", f"{INSTANCES}/{INSTANCE}/stop")
        answers(driven, "DELETE", f"{INSTANCES}/{INSTANCE}")
        await nodes(driven, "i")
        await driven.until_text("Instances on n6", "broken", "no such image")
        assert driven.script.api.asked(f"GET {INSTANCES}")[0] == {"node_id": "n6"}
        await driven.press("s")
        await driven.until_text("asked to start")
        await driven.press("j", "s")
        await driven.until_text("it cannot be started: it is running")
        await driven.press("ctrl+k")
        await driven.until_text("Stop sandbox?")
        await driven.press("n")
        await driven.until_no_text("Stop sandbox?")
        assert driven.script.api.asked(f"POST {INSTANCES}/{INSTANCE}/stop") == []
        await driven.press("ctrl+k", "y")
        await driven.until_text("asked to stop")
        await driven.press("ctrl+x", "y")
        await driven.until(lambda: bool(driven.script.api.asked(f"DELETE {INSTANCES}/{INSTANCE}")))


@pytest.mark.requirement("screen.nodes.instances")
async def test_an_instance_is_made_of_an_account_and_a_refusal_stands_in_the_form() -> None:
    async with console() as driven:
        await nodes(driven, "j", "j", "i")
        await driven.until_text("Instances on n1")
        error = ApiError("in_use", "the account is not on this node", field="node_id", status=409)
        driven.script.api.refuse(f"POST {INSTANCES}", error)
        await driven.press("a")
        await driven.until_text("New instance", "ops@example.com")
        await driven.press("ctrl+s")
        await driven.until_text("the account is not on this node")
        driven.script.api.refusals.clear()
        answers(driven, "POST", INSTANCES, instance())
        await driven.press("ctrl+s")
        await driven.until_text("the instance is made")
        made = driven.script.api.asked(f"POST {INSTANCES}")[-1]
        assert isinstance(made, InstanceRequest)
        assert made.node_id == "n1"


@pytest.mark.requirement("screen.nodes.proxies", "screen.auth.secret")
async def test_proxies_are_added_with_a_password_that_is_not_seen() -> None:
    async with console() as driven:
        answers(driven, "POST", PROXIES, proxy())
        await nodes(driven, "p")
        await driven.until_text("http://proxy.example:3128", "socks5://proxy.example:1080")
        await driven.press("a")
        await driven.until_text("New proxy")
        for field, text in (("name", "new"), ("host", "p.example"), ("port", "70000")):
            driven.app.screen.query_one(f"#field-{field}").value = text  # type: ignore[attr-defined]
        driven.app.screen.query_one("#field-password").focus()
        await driven.press(*"geheim", "ctrl+s")
        await driven.until_text("a number from 1 to 65535")
        assert "geheim" not in driven.text
        driven.app.screen.query_one("#field-port").value = "8080"  # type: ignore[attr-defined]
        await driven.press("ctrl+s")
        await driven.until_text("kept")
        (made,) = driven.script.api.asked(f"POST {PROXIES}")
        assert isinstance(made, ProxyInput)
        assert (made.host, made.port, made.password) == ("p.example", 8080, "geheim")


@pytest.mark.requirement("screen.nodes.proxies")
async def test_proxies_are_changed_made_the_default_tested_and_deleted() -> None:
    lab = "proxy-0000000000b2"
    async with console() as driven:
        answers(driven, "PUT", f"{PROXIES}/{lab}", proxy(lab))
        answers(driven, "DELETE", f"{PROXIES}/{lab}")
        failed = ProxyTestAnswer(success=False, message="connection refused")
        answers(driven, "POST", "/api/v1/nodes/n6/env-config/test-proxy", failed)
        await nodes(driven, "p")
        await driven.until_text("office", "lab")
        await driven.press("t")
        await driven.until_text("office: works · 204 · 31 ms")
        await driven.press("T")
        await driven.until_text("n6: does not work: connection refused")
        await driven.press("j", "s")
        await driven.until(lambda: bool(driven.script.api.asked(f"PUT {PROXIES}/{lab}")))
        assert driven.script.api.asked(f"PUT {PROXIES}/{lab}") == [ProxyInput(is_default=True)]
        await driven.press("enter")
        await driven.until_text("Proxy lab", "empty: as it is")
        await driven.press("ctrl+s")
        await driven.until(lambda: len(driven.script.api.asked(f"PUT {PROXIES}/{lab}")) == 2)
        changed = driven.script.api.asked(f"PUT {PROXIES}/{lab}")[1]
        assert not isinstance(changed.password, str), "an empty password stays as it is"
        await driven.until_no_text("Proxy lab")
        await driven.press("ctrl+x")
        await driven.until_text("Delete the proxy lab?")
        await driven.press("y")
        await driven.until(lambda: bool(driven.script.api.asked(f"DELETE {PROXIES}/{lab}")))


@pytest.mark.requirement("screen.nodes.environment", "screen.auth.secret")
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_environment_is_shown_without_what_is_secret(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await nodes(driven, "v")
        await driven.until_text("Environment of n6", "CI=1", "NPM_TOKEN=***", "8g")
        assert "geheim" not in driven.text
        assert "npm_4711" not in driven.text


@pytest.mark.requirement("rule.two_languages")
@pytest.mark.parametrize(("key", "told"), [
    ("l", "n6 的台账"), ("i", "n6 上的实例"), ("p", "代理"), ("v", "n6 的环境"),
])  # fmt: skip
async def test_each_of_them_speaks_chinese(key: str, told: str) -> None:
    async with console(language="zh") as driven:
        await nodes(driven, key)
        await driven.until_text(told)
        await driven.until_no_text("询问")


async def test_a_server_without_them_says_what_it_says_and_the_console_stays() -> None:
    async with console() as driven:
        await driven.press("4")
        for key in ("l", "i", "p", "v"):
            await driven.press(key)
            await driven.until_text("the server refuses:")
            await driven.press("escape")
            await driven.until(lambda: driven.app.at_screen)


@pytest.mark.requirement("screen.auth.read_only")
@pytest.mark.parametrize(("place", "key"), [("i", "a"), ("i", "s"), ("p", "a"), ("p", "t")])
async def test_a_console_that_is_read_only_changes_nothing(place: str, key: str) -> None:
    async with console(read_only=True) as driven:
        await nodes(driven, place)
        await driven.until_text("office" if place == "p" else "broken")
        await driven.press(key)
        await driven.until_text("--read-only")
        assert [call for call, _ in driven.script.api.calls if call.startswith(("P", "D"))] == []


@pytest.mark.requirement("rule.outside_text")
@pytest.mark.parametrize("text", [*SEQUENCES, *MARKUP])
def test_no_text_of_theirs_is_obeyed(text: str) -> None:
    made = instance(name=text, account_id=text, agent_type_id=text, container_name=text, error=text)
    way = proxy(name=text, host=text, username=text, no_proxy=text)
    line = LedgerRow(run_id=text, class_="phantom", since=at(), reason=text)
    said = [column.cell(instance_row(made), LENS)[0] for column in INSTANCE_COLUMNS]
    said += [column.cell(proxy_row(way), LENS)[0] for column in PROXY_COLUMNS]
    said += [column.cell(ledger_line(line), LENS)[0] for column in LEDGER_COLUMNS]
    config = EnvConfig(
        proxy=NodeProxy(enabled=True, host=text, port=1, username=text, no_proxy=text),
        env_vars={text: text, "A": text},
    )
    said += [fact.text for fact in environment_facts(config, LENS)]
    said.append(outcome_text(ProxyTestAnswer(success=False, message=text), Words("en")))
    assert all(is_harmless(each) for each in said)


def test_passwords_and_keys_of_an_environment_are_no_facts() -> None:
    text = " ".join(fact.text for fact in environment_facts(environment(), LENS))
    assert "geheim" not in text
    assert "npm_4711" not in text
    assert "CI=1" in text
    assert PROXY not in text
