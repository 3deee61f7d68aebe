"""Figure: the fit of approach 2 to the runs, and the compute-optimal allocation."""

from robustlaws.figures.drawing import contours, fit_panels, fitted_laws, inputs, style
from robustlaws.formatting import numbers
from robustlaws.storage import tables

_MOST = 8  # datasets
_TITLE = "Approach 2: additive terms with data quality"


def draw(*, paths, runs, laws, predictions, refits):
    """Draw one panel of losses and the law's lines per dataset, and the law's contours on the best of them.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`.
    laws : list of paths
        Law files; the two-stage fit of approach 2 is drawn if it determines N*, otherwise that in one stage.
    predictions : list of paths
        Tables `tables.PREDICTIONS`: the observations of each law. Runs that are in none of its rows are drawn as the
        fit has not seen them.
    refits : list of paths
        Tables `tables.REFITS`.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = tables.read(runs, tables.RUNS)
    laws = inputs.read_laws(laws)
    refits = inputs.read_tables(refits, tables.REFITS)
    fit, why = fitted_laws.additive(laws, refits)
    other = fitted_laws.read(laws, refits, "additive")[0] if fit and fit.name != "additive" else None
    predictions = inputs.read_tables(predictions, tables.PREDICTIONS)
    points = fit_panels.observations(runs[fitted_laws.outside(runs) == ""], fit, predictions)
    order = inputs.fid_order(zip(points["dataset"], points["fid"], strict=True))
    shown = fit_panels.spread(list(order), _MOST)
    rows, columns = fit_panels.grid_of(len(shown))
    height = (2.2 if rows > 1 else 2.5) * rows
    with style.drawing(paths, height + (3.2 if fit else 0) + 0.4) as figure:
        figure.suptitle(f"Fit of {fit.title if fit else _TITLE}")
        if not shown:
            style.nothing(figure.subplots(), "there are no runs that a law could be fitted to")
            return
        above, under = figure.subfigures(2, 1, height_ratios=(height, 3.2)) if fit else (figure, None)
        grid = style.panels(above, len(shown), columns=columns, sharex=True, sharey=True)
        labels = fit_panels.model_labels(points)
        looks = style.model_looks(list(labels))
        for axes, dataset in zip(grid, shown, strict=True):
            mine = points[points["dataset"] == dataset]
            fit_panels.panel(axes, mine, fit, looks, "model", "flops")
            axes.set_title(style.dataset_label(dataset, order[dataset], 14), fontsize=9)
            fit_panels.corner(axes, _summary(fit, dataset))
        fit_panels.scales(grid, points, "flops", numbers.scientific, columns)
        style.outer_labels(grid, "training FLOPs", "adversarial loss (nats)")
        handles = fit_panels.handles(looks, labels, points, fit)
        remarks = [] if fit else [f"No lines: {why}."]
        if fit:
            more, lines = _contours(under, fit, other, points)
            handles, remarks = handles + more, remarks + lines
        if len(shown) < len(order):
            remarks.append(f"{len(shown)} of {len(order)} datasets are shown, from the best FID to the worst.")
        style.below(figure, handles, remarks, columns=4)


def _summary(fit, dataset):
    """Return the text of a dataset's panel: R2, and whether the fit has not seen it."""
    r2 = (fit.summary.get("r2_by_dataset") or {}).get(dataset) if fit else None
    parts = ["held out" if fit and dataset in fit.held_out() else "", fit_panels.r2_label(r2)]
    return "\n".join(part for part in parts if part)


def _contours(figure, fit, other, points):
    """Draw the contours; return entries for the legend, and what is not known."""
    dataset = next(iter(fit.datasets()))
    why = fit.why_not(dataset)
    others = [other] if other and not why and not other.why_not(dataset) else []
    handles = contours.draw(figure, fit, points, dataset, others)
    return handles, [numbers.not_determined(f"{fit.title}: exponents of N* and D*", {dataset: why})] if why else []
