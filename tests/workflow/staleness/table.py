"""The table: its sections in the order of the page."""

from tests.workflow.staleness import additions, conclusions, files, generators, humans, images, ledger, runs, spelling

SECTIONS = (
    additions.ADDED,
    additions.REMOVED,
    conclusions.ANEW,
    images.SOURCE,
    generators.GENERATORS,
    generators.DATASETS,
    images.SAMPLING,
    images.QUALITY,
    images.THREAT,
    runs.TRAINING,
    runs.ATTACKS,
    humans.HUMANS,
    conclusions.LAWS,
    conclusions.SHOWN,
    conclusions.MACHINE,
    spelling.SPELT,
    files.CODE,
    ledger.REVISIONS,
    files.ENVIRONMENTS,
    files.PLACES,
    files.INPUTS,
    files.OUTPUTS,
)
ROWS = tuple(row for section in SECTIONS for row in section.rows)
# each change to be tried, by the name of its test
TRIALS = {f"{row.study}: {change.name}": (row, change) for row in ROWS for change in row.changes}
