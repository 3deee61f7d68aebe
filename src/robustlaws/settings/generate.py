"""Settings of data, generators, samplers and image quality."""

from dataclasses import dataclass

from robustlaws.settings.base import Architecture, Settings, neutral


@dataclass(frozen=True)
class Import(Settings):
    """Stage data: which images to import and how to split them."""

    source: str
    seed: int
    train_images: int | None  # None: all
    test_images: int | None
    image_column: str | None
    label_column: str | None
    size: int  # of the study's images, in pixels a side; the source must give these
    channels: int
    classes: int
    image_size: int | None = neutral(None)  # pixels a side to scale an image folder's files to; None: as they are
    train_files: tuple[str, ...] = neutral(())  # in their order, which Snakemake does not compare
    test_files: tuple[str, ...] = neutral(())
    contents: str = neutral("")  # digest of what the folders among the files hold; "": none is a folder


@dataclass(frozen=True)
class Network(Settings):
    """The EDM family's U-Net; names and meanings of its official arguments (spec/generators.md 5)."""

    img_resolution: int
    in_channels: int
    out_channels: int
    label_dim: int  # classes; 0: unconditional
    augment_dim: int  # augmentation labels; 0: none
    model_channels: int
    channel_mult: tuple[int, ...]
    channel_mult_emb: int
    num_blocks: int
    attn_resolutions: tuple[int, ...]
    dropout: float
    label_dropout: float
    embedding_type: str  # positional or fourier
    channel_mult_noise: int
    encoder_type: str  # standard or residual
    decoder_type: str  # standard
    resample_filter: tuple[int, ...]


@dataclass(frozen=True)
class Encoder(Settings):
    """The ADM encoder U-Net of discriminator guidance: the feature extractor or the discriminator (9.2 there)."""

    img_resolution: int
    in_channels: int
    model_channels: int
    channel_mult: tuple[int, ...]
    depth: int  # residual blocks per level
    attention: tuple[int, ...]  # downsampling factors at which there is attention
    outputs: int
    label_table: int = 0  # rows of the table of classes; 0: unconditional
    head_channels: int = 64


@dataclass(frozen=True)
class GeneratorTraining(Settings):
    """Stage generate: a diffusion generator trained on the study's own training images (7 and 8 there)."""

    kind: str  # edm or pfgmpp
    seed: int
    network: Network
    batch: int
    updates: int
    learning_rate: float
    ramp_images: int  # images over which the learning rate rises from 0
    ema_half_life_images: int
    p_mean: float  # of ln sigma
    p_std: float
    sigma_data: float
    augment: float  # probability of each geometric transform; 0: none
    mirror: bool  # x-flips with probability 1/2, and y-flips among the transforms
    augmented_dimension: int | None = neutral(None)  # D of pfgmpp
    accumulate: int = neutral(1)  # parts of a batch that the network sees one after the other


@dataclass(frozen=True)
class GeneratorImport(Settings):
    """Stage generate: an official checkpoint, made ours."""

    generator: str
    kind: str  # edm or pfgmpp
    sha256: str | None = neutral(None)  # of the file; None: not known beforehand


@dataclass(frozen=True)
class EncoderImport(Settings):
    """Stage generate: the official pair of discriminator guidance, made ours."""

    generator: str
    sha256_extractor: str | None = neutral(None)
    sha256_discriminator: str | None = neutral(None)


@dataclass(frozen=True)
class EncoderTraining(Settings):
    """Stage generate: one network of the pair of discriminator guidance (9.5 there)."""

    generator: str
    seed: int
    network: Encoder
    classes: int
    batch: int
    updates: int
    learning_rate: float
    weight_decay: float
    fakes: int = neutral(0)  # images of the base generator, for the discriminator


@dataclass(frozen=True)
class Churn(Settings):
    """Noise put back while sampling (Heun with churn, 3 there)."""

    s_churn: float
    s_min: float
    s_max: float | None  # None: no limit
    s_noise: float


@dataclass(frozen=True)
class Guidance(Settings):
    """Discriminator guidance (9.3 and 9.4 there)."""

    weight: float  # of the first evaluation of a step
    boosting: bool
    time_min: float
    time_max: float
    weight_second_order: float = neutral(0.0)


@dataclass(frozen=True)
class Pipeline(Settings):
    """Any diffusers pipeline."""

    source: str  # local folder, or a name on the hub
    revision: str | None = neutral(None)  # on the hub
    scheduler: str | None = neutral(None)  # class of diffusers; None: the pipeline's own
    scheduler_arguments: dict | None = neutral(None)
    class_argument: str | None = neutral(None)  # argument of the pipeline that takes classes; None: unconditional
    arguments: dict | None = neutral(None)  # more arguments of its call
    classifier: Architecture | None = neutral(None)  # gives the labels of an unconditional pipeline


@dataclass(frozen=True)
class Staging(Settings):
    """Stage generate: images that somebody else sampled, made readable in any order."""

    generator: str
    format: str  # npz, hdf5, folder or parquet
    image_key: str
    label_key: str
    image_size: int
    channels: int
    classes: int
    sha256: tuple[str, ...] = neutral(())  # of each file; (): not known beforehand
    files: tuple[str, ...] = neutral(())  # in their order, where there are several
    contents: str = neutral("")  # digest of what the folders among the files hold; "": none is a folder


@dataclass(frozen=True)
class Sampling(Settings):
    """Stage generate: one shard of one dataset."""

    dataset: str
    generator: str
    sampler: str  # kind of the generator, see generators.SAMPLERS
    steps: int | None  # None: files
    sigma_min: float
    sigma_max: float
    rho: float
    seed: int  # of the generator's images; image i adds its index
    labels: str  # "balanced", "random", "shared" (classes share latents) or, of files, "stored"
    classes: int
    image_size: int
    channels: int
    first: int  # index of the shard's first image in the dataset
    count: int
    batch: int  # images the network sees at once; rounding may depend on it
    seeds: str = neutral("derived")  # "index": image i is made from seed i alone, as the official scripts do
    churn: Churn | None = neutral(None)
    guidance: Guidance | None = neutral(None)
    pipeline: Pipeline | None = neutral(None)
    layout: str = neutral("contiguous")  # of the file: contiguous, chunked, or a compression (zstd, lz4, gzip)
    options: dict | None = neutral(None)  # of this kind of sampler alone, as the config says them


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
class Moments(Settings):
    """Stage quality: mean and covariance of features, of pieces of one file of images."""

    features: str  # classifier or inception
    architecture: Architecture | None  # of the classifier
    cuts: tuple[int, ...]  # images of the file at which a piece ends, the last one included; (): the whole file is one
    batch: int


@dataclass(frozen=True)
class Quality(Settings):
    """Stage quality: FID of one dataset."""

    dataset: str
    generator: str
    steps: int | None
    features: str  # classifier or inception
    architecture: Architecture | None
    images: int  # of a subset
    subsets: int  # measured one by one, from the first image on
    prefixes: tuple[int, ...] = neutral(())  # further numbers of first images that get a FID each
