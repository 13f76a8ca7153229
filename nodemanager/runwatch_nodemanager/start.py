"""From a run's snapshot to what is started: workspace, environment, command line."""

import asyncio
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from runwatch_nodemanager.agents.programs import RUNTIME_VARIABLE
from runwatch_nodemanager.agents.protocol import AgentError, Launch
from runwatch_nodemanager.granted import bounded, proxies_of
from runwatch_nodemanager.homes import ACCOUNT_HOME
from runwatch_nodemanager.instances.entering import move_in
from runwatch_nodemanager.logins.held import account_of
from runwatch_nodemanager.logins.kept_account import KeptAccount
from runwatch_nodemanager.processes import RUN_VARIABLE
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes.container_body import (
    INSTANCE_LABEL,
    container_labels,
    instance_name,
    node_labels,
)
from runwatch_nodemanager.runtimes.container_environment import container_environment
from runwatch_nodemanager.runtimes.container_plan import InstancePlan, Mount
from runwatch_nodemanager.runtimes.placement import Place
from runwatch_nodemanager.runtimes.protocol import PlacementError, RuntimeStartError
from runwatch_nodemanager.runtimes.workplace import WORKSPACE
from runwatch_nodemanager.workshop import Workshop
from runwatch_nodemanager.workspace import (
    SAFE_NAME,
    Prepared,
    WorkspaceError,
    WorkspaceRules,
    prepare_workspace,
)
from runwatch_shared.models import RunId, Snapshot, Workspace
from runwatch_shared.proxies import RunResources

SECRET_VARIABLES: Final = frozenset({"NODE_TOKEN", "JWT_SECRET", "ADMIN_EMAIL", "ADMIN_PASSWORD"})
OWN_PREFIX: Final = "RUNWATCH_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """An agent ready to be started."""

    launch: Launch
    workspace: str
    workspace_type: str
    agent_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why there is nothing to start: an ``error_code`` of contract 5.3 and a text."""

    code: str
    error: str


async def prepare_start(
    shop: Workshop,
    run_id: str,
    folder: RunFolder,
    snapshot: Snapshot,
    *,
    epoch: int,
    resources: RunResources | None = None,
) -> Start | Refusal:
    """Prepare workspace, command line and image; may take as long as a git clone or a download.

    Args:
        resources: Most the run may use, where its node was given a limit.
    """
    try:
        agent = shop.agents.get(snapshot.agent.type)
        place = bounded(shop.placement.place(snapshot, agent.type), resources)
        if place.instance:
            _refuse_workspace(snapshot.workspace)
        workspace = await prepare_workspace(
            snapshot.workspace,
            folder=shop.folder.workspaces,
            volumes=shop.folder.volumes,
            run_id=RunId(run_id),
            rules=WorkspaceRules.of(
                shop.settings,
                environment=clean_environment(proxies_of(snapshot.env or {})),
                guarded=place.contained,
            ),
        )
        if place.instance:
            into = _workspaces(shop, place)
            moved = await asyncio.to_thread(move_in, workspace.path, into, run_id)
            workspace = replace(workspace, path=moved)
        cwd = _cwd(place, workspace, run_id)
        account = await account_of(shop, snapshot, agent.type)
        environment = {
            **_environment(shop, snapshot, folder, place, account),
            "RUNWATCH_RUN_ID": run_id,
            "RUNWATCH_TASK_ID": snapshot.task_id,
            "RUNWATCH_NODE_ID": shop.link.node_id,
            "RUNWATCH_WORKSPACE": str(cwd),
            RUNTIME_VARIABLE: place.runtime,
        }
        launch = await asyncio.to_thread(agent.launch, snapshot, cwd=cwd, env=environment)
        launch = _placed(
            shop, launch, place, workspace=workspace, run_id=run_id, epoch=epoch, account=account
        )
        await shop.runtime.prepare(launch)
    except AgentError as error:
        return Refusal(code=error.code, error=str(error))
    except (PlacementError, RuntimeStartError) as error:
        return Refusal(code="start_failed", error=str(error))
    except WorkspaceError as error:
        return Refusal(code="workspace_failed", error=str(error))
    return Start(
        launch=launch,
        workspace=str(workspace.path),
        workspace_type=workspace.type,
        # What an image holds is not what was found on this machine.
        agent_version=None if place.contained else shop.agents.version(agent.type),
    )


