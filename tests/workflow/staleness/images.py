"""Rows of the settings of the real images, of sampling and of FIDs."""

from tests.workflow.staleness import LEFT_OUT, Change, Made, Row, Section, jobs, settings, under

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
            jobs.FROM_REAL,
            "images that somebody else made are still the same",
            "folders",
        ),
        settings({"source.image_size": 16}, jobs.FROM_REAL, study="folders"),
        settings(
            {
                "source.train_files": ["files/train-1.parquet", "files/train-0.parquet"],
                "source.test_files": ["files/train-0.parquet"],
                "source.train_images": 256,
                "source.image_column": "image",
                "source.label_column": "class",
            },
            jobs.FROM_COLUMNS,
            "images that somebody else made, or whose generator somebody else trained, are still the same",
            "wide",
        ),
        settings(
            {"source.test_images": 90, "source.train_images": 512},
            (jobs.EVERYTHING,),
            "one job writes both splits, and what is trained on them comes after it",
        ),
        settings({"image.size": 16, "image.classes": 12}, (jobs.EVERYTHING,)),
        Row(
            "`image.channels`",
            (
                Change(
                    "image.channels",
                    settings={"image.channels": 3, "image.mean": [0.3, 0.3, 0.3], "image.std": [0.4, 0.4, 0.4]},
                ),
            ),
            (jobs.EVERYTHING,),
        ),
        settings(
            {"image.mean": [0.5], "image.std": [0.5]},
            (jobs.FEATURES, jobs.MOMENTS, jobs.REAL_MOMENTS, jobs.FIDS, *jobs.ALL_RUNS),
            "classifiers subtract and divide by them; generators do not",
        ),
    ),
)

SAMPLING = Section(
    "Sampling",
    (
        settings(
            {"sampling.seeds": "index", "sampling.labels": "random", "sampling.batch": 32},
            (jobs.DISCRIMINATOR, jobs.IMAGES, *jobs.ALL_RUNS),
        ),
        settings(
            {"sampling.sigma_min": 0.004, "sampling.sigma_max": 40.0, "sampling.rho": 5.0},
            jobs.SAMPLED_HERE,
            "pipelines have their own noise levels, files none",
            "wide",
        ),
        settings(
            {"sampling.layout": "gzip"},
            (jobs.DISCRIMINATOR, jobs.IMAGES, *jobs.ALL_RUNS),
            "the images are the same, their files are not: choose it before the first run",
        ),
        settings(
            {"sampling.shard_images": 64},
            (
                jobs.shards(
                    "all generated images",
                    *(f"{name}/0000{index}" for name in ("edm-2", "edm-4") for index in range(4)),
                ),
                jobs.shards("", *(f"{name}/0000{index}" for name in ("pfgmpp-3", "dg-3") for index in range(2))),
                jobs.DISCRIMINATOR,
                Made(
                    "the features of the generated images",
                    {
                        "measure_shard": {
                            f"quality/{name}/shard-0000{index}.safetensors"
                            for name in ("edm-2", "edm-4", "pfgmpp-3", "dg-3")
                            for index in range(2)
                        },
                    },
                ),
                jobs.FIDS,
                *jobs.ALL_RUNS,
            ),
            "the images are the same, their files are not",
        ),
    ),
)

THREAT = Section(
    "The attacker",
    (settings({"threat.epsilon": 0.06}, jobs.ALL_RUNS, "runs are trained against it"),),
)

QUALITY = Section(
    "FIDs",
    (
        settings(
            {"quality.images": 32, "quality.subsets": 1, "quality.prefixes": [32, 64]},
            (jobs.MOMENTS, jobs.FIDS, jobs.FROM_RUNS),
        ),
        settings({"quality.batch": 128}, (jobs.MOMENTS, jobs.REAL_MOMENTS, jobs.FIDS, jobs.FROM_RUNS)),
        settings(
            under(
                "quality.features",
                {"depth": 16, "width": 2, "epochs": 2, "batch": 32, "learning_rate": 0.2, "weight_decay": 0.001},
            ),
            (jobs.FEATURES, jobs.MOMENTS, jobs.REAL_MOMENTS, jobs.FIDS, jobs.FROM_RUNS),
            change="`quality.features`: any key",
        ),
        settings(
            {"quality.inception.weights": "files/second.pkl"},
            (jobs.MOMENTS, jobs.REAL_MOMENTS, jobs.FIDS, jobs.FROM_RUNS),
            study="wide",
        ),
        Row(
            "`quality.inception` for `quality.features`",
            (
                Change(
                    "features for inception",
                    settings={
                        "quality.features": LEFT_OUT,
                        "quality.inception": {"weights": "files/weights-inception-2015-12-05-6726825d.pth"},
                    },
                ),
            ),
            (jobs.FETCHED, jobs.MOMENTS, jobs.REAL_MOMENTS, jobs.FIDS, jobs.FROM_RUNS),
        ),
        settings({"quality.inception.reference": "files/second.pkl"}, (jobs.FIDS, jobs.FROM_RUNS), study="wide"),
    ),
)
