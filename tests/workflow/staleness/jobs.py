"""What changes make anew, in words and as jobs: the parts that the rows of the table are put together from."""

from tests.workflow.staleness import ALL, But, Made, Of

# The rules whose jobs come after whatever is made, and those that nothing comes after.
AFTER_ANYTHING = {"collect_provenance", "write_report"}
AFTER_NOTHING = AFTER_ANYTHING | {"export_run"}

EVERYTHING = Made(
    "everything",
    dict.fromkeys(
        (
            "import_data", "import_checkpoint", "import_generator", "import_pair", "stage_samples", "train_generator",
            "train_extractor", "train_discriminator", "sample_shard", "train_features", "measure_split",
            "measure_shard", "measure_quality", "train_run", "attack_run", "attack_chunk", "gather_chunks",
            "export_run", "collect_runs", "collect_attacks", "fit_law", "fit_accuracy", "measure_limits",
            "attack_inner", "make_stimuli", "write_presentation", "simulate_participants", "ask_model",
            "collect_answers", "judge_images", "draw_quiz", "draw_figure", "draw_explorer", "plan", "published",
            "collect_provenance", "write_report",
        ),
        ALL,
    ),
)  # fmt: skip


def _figures(kind, *names):
    return {"draw_figure": kind(f"figures/{name}.png" for name in names)}


def figures(*names):
    """Return these figures."""
    words = f"the figure{'s' if len(names) > 1 else ''} {', '.join(f'`{name}`' for name in names)}"
    return Made(words, _figures(set, *names))


def laws(*names):
    """Return the fits of these laws."""
    words = f"the law{'s' if len(names) > 1 else ''} {', '.join(f'`{name}`' for name in names)}"
    return Made(words, {"fit_law": {f"laws/{name}.json" for name in names}})


REPORT = Made("the report", {"write_report": ALL})
SHOWN = Made("only what comes after anything", dict.fromkeys(AFTER_ANYTHING, ALL))
PLAN = Made("the plan", {"plan": ALL})
EXPLORER = Made("the explorer", {"draw_explorer": ALL})
PUBLISHED = Made("the fits to the paper's own runs", {"published": {"published"}})
LIMITS = Made(
    "the numbers at budgets and the figures that show them",
    {"measure_limits": ALL} | _figures(Of, "accuracy", "allocation"),
)
ACCURACY = Made("the line from loss to accuracy", {"fit_accuracy": ALL} | _figures(Of, "accuracy_from_loss"))
FROM_ACCURACY = Made(
    "the numbers at budgets, the figures that show them, the explorer and the plan",
    LIMITS.jobs | {"draw_explorer": ALL, "plan": ALL},
)
_OF_HUMANS = ("human_accuracy", "invalid_images", "training_attack")
FIT_ALL = Made("all laws", {"fit_law": ALL})
FROM_LAWS = Made(
    "what is drawn from laws",
    {"measure_limits": ALL, "draw_explorer": ALL, "plan": ALL}
    | _figures(But, "samples", "adversarial", "accuracy_from_loss", "hyperparameters", "replacement", *_OF_HUMANS),
)
FROM_TABLES = Made(
    "laws, figures and plan",
    FROM_LAWS.jobs | {"fit_law": ALL, "fit_accuracy": ALL} | _figures(But, "samples", "adversarial", *_OF_HUMANS),
)
FROM_RUNS = Made("tables, laws, figures and plan", {"collect_runs": ALL} | FROM_TABLES.jobs)
ATTACK_TABLE = Made("the table of attacks", {"collect_attacks": ALL})
ANALYSIS = Made("all tables, laws, figures and plan", FROM_RUNS.jobs | ATTACK_TABLE.jobs)

IMPORT = Made("the real images", {"import_data": ALL})
GENERATORS = Made("the generators trained here", {"train_generator": ALL})
GUIDANCE = Made("the networks of the guidance", {"train_extractor": ALL, "train_discriminator": ALL})
DISCRIMINATOR = Made("the discriminator", {"train_discriminator": ALL})
FETCHED = Made("the download", {"fetch_file": {"files/weights-inception-2015-12-05-6726825d.pth"}})
FEATURES = Made("the classifier of the FID", {"train_features": ALL})
FIDS = Made("the FIDs", {"measure_quality": ALL} | _figures(Of, "samples"))
MOMENTS = Made("the features of the generated images", {"measure_shard": ALL})
REAL_MOMENTS = Made("the features of the real images", {"measure_split": ALL})
IMAGES = Made(
    "all generated images and their FIDs",
    {"sample_shard": ALL} | MOMENTS.jobs | FIDS.jobs,
)
RUNS = Made("all runs", {"train_run": ALL})
PGD = Made("all PGD attacks", {"attack_run": ALL})


def inner(*bundles):
    """Return the attacks of the training on the images of these bundles, and the figure that shows them."""
    outputs = Of(f"humans/{name}/inner.h5" for name in bundles)
    return Made("the attack of the training", {"attack_inner": outputs} | _figures(Of, "training_attack"))


def verdicts(words, *bundles):
    """Return what is made of the answers to these bundles."""
    made = {"judge_images": {f"humans/{name}/accuracy.parquet" for name in bundles}}
    return Made(words, made | (_OF_VERDICTS if "test" in bundles else {}))


def judged(words, *bundles):
    """Return the tables of answers to these bundles and what is made of them."""
    made = {"collect_answers": {f"humans/{name}/answers.parquet" for name in bundles}}
    return Made(words, made | verdicts("", *bundles).jobs)


