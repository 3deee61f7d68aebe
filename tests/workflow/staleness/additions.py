"""Rows of things that are added to a study or taken out of it."""

from tests.support.checkouts import without_humans
from tests.workflow.staleness import Change, Row, Section, jobs


def added(change, config, made, why="", study="tiny"):
    """Return the row of something that a function puts into the config."""
    return Row(change, (Change(f"with {change}", config=config),), made, why, study)


def removed(change, config, made, why="", study="tiny"):
    """Return the row of something that a function takes out of the config."""
    return Row(change, (Change(f"without {change}", config=config),), made, why, study)


def _block(config, **block):
    config["grid"].append({"models": ["wrn-10-1"], **block})


def _dataset(config):
    config["datasets"]["edm-6"] = {"generator": "edm", "steps": 6, "images": 256}
    config["grid"][0]["datasets"].append("edm-6")


def _generator(config):
    config["generators"]["other"] = config["generators"]["edm"]
    config["datasets"]["other-2"] = {"generator": "other", "steps": 2, "images": 128}
    _block(config, datasets=["other-2"], sizes=[128])


def _unused(config):
    config["generators"]["other"] = config["generators"]["edm"]
    config["datasets"]["other-2"] = {"generator": "other", "steps": 2, "images": 128}
    config["models"]["wrn-16-1"] = {"depth": 16, "width": 1}
    config["mixtures"]["half"] = {"dataset": "edm-2", "real_fraction": 0.5}
    config["recipes"] = {"slow": {"learning_rate": 0.1}}


def _model(config):
    config["models"]["wrn-16-1"] = {"depth": 16, "width": 1}
    config["grid"][0]["models"].append("wrn-16-1")


def _grow(config):
    config["datasets"]["edm-2"]["images"] = 512
    _block(config, datasets=["edm-2"], sizes=[512])


def _recipe(config):
    config["recipes"] = {"slow": {"learning_rate": 0.1}}
    _block(config, datasets=["edm-2"], sizes=[128], recipe="slow")


def _other_recipe(config):
    config["recipes"]["fast"] = {"learning_rate": 1.0}
    config["grid"][1]["recipe"] = "fast"


def _mixture(config):
    config["mixtures"]["half"] = {"dataset": "edm-2", "real_fraction": 0.5}
    _block(config, datasets=["half"], sizes=[256])


def _without_pfgmpp(config):
    for block, name in (("generators", "pfgmpp"), ("datasets", "pfgmpp-3"), ("mixtures", "three")):
        config[block].pop(name)
    config["grid"][1]["datasets"].remove("three")


def _without_autoattack(config):
    config["attacks"].pop("autoattack")
    config["figures"].remove("adversarial")
    without_humans(config)


def _checkpoint(config):
    config["checkpoints"]["third"] = {"file": "files/second.pkl", "depth": 10, "width": 1}


