"""Settings of tables and laws."""

from dataclasses import dataclass

from robustlaws.settings.base import Settings, neutral


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
    observations: str  # "final" or "best"
    min_train_fraction: float
    huber_delta: float
    refits: int
    level: float
    budgets: int
    extrapolate: float
    seed: int
    small_on_large: dict | None
    starts: str
    recipe: str = neutral("converged")  # or "published": how the laws of approaches 2 and 3 are minimised
    points: str = neutral("curves")  # what approach 1 follows: "curves" while training, or the ends of "runs"
    two_stage: dict | None = neutral(None)  # {"base": dataset, "quality": [dataset, ...]} of that law


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
    license: str | None = neutral(None)  # address, or how the results may be used in words
    authors: tuple[dict, ...] = neutral(())  # name, and orcid where it has one
