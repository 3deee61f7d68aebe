"""Settings of tables and laws."""

from dataclasses import dataclass
from typing import Annotated

from robustlaws.settings.base import Key, Settings, neutral


@dataclass(frozen=True)
class Collect(Settings):
    """Stage collect: what the tables need beside the files."""

    runs: tuple[dict, ...]


@dataclass(frozen=True)
class CollectAttacks(Settings):
    """Stage collect: what the table of attacks needs beside the records."""

    level: float  # coverage of the intervals
    records: tuple[dict, ...]  # victim, kind, weights and attack of each record, in the order of the files


@dataclass(frozen=True)
class LawFit(Settings):
    """Stage laws: one law fitted to the study's runs."""

    law: str
    observations: Annotated[
        str,
        Key(
            "final: each run's final weights on the whole test split; best: the published rule, the lowest loss of "
            "its curve.",
            enum=["final", "best"],
        ),
    ]
    min_train_fraction: Annotated[
        float, Key("Rows of a curve before this share of the run are left out.", minimum=0, maximum=1)
    ]
    huber_delta: Annotated[float, Key("Where the Huber loss of the log residual turns linear.", exclusiveMinimum=0)]
    refits: Annotated[int, Key("Bootstrap refits behind the intervals.", minimum=20)]
    level: Annotated[float, Key("Coverage of the intervals.", exclusiveMinimum=0.5, exclusiveMaximum=1)]
    budgets: Annotated[int, Key("Budgets (FLOPs) in the table of N* and D*.", minimum=2)]
    extrapolate: Annotated[float, Key("How many times beyond the dearest run the budgets go.", minimum=1)]
    seed: int
    small_on_large: Annotated[
        dict | None,
        Key(
            "Leave out small models on large data, as the paper does; nothing is left out without this key.",
            absent=None,
            ref="small_on_large",
        ),
    ]
    starts: Annotated[
        str, Key("Starting points of a fit: grid is the paper's, small a thinned one.", enum=["grid", "small"])
    ]
    recipe: Annotated[
        str,
        Key(
            "converged, or published: the paper's way (mean Huber, finite differences, default tolerances), to "
            "compare with; without intervals.",
            enum=["converged", "published"],
        ),
    ] = neutral("converged")
    points: Annotated[
        str,
        Key(
            "What approach 1 follows: curves (while training), or the ends of runs where there are no curves.",
            enum=["curves", "runs"],
        ),
    ] = neutral("curves")
    two_stage: Annotated[
        dict | None, Key("For additive_two_stage: its datasets; chosen by FID if left out.", ref="two_stage")
    ] = neutral(None)


@dataclass(frozen=True)
class Limits(Settings):
    """Stage laws: which numbers are drawn out of the fitted laws."""

    flops: tuple[float, ...]  # budgets at which N*, D*, L* and the accuracy are given
    human_accuracy: float | None  # accuracy under attack that counts as human level
    level: float


@dataclass(frozen=True)
class Crate(Settings):
    """Stage provenance: what the study says of itself to those who get its folder."""

    name: str
    description: str
    config: dict  # without what only concerns the machine: the copy of the config is made anew with it
    license: Annotated[
        str | None,
        Key(
            "Licence of the results: its address, such as https://spdx.org/licenses/CC-BY-4.0, or how they may be "
            "used in words.",
            minLength=1,
        ),
    ] = neutral(None)
    authors: Annotated[tuple[dict, ...], Key("Who made the study.", items={"$ref": "#/$defs/author"})] = neutral(())
