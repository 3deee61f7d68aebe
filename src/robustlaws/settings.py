"""What each stage is told: frozen dataclasses with a fixed order and fixed types.

A rule hands its job ONE dict, made by :func:`as_params`, and Snakemake reruns the job when the text
of that dict changes. So the order of the keys is that of the class, a float stays a float however
the YAML spelt it, and a setting that is still neutral is left out: neither 5 for 5.0, nor reordered
YAML, nor a later optional setting makes a finished output stale.

No torch here: the Snakefile imports this module.
"""

from dataclasses import dataclass, field, fields, replace
from typing import get_args, get_origin, get_type_hints

from robustlaws.attacks import AUTOATTACK
from robustlaws.training import recipe


def neutral(value):
    """Return a field for a later, optional setting: left out of the params while it is `value`."""
    return field(default=value, metadata={"neutral": value})


def as_params(settings):
    """Return the dict of `settings` that decides whether an output is stale.

    Nested settings become dicts, tuples stay tuples, neutral settings are left out.
    """
    params = {}
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if "neutral" in entry.metadata and value == entry.metadata["neutral"]:
            continue
        params[entry.name] = as_params(value) if isinstance(value, Settings) else value
    return params


def _coerced(value, kind, where):
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{where}: {value!r} is not a list")
        return tuple(_coerced(item, get_args(kind)[0], where) for item in value)
    options = get_args(kind) or (kind,)
    if value is None and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    if isinstance(kind, type) and issubclass(kind, Settings):
        value = kind(**value) if isinstance(value, dict) else value
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: {value!r} is not {kind.__name__}")
    return value


@dataclass(frozen=True)
class Settings:
    """Base of all settings: brings every value to the declared type.

    Raises
    ------
    ValueError
        If a value cannot be meant as the declared type.
    """

    def __post_init__(self):
        hints = get_type_hints(type(self))
        for entry in fields(self):
            where = f"{type(self).__name__}.{entry.name}"
            object.__setattr__(self, entry.name, _coerced(getattr(self, entry.name), hints[entry.name], where))


@dataclass(frozen=True)
class Import(Settings):
    """Stage data: which images to import and how to split them."""

    source: str
    seed: int
    train_images: int | None  # None: all
    test_images: int | None
    image_column: str | None
    label_column: str | None


@dataclass(frozen=True)
class Threat(Settings):
    """What the attacker may do: norm and radius, pixels in [0, 1]."""

    norm: str
    epsilon: float


@dataclass(frozen=True)
class Architecture(Settings):
    """A WideResNet and its input normalisation (per channel, pixels in [0, 1])."""

    depth: int
    width: int
    classes: int
    channels: int
    image_size: int
    mean: tuple[float, ...]  # () with std () for none
    std: tuple[float, ...]


@dataclass(frozen=True)
class Checkpoint(Settings):
    """Stage interop: weights that somebody else trained."""

    name: str
    architecture: Architecture
    unaveraged: bool = neutral(False)  # the raw weights, where the file has averaged ones too
    sha256: str | None = neutral(None)  # of the file they come from; None: not known beforehand


@dataclass(frozen=True)
class GeneratorTraining(Settings):
    """Stage generate: a diffusion generator trained on the study's own training images."""

    kind: str
    seed: int
    classes: int
    channels: int
    image_size: int
    widths: tuple[int, ...]  # channels of the U-Net per resolution
    blocks: int  # residual blocks per resolution
    attention: bool  # at the lowest resolution
    dropout: float
    batch: int
    updates: int
    learning_rate: float
    ramp_images: int  # images over which the learning rate rises from 0
    ema_half_life_images: int
    p_mean: float  # of ln sigma
    p_std: float
    sigma_data: float
    crop_padding: int  # pixels of random shift while training
    mirror: bool


@dataclass(frozen=True)
class Sampling(Settings):
    """Stage generate: one shard of one dataset."""

    dataset: str
    generator: str
    sampler: str
    steps: int
    sigma_min: float
    sigma_max: float
    rho: float
    seed: int  # of the generator's images; image i adds its index
    labels: str  # "balanced" or "random"
    classes: int
    first: int  # index of the shard's first image in the dataset
    count: int
    batch: int  # images the network sees at once; rounding may depend on it


@dataclass(frozen=True)
class Features(Settings):
    """Stage quality: the classifier whose penultimate layer gives the features of the FID."""

    architecture: Architecture
    seed: int
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class Quality(Settings):
    """Stage quality: FID of one dataset."""

    dataset: str
    generator: str
    steps: int
    images: int
    architecture: Architecture


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
class Training(Settings, recipe.Accounting):
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


@dataclass(frozen=True)
class Compute(Settings):
    """What a job may use. Decides no number of a result beyond rounding, so it makes nothing stale."""

    gpus: int = 0  # of each node; 0: the CPU
    threads: int = 1
    state_minutes: float = 10.0  # between two saved states
    budget_minutes: float | None = None  # after which the job saves its state and stops
    processes: int | None = None  # of each node; None: one for each GPU, or one
    nodes: int = 1
    node_command: tuple[str, ...] = ()  # starts the command after it once on every node
    compile: bool = False  # torch.compile

    @property
    def ranks(self):
        """Processes that share one run."""
        return self.nodes * self.processes_per_node

    @property
    def processes_per_node(self):
        """Processes on each node."""
        return self.processes or max(1, self.gpus)


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
    def names(self):
        """The attacks that are run, in order."""
        return self.attacks or AUTOATTACK[self.version]

    @property
    def chunks(self):
        """Number of chunks; the last one may be smaller."""
        return -(-self.images // self.chunk)

    def of_chunk(self, chunk):
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


# The settings class of each named attack.
ATTACK_SETTINGS = {"pgd_cw": PgdCw, "autoattack": AutoAttack}
