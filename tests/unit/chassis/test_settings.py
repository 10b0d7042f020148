"""chassis.settings: from environment variables to a frozen Struct, and every mistake told at once."""

import enum
import json
import pickle
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from chassis.settings import Secret, ServiceSettings, SettingsError, describe, load, load_or_exit
from deploy.services import SETTINGS


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Example(msgspec.Struct, frozen=True, kw_only=True):
    rpc_url: Annotated[str, Meta(description="The node.", examples=["http://127.0.0.1:8899"], pattern="^https?://")]
    api_key: Annotated[Secret, Meta(description="The key.")]
    backup_rpc_urls: tuple[str, ...] = ()
    retries: Annotated[int, Meta(ge=1, le=9)] = 3
    pause: float = 0.5
    dry_run: bool = False
    network: Literal["localnet", "devnet"] = "localnet"
    level: Level = Level.LOW
    note: str | None = None
    seed: Secret | None = None
    weights: Annotated[tuple[int, ...], Meta(max_length=2)] = (1,)


GOOD = {"RPC_URL": "http://node", "API_KEY": "hunter2"}


def problems(environ: dict[str, str], **options: Any) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(Example, environ, **options)
    return caught.value.problems


def test_defaults_and_required() -> None:
    settings = load(Example, GOOD)
    assert settings == Example(rpc_url="http://node", api_key=Secret("hunter2"))
    assert settings.api_key.reveal() == "hunter2"


def test_every_type() -> None:
    environ = GOOD | {
        "BACKUP_RPC_URLS": "http://a, http://b ,",
        "RETRIES": "9",
        "PAUSE": "1.25",
        "DRY_RUN": "true",
        "NETWORK": "devnet",
        "LEVEL": "high",
        "NOTE": " hello ",
        "SEED": "s",
        "WEIGHTS": "4,5",
    }
    settings = load(Example, environ)
    assert settings.backup_rpc_urls == ("http://a", "http://b")
    assert (settings.retries, settings.pause, settings.dry_run) == (9, 1.25, True)
    assert (settings.network, settings.level, settings.note) == ("devnet", Level.HIGH, "hello")
    assert settings.seed == Secret("s")
    assert settings.weights == (4, 5)


@pytest.mark.parametrize("text", ["true", "1", "True"])
def test_true(text: str) -> None:
    assert load(Example, GOOD | {"DRY_RUN": text}).dry_run is True


@pytest.mark.parametrize("text", ["false", "0", "FALSE", ""])
def test_false(text: str) -> None:
    assert load(Example, GOOD | {"DRY_RUN": text}).dry_run is False


def test_an_empty_variable_is_an_absent_one() -> None:
    assert problems({"RPC_URL": "", "API_KEY": "x"}).keys() == {"RPC_URL"}
    assert problems({"RPC_URL": "http://node", "API_KEY": "  "}).keys() == {"API_KEY"}
    assert load(Example, GOOD | {"RETRIES": "", "NOTE": ""}) == load(Example, GOOD)


def test_everything_wrong_is_told_at_once() -> None:
    found = problems(
        {
            "RPC_URL": "ftp://node",
            "RETRIES": "10",
            "PAUSE": "soon",
            "DRY_RUN": "perhaps",
            "NETWORK": "mainnet",
            "LEVEL": "middle",
            "WEIGHTS": "1,2,3",
            "MINTSTREAM_RETRIES": "3",
        }
    )
    assert found.keys() == {
        *("RPC_URL", "API_KEY", "RETRIES", "PAUSE", "DRY_RUN", "NETWORK", "LEVEL", "WEIGHTS", "MINTSTREAM_RETRIES")
    }
    assert found["API_KEY"] == "missing (The key.); example: API_KEY_FILE=/run/secrets/api_key"
    assert "example: RPC_URL=http://127.0.0.1:8899" in found["RPC_URL"]
    assert "<= 9" in found["RETRIES"]
    assert "got '10'" in found["RETRIES"]
    assert found["NETWORK"].startswith("must be one of localnet, devnet, got 'mainnet'")
    assert found["LEVEL"].startswith("must be one of low, high")


