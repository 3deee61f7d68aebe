"""Figure: learning curves of the study's own recipe beside those of other recipes, such as drawing with replacement."""

import pandas as pd
from matplotlib.ticker import MaxNLocator

from robustlaws.figures.drawing import plotted_data, recipe_looks, style
from robustlaws.formatting import numbers
from robustlaws.storage import tables

WITH_REPLACEMENT = "with-replacement"  # the recipe that is shown alone where there are too many
_MOST = 6  # panels
_MOST_RECIPES = 3  # beside the study's own


def draw(*, paths, runs, curves):
    """Draw one panel per model, dataset and size that the study's own recipe and another one trained.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`; its column "recipe" names what is not the study's own training.
    curves : path
        Table `tables.CURVES`.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = recipe_looks.named(tables.read(runs, tables.RUNS))
    table = tables.read(curves, tables.CURVES)
    table = table[(table["images"] > 0) & (table["adv_loss"] > 0)]
    ends = runs[runs["run"].isin(table["run"])]
    chosen, left_out = _chosen(sorted(set(ends["recipe"]) - {recipe_looks.OWN}))
    groups = _groups(ends[ends["recipe"].isin([recipe_looks.OWN, *chosen])])
    # the most expensive ones, where a difference would cost most
    dearest = sorted(range(len(groups)), key=lambda i: -groups[i]["flops"].max())[:_MOST]
    shown = [groups[i] for i in sorted(dearest)]
    columns = 2 if len(shown) == 4 else min(3, max(len(shown), 1))
    rows = -(-len(shown) // columns)
    with style.drawing(paths, {1: 3.8, 2: 3.2}.get(len(shown), 2.6) * max(rows, 1) + 0.5) as figure:
        figure.suptitle("Learning curves by recipe")
        if not shown:
            style.nothing(figure.subplots(), _why_nothing(runs, ends))
            return
        grid = style.panels(figure, len(shown))
        looks = recipe_looks.looks([recipe_looks.OWN, *chosen])
        for axes, group in zip(grid, shown, strict=True):
            _panel(axes, group, table, looks, columns)
        style.outer_labels(grid, "training images", "adversarial loss (nats)")
        met = {recipe for group in shown for recipe in group["recipe"]}
        handles = [
            style.handle(recipe_looks.label(recipe, 34), look.colour, linestyle=look.dash, **_line(recipe))
            for recipe, look in looks.items()
            if recipe in met
        ]
        style.below(figure, handles, _remarks(shown, table, len(groups), left_out))


def _chosen(others):
    """Return the recipes to show beside the study's own, and how many are left out."""
    if len(others) <= _MOST_RECIPES:
        return others, 0
    shown = [WITH_REPLACEMENT] if WITH_REPLACEMENT in others else others[:_MOST_RECIPES]
    return shown, len(others) - len(shown)


def _groups(ends):
    """Return the runs of each (model, dataset, size) that the study's own recipe and another trained with one seed."""
    params = ends.groupby("model")["params"].median()
    groups = []
    for _, rows in ends.groupby(["model", "dataset", "size"]):
        own = set(rows["seed"][rows["recipe"] == recipe_looks.OWN])
        rows = rows[rows["seed"].isin(own)]
        if (rows["recipe"] != recipe_looks.OWN).any():
            groups.append(rows.sort_values(["recipe", "seed"], kind="stable"))
    place = ["model", "dataset", "size"]
    return sorted(groups, key=lambda rows: (params[rows["model"].iloc[0]], *rows[place].iloc[0]))


def _why_nothing(runs, ends):
    if (runs["recipe"] == recipe_looks.OWN).all():
        return "all runs were trained by the study's own recipe"
    if (ends["recipe"] == recipe_looks.OWN).all():
        return "no run of another recipe has a learning curve"
    return "no other recipe trained the same model on the same dataset, size and seed as the study's own"


def _line(recipe):
    """Return the look of a recipe's line: the study's own is wide and pale, so that a line on top of it is visible."""
    return {"linewidth": 2.2, "alpha": 0.55} if recipe == recipe_looks.OWN else {"linewidth": 1.6, "alpha": 1.0}