def _environment(
    shop: Workshop,
    snapshot: Snapshot,
    folder: RunFolder,
    place: Place,
    account: KeptAccount | None,
) -> dict[str, str]:
    asked = snapshot.env or {}
    others: frozenset[str] = frozenset()
    if account is not None:
        others = account.place.others
        home = ACCOUNT_HOME if place.contained else str(account.home)
        asked = {**account.variables(home), **asked}
    if place.contained and (account is not None or place.instance):
        asked = {"HOME": ACCOUNT_HOME, **asked}
    if place.contained:
        names = [name for name in shop.settings.containers.env if name not in others]
        return container_environment(asked, names=names)
    environment = clean_environment(asked)
    for name in others - asked.keys():
        environment.pop(name, None)
    return {**environment, RUN_VARIABLE: str(folder.path)}


def _placed(
    shop: Workshop,
    launch: Launch,
    place: Place,
    *,
    workspace: Prepared,
    run_id: str,
    epoch: int,
    account: KeptAccount | None,
) -> Launch:
    if not place.contained:
        return replace(launch, limits=shop.placement.process_limits(place))
    if place.instance:
        return replace(launch, plan=_inside(shop, place, launch))
    plan = shop.placement.plan(
        place,
        name=f"runwatch-{run_id}-{epoch}",
        labels=container_labels(shop.link.node_id, shop.folder.path, run_id=run_id, epoch=epoch),
        workspace=workspace.path,
        read_only=workspace.read_only,
    )
    if account is not None:
        home = Mount(source=account.home.resolve(), target=ACCOUNT_HOME, read_only=False)
        plan = replace(plan, mounts=(*plan.mounts, home))
    return replace(launch, plan=plan)


def _inside(shop: Workshop, place: Place, launch: Launch) -> InstancePlan:
    labels = node_labels(shop.link.node_id, shop.folder.path)
    return InstancePlan(
        runtime=place.runtime,
        name=instance_name(place.instance),
        image=place.image,
        labels={**labels, INSTANCE_LABEL: place.instance},
        workdir=launch.cwd,
        user=shop.placement.user,
    )


def _workspaces(shop: Workshop, place: Place) -> Path:
    if not SAFE_NAME.fullmatch(place.instance):
        raise WorkspaceError("the instance's id is no safe folder name")
    return shop.folder.instance_workspaces(place.instance)


def _cwd(place: Place, workspace: Prepared, run_id: str) -> Path:
    """Where the agent begins, as it sees it itself."""
    if place.instance:
        return Path(WORKSPACE, run_id)
    return Path(WORKSPACE) if place.contained else workspace.path


def _refuse_workspace(wanted: Workspace | None) -> None:
    """
    Raises:
        WorkspaceError: It is none an instance can see: what one sees is settled when it is made.
    """
    if wanted is not None and wanted.type != "git":
        raise WorkspaceError(f"a run in an instance cannot have a {wanted.type} workspace")


def clean_environment(asked: dict[str, str]) -> dict[str, str]:
    """This program's environment without its own settings and secrets, and what the run asks for.

    Variables that no environment can hold are left out.
    """
    own = {
        name: value
        for name, value in os.environ.items()
        if name not in SECRET_VARIABLES and not name.startswith(OWN_PREFIX)
    }
    usable = {
        name: value
        for name, value in asked.items()
        if name and "=" not in name and "\0" not in name and "\0" not in value
    }
    return {**own, **usable}
