"""Settings of attacks, imported checkpoints and exports."""

from dataclasses import dataclass, replace

from robustlaws.settings.base import Architecture, Settings, Threat, neutral

# The attacks behind each version of AutoAttack, in the order in which the package runs them.
AUTOATTACK = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
}
# Those that need so many classes: nine targets beside the true class, three logits in the DLR loss.
AUTOATTACK_CLASSES = {"apgd-t": 10, "fab-t": 10, "apgd-dlr": 3}


@dataclass(frozen=True)
class Checkpoint(Settings):
    """Stage interop: weights that somebody else trained."""

    name: str
    architecture: Architecture
    unaveraged: bool = neutral(False)  # the raw weights, where the file has averaged ones too
    sha256: str | None = neutral(None)  # of the file they come from; None: not known beforehand


@dataclass(frozen=True)
class PgdCw(Settings):
    """Stage attack: projected gradient descent on the Carlini-Wagner objective."""

    run: str  # or checkpoint
    architecture: Architecture
    threat: Threat
    seed: int
    steps: int
    step_size: float
    beta: float  # of the adversarial loss that is reported
    images: int | None  # None: the whole test split
    batch: int
    objective: str = neutral("cw")  # cw (clipped, the paper's runs), cw_unclipped or cross_entropy


@dataclass(frozen=True)
class Attack(Settings):
    """Stage attack: an attack that has no settings class of its own."""

    run: str  # or checkpoint
    architecture: Architecture
    threat: Threat
    seed: int
    images: int | None  # None: the whole test split
    batch: int
    options: dict | None = neutral(None)  # of this attack alone, as the config says them
    weights: str = neutral("last")  # "last" or "best" of the run


@dataclass(frozen=True)
class AutoAttack(Settings):
    """Stage attack: AutoAttack, in chunks of images with a seed each."""

    run: str  # or checkpoint
    architecture: Architecture
    threat: Threat
    seed: int  # of the first chunk; chunk c adds c
    version: str
    images: int  # the first of the test split
    chunk: int  # images of a chunk; the package attacks them as one batch
    attacks: tuple[str, ...] = neutral(())  # of version "custom"
    weights: str = neutral("last")  # "last" or "best" of the run

    @property
    def names(self) -> tuple[str, ...]:
        """The attacks that are run, in order."""
        return self.attacks or AUTOATTACK[self.version]

    @property
    def chunks(self) -> int:
        """Number of chunks; the last one may be smaller."""
        return -(-self.images // self.chunk)

    def of_chunk(self, chunk: int) -> "AutoAttack":
        """Return the settings that chunk number `chunk` depends on: more images after it leave it as it is."""
        return replace(self, images=min(self.images, (chunk + 1) * self.chunk))


@dataclass(frozen=True)
class Export(Settings):
    """Stage interop: one run for RobustBench, and what its leaderboard asks for."""

    run: str
    architecture: Architecture
    threat: Threat
    autoattack: str | None  # its version; None: not attacked by it
    name: str
    authors: str
    link: str
    venue: str
    dataset: str
    additional_data: bool
    footnote: str = neutral("")
    test_kept: int | None = neutral(None)  # images of the source's test split that the study kept; None: all
