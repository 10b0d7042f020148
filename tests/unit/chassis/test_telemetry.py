"""chassis.telemetry, chassis.logs and chassis.redaction: what a log line says and what it must not."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Generator

import pytest
import structlog

from chassis import telemetry, trace_context
from chassis.logs import configure_logs, flush_logs
from chassis.redaction import REDACTED, Secret, is_secret_name, redact, scrub

Written = Callable[[], str]
Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Generator[Written, None, None]:
    """Everything written to stderr so far; the logging of the test run is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written: list[str] = []

    def read() -> str:
        written.append(capsys.readouterr().err)
        return "".join(written)

    yield read
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def lines(stderr: Written) -> Lines:
    telemetry.configure("minter", "1.2.3", "info", "json", environ={})
    return lambda: [json.loads(line) for line in stderr().splitlines()]


def test_a_line_has_time_level_sentence_service_and_fields(lines: Lines) -> None:
    telemetry.get_logger("services.minter").info("attempt signed", attempt=2, operation="op-1")
    (line,) = lines()
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert str(line["timestamp"]).endswith("Z")
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "attempt signed",
        "logger": "services.minter",
        "service": "minter",
        "version": "1.2.3",
        "attempt": 2,
        "operation": "op-1",
    }


def test_lines_below_the_level_are_dropped(lines: Lines, stderr: Written) -> None:
    telemetry.get_logger("x").debug("quiet")
    assert lines() == []
    telemetry.configure("minter", "1", "debug", "json", environ={})
    telemetry.get_logger("x").debug("loud")
    assert [line["event"] for line in lines()] == ["loud"], "one handler, however often it is configured"


def test_libraries_log_in_the_same_format(lines: Lines) -> None:
    logging.getLogger("nats").warning("lost %s", "nats://user:hunter2@host:4222")
    (line,) = lines()
    assert (line["event"], line["logger"], line["service"]) == (
        f"lost nats://user:{REDACTED}@host:4222",
        "nats",
        "minter",
    )


def test_secrets_do_not_reach_the_log(lines: Lines, stderr: Written) -> None:
    log = telemetry.get_logger("x")
    log.info(
        "connecting with Bearer hunter2hunter2",
        api_key="hunter2",
        dsn="postgresql://u:hunter2@h/d?sslmode=off",
        key=Secret("hunter2"),
        nested={"headers": {"Authorization": "hunter2"}, "list": [Secret("hunter2"), ("nats://a:hunter2@b",)]},
        rpc="https://rpc.example/?api-key=hunter2&x=1",
        settings=telemetry.Telemetry,
    )
    local_variable = Secret("hunter2").reveal()
    try:
        raise ValueError(f"cannot reach postgresql://u:{local_variable}@h/d")
    except ValueError:
        log.exception("failed")
    assert "hunter2" not in stderr()
    first, second = lines()
    assert first["rpc"] == f"https://rpc.example/?api-key={REDACTED}&x=1"
    assert "ValueError: cannot reach" in str(second["exception"])


def test_what_json_cannot_say_is_printed_as_python_would(lines: Lines) -> None:
    telemetry.get_logger("x").info("odd", thing=object, text="Юникод", number=float("inf"))
    (line,) = lines()
    assert line["thing"] == "<class 'object'>"
    assert line["text"] == "Юникод"


def test_a_value_that_cannot_be_printed_breaks_nothing_but_its_line(lines: Lines) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError("hunter2")

    telemetry.get_logger("x").info("odd", thing=Odd())
    telemetry.get_logger("x").info("fine")
    first, second = lines()
    assert (first["event"], first["reason"]) == ("log line not written", "ValueError")
    assert second["event"] == "fine"


