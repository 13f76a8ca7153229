"""Whether a login is good: the agent's own status command, in a container its credential's file."""

import os
import subprocess
from typing import Final

from runwatch_nodemanager.logins.note import Note, staging
from runwatch_nodemanager.logins.plan import LoginPlan, NoLoginError, plan_login
from runwatch_nodemanager.logins.step import LoginFolder
from runwatch_nodemanager.runtimes.engine_address import EngineError
from runwatch_nodemanager.runtimes.protocol import PlacementError
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.settings import LoginRecipe

VERIFY_S: Final = 30.0


def refused_by_agent(
    shop: Workshop, folder: LoginFolder, note: Note, recipe: LoginRecipe, plan: LoginPlan | None
) -> str | None:
    """Why the login is none, ``None`` if it is one. Blocks.

    Args:
        plan: As it was started; ``None`` where an earlier process started it.
    """
    if plan is None and not note.contained:
        try:
            plan = plan_login(shop, folder, note, {})
        except (NoLoginError, PlacementError, EngineError, OSError) as error:
            return str(error)
    if plan is not None and plan.verify and plan.launch is None:
        return _asked(plan.verify, plan.order.env, plan.order.cwd)
    if recipe.credential and not (staging(folder) / recipe.credential).is_file():
        return f"the login left no {recipe.credential}"
    return None


def _asked(argv: list[str], env: dict[str, str], cwd: str) -> str | None:
    try:
        answer = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in env.items() if name != "TERM"},
            cwd=cwd,
            timeout=VERIFY_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{os.path.basename(argv[0])} could not be asked: {error}"
    return None if answer.returncode == 0 else "the agent does not take itself for logged in"
