"""Settings of a training run."""

from dataclasses import dataclass

from robustlaws.settings import accounting
from robustlaws.settings.base import Architecture, Settings, Threat, neutral


@dataclass(frozen=True)
class Curve(Settings):
    """When and how a run is measured while it trains."""

    fractions: tuple[float, ...]  # of the run
    images: int  # the first of the test split
    attack_steps: int
    attack_step_size: float
    seed: int
    batch: int = neutral(1000)  # images attacked at once


@dataclass(frozen=True)
class Training(Settings, accounting.Accounting):
    """Stage train: one adversarially trained WideResNet (Source: spec/training.md)."""

    run: str
    architecture: Architecture
    threat: Threat
    seed: int
    images: int  # D
    real_fraction: float
    batch: int
    beta: float
    label_smoothing: float
    attack_steps: int
    attack_step_size: float
    crop_padding: int
    mirror: bool
    learning_rate: float
    warmup_fraction: float
    momentum_low: float
    momentum_high: float
    weight_decay: float
    average_decay: float
    batchnorm_momentum: float
    curve: Curve
    epoch_images: int | None = neutral(None)  # accounting epoch: schedule, average and batches count in it
    validation_images: int = neutral(0)  # first real images, held out to choose the best weights
    precision: str = neutral("float32")  # of the convolutions: float32 or bfloat16
    accumulate: int = neutral(1)  # parts of a batch that the network sees one after the other
    attack_objective: str = neutral("kl")  # what the inner attack maximises: kl or cross_entropy
    reuse_clean_pass: bool = neutral(True)  # one clean pass serves the attack's target and the loss
    shuffle: bool = neutral(True)  # images in random order; False: as stored
    pool: str = neutral("size")  # images to draw from: size (D) or draws (all that are drawn)
    window_images: int = neutral(65_536)  # images read at a time, shuffled among one another
    replacement: bool = neutral(False)  # True: images are drawn anew each time, and some are met twice
    shares: tuple[int, ...] = neutral(())  # of a mixture of datasets: relative draws from each
    unique_images: int | None = neutral(None)  # of each dataset of the mixture, met again when exhausted