def test_the_message_names_every_variable() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {})
    assert str(caught.value).splitlines()[0] == "Example: 2 environment variable(s) to correct:"
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == ["RPC_URL", "API_KEY"]


def test_a_variable_with_a_typing_error_is_suggested() -> None:
    assert "RCP_URL is set, is it meant?" in problems({"RCP_URL": "http://node", "API_KEY": "x"})["RPC_URL"]


def test_only_our_own_prefix_is_checked_for_unknown_variables() -> None:
    assert load(Example, GOOD | {"HOME": "/root", "KUBERNETES_PORT": "x"}) == load(Example, GOOD)
    assert problems(GOOD | {"MINTSTREAM_X": "1"}) == {"MINTSTREAM_X": "no such setting here; unset it"}
    assert load(Example, GOOD | {"MINTSTREAM_X": "1"}, also_known={"MINTSTREAM_X"}) == load(Example, GOOD)


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("hunter2\n")
    settings = load(Example, {"RPC_URL": "http://node", "API_KEY_FILE": str(path)})
    assert settings.api_key.reveal() == "hunter2"
    assert "RPC_URL" in problems({"RPC_URL_FILE": str(path), "API_KEY": "x"}), "only secrets come from files"


def test_a_secret_file_that_does_not_do(tmp_path: Path) -> None:
    def wrong(path: Path, **more: str) -> str:
        return problems({"RPC_URL": "http://node", "API_KEY_FILE": str(path)} | more)["API_KEY"]

    assert "No such file" in wrong(tmp_path / "missing")
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in wrong(tmp_path / "empty")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in wrong(tmp_path / "binary")
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    assert "larger than 65536 bytes" in wrong(tmp_path / "large")
    assert "not both" in wrong(tmp_path / "empty", API_KEY="x")


class Picky(msgspec.Struct, frozen=True, kw_only=True):
    node: Annotated[Secret | None, Meta(pattern="^https?://", max_length=30)] = None
    port: Annotated[int, Meta(ge=1)] = 1


@pytest.mark.parametrize("wrong", ["hunter2", "https://node.example/?key=hunter2&much=longer"])
def test_a_wrong_secret_is_not_shown(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"NODE: .*\(the value is not shown\)") as caught:
        load(Picky, {"NODE": wrong})
    assert "hunter2" not in str(caught.value)
    assert load(Picky, {"NODE": "http://h/hunter2"}).node == Secret("http://h/hunter2")


def test_a_wrong_value_with_a_password_in_a_url_is_shown_without_it() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Picky, {"PORT": "postgres://user:hunter2@host/db"})
    assert "hunter2" not in str(caught.value)


def test_a_long_wrong_value_is_cut() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Picky, {"PORT": "x" * 5000})
    assert len(str(caught.value)) < 300


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\x00" not in text))
def test_a_secret_prints_nowhere(text: str) -> None:
    secret = Secret("hunter2-" + text)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", repr({"key": secret}), repr([secret])]
    assert not any("hunter2" in each for each in shown)
    for encode in (json.dumps, msgspec.json.encode, msgspec.msgpack.encode, pickle.dumps):
        with pytest.raises(TypeError):
            encode(secret)
    assert secret.reveal() == "hunter2-" + text
    assert secret == Secret("hunter2-" + text)
    assert secret != Secret("hunter2")
    assert secret != secret.reveal()
    assert hash(secret) == hash(Secret(secret.reveal()))


def test_a_struct_with_secrets_prints_none() -> None:
    assert "hunter2" not in repr(load(Example, GOOD))


def test_load_or_exit_tells_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        load_or_exit(Example, {"API_KEY": "hunter2"})
    assert exited.value.code == 2
    output = capsys.readouterr()
    assert "RPC_URL: missing" in output.err
    assert "hunter2" not in output.err
    assert output.out == ""


