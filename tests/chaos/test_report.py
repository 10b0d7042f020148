"""docs/reliability.md is put together from what the runs recorded, and from nothing else."""

from pathlib import Path

import pytest

from tests.bench.report import Section
from tests.chaos.report import Result, assembled, name_of, record, recorded

TEMPLATE = "# Title\n\nText.\n\n{{random-schedules}}\n"


def test_a_run_is_recorded_and_told_in_its_place(tmp_path: Path) -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    section = Section("Random schedules", "python -m it --seed 1", ["It held.", table])
    record(section, {"broken": 0}, tmp_path)
    (result,) = recorded(tmp_path).values()
    assert result.figures == {"broken": 0}
    told = assembled(TEMPLATE, recorded(tmp_path))
    assert told == (
        f"# Title\n\nText.\n\n## Random schedules\n\n`python -m it --seed 1` on {result.machine}.\n\nIt held.\n\n"
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    )
    section.parts[0] = "It broke."
    record(section, {"broken": 1}, tmp_path)
    assert assembled(TEMPLATE, recorded(tmp_path)) == told.replace("It held.", "It broke.")


def test_nothing_recorded_is_left_out_and_what_is_missing_is_told() -> None:
    result = Result(title="Soak", command="python", machine="here", parts=())
    with pytest.raises(ValueError, match="no place for soak"):
        assembled(TEMPLATE, {"soak": result})
    assert "Nothing is recorded." in assembled(TEMPLATE, {})


def test_titles_give_names_of_files() -> None:
    assert name_of("Random schedules") == "random-schedules"
