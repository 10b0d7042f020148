"""`mintstream mint`: what it asks for, and that nothing is asked for twice."""

import json
from pathlib import Path

import pytest

from mintstream import minting
from mintstream.ending import Exit
from tests.unit.mintstream.gateways import Answer, FakeGateway, operation, refusal, silence, success

BATCH = "POST /api/mint/batch"
STATUS = "GET /api/mint/status/op"
ACCEPTED = success({"transactionId": "op", "totalNfts": 1})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(minting, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"one")
    return folder


def arguments(drop: Path, *more: str) -> list[str]:
    return ["mint", str(drop), "--collection", "c", "--recipient", "r", *more]


def keys(gateway: FakeGateway) -> list[str]:
    return [each.headers["Idempotency-Key"] for each in gateway.requests if each.method == "POST"]


def gateway(*answers: Answer, status: Answer | None = None) -> FakeGateway:
    return FakeGateway({BATCH: list(answers) or [ACCEPTED], STATUS: [status or success(operation("completed"))]})


def test_an_operation_is_printed(drop: Path) -> None:
    fake = gateway()
    done = fake.run(*arguments(drop))
    assert (done.exit_code, done.stdout) == (0, "op\n")
    [request] = fake.requests
    assert request.headers["X-API-Key"] == "key"
    assert b'"name": "1"' in request.content
    assert b"one" in request.content
    assert b"batchSize" not in request.content


def test_the_same_again_asks_for_nothing(drop: Path) -> None:
    first, second = gateway(), gateway()
    assert first.run(*arguments(drop)).exit_code == 0
    done = second.run(*arguments(drop, "--json"))
    assert json.loads(done.stdout) == [{"transactionId": "op"}]
    assert second.requests == []


def test_without_what_was_kept_the_same_key_is_used(drop: Path, tmp_path: Path) -> None:
    first, second = gateway(), gateway()
    first.run(*arguments(drop))
    second.run(*arguments(drop), XDG_STATE_HOME=str(tmp_path / "elsewhere"))
    assert keys(first) == keys(second)


def test_again_is_another_key_and_is_kept(drop: Path) -> None:
    fake = gateway()
    fake.run(*arguments(drop))
    fake.run(*arguments(drop, "--again"))
    fake.run(*arguments(drop))
    assert len(keys(fake)) == 2 == len(set(keys(fake)))


def test_what_was_not_taken_on_is_asked_for_by_the_next_run(drop: Path) -> None:
    for number in range(60):
        (drop / f"{number:03}.png").write_bytes(bytes([number]))
    fake = gateway(ACCEPTED, refusal(409, "the collection is closed"))
    assert fake.run(*arguments(drop)).exit_code == Exit.FAILED
    again = gateway()
    assert again.run(*arguments(drop)).exit_code == 0
    assert keys(again) == keys(fake)[1:]


def test_a_drop_that_is_mended_keeps_what_was_taken_on(drop: Path) -> None:
    for number in range(60):
        (drop / f"{number:03}.png").write_bytes(bytes([number]))
    fake = gateway(ACCEPTED, refusal(400, "Validation failed", ("images[9]", "the file is no image")))
    refused = fake.run(*arguments(drop))
    assert refused.exit_code == Exit.USAGE
    assert "1 of 2 requests are taken on and go on." in refused.stderr
    assert f"{drop}/059.png: images[9]: the file is no image" in refused.stderr
    (drop / "059.png").write_bytes(b"mended")
    mended = gateway()
    assert mended.run(*arguments(drop)).exit_code == 0
    assert keys(mended)[0] == keys(fake)[0], "the gateway knows it by this key"
    assert keys(mended)[1] != keys(fake)[1]


def test_a_silent_gateway_is_asked_again_with_the_same_key(drop: Path) -> None:
    fake = gateway(silence, refusal(503, "the log does not answer"), ACCEPTED)
    assert fake.run(*arguments(drop)).exit_code == 0
    assert len(keys(fake)) == 3
    assert len(set(keys(fake))) == 1


def test_a_gateway_that_stays_silent_is_told(drop: Path) -> None:
    done = gateway(silence).run(*arguments(drop))
    assert done.exit_code == Exit.UNREACHABLE
    assert "no answer from http://gateway/api/mint/batch" in done.stderr
    assert "trying 4 times more" in done.stderr
    assert "mintstream up" in done.stderr


def test_a_refusal_is_told_field_by_field_and_not_repeated(drop: Path) -> None:
    fake = gateway(refusal(400, "Validation failed", ("nfts[0].name", "is too long")))
    done = fake.run(*arguments(drop))
    assert done.exit_code == Exit.USAGE
    assert "  1: nfts[0].name: is too long" in done.stderr
    assert len(fake.requests) == 1


def test_waiting_ends_with_the_outcome(drop: Path) -> None:
    done = gateway().run(*arguments(drop, "--wait", "--json"))
    assert done.exit_code == 0
    assert json.loads(done.stdout)[0]["status"] == "completed"
    failed = gateway(status=success(operation("failed", failed=1, error="no room")))
    assert failed.run(*arguments(drop, "--wait", "--again")).exit_code == Exit.FAILED


def test_an_end_that_does_not_come_is_told(drop: Path) -> None:
    done = gateway(status=success(operation("processing"))).run(*arguments(drop, "--wait", "--timeout", "1"))
    assert done.exit_code == Exit.UNFINISHED


def test_ctrl_c_says_that_the_same_command_goes_on(drop: Path) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    done = gateway(status=interrupted).run(*arguments(drop, "--wait"))  # pyright: ignore[reportArgumentType] (it answers nothing)
    assert done.exit_code == Exit.INTERRUPTED
    assert "the same command goes on" in done.stderr


def test_a_name_is_for_one_image(drop: Path) -> None:
    fake = gateway()
    assert fake.run(*arguments(drop / "1.png", "--name", "Harbour #1")).exit_code == 0
    assert b'"name": "Harbour #1"' in fake.requests[0].content
    (drop / "2.png").write_bytes(b"two")
    assert fake.run(*arguments(drop, "--name", "x")).exit_code == Exit.USAGE


def test_a_folder_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    done = gateway().run(*arguments(tmp_path / "nowhere"))
    assert done.exit_code == Exit.USAGE
    assert "is not there" in done.stderr
