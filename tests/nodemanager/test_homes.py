"""One folder an account, and none for what is no account's id."""

import stat
from pathlib import Path

import pytest

from runwatch_nodemanager.homes import HomeError, account_home, make_account_home
from runwatch_nodemanager.identity import NodeFolder


def test_an_account_has_one_home_that_only_this_user_may_enter(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path / "n1")
    home = make_account_home(folder, "claude-code_me_example_com")
    assert home == account_home(folder, "claude-code_me_example_com")
    assert home.is_relative_to(folder.path)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert make_account_home(folder, "claude-code_me_example_com") == home
    assert account_home(folder, "claude-code_you") != home


@pytest.mark.parametrize("account_id", ["", ".", "..", "a/b", "../x", "a\0b", "-a", "x" * 129])
def test_what_is_no_accounts_id_has_no_home(tmp_path: Path, account_id: str) -> None:
    with pytest.raises(HomeError):
        account_home(NodeFolder(tmp_path), account_id)
