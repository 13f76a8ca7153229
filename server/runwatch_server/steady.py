"""A background task that outlives its failures: after one it waits longer and goes on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from runwatch_shared.backoff import Backoff
from runwatch_shared.errors import OverloadedError, StoreError
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)


async def keep_going(
    step: Callable[[], Awaitable[None]], *, name: str, backoff: Backoff | None = None
) -> None:
    """Repeat ``step`` until cancelled; the waiting between steps is the step's own.

    A store that fails or is full, and a defect that raises, cost one step: it is logged once a
    series of failures with the store's reason, and tried again after a back-off.
    """
    waits = backoff or Backoff()
    while True:
        try:
            await step()
        except (StoreError, OverloadedError) as error:
            if waits.tries == 0:
                log(
                    logger,
                    logging.WARNING,
                    "store",
                    "The store failed under a task",
                    event="failed",
                    task=name,
                    error=str(error),
                )
        except Exception:
            logger.exception("Could not do a step of %s", name)
        else:
            waits.reset()
            continue
        await asyncio.sleep(waits.next_s())
