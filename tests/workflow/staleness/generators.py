"""Rows of the settings of generators, datasets and mixtures."""

from tests.workflow.staleness import LEFT_OUT, Change, Row, Section, jobs, settings, under

SUM = "1" * 64

GENERATORS = Section(
    "Generators",
    (
        settings(
            under(
                "generators.edm",
                {
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
                },
            ),
            (jobs.trained("edm"), *jobs.EDM),
            "the discriminator learns from images of `edm`; those of other generators are still the same",
            change="`network` or `training` of a generator that is trained here, such as `edm`: any key",
        ),
        settings(
            {"generators.pfgmpp.dimension": 64, "generators.pfgmpp.training.updates": 151},
            (jobs.trained("pfgmpp"), *jobs.PFGMPP),
            change="`dimension`, or any key of `network` or `training`, of `pfgmpp`",
        ),
        settings(
            under(
                "generators.dg.guidance",
                {"weight": 2, "boosting": False, "time_min": 0.02, "time_max": 0.9, "weight_second_order": 1.0},
            ),
            jobs.GUIDED,
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
            (jobs.DISCRIMINATOR, *jobs.GUIDED),
            change="`discriminator` or `fakes` of a `dg` generator: any key",
        ),
        settings(
            {"generators.dg.extractor.updates": 6, "generators.dg.extractor.channel_mult": [1, 1]},
            (jobs.GUIDANCE, *jobs.GUIDED),
            change="`extractor` of a `dg` generator: any key",
        ),
        settings(
            {
                "generators.official.checkpoint": "files/second.pkl",
                "generators.official.sha256": SUM,
            },
            (jobs.imported("official"), *jobs.on("official-4", "guided-3", more=[jobs.MIXED])),
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
            (jobs.imported("plus"), *jobs.on("plus-3", more=[jobs.MIXED])),
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
            (jobs.PAIR, *jobs.on("guided-3")),
            study="wide",
            change="`checkpoint` of a `dg` generator: any key",
        ),
        settings(
            {"generators.guided.base": "second"},
            (jobs.imported("second"), *jobs.on("guided-3")),
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
            jobs.on("local-2"),
            study="wide",
            change="`source`, `scheduler`, `scheduler_arguments`, `arguments`, `classifier` of a `pipeline` generator",
        ),
        settings(
            {"generators.hub.revision": "4567def", "generators.hub.class_argument": "labels"},
            jobs.on("hub-2"),
            study="wide",
            change="`revision` or `class_argument` of a `pipeline` generator",
        ),
        settings(
            {
                "generators.own.files": ["files/samples-1.npz", "files/samples-0.npz"],
                "generators.own.format": "hdf5",
                "generators.own.image_key": "image",
                "generators.own.label_key": "label",
                "generators.own.sha256": LEFT_OUT,
            },
            (jobs.STAGED, *jobs.OWN),
            study="wide",
            why="of the files, their order too",
            change="`files`, `format`, `image_key`, `label_key` or `sha256` of a `files` generator",
        ),
        Row(
            "`kind` of a generator",
            (
                Change(
                    "kind of files",
                    settings={
                        "generators.own": {
                            "kind": "pipeline",
                            "source": "files/ddpm",
                            "class_argument": "class_labels",
                        },
                        "datasets.own.steps": 2,
                    },
                ),
            ),
            jobs.OWN,
            study="wide",
        ),
    ),
)

DATASETS = Section(
    "Datasets and mixtures",
    (
        settings(
            {"datasets.pfgmpp-3.generator": "edm", "datasets.pfgmpp-3.steps": 4},
            jobs.PFGMPP,
            change="`generator` or `steps` of a dataset",
        ),
        settings(
            under("datasets.official-4.churn", {"s_churn": 2.0, "s_min": LEFT_OUT, "s_max": 40.0, "s_noise": 1.1}),
            jobs.on("official-4", more=[jobs.MIXED]),
            study="wide",
            change="`churn` of a dataset: any key",
        ),
        settings(
            {"datasets.edm-2.images": 512},
            (jobs.PLAN,),
            "new images are made when a run needs them",
            change="`images` of a dataset, more than before",
        ),
        settings(
            {"mixtures.edm-4-real.dataset": "edm-2", "mixtures.edm-4-real.real_fraction": 0.25},
            (jobs.runs("the runs on the mixture, their attacks", "wrn-10-1/edm-4-real/256/1"), jobs.ANALYSIS),
            change="`dataset` or `real_fraction` of a mixture",
        ),
        settings(
            {"mixtures.three.datasets.dg-3": 1, "mixtures.three.images": 32},
            (jobs.runs("the runs on the mixture, their attacks", "wrn-10-1/three/256/1"), jobs.ANALYSIS),
            change="the shares under `datasets`, or `images`, of a mixture",
        ),
    ),
)
