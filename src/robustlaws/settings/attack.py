"""Settings of attacks, imported checkpoints and exports."""

from dataclasses import dataclass, replace
from typing import Annotated

from robustlaws.settings.base import Architecture, Key, Settings, Threat, neutral

# The attacks behind each version of AutoAttack, in the order in which the package runs them.
AUTOATTACK = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
}
# Those that need so many classes: nine targets beside the true class, three logits in the DLR loss.
AUTOATTACK_CLASSES = {"apgd-t": 10, "fab-t": 10, "apgd-dlr": 3}


@dataclass(frozen=True)
class Checkpoint(Settings):
    """Stage interop: weights trained elsewhere."""

    name: str
    architecture: Architecture
    unaveraged: Annotated[bool, Key("Take the raw weights of a file that holds averaged ones too.")] = neutral(False)
    sha256: Annotated[str | None, Key("SHA-256 of the file; another file is refused.", pattern="^[0-9a-f]{64}$")] = (
        neutral(None)
    )


@dataclass(frozen=True)
class PgdCw(Settings):
    """Stage attack: projected gradient descent on the Carlini-Wagner objective."""

    run: str  # or checkpoint
    architecture: Architecture
    threat: Threat
    seed: int
    steps: Annotated[int, Key("Gradient steps; the paper has 40.", minimum=1)]
    step_size: Annotated[
        float, Key("Step, pixels in [0, 1]; the paper has epsilon / 4.", exclusiveMinimum=0, maximum=1)
    ]
    beta: float  # of the adversarial loss that is reported
    images: Annotated[int | None, Key("First test images to attack; all if left out.", absent=None, minimum=1)]
    batch: Annotated[int, Key("Images attacked at once.", minimum=1)]
    objective: Annotated[
        str,
        Key(
            "What the attack maximises: cw is the margin clipped at zero of the paper's runs; cw_unclipped and "
            "cross_entropy give far larger losses.",
            enum=["cw", "cw_unclipped", "cross_entropy"],
        ),
    ] = neutral("cw")


@dataclass(frozen=True)
class Attack(Settings):
    """Stage attack: an attack that has no settings class of its own."""

    run: str  # or checkpoint
    architecture: Architecture
    threat: Threat
    seed: int
    images: Annotated[int | None, Key("First test images to attack; all if left out.", absent=None, minimum=1)]
    batch: Annotated[int, Key("Images attacked at once.", minimum=1)]
    options: Annotated[dict | None, Key("Options of this attack alone.")] = neutral(None)
    weights: Annotated[str, Key("Weights of a run to attack: last (left out), or best.", enum=["last", "best"])] = (
        neutral("last")
    )


@dataclass(frozen=True)
class AutoAttack(Settings):
    """Stage attack: AutoAttack, in chunks of images with a seed each."""

    run: str  # or checkpoint
    architecture: Architecture
    threat: Threat
    seed: int  # of the first chunk; chunk c adds c
    version: Annotated[
        str,
        Key("standard is what leaderboards use; custom runs the attacks listed.", enum=["standard", "plus", "custom"]),
    ]
    images: Annotated[int, Key("First test images to attack; all if left out.", required=False, minimum=1)]
    chunk: Annotated[
        int,
        Key(
            "Images of a chunk: one job, one batch and one seed; part of the result, as the attacks draw per batch.",
            minimum=1,
        ),
    ]
    attacks: Annotated[
        tuple[str, ...],
        Key(
            "For version custom: apgd-ce, apgd-dlr, fab, square, apgd-t, fab-t, in any order.",
            minItems=1,
            uniqueItems=True,
        ),
    ] = neutral(())
    weights: Annotated[
        str,
        Key(
            "Weights of a run to attack: last (left out), or best on the held-out images "
            "(training.validation_images), as the paper does with AutoAttack.",
            enum=["last", "best"],
        ),
    ] = neutral("last")

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
    name: Annotated[str, Key("Title of the paper.")]
    authors: Annotated[str, Key("Authors, separated by commas.")]
    link: Annotated[str, Key("Address of the paper.")]
    venue: Annotated[str, Key("Where it appeared, such as ICML 2024; '' for unpublished.")]
    dataset: Annotated[str, Key("The leaderboard's name of the images, such as cifar10.")]
    additional_data: Annotated[
        bool, Key("Whether real images beyond the dataset's were used; synthetic ones are for the footnote.")
    ]
    footnote: Annotated[str, Key("A sentence before what the study says of the numbers.")] = neutral("")
    test_kept: int | None = neutral(None)  # images of the source's test split that the study kept; None: all
