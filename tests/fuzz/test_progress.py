"""What libFuzzer tells on its way, as counts."""

from tests.fuzz.progress import Progress

TOLD = [
    (1.0, "INFO: seed corpus: files: 2 min: 10b max: 99b total: 109b rss: 90Mb"),
    (2.0, "#3\tINITED cov: 100 ft: 200 corp: 2/109b exec/s: 0 rss: 90Mb"),
    (3.5, "#40\tNEW    cov: 104 ft: 210 corp: 3/120b lim: 99 exec/s: 20 rss: 90Mb L: 11/99 MS: 1 Custom-"),
    (4.0, "#60\tREDUCE cov: 104 ft: 210 corp: 3/118b lim: 99 exec/s: 20 rss: 90Mb L: 9/99 MS: 1 Custom-"),
    (9.0, "#128\tpulse  cov: 104 ft: 210 corp: 3/118b lim: 99 exec/s: 20 rss: 90Mb"),
    (9.5, "stat::number_of_executed_units: 150"),
]


def test_the_last_new_branch_is_remembered_and_every_input_counted() -> None:
    progress = Progress()
    assert all(progress.read(line, seconds) for seconds, line in TOLD)
    assert progress == Progress(inputs=150, branches=104, newest_input=40, newest_at=3.5)


def test_what_is_not_libfuzzers_is_for_the_reader() -> None:
    assert not Progress().read("Traceback (most recent call last):", 1.0)
