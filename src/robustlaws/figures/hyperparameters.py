"""Figure: accuracy under attack and loss by recipe, for each model, dataset and size that several recipes trained."""

import pandas as pd
from matplotlib.ticker import MaxNLocator

from robustlaws.figures.drawing import inputs, plotted_data, recipe_looks, style
from robustlaws.intervals import exact_interval
from robustlaws.storage import tables

_MOST = 12  # panels


def draw(*, paths, runs):
    """Draw one panel per model, dataset and size with at least two recipes.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`; its column "recipe" names what is not the study's own training.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    table = recipe_looks.named(tables.read(runs, tables.RUNS))
    groups = _groups(table[table["adv_acc"].notna() | table["adv_loss"].notna()])
    shown = groups[:_MOST]
    order = sorted({recipe for _, group in shown for recipe in group.index})
    columns = 2 if len(shown) == 4 else min(3, max(len(shown), 1))
    rows = -(-len(shown) // columns)
    with style.drawing(paths, (0.21 * max(len(order), 3) + 1.3) * max(rows, 1) + 0.5) as figure:
        figure.suptitle("Robustness by recipe")
        if not shown:
            style.nothing(figure.subplots(), _why_nothing(table))
            return
        grid = style.panels(figure, len(shown), sharey=True)
        looks = recipe_looks.looks(order)
        for axes, (keys, group) in zip(grid, shown, strict=True):
            _panel(axes, keys, group, order, looks)
        grid[0].set_yticks(range(len(order)), [recipe_looks.label(recipe, 18) for recipe in order])
        grid[0].set_ylim(len(order) - 0.4, -1.2)
        by_accuracy = [_by_accuracy(group) for _, group in shown]
        across = "accuracy under PGD" if all(by_accuracy) else "accuracy under PGD, or loss (nats)"
        style.outer_labels(grid, across if any(by_accuracy) else "adversarial loss (nats)", "")
        style.below(figure, lines=_remarks([group for _, group in shown], len(groups)))


def _groups(table):
    """Return [((model, dataset, size), means over the seeds, a row a recipe)] where two recipes or more met.

    Small models first, then by FID and size.
    """
    means = {"accuracy": ("adv_acc", "mean"), "loss": ("adv_loss", "mean"), "images": ("test_images", "min"),
             "seeds": ("seed", "nunique"), "run": ("run", "first")}  # fmt: skip
    params = table.groupby("model")["params"].median()
    fids = list(inputs.fid_order(zip(table["dataset"], table["fid"], strict=True)))
    groups = []
    for key, rows in table.groupby(["model", "dataset", "size"]):
        group = rows.groupby("recipe").agg(**means)
        if len(group) > 1 and (_by_accuracy(group) or group["loss"].notna().all()):
            groups.append((key, group))
    return sorted(groups, key=lambda entry: (params[entry[0][0]], entry[0][0], fids.index(entry[0][1]), entry[0][2]))


def _by_accuracy(group):
    return bool(group["accuracy"].notna().all())


def _why_nothing(table):
    if (table["recipe"] == recipe_looks.OWN).all():
        return "all runs were trained by the study's own recipe"
    return "no two recipes that were measured alike trained the same model on the same dataset and size"


def _panel(axes, keys, group, order, looks):
    model, dataset, size = keys
    plotted_data.name(axes, f"{model} on {dataset}, D = {size}")
    axes.set_title(recipe_looks.place(model, dataset, size, 20), fontsize=8.5, loc="left", pad=38)
    best, head = _head(group)
    axes.annotate(head, (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
                  fontsize=style.SMALLEST, va="bottom", linespacing=1.25)  # fmt: skip
    quantity = "accuracy" if _by_accuracy(group) else "loss"
    if recipe_looks.OWN in group.index:
        plotted_data.upright(axes, group.loc[recipe_looks.OWN, quantity], series="the study's own", color=style.FAINT,
                      linewidth=1, zorder=1)  # fmt: skip
    for recipe, row in group.iterrows():
        _dot(axes, order.index(recipe), recipe, row, quantity, looks[recipe], recipe == best)
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    if quantity == "accuracy":
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    beside = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": style.SMALLEST}
    for height, recipe in enumerate(order):
        loss = group["loss"].get(recipe)
        axes.text(1.03, height, "\N{EN DASH}" if pd.isna(loss) else f"{loss:.3f}", **beside)
    axes.text(1.03, -0.85, "loss", **beside)


def _head(group):
    """Return the best recipe, and what stands above the panel: which it is, and by how much."""
    if _by_accuracy(group):
        ranked = group.sort_values(["accuracy", "loss"], ascending=[False, True], kind="stable")
    else:
        ranked = group.sort_values("loss", kind="stable")
    best, second, *rest = ranked.index
    text, clear = _lead(group, best, second)
    lines = [text, _lead(group, best, recipe_looks.OWN)[0] if recipe_looks.OWN in rest else ""]
    quantity = "accuracy" if _by_accuracy(group) else "loss"
    if group.loc[best, quantity] == group.loc[second, quantity]:
        return best, "\n".join(["no recipe ahead", *lines])
    return best, "\n".join([f"{'best' if clear else 'ahead'}: {recipe_looks.label(best, 24)}", *lines])


def _lead(group, best, other):
    """Return the difference of two recipes in words, and whether it exceeds the sampling error of the test images."""
    leader, two = group.loc[best], group.loc[other]
    name = recipe_looks.label(other, 14) if other != recipe_looks.OWN else "own"
    if not _by_accuracy(group):
        return f"{two['loss'] - leader['loss']:.3f} nats below {name}", False
    images = [0 if pd.isna(row["images"]) else int(row["images"]) for row in (leader, two)]
    text, clear = recipe_looks.points(leader["accuracy"], images[0], two["accuracy"], images[1])
    return f"{text} over {name}", clear


def _dot(axes, height, recipe, row, quantity, look, is_best):
    value, low, high = row[quantity], None, None
    if quantity == "accuracy" and pd.notna(row["images"]):
        images = int(row["images"])
        low, high = exact_interval(round(value * images), images, recipe_looks.LEVEL)
        axes.hlines(height, low, high, color=look.colour, linewidth=1.2, zorder=2)
    # z: the loss, which stands beside the row as a number
    plotted_data.keep(axes, "points", recipe_looks.label(recipe), x=value, y=height, low=low, high=high,
               z=None if pd.isna(row["loss"]) else row["loss"], label=row["run"])  # fmt: skip
    edge = {"markeredgecolor": style.INK, "markeredgewidth": 1.4} if is_best else {"markeredgewidth": 0}
    axes.plot(value, height, look.marker, color=look.colour, markersize=8 if is_best else 6, linestyle="", **edge)


def _remarks(groups, many):
    images = sorted({int(count) for group in groups for count in group["images"].dropna()})
    lines = []
    if images:
        tested = f"{images[0]:,}" if len(images) == 1 else f"{images[0]:,} to {images[-1]:,}"
        lines.append(
            f"Differences in percentage points of accuracy, with the {100 * recipe_looks.LEVEL:.0f}% interval that the "
            f"luck of {tested} test images leaves; 'ahead': it includes 0. The spread between seeds is not in it."
        )
    if any(group["images"].isna().any() for group in groups):
        lines.append("No interval where the number of test images is not known.")
    if not all(map(_by_accuracy, groups)):
        lines.append("Where a recipe has no accuracy under attack, recipes are compared by their loss.")
    if any((group["seeds"] > 1).any() for group in groups):
        lines.append("A recipe with several seeds is shown by their mean.")
    if many > len(groups):
        lines.append(f"{len(groups)} of {many} combinations of model, dataset and size are shown, small models first.")
    return lines