ADDED = Section(
    "Something is added",
    (
        added(
            "a dataset, and runs on it",
            _dataset,
            (
                jobs.of_datasets("its images and its FID", "edm-6"),
                jobs.shards("", "edm-6/00001"),
                jobs.runs("its runs, their attacks", "wrn-10-1/edm-6/128/1", "wrn-10-1/edm-6/256/1"),
                jobs.ANALYSIS,
            ),
        ),
        added(
            "a generator, a dataset of it and a run on that",
            _generator,
            (
                jobs.trained("other"),
                jobs.of_datasets("its images and their FID", "other-2"),
                jobs.runs("its run, its attack", "wrn-10-1/other-2/128/1"),
                jobs.ANALYSIS,
            ),
        ),
        added(
            "a model",
            _model,
            (
                jobs.runs(
                    "its runs, their attacks",
                    *(f"wrn-16-1/{on}/1" for on in ("edm-2/128", "edm-2/256", "edm-4/128", "edm-4/256")),
                ),
                jobs.ANALYSIS,
            ),
        ),
        added(
            "a size",
            lambda config: config["grid"][0]["sizes"].append(64),
            (jobs.runs("its runs, their attacks", "wrn-10-1/edm-2/64/1", "wrn-10-1/edm-4/64/1"), jobs.ANALYSIS),
        ),
        added(
            "a seed",
            lambda config: config["grid"][1].update(seeds=[1, 2]),
            (jobs.runs("its runs, their attacks", "wrn-10-1/edm-4-real/256/2", "wrn-10-1/three/256/2"), jobs.ANALYSIS),
        ),
        added(
            "a dataset grows, and there is a run of its new size",
            _grow,
            (
                jobs.shards("the new images", "edm-2/00002", "edm-2/00003"),
                jobs.runs("the new run, its attack", "wrn-10-1/edm-2/512/1"),
                jobs.ANALYSIS,
            ),
            "runs on its first images stay, and so does its FID",
        ),
        added(
            "a recipe, and a run with it",
            _recipe,
            (jobs.runs("its run, its attack", "wrn-10-1@slow/edm-2/128/1"), jobs.ANALYSIS),
        ),
        added(
            "another recipe in a block of the grid",
            _other_recipe,
            (jobs.runs("its run, its attack", "wrn-10-1@fast/own/64/1"), jobs.ANALYSIS),
            study="wide",
        ),
        added(
            "a mixture, and a run on it",
            _mixture,
            (jobs.runs("its run, its attack", "wrn-10-1/half/256/1"), jobs.ANALYSIS),
        ),
        added(
            "a part of the grid",
            lambda config: config["parts"].append("another"),
            (jobs.runs("its runs, their attacks", "wrn-10-1/own/128/1"), jobs.ANALYSIS),
            study="wide",
        ),
        added(
            "a block to a part of the grid that is chosen",
            lambda config: config["grid"][2].update(part="chosen"),
            (jobs.runs("its runs, their attacks", "wrn-10-1/own/128/1"), jobs.ANALYSIS),
            study="wide",
        ),
        added(
            "all parts of the grid, `parts` left out",
            lambda config: config.pop("parts"),
            (jobs.runs("the runs of the others, their attacks", "wrn-10-1/own/128/1"), jobs.ANALYSIS),
            study="wide",
        ),
        added(
            "a checkpoint",
            _checkpoint,
            (*jobs.checkpoint("third"), jobs.PLAN),
            "the plan gives no new network its name",
            "wide",
        ),
        added(
            "an attack",
            lambda config: config["attacks"].update(
                autoattack={"version": "custom", "attacks": ["square"], "images": 64, "chunk": 64, "runs": ["all"]}
            ),
            (
                jobs.chunks("the attack on each run it names", "runs/wrn-10-1/own/64/1", 0),
                jobs.chunks("", "runs/wrn-10-1/own/128/1", 0),
                jobs.ANALYSIS,
            ),
            study="folders",
        ),
        added(
            "a law",
            lambda config: config["laws"].update(fit=["additive", "bottleneck"]),
            (jobs.laws("bottleneck"), jobs.FROM_LAWS),
            study="folders",
        ),
        added("a figure", lambda config: config["figures"].append("residuals"), (jobs.figures("residuals"),)),
        added("a generator, dataset, model, mixture or recipe that no run needs", _unused, (jobs.PLAN,)),
    ),
)
REMOVED = Section(
    "Something is taken out",
    (
        removed(
            "a size, and with it runs",
            lambda config: config["grid"][0].update(sizes=[256]),
            (jobs.ANALYSIS,),
        ),
        removed("a block of the grid", lambda config: config["grid"].pop(1), (jobs.ANALYSIS, jobs.figures("samples"))),
        removed(
            "a generator and its dataset, with all that names them",
            _without_pfgmpp,
            (jobs.ANALYSIS, jobs.figures("samples")),
        ),
        removed("a part of the grid", lambda config: config.update(parts=[]), (jobs.ANALYSIS,), study="wide"),
        removed(
            "a checkpoint",
            lambda config: config["checkpoints"].pop("other"),
            (jobs.ATTACK_TABLE, jobs.PLAN),
            study="wide",
        ),
        removed(
            "an attack",
            _without_autoattack,
            (jobs.ANALYSIS,),
        ),
        removed("the human study", without_humans, (jobs.LIMITS,)),
        removed(
            "the simulated participants",
            lambda config: config["humans"].pop("simulated"),
            (jobs.judged("the tables of answers and what is made of them", "test", "train"), jobs.LIMITS),
        ),
        removed("a law", lambda config: config["laws"]["fit"].remove("bottleneck"), (jobs.FROM_LAWS,)),
        removed("a figure", lambda config: config["figures"].remove("held_out"), (jobs.SHOWN,)),
        removed(
            "a generator, dataset or model that no run needs",
            lambda config: config["generators"].pop("second"),
            (jobs.SHOWN,),
            study="wide",
        ),
    ),
)
