"""One try to hand over an alert, the only HTTP the server asks of others; no retrying.

No redirect is followed, no proxy taken from the environment, certificates are verified strictly.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Literal, NamedTuple

import httpx

from runwatch_server.alerts.signing import signed_headers
from runwatch_server.alerts.target import Target
from runwatch_server.version import VERSION
from runwatch_shared.backoff import parse_retry_after
from runwatch_shared.clock import Clock
from runwatch_shared.text import clean

Result = Literal["delivered", "again", "refused", "gone"]

CONNECT_S: Final = 5.0
DRAIN_S: Final = 1.0
"""For the rest of an answer, behind its status."""
MOST_ANSWER_BYTES: Final = 4096
"""Of an answer's body, so that the connection can be used again; a longer one is cut off."""
REASON_CHARS: Final = 200
_GONE: Final = 410
_AGAIN: Final = frozenset({408, 425, 429})
"""With every 5xx (contract 1.2): the same request may succeed later."""


class Answer(NamedTuple):
    """What came of a try."""

    result: Result
    reason: str
    """For people: ``204``, or why there was no answer."""
    retry_after_s: float | None = None


class Poster:
    """The client of one receiver."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._client = httpx.AsyncClient(
            verify=target.trust,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(target.timeout_s, connect=min(CONNECT_S, target.timeout_s)),
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=1),
        )

    async def post(self, alert_id: str, body: bytes) -> Answer:
        """One try; it never takes longer than the target's ``timeout_s`` and `DRAIN_S`."""
        signed = signed_headers(
            self._target.keys,
            alert_id=alert_id,
            timestamp_s=self._clock.now_us() // 1_000_000,
            body=body,
        )
        try:
            async with asyncio.timeout(self._target.timeout_s):
                response = await self._send(body, signed)
        except (TimeoutError, httpx.TimeoutException):
            return Answer("again", "no answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            text = clean(str(error), limit=REASON_CHARS, fold=True)
            return Answer("again", text or type(error).__name__)
        await _let_go(response)
        result = _result(response.status_code)
        retry_after = response.headers.get("Retry-After") if result == "again" else None
        return Answer(
            result,
            str(response.status_code),
            parse_retry_after(retry_after, self._clock.now()),
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _send(self, body: bytes, signed: Mapping[str, str]) -> httpx.Response:
        """The answer's status and headers."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"runwatch/{VERSION}",
            "Accept-Encoding": "identity",
            **signed,
        }
        request = self._client.build_request(
            "POST", self._target.url, content=body, headers=headers
        )
        return await self._client.send(request, stream=True)


async def _let_go(response: httpx.Response) -> None:
    """Read what is left of an answer, so that the connection can be used again. Its status has said
    all: a body that is long, slow or broken off changes nothing.
    """
    read = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            async for part in response.aiter_raw():
                read += len(part)
                if read > MOST_ANSWER_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass
    finally:
        with suppress(httpx.HTTPError, OSError):
            await response.aclose()


def _result(status: int) -> Result:
    if 200 <= status < 300:
        return "delivered"
    if status == _GONE:
        return "gone"
    return "again" if status in _AGAIN or status >= 500 else "refused"
