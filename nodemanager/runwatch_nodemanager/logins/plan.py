"""From a login that was asked for to what its own process is ordered: program, variables, place."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.agents.registry import agent_type as canonical
from runwatch_nodemanager.homes import ACCOUNT_HOME
from runwatch_nodemanager.logins.keeper import Order
from runwatch_nodemanager.logins.kept_account import Record, place_of
from runwatch_nodemanager.logins.note import Note, staging
from runwatch_nodemanager.logins.recipes import (
    DEVICE_CODE,
    HOME_MARK,
    OAUTH,
    RECIPES,
    SETUP_TOKEN,
)
from runwatch_nodemanager.logins.step import LoginFolder
from runwatch_nodemanager.logins.terminal import COLUMNS, ROWS
from runwatch_nodemanager.processes import RUN_VARIABLE
from runwatch_nodemanager.run_folder import write_atomically
from runwatch_nodemanager.runtimes.container_body import container_body, container_labels
from runwatch_nodemanager.runtimes.container_environment import (
    container_environment,
    split_environment,
)
from runwatch_nodemanager.runtimes.container_plan import ContainerPlan, Mount
from runwatch_nodemanager.runtimes.docker import MARK
from runwatch_nodemanager.runtimes.engine_address import find_engine
from runwatch_nodemanager.runtimes.workplace import SHELL
from runwatch_nodemanager.start import clean_environment
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.errors import RunwatchError
from runwatch_shared.models import Agent, Snapshot, TaskId
from runwatch_shared.settings import LoginRecipe, NodeSettings
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND

TERMINAL_VARIABLES: Final = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
CONTAINED: Final = (sys.executable, "-I", "-m", "runwatch_nodemanager.logins.contained")
CONTAINER_ORDER: Final = "container-order.json"
HIDDEN: Final = ".runwatch-variables"
"""In the login's home, for a moment: variables that an engine must not know."""
PRELUDE: Final = f'. "$HOME/{HIDDEN}"; rm -f "$HOME/{HIDDEN}"; exec "$@"'
LEAST_S: Final = 1.0


