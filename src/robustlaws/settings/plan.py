"""Settings of the planner."""

from dataclasses import dataclass
from typing import Annotated

from robustlaws.settings.base import Architecture, Key, Settings, neutral

# Quantities that every law has; the parameters of the law that is planned with come on top.
QUANTITIES = ("N_star", "params", "loss", "asymptote", "accuracy_limit")


@dataclass(frozen=True)
class Plan(Settings):
    """Stage plan: what may be spent, on what, and what shall become surer.

    Exactly one of `flops`, `gpu_hours` and `accuracy` is set.
    """

    law: str  # that N*, D* and the forecasts are taken from
    dataset: Annotated[str | None, Key("Dataset that is planned for; that of the best FID if left out.", absent=None)]
    fid: Annotated[float | None, Key("FID that is planned for, instead of a dataset's.", absent=None, minimum=0)]
    flops: Annotated[
        float | None, Key("Training FLOPs to spend, as the paper charges them.", absent=None, exclusiveMinimum=0)
    ]
    gpu_hours: Annotated[float | None, Key("Hours of one device to spend instead.", absent=None, exclusiveMinimum=0)]
    accuracy: Annotated[
        float | None, Key("Adversarial accuracy to reach instead.", absent=None, exclusiveMinimum=0, exclusiveMaximum=1)
    ]
    speed: Annotated[
        float | None,
        Key(
            "Training FLOPs a second of a device; measured on the study's own runs if left out.",
            absent=None,
            exclusiveMinimum=0,
        ),
    ]
    overhead: Annotated[
        float,
        Key("Share of compute that may be added for a smaller model; 0.1 if left out.", absent=0.1, exclusiveMinimum=0),
    ]
    quantity: Annotated[
        str,
        Key(
            "Number whose interval the next run shall shrink: N_star (its exponent; if left out), params or loss (N*, "
            "L* at the budget), asymptote, accuracy_limit, or a parameter of the law.",
            absent="N_star",
        ),
    ]
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
    candidates: Annotated[int, Key("Networks that are named for a budget; 5 if left out.", minimum=1)] = neutral(5)
