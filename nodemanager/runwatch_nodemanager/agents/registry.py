"""Which agents this node has, by type; ``general`` is the node's default."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from runwatch_nodemanager.agents.protocol import Agent, AgentError
from runwatch_shared.models import AgentOffer
from runwatch_shared.states import AGENT_TYPE_ALIASES

GENERAL: Final = "general"


def agent_type(name: str) -> str:
    """The type an alias stands for, any other name as it is."""
    return AGENT_TYPE_ALIASES.get(name, name)


class Agents:
    """Agents by type, aliases resolved.

    Args:
        agents: At least one.
        default: The type that runs what asks for ``general``.
    """

    def __init__(self, agents: Iterable[Agent], *, default: str) -> None:
        self._agents: Mapping[str, Agent] = {agent.type: agent for agent in agents}
        self._default = agent_type(default)
        self._fallback = next(iter(self._agents.values()))
        self._versions: dict[str, str | None] = {}

    def get(self, name: str) -> Agent:
        """
        Raises:
            AgentError: This node has no such agent.
        """
        wanted = agent_type(name)
        found = self._agents.get(self._default if wanted == GENERAL else wanted)
        if found is None:
            raise AgentError("agent_missing", f"this node has no agent {name}")
        return found

    def reading(self, name: str) -> Agent:
        """The agent whose reader fits the run; the first one where none does."""
        try:
            return self.get(name)
        except AgentError:
            return self._fallback

    def version(self, name: str) -> str | None:
        """As the last offer told it."""
        return self._versions.get(name)

    def offers(self) -> list[AgentOffer]:
        """What a heartbeat says of them; may take seconds, call it in a thread."""
        with ThreadPoolExecutor(len(self._agents), "offer") as threads:
            offers = list(threads.map(lambda agent: agent.offer(), self._agents.values()))
        self._versions = {offer.type: offer.version for offer in offers}
        for offer in offers:
            if offer.type == self._default:
                return [*offers, msgspec.structs.replace(offer, type=GENERAL)]
        return offers
