"""The table of what is to be done about an instance leads everywhere to rest, in one look."""

from itertools import product

import pytest

from runwatch_nodemanager.instances.plan import STEPS, Step, There, next_step
from runwatch_shared.instances import InstanceStatus
from runwatch_shared.states import INSTANCE_STATUSES, INSTANCE_TRANSITIONS, SAID_BY_NODE

AFTER: dict[Step, tuple[InstanceStatus | None, There | None]] = {
    Step.NOTHING: (None, None),
    Step.MAKE: ("running", There.RUNNING),
    Step.START: ("running", There.RUNNING),
    Step.STOP: ("stopped", There.ENDED),
    Step.STOP_QUIETLY: (None, There.ENDED),
    Step.SAY_RUNNING: ("running", None),
    Step.SAY_STOPPED: ("stopped", None),
    Step.SAY_ENDED: ("error", None),
}
"""How status and container are once a step was taken; None: as before."""


def test_every_status_has_its_row() -> None:
    assert set(STEPS) == set(INSTANCE_STATUSES)
    assert set(AFTER) == set(Step)


@pytest.mark.parametrize(("status", "there"), [*product(INSTANCE_STATUSES, There)])
def test_one_step_leads_to_rest_by_what_a_node_may_say(
    status: InstanceStatus, there: There
) -> None:
    step = next_step(status, there)
    said, found = AFTER[step]
    after, container = said or status, found or there
    if there is There.MOVING:
        assert step is Step.NOTHING
        return
    assert next_step(after, container) is Step.NOTHING
    assert after in ("running", "stopped", "error")
    assert (container is There.RUNNING) == (after == "running")
    if said is not None and said != status:
        before: InstanceStatus = "creating" if status == "pending" else status
        assert said in SAID_BY_NODE
        assert said in INSTANCE_TRANSITIONS[before]
