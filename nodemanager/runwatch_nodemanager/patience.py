"""Trying again as contract 1.2 asks: what may succeed later, after how long, until when."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from runwatch_nodemanager.link import AnswerError
from runwatch_shared.backoff import Backoff
from runwatch_shared.errors import UnreachableError

T = TypeVar("T")

logger: Final = logging.getLogger(__name__)

UNAUTHENTICATED_S: Final = 15.0
"""Between tries without a valid token: only a person can change that."""


async def persist(
    operation: Callable[[], Awaitable[T]],
    *,
    rest: Callable[[float], Awaitable[None]],
    on_retry: Callable[[int, UnreachableError | AnswerError], None],
) -> T:
    """Call until it succeeds or is refused for good; ends otherwise only by cancellation.

    A bad token is not taken for an answer about the run: the work goes on and is reported when the
    token is right again.

    Args:
        rest: Waits while there is no answer at all, at most the seconds it is given (`Link.rest`).

    Raises:
        AnswerError: Not transient.
    """
    backoff = Backoff()
    while True:
        try:
            return await operation()
        except UnreachableError as error:
            on_retry(backoff.tries + 1, error)
            await rest(backoff.next_s())
        except AnswerError as error:
            if error.status == 401:
                on_retry(backoff.tries + 1, error)
                await asyncio.sleep(UNAUTHENTICATED_S)
                continue
            if not error.transient:
                raise
            on_retry(backoff.tries + 1, error)
            await asyncio.sleep(backoff.next_s(error.retry_after_s))
