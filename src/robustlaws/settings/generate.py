"""Settings of data, generators, samplers and image quality."""

from dataclasses import dataclass
from typing import Annotated

from robustlaws.settings.base import Architecture, Key, Settings, neutral


@dataclass(frozen=True)
class Import(Settings):
    """Stage data: which images to import and how to split them."""

    source: str
    seed: int
    train_images: Annotated[
        int | None, Key("Images of the training split to keep; all if left out.", absent=None, minimum=1)
    ]
    test_images: Annotated[
        int | None, Key("Images of the test split to keep, for digits the size of the split.", absent=None, minimum=1)
    ]
    image_column: Annotated[str | None, Key("Column with the encoded image (hub_parquet).", absent=None)]
    label_column: Annotated[str | None, Key("Column with the class (hub_parquet).", absent=None)]
    size: int  # of the study's images, in pixels a side; the source must give these
    channels: int
    classes: int
    image_size: Annotated[
        int | None,
        Key("Pixels a side that the files of an image folder are scaled to; as they are if left out.", minimum=1),
    ] = neutral(None)
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
    model_channels: Annotated[
        int,
        Key(
            "Channels at the highest resolution before the multipliers; a multiple of 4. Officially 128.",
            minimum=4,
            multipleOf=4,
        ),
    ]
    channel_mult: Annotated[
        tuple[int, ...],
        Key(
            "Multipliers of the channels, highest resolution first; officially [2, 2, 2].",
            minItems=1,
            items={"minimum": 1},
        ),
    ]
    channel_mult_emb: int
    num_blocks: Annotated[int, Key("Residual blocks per resolution; officially 4.", minimum=1)]
    attn_resolutions: Annotated[
        tuple[int, ...], Key("Pixels a side at which there is self-attention; officially [16].", items={"minimum": 1})
    ]
    dropout: Annotated[float, Key("Dropout while training; officially 0.13.", minimum=0, exclusiveMaximum=1)]
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
    model_channels: Annotated[
        int, Key("Channels before the multipliers, a multiple of 32; officially 128.", minimum=32, multipleOf=32)
    ]
    channel_mult: Annotated[
        tuple[int, ...],
        Key("Multipliers per level; officially [1, 2, 4], of the discriminator [1].", minItems=1, items={"minimum": 1}),
    ]
    depth: Annotated[int, Key("Residual blocks per level; officially 4, of the discriminator 2.", minimum=1)]
    attention: Annotated[
        tuple[int, ...],
        Key(
            "Factors of downsampling at which there is attention; officially [1, 2, 4], of the discriminator [1].",
            items={"minimum": 1},
        ),
    ]
    outputs: int
    label_table: int = 0  # rows of the table of classes; 0: unconditional
    head_channels: int = 64


@dataclass(frozen=True)
class GeneratorTraining(Settings):
    """Stage generate: a diffusion generator trained on the study's own training images (7 and 8 there)."""

    kind: str  # edm or pfgmpp
    seed: int
    network: Network
    batch: Annotated[int, Key("Images an update; officially 512.", minimum=1)]
    updates: Annotated[int, Key("Updates of the optimiser; officially 390625.", minimum=1)]
    learning_rate: Annotated[float, Key("Learning rate of Adam after the ramp; officially 0.001.", exclusiveMinimum=0)]
    ramp_images: Annotated[
        int, Key("Images over which the learning rate rises from 0; officially 10000000.", minimum=0)
    ]
    ema_half_life_images: Annotated[
        int, Key("Half-life of the weight average, in images; officially 500000.", minimum=1)
    ]
    p_mean: Annotated[float, Key("Mean of ln(noise level) while training; officially -1.2.")]
    p_std: Annotated[
        float, Key("Standard deviation of ln(noise level) while training; officially 1.2.", exclusiveMinimum=0)
    ]
    sigma_data: Annotated[
        float, Key("Standard deviation of the images in [-1, 1]; officially 0.5.", exclusiveMinimum=0)
    ]
    augment: Annotated[
        float,
        Key(
            "Probability of each geometric transform (scale, rotation, translation, ...); officially 0.12, 0 for none.",
            minimum=0,
            maximum=1,
        ),
    ]
    mirror: Annotated[bool, Key("Mirror images too: left-right with probability 1/2, top-bottom among the transforms.")]
    augmented_dimension: int | None = neutral(None)  # D of pfgmpp
    accumulate: Annotated[
        int, Key("Parts of a batch that the network sees one after the other, to save memory.", minimum=1)
    ] = neutral(1)


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
    batch: Annotated[int, Key("Images an update; officially 128.", minimum=1)]
    updates: Annotated[
        int, Key("Updates of the optimiser; officially 195250 (250 epochs) of the discriminator.", minimum=1)
    ]
    learning_rate: Annotated[float, Key("Learning rate of Adam; officially 0.0003.", exclusiveMinimum=0)]
    weight_decay: Annotated[float, Key("L2 coefficient; officially 1e-7.", minimum=0)]
    fakes: int = neutral(0)  # images of the base generator, for the discriminator


@dataclass(frozen=True)
class Churn(Settings):
    """Noise put back while sampling (Heun with churn, 3 there)."""

    s_churn: Annotated[float, Key("Amount over all steps.", minimum=0)]
    s_min: Annotated[float, Key("Noise level below which none is put back; 0 if left out.", absent=0.0, minimum=0)]
    s_max: Annotated[
        float | None,
        Key("Noise level above which none is put back; no limit if left out.", absent=None, exclusiveMinimum=0),
    ]
    s_noise: Annotated[float, Key("Standard deviation of the noise.", minimum=0)]


