"""Figure: the fit of approach 3 to the runs, by model."""

from robustlaws.figures.drawing import fit_panels, fitted_laws, inputs, style
from robustlaws.formatting import numbers
from robustlaws.storage import tables

_LAW = "bottleneck"
_TITLE = "Approach 3: data quality as a bottleneck"
_MOST = 8  # models


def draw(*, paths, runs, laws, predictions, refits):
    """Draw one panel of losses against training images per model, with the law's lines at every FID.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`.
    laws : list of paths
        Law files; the one named "bottleneck" is drawn.
    predictions : list of paths
        Tables `tables.PREDICTIONS`: the observations of each law. Runs that are in none of its rows are drawn as the
        fit has not seen them.
    refits : list of paths
        Tables `tables.REFITS`: the law's parameters.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = tables.read(runs, tables.RUNS)
    laws = inputs.read_laws(laws)
    fit, why = fitted_laws.read(laws, inputs.read_tables(refits, tables.REFITS), _LAW)
    predictions = inputs.read_tables(predictions, tables.PREDICTIONS)
    points = fit_panels.observations(runs[fitted_laws.outside(runs) == ""], fit, predictions)
    order = inputs.fid_order(zip(points["dataset"], points["fid"], strict=True))
    models = fit_panels.model_labels(points)
    shown = fit_panels.spread(list(models), _MOST)
    rows, columns = fit_panels.grid_of(len(shown))
    with style.drawing(paths, (2.6 if rows > 1 else 3.2) * rows + 0.4) as figure:
        figure.suptitle(f"Fit of {fit.title if fit else _TITLE}")
        if not shown:
            style.nothing(figure.subplots(), "there are no runs that a law could be fitted to")
            return
        grid = style.panels(figure, len(shown), columns=columns, sharex=True, sharey=True)
        looks = style.dataset_looks(order)
        for axes, model in zip(grid, shown, strict=True):
            fit_panels.panel(axes, points[points["model"] == model], fit, looks, "dataset", "images")
            axes.set_title(models[model], fontsize=9)
        fit_panels.scales(grid, points, "images", numbers.count, columns)
        style.outer_labels(grid, "training images", "adversarial loss (nats)")
        labels = {name: style.dataset_label(name, fid) for name, fid in order.items()}
        remarks = [] if fit else [f"No lines: {why}."]
        if fit and (r2 := fit.summary.get("r2")) is not None:
            remarks.append(f"{fit_panels.r2_label(r2)} over all runs that the fit has seen.")
        if len(shown) < len(models):
            remarks.append(f"{len(shown)} of {len(models)} models are shown, from the smallest to the largest.")
        style.below(figure, fit_panels.handles(looks, labels, points, fit), remarks, columns=4)
