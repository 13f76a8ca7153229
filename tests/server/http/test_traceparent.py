"""The trace a request brings is in its log lines; what is no ``traceparent`` is ignored."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_server.tracing.opening import check_endpoint, tracing_of
from runwatch_server.tracing.traceparent import trace_id_of
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ServerSettings
from tests.server.http.house import House
from tests.server.http.test_log_lines import Log, log

__all__ = ["log"]  # the fixture

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "value",
    [
        f"00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-00",
        f"01-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what.the.future.brings",
    ],
)
def test_a_traceparent_gives_its_trace(value: str) -> None:
    assert trace_id_of(value.encode()) == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE[:-1]}\x1b-{PARENT}-01",
    ],
)
def test_what_is_no_traceparent_gives_none(value: str) -> None:
    assert trace_id_of(value.encode("latin-1")) is None


@given(st.binary(max_size=80))
def test_whatever_comes_the_trace_is_hexadecimal_or_none(value: bytes) -> None:
    found = trace_id_of(value)
    assert found is None or (len(found) == 32 and int(found, 16))


async def test_lines_of_a_request_carry_the_trace_it_brought(house: House, log: Log) -> None:
    log.begin("json")
    task = await house.task()
    for value, wanted in ((f"00-{TRACE}-{PARENT}-01", TRACE), ("nonsense", None)):
        await house.make(f"/api/v1/tasks/{task['id']}/runs", traceparent=value)
        (line,) = [json.loads(one) for one in log.lines() if "run.create.complete" in one][-1:]
        assert line.get("trace_id") == wanted
    logging.getLogger("after").warning("No request is under way")
    assert "trace_id" not in json.loads(log.lines()[-1])


def test_without_an_endpoint_nothing_is_traced_and_nothing_loaded() -> None:
    assert tracing_of(ServerSettings()) is None


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "ftp://collector/", "https://", "http://name:secret@host/"]
)
def test_an_endpoint_that_is_none_is_a_settings_error(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="trace_endpoint"):
        check_endpoint(ServerSettings(trace_endpoint=endpoint))
