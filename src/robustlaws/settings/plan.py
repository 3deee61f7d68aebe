"""Settings of the planner."""

from dataclasses import dataclass

from robustlaws.settings.base import Architecture, Settings, neutral

# Quantities that every law has; the parameters of the law that is planned with come on top.
QUANTITIES = ("N_star", "params", "loss", "asymptote", "accuracy_limit")


@dataclass(frozen=True)
class Plan(Settings):
    """Stage plan: what may be spent, on what, and what shall become surer.

    Exactly one of `flops`, `gpu_hours` and `accuracy` is set.
    """

    law: str  # that N*, D* and the forecasts are taken from
    dataset: str | None  # whose FID is meant; None: an imagined one of `fid`, or without that the best of the law
    fid: float | None
    flops: float | None  # training FLOPs, as the paper charges them
    gpu_hours: float | None
    accuracy: float | None  # adversarial accuracy to reach, in [0, 1]
    speed: float | None  # training FLOPs a second and device; None: that of the study's own runs
    overhead: float  # compute that may be added for a smaller model, as a share
    quantity: str  # whose interval the next run shall shrink: a key of `laws.planning.QUANTITIES`
    architecture: Architecture  # classes, channels and image size are used
    attack_steps: int  # of the inner attack
    batch: int | None  # of the study; None: by the size, as the paper has it
    learning_rate: float | None
    accounting_epoch: int | None  # images; None: none
    models: tuple[dict, ...]  # name, depth, width
    datasets: tuple[dict, ...]  # name, images (in the config), pictures are looked for in these
    runs: tuple[str, ...]  # names of the runs that the grid has already
    level: float
    seed: int
    small_on_large: dict | None = neutral(None)  # runs that no law would see
    pool: str = neutral("size")  # of the training: what a run draws from
    least_images: int = neutral(1)  # of a run that its schedule can take
    taken: tuple[str, ...] = neutral(())  # names that no new model may have
    candidates: int = neutral(5)  # networks that are named