class NoLoginError(RunwatchError):
    """There is no such login on this node, or its program is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPlan:
    """What to start.

    Args:
        launch: Of its container, for what the runtime must have before; ``None``: a process.
        verify: The command that tells whether the login is good, with ``environment``.
    """

    recipe: LoginRecipe
    order: Order
    launch: Launch | None
    verify: list[str]


def recipe_for(settings: NodeSettings, agent_type: str, method: str) -> LoginRecipe:
    """
    Raises:
        NoLoginError: Nothing is known of it.
    """
    configured = next(
        (
            recipes[method]
            for name, recipes in settings.logins.items()
            if canonical(name) == agent_type and method in recipes
        ),
        None,
    )
    if configured is not None:
        return configured
    known = RECIPES.get(agent_type, {})
    if agent_type == "claude-code" and settings.claude_login == "setup-token" and method == OAUTH:
        return known[SETUP_TOKEN]
    if method in known:
        return known[method]
    if method in (OAUTH, DEVICE_CODE) and known:
        raise NoLoginError(f"{agent_type} has no login by {method}")
    raise NoLoginError(f"this node knows no login by {method} of {agent_type}")


def record_of(settings: NodeSettings, note: Note, now_us: int) -> Record:
    """Of the account, once this login has succeeded."""
    try:
        recipe = recipe_for(settings, note.agent_type, note.method)
    except NoLoginError:
        recipe = LoginRecipe()
    return Record(
        id=note.account_id,
        agent_type=note.agent_type,
        method=note.method,
        logged_in_at_us=now_us,
        files=[recipe.credential] if recipe.credential else [],
        variables=recipe.variables,
        auth_dir=recipe.auth_dir,
    )


def plan_login(
    shop: Workshop, folder: LoginFolder, note: Note, given: Mapping[str, str]
) -> LoginPlan:
    """Blocks: looks for programs, makes folders.

    Args:
        given: Variables of its proxy and node.

    Raises:
        NoLoginError: It cannot be started here.
        PlacementError: The node's settings allow no container for it.
        EngineError: No container engine answers.
        OSError: A folder cannot be made.
    """
    recipe = recipe_for(shop.settings, note.agent_type, note.method)
    home = staging(folder)
    # Codex takes a home that is not there for a mistake.
    auth_dir = home / place_of(note.agent_type).auth_dir
    auth_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder.path / "work").mkdir(mode=0o700, exist_ok=True)
    place = shop.placement.place(_as_a_run(note), note.agent_type)
    left_us = note.expires_at_us - shop.clock.now_us()
    order = Order(
        recipe=recipe,
        agent_type=note.agent_type,
        argv=[],
        env={},
        cwd=str(folder.path / "work"),
        home=str(home),
        seconds=max(LEAST_S, left_us / MICROSECONDS_PER_SECOND),
        start_s=shop.settings.login_start_s,
        contained=place.contained,
    )
    if place.contained:
        return _contained(shop, folder, note, recipe, order, given)
    variables = _variables(note.agent_type, recipe, str(home))
    others = place_of(note.agent_type).others
    own = {name: value for name, value in clean_environment({}).items() if name not in others}
    env = {
        **own,
        **given,
        "HOME": str(home),
        **variables,
        **TERMINAL_VARIABLES,
        RUN_VARIABLE: str(folder.path),
    }
    program = _program(shop.settings, note.agent_type, recipe.command[0], env)
    verify = [program, *recipe.status[1:]] if recipe.status else []
    order = msgspec.structs.replace(order, argv=[program, *recipe.command[1:]], env=env)
    return LoginPlan(recipe=recipe, order=order, launch=None, verify=verify)


def _contained(
    shop: Workshop,
    folder: LoginFolder,
    note: Note,
    recipe: LoginRecipe,
    order: Order,
    given: Mapping[str, str],
) -> LoginPlan:
    home = Path(order.home)
    asked = {
        "HOME": ACCOUNT_HOME,
        **_variables(note.agent_type, recipe, ACCOUNT_HOME),
        **TERMINAL_VARIABLES,
    }
    env = container_environment({**given, **asked}, names=[])
    launch = Launch(argv=tuple(recipe.command), cwd="/workspace", env=env)
    plan = _plan(shop, folder, note, home)
    # Names and values of the recipe are the node's own settings; only proxies may hold a password.
    hidden = {name: value for name, value in split_environment(env)[1].items() if name not in asked}
    shown = {name: value for name, value in env.items() if name not in hidden}
    argv = list(recipe.command)
    if hidden:
        lines = [f"export {name}={_quoted(value)}\n" for name, value in hidden.items()]
        write_atomically(home / HIDDEN, "".join(lines).encode())
        argv = [SHELL, "-c", PRELUDE, "runwatch", *argv]
    body, _ = container_body(plan, replace(launch, env={"HOME": ACCOUNT_HOME}))
    body |= {
        "Entrypoint": [argv[0]],
        "Cmd": argv[1:],
        "Env": [f"{name}={value}" for name, value in shown.items()],
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        # Docker begins with it; Podman is told once the program runs.
        "HostConfig": {**body["HostConfig"], "ConsoleSize": [ROWS, COLUMNS]},
    }
    address = find_engine(shop.settings.containers.host, kind=plan.runtime)
    told: dict[str, Any] = {
        "address": address.url,
        "cert_path": address.cert_path,
        "name": plan.name,
        "image": plan.image,
        "body": body,
        "program": recipe.command[0],
    }
    write_atomically(folder.path / CONTAINER_ORDER, json.dumps(told).encode())
    mark = {"image": plan.image, "name": plan.name, "runtime": plan.runtime}
    write_atomically(folder.path / MARK, json.dumps(mark).encode())
    order = msgspec.structs.replace(
        order,
        argv=[*CONTAINED, str(folder.path / CONTAINER_ORDER)],
        env={"PATH": os.defpath, RUN_VARIABLE: str(folder.path)},
    )
    return LoginPlan(recipe=recipe, order=order, launch=replace(launch, plan=plan), verify=[])


def _plan(shop: Workshop, folder: LoginFolder, note: Note, home: Path) -> ContainerPlan:
    plan = shop.placement.plan(
        shop.placement.place(_as_a_run(note), note.agent_type),
        name=f"runwatch-{note.action_id}",
        labels=container_labels(
            shop.link.node_id, shop.folder.path, run_id=note.action_id, epoch=1
        ),
        workspace=(folder.path / "work").resolve(),
        read_only=False,
    )
    mount = Mount(source=home.resolve(), target=ACCOUNT_HOME, read_only=False)
    return replace(plan, mounts=(*plan.mounts, mount))


def _as_a_run(note: Note) -> Snapshot:
    """What the node's rules of placement judge."""
    return Snapshot(
        task_id=TaskId(""),
        name="login",
        agent=Agent(type=note.agent_type, parameters={}),
        prompt="",
        labels={},
    )


def _variables(agent_type: str, recipe: LoginRecipe, home: str) -> dict[str, str]:
    known = {**place_of(agent_type).variables, **recipe.variables}
    return {name: value.replace(HOME_MARK, home) for name, value in known.items()}


def _program(settings: NodeSettings, agent_type: str, name: str, env: dict[str, str]) -> str:
    """Where the program is: as the settings say for its agent, else on the PATH."""
    programs = {canonical(kind): path for kind, path in settings.agent_programs.items()}
    is_agents = name == os.path.basename(RECIPES_PROGRAM.get(agent_type, ""))
    wanted = programs.get(agent_type, name) if is_agents else name
    found = shutil.which(wanted, path=env.get("PATH", os.defpath))
    if found is None:
        where = "" if os.sep in wanted else " on the PATH of this node"
        raise NoLoginError(f"the login's program is missing: {wanted} is not there{where}")
    return found


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\"'\"'") + "'"


RECIPES_PROGRAM: Final = {
    kind: next(iter(recipes.values())).command[0] for kind, recipes in RECIPES.items()
}
