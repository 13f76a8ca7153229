"""Requests about logins and accounts (contract 13); each raises ApiError and nothing else."""

from typing import Final

from runwatch_console.ports import Asking
from runwatch_console.queries import path_part
from runwatch_shared.logins import (
    AccountList,
    Action,
    AgentType,
    AgentTypeList,
    InputRequest,
    Operation,
    OperationMade,
    OperationRequest,
)

OPERATIONS: Final = "/api/v1/operations"
ACTIONS: Final = "/api/v1/actions"
ACCOUNTS: Final = "/api/v1/accounts"


async def agent_types(api: Asking) -> list[AgentType]:
    """The agents that need a login, with the methods of each."""
    answer = await api.ask("GET", "/api/v1/agent-types", AgentTypeList)
    return [each for each in answer.agent_types if each.needs_login and each.login_methods]


async def begin_login(api: Asking, request: OperationRequest) -> OperationMade:
    """Begin a login; a lost answer is asked for again under the same Idempotency-Key."""
    return await api.ask("POST", OPERATIONS, OperationMade, body=request, keyed=True)


async def operation(api: Asking, operation_id: str) -> Operation:
    """One login with its actions."""
    return await api.ask("GET", f"{OPERATIONS}/{path_part(operation_id)}", Operation)


async def cancel_login(api: Asking, operation_id: str) -> Operation:
    """End a login; 409 `already_terminal` where it has ended."""
    path = f"{OPERATIONS}/{path_part(operation_id)}/cancel"
    return await api.ask("POST", path, Operation, once=True)


async def action(api: Asking, action_id: str) -> Action:
    """What the node does for a login."""
    return await api.ask("GET", f"{ACTIONS}/{path_part(action_id)}", Action)


async def give_input(api: Asking, action_id: str, text: str) -> None:
    """Give what the agent asks for, once: it must not be typed a second time."""
    path = f"{ACTIONS}/{path_part(action_id)}/input"
    await api.ask("POST", path, object, body=InputRequest(text=text), once=True)


async def accounts(api: Asking, agent_type: str = "") -> AccountList:
    """All accounts, or those of an agent type."""
    query = {"agent_type": agent_type} if agent_type else None
    return await api.ask("GET", ACCOUNTS, AccountList, query=query)


async def delete_account(api: Asking, account_id: str, *, purge: bool = False) -> None:
    """Forget an account; with `purge` the stored copy of its login too."""
    query = {"purge": "true"} if purge else None
    await api.ask("DELETE", f"{ACCOUNTS}/{path_part(account_id)}", object, query=query, once=True)
