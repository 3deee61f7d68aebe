"""Figure: the extra training compute of models smaller or larger than N*."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from robustlaws.figures.drawing import fitted_laws, inputs, label_placement, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.laws import additive
from robustlaws.laws.overheads import overhead
from robustlaws.storage import tables

_NUMERICAL = "bottleneck"
_NEAR = 4.0  # runs within this factor of the budget
_WIDEST = 64.0  # model sizes shown, as a factor of N* either way
_HIGHEST = 1.5  # overhead shown
_LOST = "no amount of data suffices"
_HATCHED = {"facecolor": "none", "edgecolor": "#B5B5B5", "hatch": "////", "linewidth": 0}
_MEANING = (
    f"Above: the models, with the best accuracy of their runs within a factor {_NEAR:g} of the budget: under "
    "AutoAttack, or under PGD where it says so."
)
_OF_RUNS = "Percentages: accuracy under AutoAttack, or under PGD where it says so."
_MARKED = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2", 2.0: "2", 4.0: "4"}


def draw(*, paths, runs, laws, refits):
    """Draw the compute overhead at equal loss against model size, at the budget of the dearest run.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`: the budget, and the models that are marked.
    laws : list of paths
        Law files: approach 2 is drawn by its closed form, approach 3 numerically, on the dataset of the best FID.
    refits : list of paths
        Tables `tables.REFITS`: their parameters.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = tables.read(runs, tables.RUNS)
    runs = runs[runs["flops"] > 0].assign(outside=fitted_laws.outside)
    laws = inputs.read_laws(laws)
    known, unknown = _known(laws, inputs.read_tables(refits, tables.REFITS))
    used = runs[runs["outside"] == ""]
    with style.drawing(paths, 4.7 if known else 3.8) as figure:
        figure.suptitle("Training compute that other model sizes need for the same loss")
        if used.empty:
            style.nothing(figure.subplots(), "there are no runs that a law could be fitted to")
            return
        budget = float(used["flops"].max())
        near = runs[runs["flops"].between(budget / _NEAR, budget * _NEAR)]
        if known:
            _curves(figure, known, style.law_looks(laws), runs, near, budget, unknown)
        else:
            _runs_alone(figure, near[near["outside"] == ""], budget, unknown)


def _known(laws, refits):
    """Return the fits that determine N* on their best dataset, and why the others do not, one sentence each."""
    known, unknown = [], []
    for title, (fit, why) in (
        ("Approach 2", fitted_laws.additive(laws, refits)),
        ("Approach 3", fitted_laws.read(laws, refits, _NUMERICAL)),
    ):
        if fit is None:
            unknown.append(f"{title} is not drawn: {why}.")
            continue
        dataset = next(iter(fit.datasets()))
        if why := fit.why_not(dataset):
            unknown.append(numbers.not_determined(f"{fit.title}: exponent of N*", {dataset: why}))
        else:
            known.append(fit)
    return known, unknown


def _overheads(fit, ratios, budget, fid):
    """Return the compute overhead (3, ratios): the fit, and both ends of its interval; inf where nothing helps."""
    columns = {name: values[:, None] for name, values in fit.logs.items()}
    if fit.name in fitted_laws.ADDITIVE:
        _, overheads = additive.overhead({name: columns[name] for name in ("alpha", "beta")}, ratios)
    else:
        log_budget = np.log(budget / fit.flops_per_parameter_image)
        _, overheads = overhead(fit.form, columns, ratios, log_budget, fid)
    return fit.with_interval(overheads)


def _curves(figure, known, looks, runs, near, budget, unknown):
    """Draw the laws' overheads, and above them the study's models."""
    axes = figure.subplots()
    first = known[0]
    dataset, fid = _best(first)
    optimum = float(first.optimum([budget], fid)[0][0, 0])
    models = _models(runs, near, optimum)
    limits = _reach(first, models["ratio"], budget, fid)
    ratios = np.geomspace(*limits, 400)
    curves = [_overheads(fit, ratios, budget, _best(fit)[1]) for fit in known]
    for fit, overheads, width in zip(known, curves, fitted_laws.WIDTHS, strict=False):
        _law(axes, fit, ratios, overheads, looks[fit.name].colour, width)
    lost = ratios[np.isinf(curves[0][0])]
    if len(lost):
        ends = [limits[0], lost[-1]]
        plotted_data.band(axes, ends, -100, 1000, series=_LOST, kind="region", **_HATCHED)
    _scales(axes, limits, optimum)
    axes.set_xlabel(
        f"model size, relative to N* and in parameters: N* = {numbers.count(optimum)} for {numbers.scientific(budget)} "
        f"FLOPs\non {style.dataset_label(dataset, fid, 20)}, by {first.title.split(':')[0]}"
    )
    _write_models(axes, models)
    handles = [Line2D([], [], color=looks[fit.name].colour, linewidth=1.9, label=fit.title) for fit in known]
    handles.append(Patch(color=style.INK, alpha=0.16, label=fitted_laws.interval_label([fit.summary for fit in known])))
    if len(lost):
        whose = f" ({first.title.split(':')[0]})" if len(known) > 1 else ""
        handles.append(Patch(label=_LOST + whose, **_HATCHED))
    remarks = [*unknown, _MEANING] if any(models["accuracy"]) else unknown
    style.below(figure, handles, remarks, columns=2)
    marks = _marks(axes, first, budget, fid, looks[first.name].colour)
    on_lines = [(ratio, 100 * cost) for curve in curves for ratio, cost in zip(ratios[::2], curve[0][::2], strict=True)
                if cost < _HIGHEST]  # fmt: skip
    label_placement.beside(axes, marks, lines=on_lines)


def _best(fit):
    """Return the best dataset of a law and its FID."""
    return next(iter(fit.datasets().items()))


def _models(runs, near, optimum):
    """Return model, params, ratio to N* and accuracy ("" for none near the budget) by rising size."""
    table = runs.groupby("model", as_index=False)["params"].median().sort_values("params", kind="stable")
    table["ratio"] = table["params"] / optimum
    ranked = near.sort_values(["autoattack_acc", "adv_acc"], ascending=False, kind="stable")
    accuracy = {}
    for _, run in ranked.iterrows():
        if (text := fitted_laws.accuracy_label(run)) is not None:
            accuracy.setdefault(run["model"], text)
    table["accuracy"] = [accuracy.get(model, "") for model in table["model"]]
    return table[table["ratio"].between(1 / _WIDEST, _WIDEST)]


def _reach(fit, ratios, budget, fid):
    """Return the ratios between which all is to be seen: the models, and where no amount of data suffices."""
    wide = np.geomspace(1 / _WIDEST, 1, 300)
    lost = wide[np.isinf(_overheads(fit, wide, budget, fid)[0])]
    low = min([0.2, *(0.75 * ratios), *(0.7 * lost[-1:])])
    return max(low, 1 / _WIDEST), min(max([5.0, *(1.3 * ratios)]), _WIDEST)


def _law(axes, fit, ratios, overheads, colour, width):
    """Draw one law's overhead in percent and its interval, neither far beyond the panel."""
    best, low, high = (100 * np.minimum(values, 10 * _HIGHEST) for values in overheads)
    plotted_data.band(axes, ratios, low, high, series=fit.name, color=colour, alpha=0.16)
    plotted_data.line(axes, ratios, np.where(np.isfinite(overheads[0]), best, np.nan), series=fit.name, color=colour,
               linewidth=width)  # fmt: skip


def _marks(axes, fit, budget, fid, colour):
    """Mark what simple fractions and multiples of N* cost; return their labels."""
    ratios = np.array(list(_MARKED))
    overheads = _overheads(fit, ratios, budget, fid)[0]
    low, high = axes.get_xlim()
    shown = np.isfinite(overheads) & (overheads < 0.97 * _HIGHEST) & (ratios > low) & (ratios < high)
    plotted_data.points(axes, ratios[shown], 100 * overheads[shown], series=f"{fit.name}: fractions of N*",
                 color=colour, markersize=6)  # fmt: skip
    return [
        (ratio, 100 * cost, f"{name} N*: +{100 * cost:.3g}%")
        for (ratio, name), cost, here in zip(_MARKED.items(), overheads, shown, strict=True)
        if here
    ]


def _scales(axes, limits, optimum):
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    powers = [power for power in range(-6, 7) if limits[0] <= 2.0**power <= limits[1]]
    texts = [
        f"{2**power if power >= 0 else f'1/{2**-power}'}\n{numbers.count(2.0**power * optimum)}" for power in powers
    ]
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in powers]))
    axes.xaxis.set_major_formatter(FixedFormatter(texts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-4 * _HIGHEST, 100 * _HIGHEST)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f}%" if value else "0%")
    axes.set_ylabel("compute overhead")


def _write_models(axes, models):
    """Write the models above the panel, each at its size, moved sideways where two would collide."""
    low, high = axes.get_xlim()
    places = np.exp(_apart(np.log(models["ratio"].to_numpy()), np.log(high / low) / 25))
    plotted_data.keep(axes, "level", "models", x=models["ratio"], label=models["model"])
    above = axes.get_xaxis_transform()
    for place, model in zip(places, models.itertuples(), strict=True):
        axes.plot([model.ratio] * 3 + [place], [0, 1, 1.02, 1.06], color=style.FAINT, linewidth=0.8, zorder=0.5,
                  linestyle=style.DASHES[2], clip_on=False, transform=above)  # fmt: skip
        axes.text(place, 1.08, "\n".join(part for part in (style.short(model.model, 18), model.accuracy) if part),
                  rotation=90, ha="center", va="bottom", fontsize=style.SMALLEST, transform=above,
                  fontweight="bold" if model.accuracy else "normal")  # fmt: skip


def _apart(values, least):
    """Return rising `values` moved as little as need be to lie `least` apart."""
    groups = []  # (sum of where the first member would be, members)
    for index, value in enumerate(values):
        groups.append([value - index * least, 1])
        # a group that runs into the one before it joins it, and both settle at the middle of their wishes
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            wish, members = groups.pop()
            groups[-1][0] += wish
            groups[-1][1] += members
    starts = np.repeat([wish / members for wish, members in groups], [members for _, members in groups])
    return starts + least * np.arange(len(values))


def _runs_alone(figure, near, budget, unknown):
    """Draw the losses of runs of the laws near the budget, where no N* is known that a size could be compared with."""
    axes = figure.subplots()
    order = inputs.fid_order(zip(near["dataset"], near["fid"], strict=True))
    looks = style.dataset_looks(order)
    for dataset, look in looks.items():
        mine = near[near["dataset"] == dataset]
        plotted_data.points(
            axes,
            mine["params"],
            mine["adv_loss"],
            series=dataset,
            label=mine["run"],
            color=look.colour,
            marker=look.marker,
            markersize=6,
        )
    style.log_axis(axes, "x", style.padded(near["params"], 0.15, least=1.3), numbers.count, most=7)
    style.log_axis(axes, "y", style.padded(near["adv_loss"], 0.1), lambda value: f"{value:.3g}", most=6)
    axes.set_xlabel("model size N (parameters)")
    axes.set_ylabel("adversarial loss (nats)")
    axes.set_title(f"N* {numbers.NOT_DETERMINED}: runs within a factor {_NEAR:g} of {numbers.scientific(budget)} FLOPs",
                   fontsize=9.5)  # fmt: skip
    handles = [
        Line2D(
            [], [], color=look.colour, marker=look.marker, linestyle="", label=style.dataset_label(name, order[name])
        )
        for name, look in looks.items()
    ]
    texts = [(run.params, run.adv_loss, fitted_laws.accuracy_label(run._asdict())) for run in near.itertuples()]
    texts = sorted((text for text in texts if text[2]), key=lambda text: text[1])
    style.below(figure, handles, [*unknown, _OF_RUNS] if texts else unknown)
    labelled = near[["autoattack_acc", "adv_acc"]].notna().any(axis=1)
    # many runs of one size stand over each other
    label_placement.beside(axes, texts, near.loc[~labelled, ["params", "adv_loss"]].to_numpy(), alone=True)
