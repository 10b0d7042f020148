"""When messages go to the log as a batch: the rule, before a server whose times are reckoned."""

from dataclasses import dataclass

import pytest

from chassis.batching import BATCHED_SECONDS, ENOUGH, MEASURABLE, TRIED, TRY_SECONDS, Batching, Burst


@dataclass
class Server:
    """Stores a burst; `way` there and back, `single` and `sync` in seconds."""

    way: float = 0.0005
    single: float = 0.00002
    sync: float = 0.0

    def seconds(self, burst: Burst) -> float:
        if burst.batched:
            return self.way + self.sync + burst.count * BATCHED_SECONDS
        return self.way + burst.count * (self.single + self.sync)


def load(rule: Batching, server: Server, waiting: int, bursts: int, start: float = 0.0) -> tuple[list[Burst], float]:
    """Publish, always with as many waiting; return what went how, and when it was over."""
    now, gone = start, list[Burst]()
    for _ in range(bursts):
        burst = rule.burst(waiting, now)
        seconds = server.seconds(burst)
        rule.stored(burst, seconds)
        gone.append(burst)
        now += seconds
    return gone, now


def started(server: Server, most: int = 128) -> Batching:
    """A rule that has seen one message alone, as every service's first one is."""
    rule = Batching(most)
    load(rule, server, waiting=1, bursts=1)
    return rule


@pytest.mark.parametrize("way", [0.0003, 0.003], ids=["on this machine", "three replicas"])
def test_where_nothing_is_synced_all_go_singly(way: float) -> None:
    server = Server(way=way)
    gone, _ = load(started(server), server, waiting=64, bursts=50)
    assert gone == [Burst(TRIED, batched=False)] * ENOUGH + [Burst(64, batched=False)] * (50 - ENOUGH)


@pytest.mark.parametrize("sync", [0.0003, 0.002, 0.02])
def test_where_every_write_is_synced_they_go_as_batches_once_that_is_seen(sync: float) -> None:
    server = Server(sync=sync)
    gone, _ = load(started(server), server, waiting=64, bursts=20)
    assert gone[:ENOUGH] == [Burst(TRIED, batched=False)] * ENOUGH, "too little is known before"
    assert gone[ENOUGH:] == [Burst(64, batched=True)] * (20 - ENOUGH)


def test_what_else_the_machine_does_changes_nothing() -> None:
    server, starved = Server(), Server(way=0.2)
    rule = started(server)
    gone, now = list[Burst](), 0.0
    for _ in range(50):
        (quick, *_), now = load(rule, server, waiting=64, bursts=1, start=now)
        slow, now = load(rule, starved, waiting=64, bursts=4, start=now)
        gone += [quick, *slow]
    assert now > 2 * TRY_SECONDS
    assert not any(burst.batched for burst in gone)


def test_a_batch_that_is_slower_is_tried_now_and_then_only() -> None:
    server = Server(single=0.0004)  # slow to store, and a batch is no faster
    slow = Server(single=0.0004, sync=0.2)
    rule = started(server)
    load(rule, server, waiting=64, bursts=ENOUGH)
    tried, _ = load(rule, slow, waiting=64, bursts=1, start=1.0)
    assert tried == [Burst(64, batched=True)]
    gone, over = load(rule, server, waiting=64, bursts=100, start=1.1)
    assert over < TRY_SECONDS
    assert not any(burst.batched for burst in gone)
    assert rule.burst(64, 2 * TRY_SECONDS).batched


def test_a_few_messages_find_out_whether_single_ones_have_become_fast() -> None:
    synced, other = Server(sync=0.002), Server()
    rule = started(synced)
    _, now = load(rule, synced, waiting=64, bursts=10)
    enough = int(TRY_SECONDS / synced.seconds(Burst(64, batched=True))) + 2
    gone, now = load(rule, synced, waiting=64, bursts=enough, start=now)
    assert [burst for burst in gone if not burst.batched] == [Burst(TRIED, batched=False)]
    for attempt in range(1, 8):  # the leader has moved to a disk that is not synced
        load(rule, other, waiting=64, bursts=2, start=now + attempt * 2 * TRY_SECONDS)
    assert not rule.burst(64, now + 100 * TRY_SECONDS).batched


def test_too_few_for_a_batch_go_singly_on_the_slowest_disk() -> None:
    server = Server(sync=0.02)
    rule = started(server)
    load(rule, server, waiting=64, bursts=5)
    assert rule.burst(1, 0.0) == Burst(1, batched=False)


def test_a_batch_has_no_more_messages_than_it_may() -> None:
    server = Server(sync=0.02)
    gone, _ = load(started(server, most=20), server, waiting=64, bursts=5)
    assert gone[ENOUGH:] == [Burst(20, batched=True)]


def test_without_batches_there_is_nothing_to_try() -> None:
    server = Server(sync=0.02)
    gone, _ = load(started(server, most=1), server, waiting=64, bursts=20)
    assert not any(burst.batched for burst in gone)


def test_bursts_that_tell_nothing_change_nothing() -> None:
    rule = started(Server())
    for batched in (False, True):
        rule.stored(Burst(MEASURABLE - 1, batched), 10.0)
    assert not rule.burst(64, 0.0).batched
