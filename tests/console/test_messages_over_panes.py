"""Short messages lie over panes side by side: no wide character is cut where one of them ends."""

import pytest

from tests.console.driving import console

TEXT = "连接中断正在重新连接请稍候再试一次"
"""As long as a message on a line may be; one that begins a cell later stands across each border."""


@pytest.mark.requirement("rule.two_languages")
@pytest.mark.parametrize("size", [(120, 40), (160, 50), (200, 60)])
@pytest.mark.parametrize("keys", [("2", "j", "j", "j"), ("2", "j", "j", "j", "enter"), ("6",)])
async def test_a_chinese_message_is_whole_over_every_screen(
    size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    async with console(size, language="zh") as driven:
        await driven.press(*keys)
        for before in ("", "a"):
            driven.app.notify(f"{before}{TEXT}", markup=False, timeout=30)
        await driven.until_text(f"▌ {TEXT}", f"▌ a{TEXT}")