def test_what_nobody_can_read_any_more_breaks_nothing(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    telemetry.get_logger("x").info("nobody reads this")


async def test_lines_of_one_turn_are_written_together_and_an_urgent_one_at_once(lines: Lines) -> None:
    log = telemetry.get_logger("x")
    log.info("one")
    log.info("two")
    assert lines() == []
    await asyncio.sleep(0)
    assert [line["event"] for line in lines()] == ["one", "two"]
    log.info("three")
    log.warning("four")
    assert [line["event"] for line in lines()] == ["one", "two", "three", "four"], "in order, none twice"
    log.info("five")
    flush_logs()
    assert lines()[-1]["event"] == "five"


def test_a_line_does_not_wait_for_a_loop_that_has_ended(lines: Lines) -> None:
    async def last_words() -> None:
        telemetry.get_logger("x").info("one")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(last_words())
    loop.close()
    asyncio.run(asyncio.wait_for(last_words(), 60))
    assert [line["event"] for line in lines()] == ["one", "one"]


def test_console_lines_are_no_json(stderr: Written) -> None:
    configure_logs("minter", "1", "info", "console")
    telemetry.get_logger("x").info("hello", api_key="hunter2")
    assert "hello" in stderr()
    assert "hunter2" not in stderr()
    with pytest.raises(ValueError, match=r"Extra data|Expecting value"):
        json.loads(stderr())


def test_a_trace_goes_from_headers_into_lines_and_on(lines: Lines) -> None:
    with telemetry.span("publish"):
        headers = {"Nats-Msg-Id": "1"}
        telemetry.inject(headers)
    version, trace_id, parent, _ = headers["traceparent"].split("-")
    assert version == "00"
    with telemetry.span("handle", context=telemetry.extract({"Traceparent": headers["traceparent"]})):
        telemetry.get_logger("x").info("handling")
        onward: dict[str, str] = {}
        telemetry.inject(onward)
    (line,) = lines()
    assert line["trace_id"] == trace_id
    assert line["span_id"] == onward["traceparent"].split("-")[2]
    assert line["span_id"] == parent, "nothing is exported: the sender's span stands for all of its trace"
    assert onward["traceparent"].split("-")[1] == trace_id


@pytest.mark.parametrize("headers", [None, {}, {"traceparent": "nonsense"}, {"traceparent": "00-" + "0" * 32 + "-1-0"}])
def test_headers_without_a_trace_start_a_new_one(lines: Lines, headers: dict[str, str] | None) -> None:
    with telemetry.span("outer"):
        outer = trace_context.current()
        with telemetry.span("inner", context=telemetry.extract(headers)):
            inner = trace_context.current()
        assert trace_context.current() == outer
    assert outer
    assert inner
    assert inner.trace_id != outer.trace_id, "an empty context, not the current one"


def test_nothing_is_injected_outside_of_a_span(lines: Lines) -> None:
    headers: dict[str, str] = {}
    telemetry.inject(headers)
    assert headers == {}


def test_an_exception_goes_through_a_span(lines: Lines) -> None:
    with pytest.raises(KeyError), telemetry.span("work"):
        raise KeyError("x")
    assert trace_context.current() is None


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://u:p%40x@h:5432/d", f"postgresql://u:{REDACTED}@h:5432/d"),
        ("postgresql://u:p@x@h:5432/d", f"postgresql://u:{REDACTED}@h:5432/d"),
        ('{"a": "nats://u:p@h", "b": "c@d"}', f'{{"a": "nats://u:{REDACTED}@h", "b": "c@d"}}'),
        ("nats://:token@h", f"nats://:{REDACTED}@h"),
        ("two nats://a:b@c and nats://d:e@f", f"two nats://a:{REDACTED}@c and nats://d:{REDACTED}@f"),
        ("https://h/?token=abc", f"https://h/?token={REDACTED}"),
        ("https://user@h/path:x@y", "https://user@h/path:x@y"),
        ("http://127.0.0.1:8899/a@b", "http://127.0.0.1:8899/a@b"),
        ("Authorization: Bearer eyJhbGciOiJI.x.y", f"Authorization: Bearer {REDACTED}"),
        ("nothing secret: a=b", "nothing secret: a=b"),
    ],
)
def test_scrub(text: str, clean: str) -> None:
    assert scrub(text) == clean


@pytest.mark.parametrize("long", ["{} ://", "://{}", "a://b:{}", "?{}=", "Bearer {}", "Bearer {} ", "a://{}@"])
@pytest.mark.parametrize("part", ["a", "a-", "://a:", "?token", "Bearer ", "@"])
def test_what_callers_make_very_long_is_scrubbed_all_the_same(long: str, part: str) -> None:
    """In a time that grows with the text; with its square, this would be at it for hours."""
    text = long.format(part * 300_000)
    assert len(scrub(text)) > 0


@pytest.mark.parametrize("name", ["password", "api_key", "X-API-Key", "PRIVATE_KEY", "nats_token", "seed", "cookies"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["signature", "public_key", "collection_key", "token_metadata", "tree", "seeded"])
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_endless_structures_are_cut() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "..." in json.dumps(redact(endless))


def test_work_for_several_messages_goes_on_with_their_trace_or_begins_its_own() -> None:
    one = {"traceparent": f"00-{'a' * 32}-{'1' * 16}-01"}
    same = {"traceparent": f"00-{'a' * 32}-{'2' * 16}-01"}
    other = {"traceparent": f"00-{'b' * 32}-{'3' * 16}-01"}

    def carried(*headers: dict[str, str]) -> str:
        context, links = telemetry.together(headers)
        assert links == [], "nobody records them"
        with telemetry.span("work", context=context):
            onward: dict[str, str] = {}
            telemetry.inject(onward)
        return onward["traceparent"]

    assert carried(one, same) == same["traceparent"]
    nothing: dict[str, str] = {}
    of_its_own = carried(one, other), carried(one, nothing), carried(nothing), carried()
    assert not {traceparent[3:35] for traceparent in of_its_own} & {"a" * 32, "b" * 32}


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        ({"traceparent": f"00-{'a' * 32}-{'1' * 16}-01", "tracestate": "v=1,w=2"}, {"tracestate": "v=1,w=2"}),
        ({"TraceParent": f"00-{'a' * 32}-{'1' * 16}-01", "TraceState": "v=1"}, {"tracestate": "v=1"}),
        ({"traceparent": f"01-{'a' * 32}-{'1' * 16}-01-later"}, {}),
        ({"traceparent": f"00-{'a' * 32}-{'1' * 16}-01", "tracestate": "not a list\r\nX: 1"}, {}),
    ],
)
def test_what_others_write_is_carried_on_in_our_form(given: dict[str, str], carried: dict[str, str]) -> None:
    onward: dict[str, str] = {}
    with telemetry.span("work", context=telemetry.extract(given)):
        telemetry.inject(onward)
    assert onward == {"traceparent": f"00-{'a' * 32}-{'1' * 16}-01", **carried}


@pytest.mark.parametrize(
    "given",
    [
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"ff-{'a' * 32}-{'1' * 16}-01",
        f"00-{'a' * 32}-{'1' * 16}-01-more",
        f"00-{'a' * 31}-{'1' * 16}-01",
    ],
)
def test_what_is_no_trace_is_not_carried_on(given: str) -> None:
    assert trace_context.read({"traceparent": given}) is None


def test_nothing_of_the_sdk_is_loaded_while_nothing_is_exported() -> None:
    program = """
import sys
from chassis import metrics, telemetry
telemetry.configure("minter", "1", environ={})
with telemetry.span("work"):
    metrics.SIGNED.add()
print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
"""
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert told.strip() == "[]"
