"""Figure: adversarial loss against the training images of a run."""

from robustlaws.figures.drawing import inputs, plotted_data, style
from robustlaws.storage import tables


def draw(*, paths, runs, laws):
    """Draw a point for each run, and name the laws that were fitted to them."""
    runs = tables.read(runs, tables.RUNS)
    titles = [inputs.title(law) for law in inputs.read_laws(laws)]
    with style.drawing(paths, 3.5) as figure:
        axes = figure.subplots()
        for dataset, rows in runs.groupby("dataset"):
            plotted_data.points(axes, rows["images"], rows["adv_loss"], series=dataset, label=rows["run"])
        axes.set_xlabel("training images D")
        axes.set_ylabel("adversarial loss (nats)")
        style.below(figure, lines=[f"Laws fitted to these runs: {', '.join(titles)}."])