def asked(model):
    """Return what a model is asked, and what is made of its answers."""
    answers = {f"humans/{name}/models/{model}.parquet" for name in ("test", "train")}
    return Made(
        "what a model is asked and what is made of it", {"ask_model": answers} | judged("", "test", "train").jobs
    )


def human_study(words, *bundles):
    """Return the stimuli of these bundles, the answers of all but people to them, and what is made of these."""
    folders = [f"humans/{name}" for name in bundles]
    stimuli = {
        "make_stimuli": {f"{folder}/stimuli.parquet" for folder in folders},
        "simulate_participants": Of(f"{folder}/simulated.parquet" for folder in folders),
        "ask_model": Of(f"{folder}/models/asked.parquet" for folder in folders),
    }
    return Made(words, stimuli | judged("", *bundles).jobs)


QUIZ = Made("the quiz", {"draw_quiz": ALL})
_OF_VERDICTS = QUIZ.jobs | _figures(Of, "human_accuracy", "invalid_images")
INNER = inner("test", "train")
PRESENTATION = Made("how the images are presented", {"write_presentation": ALL})
SIMULATED = Made("the simulated participants", {"simulate_participants": ALL})
_SHOWN_ATTACK = human_study("", "test").jobs | _figures(
    Of, "adversarial", "human_accuracy", "invalid_images", "training_attack"
)
ON_ATTACKED = Made("the human study on it, the figures of it", _SHOWN_ATTACK)
AUTOATTACK = Made(
    "all of AutoAttack and the human study on it", {"attack_chunk": ALL, "gather_chunks": ALL} | _SHOWN_ATTACK
)
GATHERED = Made("what AutoAttack's chunks are gathered in, and the human study", {"gather_chunks": ALL} | _SHOWN_ATTACK)
HUMANS = Made(
    "the human study",
    dict.fromkeys(
        (
            "attack_inner", "make_stimuli", "simulate_participants", "ask_model", "collect_answers", "judge_images",
            "draw_quiz",
        ),
        ALL,
    )
    | _figures(Of, "human_accuracy", "invalid_images", "training_attack"),
)  # fmt: skip
EXPORTS = Made("the exports", {"export_run": ALL})


def of_datasets(words, *names):
    """Return the first shard of these datasets, what is measured of it and the figure that shows it."""
    return Made(
        words,
        {
            "sample_shard": {f"datasets/{name}/shard-00000.h5" for name in names},
            "measure_shard": {f"quality/{name}/shard-00000.safetensors" for name in names},
            "measure_quality": {f"quality/{name}.json" for name in names},
        }
        | _figures(Of, "samples"),
    )


def shards(words, *names):
    """Return these shards, named such as edm-2/00000."""
    return Made(words, {"sample_shard": {f"datasets/{name.replace('/', '/shard-')}.h5" for name in names}})


def runs(words, *names):
    """Return the training of these runs, such as wrn-10-1/edm-2/128/1, and their PGD attacks."""
    return Made(words, {"train_run": {f"runs/{name}/weights.safetensors" for name in names}} | pgd(names).jobs)


def pgd(names, words="PGD", kind="runs"):
    """Return the PGD attacks on these runs or checkpoints."""
    return Made(words, {"attack_run": {f"{kind}/{name}/pgd_cw.h5" for name in names}})


def chunks(words, victim, *numbers):
    """Return these chunks of AutoAttack on a run or checkpoint, and what is gathered from them."""
    return Made(
        words,
        {
            "attack_chunk": {f"{victim}/autoattack/{number:05d}.h5" for number in numbers},
            "gather_chunks": {f"{victim}/autoattack.h5"},
        },
    )


ALL_RUNS = (
    Made(
        "all runs, their attacks, the human study, all tables, laws, figures and plan",
        RUNS.jobs | PGD.jobs | AUTOATTACK.jobs | HUMANS.jobs | ANALYSIS.jobs | _figures(But, "samples"),
    ),
)
AT_64 = "wrn-10-1/{}/64/1".format
OFFICIAL, MIXED = AT_64("official-4"), AT_64("mixed")
ON_OFFICIAL = chunks("", f"runs/{OFFICIAL}", 0, 1)


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
    runs("the runs on these, their attacks", "wrn-10-1/three/256/1"),
    ANALYSIS,
)
GUIDED = (
    of_datasets("the guided images and their FIDs", "dg-3"),
    runs("the runs on these, their attacks", "wrn-10-1/three/256/1"),
    ANALYSIS,
)


def on(*datasets, more=()):
    """Return the images of these datasets of the wide study, and what comes after them; `more`: further runs."""
    return (
        of_datasets("its images and their FIDs", *datasets),
        runs("the runs on these, their attacks", *map(AT_64, datasets), *more),
        *((ON_OFFICIAL, HUMANS, EXPORTS) if "official-4" in datasets else ()),
        ANALYSIS,
    )


OWN = on("own", more=["wrn-10-1@slow/own/64/1"])
FROM_REAL = (IMPORT, REAL_MOMENTS, FIDS, PRESENTATION, *ALL_RUNS)
FROM_COLUMNS = (*FROM_REAL, EXPORTS)
SAMPLED_HERE = on("official-4", "plus-3", "guided-3", more=[MIXED])


def checkpoint(name):
    """Return the import of a checkpoint of the wide study and its attacks."""
    return (
        Made("its import", {"import_checkpoint": {f"checkpoints/{name}/weights.safetensors"}}),
        pgd([name], "its attacks", "checkpoints"),
        chunks("", f"checkpoints/{name}", 0, 1),
        ATTACK_TABLE,
    )
