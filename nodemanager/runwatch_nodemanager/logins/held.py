"""Which account a run has on this node; one that lies with the server is fetched once."""

import asyncio
import logging

from runwatch_nodemanager.agents.protocol import AgentError
from runwatch_nodemanager.homes import HomeError, account_home
from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.logins.archive import ArchiveError, unpack
from runwatch_nodemanager.logins.kept_account import KeptAccount
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.errors import UnreachableError
from runwatch_shared.logs import log
from runwatch_shared.models import Snapshot

logger = logging.getLogger(__name__)

ANY_AGENT = "command"
"""May be run with any account: what it does with it is its own matter."""
LOGIN_MISSING = "login_missing"
USABLE = ("ok", "expiring")


async def account_of(shop: Workshop, snapshot: Snapshot, agent_type: str) -> KeptAccount | None:
    """The account a run asks for; ``None`` if it asks for none.

    Raises:
        AgentError: This node does not have it, or its login is over.
    """
    wanted = snapshot.agent.account_id
    if not wanted:
        return None
    account = await ensure_account(shop, wanted)
    if account is None:
        raise AgentError(LOGIN_MISSING, f"this node has no login {wanted}")
    if agent_type not in (account.record.agent_type, ANY_AGENT):
        raise AgentError(LOGIN_MISSING, f"{wanted} is no login of {agent_type}")
    state, _ = await asyncio.to_thread(account.worth, shop.clock.now_us())
    if state not in USABLE:
        raise AgentError(LOGIN_MISSING, f"the login {wanted} is {state} on this node")
    return account


async def ensure_account(shop: Workshop, account_id: str) -> KeptAccount | None:
    """The account here; if it is not, and the server keeps its login, from there."""
    known = shop.accounts.get(account_id)
    if known is not None:
        return known
    try:
        place = account_home(shop.folder, account_id).parent
        data = await shop.link.archive(account_id)
        await asyncio.to_thread(unpack, data, place)
    except (HomeError, AnswerError, UnreachableError):
        return None
    except (ArchiveError, OSError) as error:
        log(logger, logging.WARNING, "login", "Could not take over a login", error=str(error))
        return None
    log(logger, logging.INFO, "login", "Took over a login from the server", event="fetched")
    return shop.accounts.get(account_id)
