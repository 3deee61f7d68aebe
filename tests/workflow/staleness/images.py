"""Rows of the settings that say where images come from: source, generators, datasets, sampling, FIDs."""

from tests.workflow.staleness import LEFT_OUT, Change, Made, Row, Section, settings
from tests.workflow.staleness.jobs import (
    ANALYSIS,
    AUTOATTACK,
    DISCRIMINATOR,
    EVERYTHING,
    EXPORTS,
    FEATURES,
    FIDS,
    FROM_RUNS,
    GUIDANCE,
    IMAGES,
    IMPORT,
    MOMENTS,
    PGD,
    PLAN,
    REAL_MOMENTS,
    REPORT,
    RUNS,
    chunks,
    of_datasets,
    pgd,
    runs,
    shards,
)

SUM = "1" * 64
ALL_RUNS = (RUNS, PGD, AUTOATTACK, ANALYSIS)
AT_64 = "wrn-10-1/{}/64/1".format
OFFICIAL, MIXED = AT_64("official-4"), AT_64("mixed")
ON_OFFICIAL = chunks("AutoAttack of it", f"runs/{OFFICIAL}", 0, 1)


def trained(name):
    """Return the training of generator `name`."""
    return Made(f"the generator `{name}`", {"train_generator": {f"generators/{name}/network.json"}})


def imported(name):
    """Return the import of generator `name`."""
    return Made(f"the import of `{name}`", {"import_generator": {f"generators/{name}/network.json"}})


PAIR = Made("the import of the pair", {"import_pair": {"generators/guided/extractor.json"}})
STAGED = Made("the index of the files", {"stage_samples": {"generators/own/samples.h5"}})
EDM = (
    of_datasets("its images and those guided by it, with their FIDs", "edm-2", "edm-4", "dg-3"),
    shards("", "edm-2/00001", "edm-4/00001"),
    DISCRIMINATOR,
    *ALL_RUNS,
)
PFGMPP = (
    of_datasets("its images and their FIDs", "pfgmpp-3"),
    runs("the runs on these", "wrn-10-1/three/256/1"),
    ANALYSIS,
)
GUIDED = (
    of_datasets("the guided images and their FIDs", "dg-3"),
    runs("the runs on these", "wrn-10-1/three/256/1"),
    ANALYSIS,
)


def on(*datasets, more=()):
    """Return the images of these datasets of the wide study, and what comes after them; `more`: further runs."""
    return (
        of_datasets("its images and their FIDs", *datasets),
        runs("the runs on these", *map(AT_64, datasets), *more),
        *((ON_OFFICIAL, EXPORTS) if "official-4" in datasets else ()),
        ANALYSIS,
    )


OWN = on("own", more=["wrn-10-1@slow/own/64/1"])
FROM_REAL = (IMPORT, REAL_MOMENTS, FIDS, *ALL_RUNS)
SAMPLED_HERE = on("official-4", "plus-3", "guided-3", more=[MIXED])

SOURCE = Section(
    "The real images",
    (
        Row(
            "`source.name`",
            (
                Change(
                    "source.name",
                    settings={"source": {"name": "cifar10", "train_files": ["files/train"], "test_images": 100}},
                ),
            ),
            FROM_REAL,
            "images that somebody else made are still the same",
            "folders",
        ),
        settings({"source.image_size": 16}, FROM_REAL, study="folders"),
        settings(
            {
                "source.train_files": ["files/test.parquet"],
                "source.test_files": ["files/train.parquet"],
                "source.train_images": 256,
                "source.image_column": "image",
                "source.label_column": "class",
            },
            (
                IMPORT,
                Made("the features of the real test images", {"measure_split": {"quality/real/test.safetensors"}}),
                FIDS,
                *ALL_RUNS,
                EXPORTS,
            ),
            "what is trained here on the real images comes after them, the attacks read the test images",
            "wide",
        ),
        settings(
            {"source.test_images": 90, "source.train_images": 512},
            (EVERYTHING,),
            "one job writes both splits",
        ),
        settings({"image.size": 16, "image.classes": 12}, (EVERYTHING,)),
        Row(
            "`image.channels`",
            (
                Change(
                    "image.channels",
                    settings={"image.channels": 3, "image.mean": [0.3, 0.3, 0.3], "image.std": [0.4, 0.4, 0.4]},
                ),
            ),
            (EVERYTHING,),
        ),
        settings(
            {"image.mean": [0.5], "image.std": [0.5]},
            (FEATURES, MOMENTS, REAL_MOMENTS, FIDS, *ALL_RUNS),
            "classifiers subtract and divide by them; generators do not",
        ),
    ),
)

