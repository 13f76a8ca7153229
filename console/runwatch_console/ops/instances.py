"""Requests about instances (contract 14); each raises ApiError and nothing else."""

from typing import Final

from runwatch_console.ports import Asking
from runwatch_console.queries import path_part
from runwatch_shared.instances import Instance, InstanceList, InstanceRequest
from runwatch_shared.wire import MessageAnswer

INSTANCES: Final = "/api/v1/instances"


async def instances(api: Asking, *, node_id: str = "", account_id: str = "") -> list[Instance]:
    """All instances, or those of a node or an account."""
    query = {"node_id": node_id, "account_id": account_id}
    wanted = {name: value for name, value in query.items() if value}
    return (await api.ask("GET", INSTANCES, InstanceList, query=wanted)).instances


async def create_instance(api: Asking, request: InstanceRequest) -> Instance:
    """Make one."""
    return await api.ask("POST", INSTANCES, Instance, body=request, once=True)


async def start_instance(api: Asking, instance_id: str) -> MessageAnswer:
    """Start it."""
    return await api.ask("POST", f"{INSTANCES}/{path_part(instance_id)}/start", MessageAnswer)


async def stop_instance(api: Asking, instance_id: str) -> MessageAnswer:
    """Stop it."""
    return await api.ask("POST", f"{INSTANCES}/{path_part(instance_id)}/stop", MessageAnswer)


async def delete_instance(api: Asking, instance_id: str) -> None:
    """Delete it, container included."""
    await api.ask("DELETE", f"{INSTANCES}/{path_part(instance_id)}", object, once=True)
