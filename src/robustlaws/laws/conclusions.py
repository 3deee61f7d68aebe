"""Draw conclusions out of the fitted laws of a study on disk, and write them."""

from robustlaws import records
from robustlaws.files import read_json
from robustlaws.humans import columns
from robustlaws.laws import limits


def measure_limits(
    *,
    runs_path,
    law_paths,
    refits_paths,
    accuracy_path,
    accuracy_refits_path,
    limits_path,
    settings,
    allocation_paths=(),
    benchmark_paths=(),
):
    """Draw exponents, the best at a budget, the limit and the FLOPs to human level out of fitted laws.

    Parameters
    ----------
    runs_path : path
        Parquet of records.RUNS.
    law_paths, refits_paths : list of path
        Summaries, and their refits (records.REFITS) in the same order.
    accuracy_path, accuracy_refits_path : path
        The line from loss to accuracy, and its refits.
    limits_path : path
        Written (records.APPROACHES).
    settings : settings.Limits
    allocation_paths : list of path
        Tables of N* and D* (records.ALLOCATIONS): where the settings name no budget, the largest of these is taken,
        and without them that of the dearest run.
    benchmark_paths : list of path
        None, or the table (humans.columns.BENCHMARK) whose mean person is the human level.

    Raises
    ------
    ValueError
        If a table is not what it should be.
    """
    ends = [records.read(path, records.ALLOCATIONS)["flops"].max() for path in allocation_paths]
    found = limits.measure(
        [read_json(path) for path in law_paths],
        [records.read(path, records.REFITS) for path in refits_paths],
        read_json(accuracy_path),
        records.read(accuracy_refits_path, records.REFITS),
        records.read(runs_path, records.RUNS),
        settings,
        max((end for end in ends if end == end), default=None),
        next(map(_human, benchmark_paths), None),
    )
    records.write(limits_path, found, records.APPROACHES)


def _human(path):
    """Return the accuracy of the mean person on all attacked images, with its interval, as a row of the conclusions."""
    table = records.read(path, columns.BENCHMARK)
    found = table[(table["who"] == "human_mean") & (table["data"] == "all")]
    if found.empty:
        return {"value": None, "determined": False, "why": "nobody has answered yet", "source": "person"}
    row = found.iloc[0]
    numbers = {"value": row["accuracy"], "low": row["low"], "high": row["high"]}
    return numbers | {"determined": True, "why": "", "source": row["kind"]}
