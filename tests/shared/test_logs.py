"""One record is one line, and what it says can be read back, whatever its values hold."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_shared.logs import (
    NODE_TAGS,
    REQUEST_ID,
    SERVER_TAGS,
    TAGS,
    Facts,
    JsonFormatter,
    LogFormat,
    TextFormatter,
    configure_logging,
    log,
)
from runwatch_shared.text import has_control
from tests.shared.hostile import HOSTILE

logger = logging.getLogger("tests.shared.logs")

TEXT_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<level>debug|info|warning|error|critical)"
    r" \[(?P<tag>[a-z_.]+)\] (?P<rest>.*)"
)
PAIR = re.compile(r' (?P<key>[a-z_]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^ "]+)')


@pytest.fixture(autouse=True)
def restored_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def record(sentence: str, tag: str = "server", **facts: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": sentence, "levelno": logging.INFO, "levelname": "INFO"})
    made.tag = tag
    made.facts = facts
    return made


def written(log_format: LogFormat, **facts: Any) -> str:
    stream = io.StringIO()
    configure_logging(log_format, "debug", stream=stream)
    log(logger, logging.INFO, "run.claim", "Run claimed", **facts)
    return stream.getvalue()


def read_text_line(line: str) -> tuple[str, dict[str, str]]:
    match = TEXT_LINE.fullmatch(line)
    assert match, ascii(line)
    first = PAIR.search(match["rest"])
    pairs = {
        pair["key"]: json.loads(pair["value"]) if pair["value"][0] == '"' else pair["value"]
        for pair in PAIR.finditer(match["rest"])
    }
    return match["rest"][: first.start()] if first else match["rest"], pairs


def test_a_text_line_is_time_level_tag_sentence_and_pairs() -> None:
    line = written("text", run_id="run-0123456789ab", node_id="构建 1", epoch=3, from_="queued")
    assert line.endswith("\n")
    match = TEXT_LINE.fullmatch(line[:-1])
    assert match
    assert match["level"] == "info"
    assert match["tag"] == "run.claim"
    assert match["rest"] == (
        'Run claimed run_id=run-0123456789ab node_id="构建 1" epoch=3 from=queued'
    )


def test_a_json_line_says_the_same() -> None:
    line = json.loads(written("json", run_id="run-1", epoch=3, duration_ms=1.23456, code=None))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "tag": "run.claim",
        "message": "Run claimed",
        "run_id": "run-1",
        "epoch": 3,
        "duration_ms": 1.235,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (0, "0"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("[auth] forged", '"[auth] forged"'),
        ("a\nb", '"a\\nb"'),
        ("\x7f\x9b\u202e", '"\\u007f\\u009b\\u202e"'),
    ],
)
def test_values_are_quoted_where_needed(value: str | float, text: str) -> None:
    assert written("text", reason=value).rstrip("\n").endswith(f" reason={text}")


@given(st.text(st.characters(codec=None, exclude_categories=())) | st.sampled_from(HOSTILE))
def test_whatever_a_value_holds_the_record_is_one_line_and_reads_back(value: str) -> None:
    text = TextFormatter("server").format(record("Login failed", "auth", by=value))
    assert len(text.splitlines()) == 1
    assert not has_control(text)
    match = TEXT_LINE.fullmatch(text)
    assert match
    assert match["tag"] == "auth"
    # JSON has one form for a pair of surrogates, whether it was one character or two halves.
    value = value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    sentence, pairs = read_text_line(text)
    assert sentence == "Login failed"
    assert pairs == {"by": value}

    line = JsonFormatter("server").format(record("Login failed", "auth", by=value))
    assert len(line.splitlines()) == 1
    assert not has_control(line)
    assert json.loads(line)["by"] == value


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_a_sentence_with_line_ends_is_one_line_too(sentence: str) -> None:
    for formatter in (TextFormatter("server"), JsonFormatter("server")):
        assert len(formatter.format(record(f"a{sentence}")).splitlines()) == 1


def test_an_error_with_its_traceback_is_one_line() -> None:
    for log_format in ("text", "json"):
        stream = io.StringIO()
        configure_logging(log_format, stream=stream)
        try:
            raise ValueError("first\nsecond \x1b[31m")
        except ValueError:
            log(logger, logging.ERROR, "store", "Could not open the store", exc_info=True)
            logger.exception("Could not close the store")
        lines = stream.getvalue().splitlines()
        assert len(lines) == 2
        assert all("ValueError: first\\nsecond \\u001b[31m" in line for line in lines)


def test_a_tag_that_is_not_in_the_set_is_not_written() -> None:
    text = TextFormatter("node").format(record("Odd", "auth] forged [x"))
    assert " [node] Odd" in text


def test_records_of_libraries_carry_the_default_tag() -> None:
    stream = io.StringIO()
    configure_logging("text", default_tag="node", stream=stream)
    logging.getLogger("uvicorn.error").warning("Listening on %s", "a place")
    assert " warning [node] Listening on a place\n" in stream.getvalue()


def test_addresses_that_libraries_tell_are_not_written_since_they_hold_queries() -> None:
    stream = io.StringIO()
    configure_logging("text", "debug", stream=stream)
    for library in ("uvicorn.error", "uvicorn.access", "httpx", "websockets"):
        logging.getLogger(library).info("GET %s", "/ws/runs/run-1/events?token=secret")
    assert stream.getvalue() == ""


def test_every_line_of_a_request_carries_its_id() -> None:
    token = REQUEST_ID.set("req-1")
    try:
        assert written("text").endswith(" request_id=req-1\n")
        assert json.loads(written("json"))["request_id"] == "req-1"
    finally:
        REQUEST_ID.reset(token)
    assert "request_id" not in written("text")


def test_a_level_hides_what_is_below_it_and_http_clients_stay_quiet() -> None:
    stream = io.StringIO()
    configure_logging("text", "warning", stream=stream)
    log(logger, logging.INFO, "server", "Started")
    assert stream.getvalue() == ""
    configure_logging("text", "debug", stream=stream)
    logging.getLogger("httpx").info("HTTP Request: GET https://host/?token=secret")
    logging.getLogger("uvicorn.error").info('"WebSocket /ws/monitor?subscribe=x" [accepted]')
    assert stream.getvalue() == ""


def test_configuring_again_replaces_what_was_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text")
    configure_logging("json", stream=sys.stdout)
    log(logger, logging.INFO, "server", "Started")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_an_output_that_is_not_utf_8_gets_escapes_and_no_error() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii", write_through=True)
    configure_logging("text", stream=stream)
    log(logger, logging.INFO, "server", "Started", node_id="构建")
    assert buffer.getvalue().endswith(b'node_id="\\u6784\\u5efa"\n')


def test_tags_and_keys_are_those_of_the_contract() -> None:
    assert {"run.create.task.not_found", "node.heartbeat", "auth", "instance"} <= SERVER_TAGS
    assert {"container.start", "event.report", "run.adopt"} <= NODE_TAGS
    assert all(re.fullmatch(r"[a-z_.]+", tag) for tag in TAGS)
    reserved = {"time", "level", "tag", "message", "traceback"}
    assert not reserved & {key.rstrip("_") for key in Facts.__annotations__}