@dataclass(frozen=True)
class Guidance(Settings):
    """Discriminator guidance (9.3 and 9.4 there)."""

    weight: Annotated[
        float,
        Key(
            "Weight of the guidance in the first evaluation of a step; the official conditional setting is 1.",
            minimum=0,
        ),
    ]
    boosting: Annotated[bool, Key("Twice the guidance, and noise put back, where the discriminator doubts an image.")]
    time_min: Annotated[
        float, Key("Diffusion time below which there is no guidance; 0.01 officially.", minimum=0, maximum=1)
    ]
    time_max: Annotated[
        float, Key("Diffusion time above which there is no guidance; 1 officially.", minimum=0, maximum=1)
    ]
    weight_second_order: Annotated[float, Key("Weight in the second evaluation; 0 officially.", minimum=0)] = neutral(
        0.0
    )


@dataclass(frozen=True)
class Pipeline(Settings):
    """Any diffusers pipeline."""

    source: Annotated[str, Key("Local folder of a diffusers pipeline, or its name on the hub.")]
    revision: Annotated[str | None, Key("Revision on the hub (a commit, so that it cannot change).")] = neutral(None)
    scheduler: Annotated[
        str | None, Key("Class of diffusers that replaces the pipeline's own scheduler, such as DDIMScheduler.")
    ] = neutral(None)
    scheduler_arguments: Annotated[dict | None, Key("Arguments of that scheduler beside the pipeline's own.")] = (
        neutral(None)
    )
    class_argument: Annotated[
        str | None,
        Key("Argument of the pipeline's call that takes the classes, such as class_labels; unconditional if left out."),
    ] = neutral(None)
    arguments: Annotated[dict | None, Key("Further arguments of the pipeline's call.")] = neutral(None)
    classifier: Architecture | None = neutral(None)  # gives the labels of an unconditional pipeline


@dataclass(frozen=True)
class Staging(Settings):
    """Stage generate: images sampled elsewhere, made readable in any order."""

    generator: str
    format: Annotated[
        str,
        Key(
            "npz or hdf5 (arrays of images and labels), folder (class folders of image files) or parquet (the public "
            "hub's image layout).",
            enum=["npz", "hdf5", "folder", "parquet"],
        ),
    ]
    image_key: Annotated[str, Key("Name of the array or column of images; image if left out.", absent="image")]
    label_key: Annotated[str, Key("Name of the array or column of classes; label if left out.", absent="label")]
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
    sigma_min: Annotated[float, Key("Lowest noise level, images in [-1, 1].", exclusiveMinimum=0)]
    sigma_max: Annotated[float, Key("Highest noise level, images in [-1, 1].", exclusiveMinimum=0)]
    rho: Annotated[float, Key("Exponent of the noise schedule.", minimum=1)]
    seed: int  # of the generator's images; image i adds its index
    labels: Annotated[
        str,
        Key(
            "balanced: image i is of class i mod classes; random: drawn per image, as the official scripts do; "
            "shared: balanced, and the classes share their latents, as in the published 1M to 50M files.",
            enum=["balanced", "random", "shared"],
        ),
    ]
    classes: int
    image_size: int
    channels: int
    first: int  # index of the shard's first image in the dataset
    count: int
    batch: Annotated[
        int, Key("Images the network sees at once; part of the recipe, as rounding may depend on it.", minimum=1)
    ]
    seeds: Annotated[
        str,
        Key(
            "derived: from the study's seed, the generator and the index of the image; index: image i is made from "
            "seed i alone, as the official scripts do.",
            enum=["derived", "index"],
        ),
    ] = neutral("derived")
    churn: Churn | None = neutral(None)
    guidance: Guidance | None = neutral(None)
    pipeline: Pipeline | None = neutral(None)
    layout: Annotated[
        str,
        Key(
            "Of a shard: contiguous, chunked, or compressed by zstd, lz4 (both need hdf5plugin) or gzip.",
            enum=["contiguous", "chunked", "zstd", "lz4", "gzip"],
        ),
    ] = neutral("contiguous")
    options: dict | None = neutral(None)  # of this kind of sampler alone, as the config says them


@dataclass(frozen=True)
class Features(Settings):
    """Stage quality: the classifier whose penultimate layer gives the features of the FID."""

    architecture: Architecture
    seed: int
    epochs: Annotated[int, Key("Passes over the real training images.", minimum=1)]
    batch: Annotated[int, Key("Images a step.", minimum=1)]
    learning_rate: Annotated[float, Key("Peak learning rate.", exclusiveMinimum=0)]
    weight_decay: Annotated[float, Key("L2 coefficient of SGD.", minimum=0)]


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
    images: Annotated[
        int,
        Key(
            "Images of a subset of each dataset that a FID is taken of, from its first image on; the field's custom "
            "is 50000.",
            minimum=2,
        ),
    ]
    subsets: Annotated[
        int,
        Key(
            "Subsets, one after the other; the FID is their mean, with its spread. 1 if left out.", absent=1, minimum=1
        ),
    ]
    prefixes: Annotated[
        tuple[int, ...],
        Key("Further numbers of first images that get a FID each.", uniqueItems=True, items={"minimum": 2}),
    ] = neutral(())
