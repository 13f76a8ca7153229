"""What a node says of its agents where runs get containers: what images hold, not its PATH."""

import msgspec

from runwatch_nodemanager.agents.registry import GENERAL
from runwatch_nodemanager.runtimes.placement import PROCESS, Placement
from runwatch_shared.models import AgentOffer
from runwatch_shared.states import AGENT_TYPE_ALIASES


def offers_of(
    offers: list[AgentOffer], placement: Placement, runtimes: list[str], default_agent: str
) -> list[AgentOffer]:
    """The offers as they are for runs that ask for no runtime.

    Args:
        offers: What is installed on this machine.
        runtimes: Those that can be had now.
        default_agent: What ``general`` stands for.
    """
    runtime = placement.runtimes[0]
    if runtime == PROCESS:
        return offers
    made = []
    for offer in offers:
        named = default_agent if offer.type == GENERAL else offer.type
        reason = None
        if runtime not in runtimes:
            reason = f"{runtime} does not answer"
        elif not placement.has_image(AGENT_TYPE_ALIASES.get(named, named)):
            reason = "this node has no container image for it"
        made.append(
            msgspec.structs.replace(offer, ready=reason is None, reason=reason, version=None)
        )
    return made
