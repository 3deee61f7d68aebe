"""Stale means stale: what a change makes Snakemake run, and what it does not. The table is in the folder staleness."""

import pytest

from robustlaws.revisions import entries
from tests.workflow.staleness import coverage, page, spelling
from tests.workflow.staleness.studies import finished_by_touch
from tests.workflow.staleness.table import ROWS, TRIALS
from tests.workflow.staleness.trying import Trials, expected

# done by the command line too; the last is another study, so that both ways to finish one are among them
COMPARED = ("tiny: with a dataset, and runs on it", "tiny: sampling.shard_images", "wide: export.runs")


@pytest.fixture(scope="module")
def trials(request, finished, tmp_path_factory):
    """The changes that this session tests, all tried, and whatever else is known of their studies."""
    rows = test_a_change_makes_exactly_the_jobs_of_its_row.__name__
    chosen = [item.callspec.params["name"] for item in request.session.items if item.originalname == rows]
    names = dict.fromkeys([*chosen, *COMPARED])
    studies = {TRIALS[name][0].study for name in names} - {"tiny"}
    checkouts = {"tiny": finished, **finished_by_touch(studies, tmp_path_factory.mktemp("touched"))}
    made = Trials(checkouts, tmp_path_factory.mktemp("trials"))
    for name in names:
        made.add(name, *TRIALS[name])
    made.run()
    return made


@pytest.mark.parametrize("name", TRIALS)
def test_a_change_makes_exactly_the_jobs_of_its_row(trials, name):
    row, _ = TRIALS[name]
    assert trials.jobs(name) == expected(row, trials.whole(row.study))


@pytest.mark.parametrize("name", COMPARED)
def test_dry_runs_by_the_dozen_list_what_the_command_line_lists(trials, name):
    assert trials.by_command(name) == trials.jobs(name) != {}


def test_no_setting_of_the_schema_is_without_a_row():
    tried = [(row, change) for row in ROWS if row not in spelling.SPELT.rows for change in row.changes]
    covered = set().union(*(coverage.changed_keys(row, change) for row, change in tried))
    assert coverage.keys() - covered == set()


def test_no_revision_is_without_a_row():
    assert set(entries()) == {entry for row in ROWS for change in row.changes for entry in change.bumped}


def test_the_page_is_that_of_the_table():
    advice = "run `python -m tests.workflow.staleness`"
    assert page.PAGE.read_text(encoding="utf-8") == page.rendered(), advice
