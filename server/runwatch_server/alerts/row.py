"""An alert as it is stored until it is over."""

from typing import NamedTuple


class AlertRow(NamedTuple):
    """An alert not delivered yet; a tuple, so that it binds as it is."""

    id: str
    run_id: str
    kind: str
    at_us: int
    revision: int
    text: str
    """The sentence for people."""
    workflow: bytes
    """JSON: the run as it was."""
    attempts: int = 0