GENERATORS = Section(
    "Generators",
    (
        settings(
            {
                f"generators.edm.{key}": value
                for key, value in {
                    "network.architecture": "ncsnpp",
                    "network.model_channels": 12,
                    "network.channel_mult": [1, 1],
                    "network.num_blocks": 2,
                    "network.attn_resolutions": [4],
                    "network.dropout": 0.1,
                    "training.batch": 32,
                    "training.updates": 151,
                    "training.learning_rate": 0.005,
                    "training.ramp_images": 0,
                    "training.ema_half_life_images": 2000,
                    "training.p_mean": -1.0,
                    "training.p_std": 1.0,
                    "training.sigma_data": 0.6,
                    "training.augment": 0.1,
                    "training.mirror": True,
                    "training.accumulate": 2,
                }.items()
            },
            (trained("edm"), *EDM),
            "the discriminator learns from images of `edm`; those of other generators are still the same",
            change="`network` or `training` of a generator that is trained here, such as `edm`: any key",
        ),
        settings(
            {"generators.pfgmpp.dimension": 64, "generators.pfgmpp.training.updates": 151},
            (trained("pfgmpp"), *PFGMPP),
            change="`dimension`, or any key of `network` or `training`, of `pfgmpp`",
        ),
        settings(
            {
                f"generators.dg.guidance.{key}": value
                for key, value in {
                    "weight": 2,
                    "boosting": False,
                    "time_min": 0.02,
                    "time_max": 0.9,
                    "weight_second_order": 1.0,
                }.items()
            },
            GUIDED,
            "neither the base nor the two networks of the guidance",
            change="`guidance` of a `dg` generator: any key",
        ),
        settings(
            {
                "generators.dg.discriminator.model_channels": 64,
                "generators.dg.discriminator.channel_mult": [1, 1],
                "generators.dg.discriminator.depth": 2,
                "generators.dg.discriminator.attention": [1],
                "generators.dg.discriminator.batch": 16,
                "generators.dg.discriminator.updates": 6,
                "generators.dg.discriminator.learning_rate": 0.002,
                "generators.dg.discriminator.weight_decay": 0.1,
                "generators.dg.fakes.dataset": "edm-2",
                "generators.dg.fakes.images": 256,
            },
            (DISCRIMINATOR, *GUIDED),
            change="`discriminator` or `fakes` of a `dg` generator: any key",
        ),
        settings(
            {"generators.dg.extractor.updates": 6, "generators.dg.extractor.channel_mult": [1, 1]},
            (GUIDANCE, *GUIDED),
            change="`extractor` of a `dg` generator: any key",
        ),
        settings(
            {
                "generators.official.checkpoint": "files/second.pkl",
                "generators.official.sha256": SUM,
            },
            (imported("official"), *on("official-4", "guided-3", more=[MIXED])),
            "a sum names a file: another sum, or the first one, asks for another file than was imported",
            "wide",
            "`checkpoint` or `sha256` of an `edm` generator",
        ),
        settings(
            {
                "generators.plus.checkpoint": "files/second.pkl",
                "generators.plus.sha256": LEFT_OUT,
                "generators.plus.kind": "edm",
            },
            (imported("plus"), *on("plus-3", more=[MIXED])),
            study="wide",
            change="`checkpoint`, `sha256` or `kind` of a `pfgmpp` generator",
        ),
        settings(
            {
                "generators.guided.checkpoint.extractor": "files/second.pkl",
                "generators.guided.checkpoint.discriminator": "files/second.pkl",
                "generators.guided.checkpoint.sha256_extractor": SUM,
                "generators.guided.checkpoint.sha256_discriminator": LEFT_OUT,
            },
            (PAIR, *on("guided-3")),
            study="wide",
            change="`checkpoint` of a `dg` generator: any key",
        ),
        settings(
            {"generators.guided.base": "second"},
            (imported("second"), *on("guided-3")),
            "the other base is imported first, if no dataset needed it before",
            "wide",
            "`base` of a `dg` generator",
        ),
        settings(
            {
                "generators.local.source": "files/another",
                "generators.local.scheduler": "DDPMScheduler",
                "generators.local.scheduler_arguments": {"clip_sample": False},
                "generators.local.arguments": {"eta": 0.5},
                "generators.local.classifier": "other",
            },
            on("local-2"),
            study="wide",
            change="`source`, `scheduler`, `scheduler_arguments`, `arguments` or `classifier` of a `pipeline` generator",
        ),
        settings(
            {"generators.hub.revision": "4567def", "generators.hub.class_argument": "labels"},
            on("hub-2"),
            study="wide",
            change="`revision` or `class_argument` of a `pipeline` generator",
        ),
        settings(
            {
                "generators.own.files": ["files/reference.npz"],
                "generators.own.format": "hdf5",
                "generators.own.image_key": "image",
                "generators.own.label_key": "label",
                "generators.own.sha256": [SUM],
            },
            (STAGED, *OWN),
            study="wide",
            change="`files`, `format`, `image_key`, `label_key` or `sha256` of a `files` generator",
        ),
        Row(
            "`kind` of a generator",
            (
                Change(
                    "kind of files",
                    settings={
                        "generators.own": {
                            "kind": "pipeline", "source": "files/ddpm", "class_argument": "class_labels",
                        },
                        "datasets.own.steps": 2,
                    },
                ),
            ),
            OWN,
            study="wide",
        ),
    ),
)  # fmt: skip

