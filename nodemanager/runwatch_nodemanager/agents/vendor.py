"""What the agents of vendors have in common as agents; how their programs are found and given flags
is in `programs`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from runwatch_nodemanager.agents.prices import NO_PRICES, Prices
from runwatch_nodemanager.agents.programs import (
    arguments_of,
    find_program,
    flags_of,
    offer_of,
    prompt_of,
)
from runwatch_nodemanager.agents.protocol import Launch
from runwatch_shared.models import AgentOffer, Snapshot


class VendorAgent:
    """A program of a vendor's.

    Args:
        program: Its name on the PATH, or its path; empty for the usual name.
        prices: Of models whose cost it does not tell.
    """

    type: ClassVar[str]
    program: ClassVar[str]

    def __init__(self, program: str = "", prices: Prices = NO_PRICES) -> None:
        self._program = program or self.program
        self._prices = prices

    def offer(self) -> AgentOffer:
        return offer_of(self.type, self._program)


class StreamJsonAgent(VendorAgent):
    """One started as ``PROGRAM --output-format=stream-json``, the prompt on standard input."""

    flags: ClassVar[Mapping[str, str]]
    """Flags by the parameters that become them."""
    repeated: ClassVar[frozenset[str]]
    """Parameters of which each value has a flag of its own."""
    environment: ClassVar[Mapping[str, str]]
    """Set unless the run or the node sets it itself."""

    def launch(self, snapshot: Snapshot, *, cwd: Path, env: Mapping[str, str]) -> Launch:
        parameters = snapshot.agent.parameters
        argv = [find_program(self._program, env), "--output-format=stream-json"]
        if snapshot.agent.model:
            argv.append(f"--model={snapshot.agent.model}")
        argv += flags_of(parameters, self.flags, repeated=self.repeated)
        argv += arguments_of(parameters)
        return Launch(
            argv=tuple(argv),
            cwd=str(cwd),
            env={**self.environment, **env},
            stdin=prompt_of(snapshot),
        )
