"""What is shown and done about a node's ledger, instances, environment and proxies. Loaded with the
first of it.
"""

from typing import TYPE_CHECKING

from runwatch_console.messages import (
    EnvironmentRequested,
    InstancesRequested,
    LedgerRequested,
    MachineMessage,
    ProxiesRequested,
)

if TYPE_CHECKING:
    from runwatch_console.answers import Answers


class MachineAnswers:
    """See the module."""

    def __init__(self, answers: "Answers") -> None:
        self.answers = answers
        self.app = answers.app

    def answer(self, request: MachineMessage) -> None:
        """Show what is asked for."""
        match request:
            case LedgerRequested():
                from runwatch_console.dialogs.ledger import LedgerDialog

                self.app.push_screen(LedgerDialog(self.app, request.node_id))
            case InstancesRequested():
                from runwatch_console.dialogs.instances import InstancesDialog

                self.app.push_screen(InstancesDialog(self.app, self.answers, request.node_id))
            case ProxiesRequested():
                from runwatch_console.dialogs.proxies import ProxiesDialog

                self.app.push_screen(ProxiesDialog(self.app, self.answers, request.node_id))
            case EnvironmentRequested():
                from runwatch_console.dialogs.environment import EnvironmentDialog

                self.app.push_screen(EnvironmentDialog(self.app, request.node_id))
            case _:
                raise AssertionError(f"nothing answers {request!r}")