DATASETS = Section(
    "Datasets and mixtures",
    (
        settings(
            {"datasets.pfgmpp-3.generator": "edm", "datasets.pfgmpp-3.steps": 4},
            PFGMPP,
            change="`generator` or `steps` of a dataset",
        ),
        settings(
            {
                f"datasets.official-4.churn.{key}": value
                for key, value in {"s_churn": 2.0, "s_min": LEFT_OUT, "s_max": 40.0, "s_noise": 1.1}.items()
            },
            on("official-4", more=[MIXED]),
            study="wide",
            change="`churn` of a dataset: any key",
        ),
        settings(
            {"datasets.edm-2.images": 512},
            (PLAN,),
            "new images are made when a run needs them",
            change="`images` of a dataset, more than before",
        ),
        settings(
            {"mixtures.edm-4-real.dataset": "edm-2", "mixtures.edm-4-real.real_fraction": 0.25},
            (runs("the runs on the mixture", "wrn-10-1/edm-4-real/256/1"), ANALYSIS),
            change="`dataset` or `real_fraction` of a mixture",
        ),
        settings(
            {"mixtures.three.datasets.dg-3": 1, "mixtures.three.images": 32},
            (runs("the runs on the mixture", "wrn-10-1/three/256/1"), ANALYSIS),
            change="the shares under `datasets`, or `images`, of a mixture",
        ),
    ),
)

SAMPLING = Section(
    "Sampling",
    (
        settings(
            {"sampling.seeds": "index", "sampling.labels": "random", "sampling.batch": 32},
            (DISCRIMINATOR, IMAGES, *ALL_RUNS),
        ),
        settings(
            {"sampling.sigma_min": 0.004, "sampling.sigma_max": 40.0, "sampling.rho": 5.0},
            SAMPLED_HERE,
            "pipelines have their own noise levels, files none",
            "wide",
        ),
        settings(
            {"sampling.layout": "gzip"},
            (DISCRIMINATOR, IMAGES, *ALL_RUNS),
            "the images are the same, their files are not: choose it before the first run",
        ),
        settings(
            {"sampling.shard_images": 64},
            (
                shards("all images", *(f"{name}/0000{index}" for name in ("edm-2", "edm-4") for index in range(4))),
                shards("", *(f"{name}/0000{index}" for name in ("pfgmpp-3", "dg-3") for index in range(2))),
                DISCRIMINATOR,
                Made(
                    "and their FIDs",
                    {
                        "measure_shard": {
                            f"quality/{name}/shard-0000{index}.safetensors"
                            for name in ("edm-2", "edm-4", "pfgmpp-3", "dg-3")
                            for index in range(2)
                        },
                    },
                ),
                FIDS,
                *ALL_RUNS,
            ),
            "the images are the same, their files are not",
        ),
    ),
)

QUALITY = Section(
    "FIDs",
    (
        settings(
            {"quality.images": 32, "quality.subsets": 1, "quality.prefixes": [32, 64]},
            (MOMENTS, FIDS, FROM_RUNS),
        ),
        settings({"quality.batch": 128}, (MOMENTS, REAL_MOMENTS, FIDS, FROM_RUNS)),
        settings(
            {
                f"quality.features.{key}": value
                for key, value in {
                    "depth": 16,
                    "width": 2,
                    "epochs": 2,
                    "batch": 32,
                    "learning_rate": 0.2,
                    "weight_decay": 0.001,
                }.items()
            },
            (FEATURES, MOMENTS, REAL_MOMENTS, FIDS, FROM_RUNS),
            change="`quality.features`: any key",
        ),
        settings({"quality.inception.weights": "files/second.pkl"}, (MOMENTS, REAL_MOMENTS, FIDS, FROM_RUNS), study="wide"),
        settings({"quality.inception.reference": "files/second.pkl"}, (FIDS, FROM_RUNS), study="wide"),
    ),
)