def test_describe_has_a_row_for_every_variable() -> None:
    rows = {row.variable: row for row in describe(Example)}
    assert list(rows)[:3] == ["RPC_URL", "API_KEY", "BACKUP_RPC_URLS"]
    assert (rows["RPC_URL"].required, rows["RPC_URL"].default, rows["RPC_URL"].type) == (True, None, "str")
    assert rows["API_KEY"].secret
    assert rows["BACKUP_RPC_URLS"].type == "comma-separated str"
    assert rows["NETWORK"].type == "one of localnet, devnet"
    assert rows["LEVEL"].default == "low"
    assert rows["DRY_RUN"].default == "false"
    assert rows["RETRIES"].example == "RETRIES=1"


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("value", ["17", "no such thing", "true", "11111111111111111111111111111111", "https://x.test"])
def test_every_variable_of_every_service_takes_a_value_or_says_what_is_wrong_with_it(
    settings: type[ServiceSettings], value: str
) -> None:
    for row in describe(settings):
        try:
            load(settings, {row.variable: value})
        except SettingsError as error:  # others are missing, which is right
            told = error.problems.get(row.variable)
            assert told is None or not told.startswith("missing"), (row.variable, told)


@pytest.mark.parametrize(
    ("service", "variable", "value"),
    [
        ("gateway", "WALLET_ADDRESS", "So11111111111111111111111111111111111111112"),
        ("gateway", "LOG_LEVEL", "warn"),
        ("ipfs", "IMAGE_PREVIEW_PIXELS", "512"),
        ("notifier", "WEBHOOK_EVENTS", "mint.*,collection.created"),
    ],
)
def test_what_is_documented_is_taken(service: str, variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(SETTINGS[service], {variable: value, "MINTSTREAM_X": "x"})
    assert variable not in error.value.problems


@pytest.mark.parametrize(
    ("service", "variable", "value", "told"),
    [
        ("gateway", "PORT", "abc", "must be a whole number, got 'abc'"),
        ("gateway", "ENABLE_METRICS", "maybe", "must be true or false, got 'maybe'"),
        ("gateway", "SHUTDOWN_GRACE_SECONDS", "soon", "must be a number, got 'soon'"),
        ("gateway", "CORS_ORIGINS", "https://a.test/", "must have the form of the example, got 'https://a.test/'"),
        ("gateway", "RPC_URL", "node", "must have the form of the example (the value is not shown)"),
        ("gateway", "DATABASE_URL", "mysql://x", "must have the form of the example (the value is not shown)"),
    ],
)
def test_a_wrong_value_is_told_in_words(service: str, variable: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(SETTINGS[service], {variable: value})
    assert error.value.problems[variable].startswith(f"{told}; example: ")


def test_a_filter_of_events_that_takes_none_is_refused() -> None:
    with pytest.raises(SettingsError) as error:
        load(SETTINGS["notifier"], {"NATS_URL": "nats://x", "WEBHOOK_EVENTS": "mint.*,mint.landed"})
    assert error.value.problems["WEBHOOK_EVENTS"].startswith("'mint.landed' takes none of mint.confirmed,")


def test_every_service_setting_is_described() -> None:
    assert all(row.description for row in describe(ServiceSettings))


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:8081", "[::1]:80", "localhost:65535"])
def test_good_listen_addresses(listen: str) -> None:
    assert load(ServiceSettings, {"NATS_URL": "nats://n", "PROBE_LISTEN": listen}).probe_listen == listen


@pytest.mark.parametrize("listen", ["8081", ":8081", "::1:80", "host:", "host:port", "a b:1"])
def test_bad_listen_addresses(listen: str) -> None:
    with pytest.raises(SettingsError, match="PROBE_LISTEN"):
        load(ServiceSettings, {"NATS_URL": "nats://n", "PROBE_LISTEN": listen})
