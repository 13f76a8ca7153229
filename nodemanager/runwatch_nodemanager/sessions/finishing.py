"""What is done to every payload of a found session before it leaves this machine."""

import msgspec

from runwatch_nodemanager.agents.json_values import dict_at, text_at
from runwatch_nodemanager.agents.prices import Prices
from runwatch_nodemanager.agents.protocol import Json
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.sessions.head import Head


class Finisher:
    """Takes secrets out, and prices tokens by the node's table where the agent tells no cost."""

    def __init__(self, rules: Rules, prices: Prices) -> None:
        self._rules = rules
        self._prices = prices

    def payload(self, payload: Json) -> Json:
        usage = dict_at(payload, "usage")
        if usage:
            priced = self._prices.priced(usage, text_at(usage, "model"))
            payload = {**payload, "usage": priced}
        finished: Json = self._rules.tree(payload)
        return finished

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self._rules.text(text)

    def head(self, head: Head) -> Head:
        """What a transcript's beginning tells, as it may be kept on this node's disk."""
        return msgspec.structs.replace(
            head,
            prompt=self.text(head.prompt),
            cwd=self.text(head.cwd),
            model=self.text(head.model),
        )
