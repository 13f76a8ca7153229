"""What the server tells in English, in Chinese where its form is known, else as it was told."""

import pytest

from runwatch_console.columns import ended_text, now_cell
from runwatch_console.lens import Lens
from runwatch_console.locale.words import LANGUAGES, Words
from runwatch_console.rows import run_row
from runwatch_console.told import (
    ERROR_CODES,
    PHASES,
    health_words,
    misfit_text,
    phase_words,
    queue_text,
)
from runwatch_shared import states
from tests.console.driving import console
from tests.console.records import NOW_S, change, summary

EN, ZH = Words("en"), Words("zh")


@pytest.mark.requirement("rule.two_languages", "told.queue_reason")
@pytest.mark.parametrize(
    ("reason", "chinese"),
    [
        ("no node known", "没有已知节点"),
        ("no node online (3 known)", "没有在线节点（已知 3 个）"),
        (
            "n1, n2 full (4/4, 2/2); n3 lacks login for openai-codex; +4 more",
            "n1, n2 已满 (4/4, 2/2)；n3 缺少 openai-codex 的登录；另有 4 个",
        ),
        ("no online node has gpu=yes", "没有在线节点带 gpu=yes"),
        ("pinned to n3: offline", "指定 n3：离线"),
        ("instance agent-1: stopped", "实例 agent-1：已停止"),
        ("n2 did not claim in 30s, trying again", "n2 在 30s 内未领取，正在重试"),
        ("waiting for the scheduler", "等待调度"),
        ("something new; {n1} full", "something new；{n1} 已满"),
    ],
)
def test_why_a_run_is_queued_is_told_in_chinese(reason: str, chinese: str) -> None:
    assert queue_text(reason, ZH) == chinese
    assert queue_text(reason, EN) == reason


@pytest.mark.requirement("rule.two_languages", "told.health")
def test_why_a_run_is_unhealthy_is_told_in_chinese() -> None:
    assert health_words("same Bash call 6 of last 12", ZH) == "最近 12 次中有 6 次相同的 Bash 调用"
    assert health_words("silent over 5m, no tool in flight", ZH) == "静默超过 5m，没有进行中的工具"
    assert health_words("running over 45m", EN) == "running over 45m"
    assert misfit_text("full (4/4)", ZH) == "已满 (4/4)"


@pytest.mark.requirement("rule.two_languages")
def test_codes_of_errors_and_phases_have_words_and_others_stay() -> None:
    assert set(states.PHASES) == PHASES
    for code in ERROR_CODES:
        assert f"error.{code}" in LANGUAGES["zh"]
    lost = run_row(summary(status="failed", error_code="node_lost", error="n6 is silent"))
    assert ended_text(lost, Lens(words=ZH, now_s=NOW_S)) == "节点丢失 · n6 is silent"
    assert ended_text(lost, Lens(words=EN, now_s=NOW_S)) == "node_lost · n6 is silent"
    assert phase_words("waiting_device_code", EN) == "waits for the code"
    assert phase_words("x_new", EN) == "x new"


@pytest.mark.requirement("rule.two_languages")
async def test_a_queued_run_says_why_in_chinese_on_its_screen() -> None:
    async with console((200, 60), language="zh") as driven:
        queued = summary(
            "run-00000000c0de",
            "queued",
            queue_reason="n1 full (4/4); n3 lacks login for openai-codex",
            queue_reason_code="full",
        )
        driven.script.feed.say(change(upsert=[queued]))
        await driven.until(lambda: "run-00000000c0de" in driven.app.state.fleet.runs)
        assert "已满" in now_cell(run_row(queued), driven.app.state.lens)[0]
        await driven.press("2")
        await driven.pass_time(3)
        await driven.until_text("n1 已满 (4/4)；n3 缺少 openai-codex 的登录")
