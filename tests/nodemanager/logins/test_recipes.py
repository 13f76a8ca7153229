"""Recipes that are known are whole; a configured one that cannot work is told at the start."""

import pytest

from runwatch_nodemanager.logins.recipe import wrong_with
from runwatch_nodemanager.logins.recipes import OAUTH, RECIPES, SETUP_TOKEN
from runwatch_nodemanager.setting_checks import findings_of
from runwatch_shared.settings import LoginRecipe, NodeSettings

KNOWN = [(agent, method) for agent, recipes in RECIPES.items() for method in recipes]


@pytest.mark.parametrize(("agent", "method"), KNOWN)
def test_what_is_known_can_work(agent: str, method: str) -> None:
    asked = OAUTH if method == SETUP_TOKEN else method
    assert wrong_with(asked, RECIPES[agent][method]) is None


@pytest.mark.parametrize(
    ("method", "recipe", "words"),
    [
        ("oauth", LoginRecipe(), "command is empty"),
        ("oauth", LoginRecipe(command=["x"], success="("), "success: "),
        ("oauth", LoginRecipe(command=["x"], answers={"[": "y"}), "answers: "),
        ("oauth", LoginRecipe(command=["x"], credential="../x"), "no place in a home"),
        ("oauth", LoginRecipe(command=["x"], files={"/etc/x": ""}), "no place in a home"),
        ("oauth", LoginRecipe(command=["x"], exits=False), "success or credential"),
        ("api_key", LoginRecipe(), "variables is empty"),
        ("magic", LoginRecipe(command=["x"]), "magic is none of"),
    ],
)
def test_what_cannot_work_is_told_at_the_start(
    method: str, recipe: LoginRecipe, words: str, tmp_path
) -> None:
    assert words in (wrong_with(method, recipe) or "")
    settings = NodeSettings(data_dir=str(tmp_path), logins={"own": {method: recipe}})
    told = [found for found in findings_of(settings) if words in str(found)]
    assert told