def _panel(axes, group, table, looks, columns):
    model, dataset, size = group[["model", "dataset", "size"]].iloc[0]
    plotted_data.name(axes, f"{model} on {dataset}, D = {size}")
    axes.set_title(
        recipe_looks.place(model, dataset, size, 22 if columns > 2 else 40), fontsize=9 if columns > 2 else 9.5
    )
    seen = []
    for run in group.itertuples():
        curve = table[table["run"] == run.run].sort_values("images", kind="stable")
        look = looks[run.recipe]
        plotted_data.line(
            axes,
            curve["images"],
            curve["adv_loss"],
            series=recipe_looks.label(run.recipe),
            label=run.run,
            color=look.colour,
            linestyle=look.dash,
            zorder=2 if run.recipe == recipe_looks.OWN else 3,
            **_line(run.recipe),
        )
        seen.append(curve)
    _scales(axes, pd.concat(seen), columns)
    for line, recipe in enumerate(recipe for recipe in dict.fromkeys(group["recipe"]) if recipe != recipe_looks.OWN):
        text = _difference(group, recipe, alone=group["recipe"].nunique() == 2)
        axes.annotate(text, (0.97, 0.97), xycoords="axes fraction", xytext=(0, -12 * line), textcoords="offset points",
                      ha="right", va="top", fontsize=style.SMALLEST, color=looks[recipe].colour, linespacing=1.3,
                      bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8})  # fmt: skip


def _difference(group, recipe, alone):
    """Return a recipe's loss at the end of training against the study's own on the same seeds, in words."""
    other = group[group["recipe"] == recipe]
    own = group[(group["recipe"] == recipe_looks.OWN) & group["seed"].isin(other["seed"])]
    loss = other["adv_loss"].mean() - own["adv_loss"].mean()
    text = "loss not measured at the end" if pd.isna(loss) else f"{recipe_looks.signed(loss, 3)} nats"
    if not alone:
        return f"{recipe_looks.label(recipe, 18)}: {text}"
    if other["adv_acc"].isna().any() or own["adv_acc"].isna().any():
        return text
    images = [0 if rows["test_images"].isna().any() else int(rows["test_images"].min()) for rows in (other, own)]
    points, _ = recipe_looks.points(other["adv_acc"].mean(), images[0], own["adv_acc"].mean(), images[1])
    return f"{text}\n{points} points"


def _scales(axes, curves, columns):
    # the first losses of a run are far above the rest and would press everything else together
    top = max(curves["adv_loss"].quantile(0.9), curves.groupby("run")["adv_loss"].last().max())
    style.log_axis(axes, "y", style.padded([curves["adv_loss"].min(), top]), lambda value: f"{value:.3g}", most=5)
    axes.set_xlim(0, curves["images"].max() * 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(4 if columns > 2 else 6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: numbers.count(value))


def _remarks(shown, curves, many, left_out):
    lines = ["In each panel: at the end of training, the other recipe's adversarial loss less that of the study's own "
             "on the same seeds."]  # fmt: skip
    if all(rows["recipe"].nunique() == 2 for rows in shown):
        lines[0] = (
            f"{lines[0][:-1]}, and its accuracy under attack in percentage points, with the "
            f"{100 * recipe_looks.LEVEL:.0f}% interval that the luck of the test images leaves."
        )
    if _fewer(pd.concat(shown), curves):
        lines.append("The end of training is measured on all test images; the curves are measured on fewer.")
    if any(rows["seed"].nunique() > 1 for rows in shown):
        lines.append("One line for each seed.")
    if left_out:
        lines.append(f"{numbers.plural(left_out, 'further recipe')} of the study not shown.")
    if many > len(shown):
        lines.append(f"{len(shown)} of {many} combinations of model, dataset and size are shown, the most expensive.")
    return [" ".join(lines)]


def _fewer(runs, curves):
    """Return whether any run's curve is measured on fewer test images than its end; unknown numbers are not fewer."""
    ends = runs.set_index("run")["test_images"]
    of_curves = curves[curves["run"].isin(runs["run"])].groupby("run")["test_images"].min()
    return bool((of_curves < ends.reindex(of_curves.index)).fillna(False).any())
