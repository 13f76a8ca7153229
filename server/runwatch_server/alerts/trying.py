"""One test alert, sent by hand; nothing is stored."""

from runwatch_server.alerts.message import body_of, test_alert
from runwatch_server.alerts.post import Answer, Poster
from runwatch_server.alerts.target import Target
from runwatch_shared.clock import Clock

NO_STORE = "0" * 16


async def try_once(target: Target, clock: Clock) -> Answer:
    """Send a test alert, once; takes no longer than the target's timeout."""
    poster = Poster(target, clock)
    try:
        alert = test_alert(clock.now_us())
        return await poster.post(alert.id, body_of(alert, NO_STORE))
    finally:
        await poster.close()
