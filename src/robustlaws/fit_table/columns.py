"""The columns of a table of finished runs or of learning curves, and their accepted spellings."""

from dataclasses import dataclass, replace

NEEDED = "has to be there"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Column:
    """One column that a user may bring.

    `target`: the column of `tables.RUNS` or `tables.CURVES` that it becomes; `otherwise`: what holds where it is not
    given, in words; `aliases`: other spellings. Spellings are compared in lower case, with _ for blanks and hyphens.
    """

    target: str
    meaning: str
    otherwise: str = UNKNOWN
    aliases: tuple[str, ...] = ()


RUNS = {
    "params": Column("params", "N: trainable parameters, a count", NEEDED, ("n", "n_params", "num_params")),
    "images": Column("images", "D: training images seen, a count", NEEDED, ("d", "n_images", "samples")),
    "loss": Column("adv_loss", "adversarial loss, nats", NEEDED, ("l", "adv_loss", "adversarial_loss")),
    "flops": Column("flops", "training FLOPs", "K N D, K from --flops-per-parameter-image", ("f", "training_flops")),
    "dataset": Column("dataset", "name of the training data", "all"),
    "fid": Column("fid", "FID of the dataset", "0 where there is one dataset"),
    "model": Column("model", "name of the network", "from depth and width, or from params"),
    "depth": Column("depth", "layers of a WideResNet"),
    "width": Column("width", "widening factor of a WideResNet"),
    "size": Column("size", "images that the run was to see, a count", "images"),
    "seed": Column("seed", "which of several equal runs", "1"),
    "accuracy": Column("adv_acc", "adversarial accuracy, 0 to 1", aliases=("adv_acc", "robust_accuracy")),
    "autoattack": Column("autoattack_acc", "accuracy under AutoAttack, 0 to 1", aliases=("autoattack_acc", "aa")),
    "clean_accuracy": Column("clean_acc", "accuracy on clean images, 0 to 1", aliases=("clean_acc",)),
    "real_fraction": Column("real_fraction", "share of real images; laws leave out runs with any", "0"),
    "recipe": Column("recipe", "name of another training recipe; laws leave out runs with one", "none"),
    "generator": Column("generator", "generator of the dataset"),
    "steps": Column("steps", "sampler steps of the dataset"),
}

_OF_THE_RUN = ("params", "depth", "width", "model", "dataset", "size", "seed", "recipe")
CURVES = {
    "run": Column("run", "model/dataset/size/seed, as in runs.parquet", "from the columns that name a run"),
    **{name: replace(RUNS[name], otherwise="not asked for") for name in _OF_THE_RUN},
    "images": Column("images", "training images seen so far, a count", NEEDED, RUNS["images"].aliases),
    "loss": Column("adv_loss", "adversarial loss then, nats", NEEDED, RUNS["loss"].aliases),
    "flops": Column("flops", "training FLOPs so far", "in proportion to the run's", RUNS["flops"].aliases),
    "train_fraction": Column("train_fraction", "share of the run that is done, 0 to 1", "images / size"),
    "accuracy": RUNS["accuracy"],
    "clean_accuracy": RUNS["clean_accuracy"],
}


def spelt(name):
    """Return a column's name as it is compared."""
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def explained(table):
    """Return one line for each column of RUNS or CURVES: its spellings, meaning, and what holds without it."""
    named = {name: ", ".join((name, *column.aliases)) for name, column in table.items()}
    wide = max(map(len, named.values()))
    return [f"  {named[name]:<{wide}}  {column.meaning} ({_without(column)})" for name, column in table.items()]


def _without(column):
    return column.otherwise if column.otherwise == NEEDED else f"without it: {column.otherwise}"
