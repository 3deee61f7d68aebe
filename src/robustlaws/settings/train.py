"""Settings of a training run."""

from dataclasses import dataclass
from typing import Annotated

from robustlaws.settings import accounting
from robustlaws.settings.base import Architecture, Key, Settings, Threat, neutral


@dataclass(frozen=True)
class Curve(Settings):
    """When and how a run is measured while it trains."""

    fractions: Annotated[
        tuple[float, ...],
        Key(
            "Shares of the run at which the curve gets a row; paper: after its 47 or 48 epochs.",
            oneOf=[
                {
                    "type": "array",
                    "minItems": 1,
                    "uniqueItems": True,
                    "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                },
                {"const": "paper"},
            ],
        ),
    ]
    images: Annotated[int, Key("First test images that the curve is measured on.", minimum=1)]
    attack_steps: Annotated[int, Key("Gradient steps; the paper has 40.", minimum=1)]
    attack_step_size: Annotated[
        float, Key("Step, pixels in [0, 1]; the paper has epsilon / 4.", exclusiveMinimum=0, maximum=1)
    ]
    seed: int
    batch: Annotated[int, Key("Images attacked at once; 1000 if left out.", minimum=1)] = neutral(1000)


@dataclass(frozen=True)
class Training(Settings, accounting.Accounting):
    """Stage train: one adversarially trained WideResNet (Source: spec/training.md)."""

    run: str
    architecture: Architecture
    threat: Threat
    seed: int
    images: int  # D
    real_fraction: float
    batch: Annotated[
        int,
        Key(
            "Images a step; paper: by the size, 1024 up to 10 million images, 2048 beyond.",
            oneOf=[{"type": "integer", "minimum": 1}, {"const": "paper"}],
        ),
    ]
    beta: Annotated[
        float, Key("Weight of the KL term in the TRADES loss and in the adversarial loss reported.", minimum=0)
    ]
    label_smoothing: Annotated[float, Key("Share of the label spread over all classes.", minimum=0, exclusiveMaximum=1)]
    attack_steps: Annotated[int, Key("Gradient steps of the inner attack; the paper has 10.", minimum=1)]
    attack_step_size: Annotated[
        float,
        Key("Step of the inner attack, pixels in [0, 1]; the paper has epsilon / 4.", exclusiveMinimum=0, maximum=1),
    ]
    crop_padding: Annotated[int, Key("Pixels of random shift.", minimum=0)]
    mirror: Annotated[bool, Key("Mirror left-right at random.")]
    learning_rate: Annotated[
        float,
        Key(
            "Peak learning rate of the cycle; paper: by the size, 0.3 up to 10 million images, 0.2 up to 200, 0.1 "
            "from 300 on.",
            oneOf=[{"type": "number", "exclusiveMinimum": 0}, {"const": "paper"}],
        ),
    ]
    warmup_fraction: Annotated[
        float,
        Key("Share of the steps before the peak, and before the weight average starts.", minimum=0, exclusiveMaximum=1),
    ]
    momentum_low: Annotated[
        float, Key("Nesterov momentum at the peak of the learning rate.", minimum=0, exclusiveMaximum=1)
    ]
    momentum_high: Annotated[float, Key("Nesterov momentum at both ends.", minimum=0, exclusiveMaximum=1)]
    weight_decay: Annotated[float, Key("L2 coefficient of SGD, not on BatchNorm.", minimum=0)]
    average_decay: Annotated[float, Key("Largest decay of the weight average.", minimum=0, exclusiveMaximum=1)]
    batchnorm_momentum: Annotated[
        float,
        Key(
            "Share of each batch in the running statistics of BatchNorm; the paper has 0.01, too slow for a few "
            "hundred steps.",
            exclusiveMinimum=0,
            maximum=1,
        ),
    ]
    curve: Annotated[Curve, Key("The learning curve of every run: PGD on the Carlini-Wagner objective while training.")]
    epoch_images: Annotated[
        int | None,
        Key(
            "Images of an accounting epoch, in which the paper counts whatever the data (50000): batches are all "
            "full, the schedule advances once an epoch. Left out: the schedule advances once a step and a run draws "
            "exactly D images.",
            minimum=1,
        ),
    ] = neutral(None)
    validation_images: Annotated[
        int,
        Key(
            "First real training images, held out to choose the best weights of a run (accuracy under PGD, after each "
            "epoch, or each row of the curve and the end without epochs); the paper has 1024. 0: the best are the "
            "last.",
            minimum=0,
        ),
    ] = neutral(0)
    precision: Annotated[
        str,
        Key(
            "Of the convolutions while training; bfloat16 keeps normalisation statistics, loss, weights and all "
            "evaluation in float32. float32 is TF32 in the convolutions of GPUs that have it, as torch does by "
            "default. The paper has float32.",
            enum=["float32", "bfloat16"],
        ),
    ] = neutral("float32")
    accumulate: Annotated[
        int,
        Key(
            "Parts of a batch that the network sees one after the other, to save memory; BatchNorm then sees a part "
            "at a time, on all GPUs together, and the first step's statistics are those of its last part.",
            minimum=1,
        ),
    ] = neutral(1)
    attack_objective: Annotated[
        str,
        Key(
            "What the inner attack maximises: kl, as the paper's runs did, or cross_entropy, as its equation 2 says.",
            enum=["kl", "cross_entropy"],
        ),
    ] = neutral("kl")
    reuse_clean_pass: Annotated[
        bool,
        Key("One clean pass serves the target of the attack and the loss (26 passes instead of 27, the same numbers)."),
    ] = neutral(True)
    shuffle: Annotated[
        bool,
        Key(
            "Images in random order without replacement; false: in stored order, as in the paper's runs that see each "
            "image once."
        ),
    ] = neutral(True)
    pool: Annotated[
        str,
        Key(
            "Images that a run draws from: size, the first D of its dataset (accounting epochs draw up to 2.4 % more: "
            "those are seen twice), or draws, all that it draws, as the paper's runs did from larger files.",
            enum=["size", "draws"],
        ),
    ] = neutral("size")
    window_images: Annotated[
        int,
        Key(
            "Images that are read at a time and shuffled among one another; 65536 if left out. Fewer images are "
            "shuffled as a whole.",
            minimum=1024,
        ),
    ] = neutral(65_536)
    replacement: Annotated[bool, Key("Draw images with replacement, as the paper compares in its figure 11.")] = (
        neutral(False)
    )
    shares: tuple[int, ...] = neutral(())  # of a mixture of datasets: relative draws from each
    unique_images: int | None = neutral(None)  # of each dataset of the mixture, met again when exhausted
