"""Turn a table of finished runs into a checked `tables.RUNS`."""

from robustlaws.fit_table import columns, table_reader, unit_checks
from robustlaws.laws.observations import comparable
from robustlaws.runtime.logger import log
from robustlaws.storage import tables

EVERYTHING = "all"  # the dataset's name where none is given


def runs(path, flops_per_parameter_image=None):
    """Return the table of finished runs at `path`, checked.

    Parameters
    ----------
    path : path
        .csv or .parquet with the columns of `columns.RUNS`, or our own runs.parquet.
    flops_per_parameter_image : float, optional
        K; FLOPs are K N D where the table does not say them.

    Returns
    -------
    data frame as `tables.RUNS`

    Raises
    ------
    ValueError
        In one line: file, column, row and value, and what would do.
    """
    own = table_reader.as_is(path, tables.RUNS)
    if own is not None:
        return _several(own, path)
    table = table_reader.read(path, columns.RUNS, tables.RUNS)
    given = table_reader.cells(table, columns.RUNS, tables.RUNS)
    _present(table, given, "params", "images", "adv_loss")
    for row, loss in enumerate(given["adv_loss"]):
        if loss <= 0:
            raise table.wrong("loss", row, "a loss in nats is above 0")
    unit_checks.check_counts(table, given["params"], given["images"])
    unit_checks.check_shapes(table, given["params"], given["depth"], given["width"])
    _fill(table, given, flops_per_parameter_image)
    unit_checks.check_flops(table, *(given[name] for name in ("params", "images", "flops", "recipe")))
    _check_names(table, given)
    _check_fids(table, given)
    given["run"] = [run_name(**dict(zip(_KEY, key, strict=True))) for key in _rows(given, _KEY)]
    _check_once(table, given["run"])
    if table.ignored:
        log.info("%s: not used: %s", path, ", ".join(table.ignored))
    return _several(tables.table([dict(zip(given, row, strict=True)) for row in _rows(given)], tables.RUNS), path)


_MOST_RUNS = 20_000
_OVERSHOOT = 1.05  # the last batch, or accounting epochs that are rounded up
_KEY = ("model", "recipe", "dataset", "size", "seed")


def run_name(model, recipe, dataset, size, seed):
    """Return the name of a run: model/dataset/size/seed, of another recipe model@recipe/dataset/size/seed."""
    return f"{model}{f'@{recipe}' if recipe else ''}/{dataset}/{size}/{seed}"


def _several(table, path):
    """Return the table; ValueError if it holds fewer than two runs that laws may use."""
    if len(table) < 2:
        raise ValueError(f"{path}: {len(table)} run; a law needs several, of different N and D (six at the very least)")
    if len(table) > _MOST_RUNS:
        raise ValueError(f"{path}: {len(table):,} rows; one row a run, not one a measurement: those go to --curves")
    again = table["run"][table["run"].duplicated()]
    if len(again):
        raise ValueError(f"{path}: run {again.iloc[0]} stands there twice; give each run once")
    for dataset, fids in table.groupby("dataset")["fid"]:
        if fids.nunique() > 1:
            raise ValueError(f"{path} column fid: {dataset} has {fids.nunique()} FIDs; a dataset has one")
    usable, left_out = comparable(table)
    if usable["adv_loss"].notna().sum() < 2:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in left_out.items()) or "without a loss"
        raise ValueError(f"{path}: no two runs that a law may use; of {len(table)} are left out {reasons}")
    return table


def _rows(given, names=None):
    return list(zip(*(given[name] for name in names or given), strict=True))


def _present(table, given, *targets):
    names = {column.target: name for name, column in columns.RUNS.items()}
    for target in targets:
        for row, value in enumerate(given[target]):
            if value is None:
                raise table.wrong(names[target], row, "every run needs one")


def _fill(table, given, ratio):
    """Put in what holds where the table says nothing."""
    for row, flops in enumerate(given["flops"]):
        if flops is None and ratio is None:
            where = table.places[row] if "flops" in table else "no such column"
            raise ValueError(
                f"{table.path} column flops, {where}: give FLOPs, or --flops-per-parameter-image ({unit_checks.USUAL}"
                " for WideResNets on 32 x 32 pixels with a 10-step attack)"
            )
        if flops is None:
            given["flops"][row] = float(ratio) * given["params"][row] * given["images"][row]
        elif flops == 0:
            raise table.wrong("flops", row, "a run takes some")
    for target, value in (("dataset", EVERYTHING), ("seed", 1), ("real_fraction", 0.0)):
        given[target] = [value if cell is None else cell for cell in given[target]]
    given["size"] = [cell or seen for cell, seen in zip(given["size"], given["images"], strict=True)]
    for row, (size, seen) in enumerate(_rows(given, ("size", "images"))):
        if size * _OVERSHOOT < seen:
            raise table.wrong("size", row, f"less than the {seen:,} images that the run saw")
    shapes = _rows(given, ("model", "depth", "width", "params"))
    given["model"] = [model or _model(depth, width, params) for model, depth, width, params in shapes]


def _model(depth, width, params):
    return f"n-{params}" if None in (depth, width) else f"wrn-{depth}-{width}"


def _check_names(table, given):
    """Raise ValueError for a name that would not be read right in a run's name, or that means two networks."""
    for name in ("model", "dataset", "recipe"):
        for row, text in enumerate(given[name]):
            if text is not None and set(text) & set("/@"):
                raise table.wrong(name, row, "a name may hold neither / nor @")
    first = {}
    for row, (model, params) in enumerate(_rows(given, ("model", "params"))):
        before = first.setdefault(model, row)
        if given["params"][before] != params:
            raise table.wrong(
                "params", row, f"model {model} has {given['params'][before]} in {table.places[before]}; one each"
            )


def _check_fids(table, given):
    """Raise ValueError for two FIDs of one dataset; give each row its dataset's, and the only dataset of a table 0."""
    known = {}
    for row, (dataset, fid) in enumerate(_rows(given, ("dataset", "fid"))):
        if fid is None:
            continue
        before = known.setdefault(dataset, row)
        if given["fid"][before] != fid:
            other = f"{given['fid'][before]:g} in {table.places[before]}"
            raise table.wrong("fid", row, f"dataset {dataset} has {other}; a dataset has one FID")
    fids = {dataset: given["fid"][row] for dataset, row in known.items()}
    names = list(dict.fromkeys(given["dataset"]))
    if not fids and len(names) > 1:
        raise ValueError(
            f"{table.path}: {len(names)} datasets and no FID; add a column fid, or fit one dataset at a time"
        )
    if not fids:
        log.info("%s: no FID; %s counts as FID 0, and nothing is said of another", table.path, names[0])
        fids = {names[0]: 0.0}
    given["fid"] = [fids.get(dataset) for dataset in given["dataset"]]
    without = [name for name in names if name not in fids]
    if without:
        log.info("%s: without a FID, so left out of the laws: %s", table.path, ", ".join(without))


def _check_once(table, names):
    first = {}
    for row, name in enumerate(names):
        before = first.setdefault(name, row)
        if before != row:
            places = f"{table.places[before]} and {table.places[row]}"
            raise ValueError(f"{table.path} {places}: the same run twice ({name}); tell repeats apart by a column seed")
