"""Rows of things that are added to a study, taken out of it, or only spelt in another way."""

import yaml

from tests.workflow.staleness import Change, Made, Row, Section
from tests.workflow.staleness.images import trained
from tests.workflow.staleness.jobs import (
    ANALYSIS,
    FROM_LAWS,
    FROM_RUNS,
    PLAN,
    REPORT,
    chunks,
    figures,
    laws,
    of_datasets,
    pgd,
    runs,
    shards,
)
from tests.workflow.staleness.runs import checkpoint

MODEL = "wrn-10-1"


def row(change, config, made=(), why="", study="tiny"):
    """Return the row of one change of the config."""
    return Row(change, (Change(change.replace("`", ""), config=config),), made, why, study)


def _block(config, **block):
    config["grid"].append({"models": [MODEL], **block})


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


def _mixture(config):
    config["mixtures"]["half"] = {"dataset": "edm-2", "real_fraction": 0.5}
    _block(config, datasets=["half"], sizes=[256])


def _checkpoint(config):
    config["checkpoints"]["third"] = {"file": "files/second.pkl", "depth": 10, "width": 1}


def _export(config):
    config["export"]["runs"].append("wrn-10-1/own/64/1")


AUTOATTACK_ON = "wrn-10-1/edm-4/256/1"
ADDED = Section(
    "Something is added",
    (
        row(
            "a dataset, and runs on it",
            _dataset,
            (
                of_datasets("its images and its FID", "edm-6"),
                shards("", "edm-6/00001"),
                runs("its runs", "wrn-10-1/edm-6/128/1", "wrn-10-1/edm-6/256/1"),
                ANALYSIS,
            ),
        ),
        row(
            "a generator, a dataset of it and a run on that",
            _generator,
            (
                trained("other"),
                of_datasets("its images and their FID", "other-2"),
                runs("its run", "wrn-10-1/other-2/128/1"),
                ANALYSIS,
            ),
        ),
        row(
            "a model",
            _model,
            (runs("its runs", *(f"wrn-16-1/{on}/1" for on in ("edm-2/128", "edm-2/256", "edm-4/128", "edm-4/256"))), ANALYSIS),
        ),
        row(
            "a size",
            lambda config: config["grid"][0]["sizes"].append(64),
            (runs("its runs", "wrn-10-1/edm-2/64/1", "wrn-10-1/edm-4/64/1"), ANALYSIS),
        ),
        row(
            "a seed",
            lambda config: config["grid"][1].update(seeds=[1, 2]),
            (runs("its runs", "wrn-10-1/edm-4-real/256/2", "wrn-10-1/three/256/2"), ANALYSIS),
        ),
        row(
            "a dataset grows, and there is a run of its new size",
            _grow,
            (shards("the new images", "edm-2/00002", "edm-2/00003"), runs("the new run", "wrn-10-1/edm-2/512/1"), ANALYSIS),
            "runs on its first images stay, and so does its FID",
        ),
        row("a recipe, and a run with it", _recipe, (runs("its run", "wrn-10-1@slow/edm-2/128/1"), ANALYSIS)),
        row("a mixture, and a run on it", _mixture, (runs("its run", "wrn-10-1/half/256/1"), ANALYSIS)),
        row(
            "a part of the grid",
            lambda config: config["parts"].append("another"),
            (runs("its runs", "wrn-10-1/own/128/1"), ANALYSIS),
            study="wide",
        ),
        row(
            "all parts of the grid: `parts` left out",
            lambda config: config.pop("parts"),
            (runs("the runs of the others", "wrn-10-1/own/128/1"), ANALYSIS),
            study="wide",
        ),
        row(
            "a checkpoint",
            _checkpoint,
            (*checkpoint("third"), PLAN),
            "the plan gives no new network its name",
            "wide",
        ),
        row(
            "an attack",
            lambda config: config["attacks"].update(
                autoattack={"version": "custom", "attacks": ["square"], "images": 64, "chunk": 64, "runs": ["all"]}
            ),
            (
                chunks("the attack on each run it names", "runs/wrn-10-1/own/64/1", 0),
                chunks("", "runs/wrn-10-1/own/128/1", 0),
                ANALYSIS,
            ),
            study="folders",
        ),
        row(
            "a law",
            lambda config: config["laws"].update(fit=["additive", "bottleneck"]),
            (laws("bottleneck"), FROM_LAWS),
            study="folders",
        ),
        row("a figure", lambda config: config["figures"].append("residuals"), (figures("residuals"),)),
        row("a generator, dataset, model, mixture or recipe that no run needs", _unused, (PLAN,)),
    ),
)
REMOVED = Section(
    "Something is taken out",
    (
        row(
            "a size, and with it runs",
            lambda config: config["grid"][0].update(sizes=[256]),
            (ANALYSIS,),
        ),
        row("a block of the grid", lambda config: config["grid"].pop(1), (ANALYSIS, figures("samples"))),
        row(
            "a generator and its dataset, with all that names them",
            lambda config: [
                config["generators"].pop("pfgmpp"), config["datasets"].pop("pfgmpp-3"), config["mixtures"].pop("three"),
                config["grid"][1].update(datasets=["edm-4-real"]),
            ],
            (ANALYSIS, figures("samples")),
        ),
        row(
            "a part of the grid",
            lambda config: config.update(parts=[]),
            (ANALYSIS,),
            study="wide",
        ),
        row(
            "a checkpoint",
            lambda config: config["checkpoints"].pop("other"),
            (Made("the table of attacks", {"collect_attacks": {"tables/attacks.parquet"}}), PLAN),
            study="wide",
        ),
        row(
            "an attack",
            lambda config: [config["attacks"].pop("autoattack"), config["figures"].remove("adversarial")],
            (ANALYSIS,),
        ),
        row("a law", lambda config: config["laws"]["fit"].remove("bottleneck"), (FROM_LAWS,)),
        row("a figure", lambda config: config["figures"].remove("held_out"), (REPORT,)),
        row("a generator, dataset or model that no run needs", lambda config: config["generators"].pop("second"), (REPORT,), study="wide"),
        row(
            "and put in again, as long as nothing was run in between",
            lambda config: config.update(config),
            (),
        ),
    ),
)  # fmt: skip


def _reversed(config, *blocks):
    """Return `config` with its keys, and those of these blocks and what is in them, in the other order."""
    if not isinstance(config, dict):
        return config
    turned = {name: _reversed(value) if not blocks or name in blocks else value for name, value in config.items()}
    return dict(reversed(turned.items()))


def _turn(*blocks):
    """Return a spelling in which the keys of the config and of these blocks stand in the other order."""
    return lambda text: yaml.safe_dump(_reversed(yaml.safe_load(text), *blocks), sort_keys=False)


def _turn_names(name):
    """Return a change that turns the order of the names under `name`."""
    return lambda config: config.update({name: dict(reversed(config[name].items()))})


SPELT = Section(
    "The config says the same in other words",
    (
        Row(
            "reordered keys, `5` for `5.0`, YAML in blocks for YAML in braces, anchors, comments",
            (
                Change("5 for 5.0", spelling=lambda text: text.replace("beta: 5.0", "beta: 5")),
                Change("0.5e-3 for 0.0005", spelling=lambda text: text.replace("0.0005", "5.0e-4")),
                Change("blocks", spelling=lambda text: yaml.safe_dump(yaml.safe_load(text), sort_keys=False)),
                Change("reordered settings", spelling=_turn("source", "image", "sampling", "quality", "training", "laws")),
                Change("reordered shares", config=lambda config: _turn_names("datasets")(config["mixtures"]["three"])),
                Change("comments", spelling=lambda text: text.replace("\n", "  # a remark\n")),
                Change("anchor", spelling=lambda text: text.replace("*small", "{<<: *small}")),
            ),
        ),
        row("reordered `generators`, `mixtures`", lambda config: [_turn_names(name)(config) for name in ("generators", "mixtures")], ()),
        row("reordered `datasets`", _turn_names("datasets"), ()),
        row("reordered `grid`", lambda config: config["grid"].reverse(), ()),
        Row(
            "a setting spelt out at its default, or left out again",
            (
                Change(
                    "defaults",
                    settings={
                        "training.reuse_clean_pass": True,
                        "training.precision": "float32",
                        "training.accumulate": 1,
                        "training.window_images": 65536,
                        "training.shuffle": True,
                        "training.replacement": False,
                        "training.pool": "size",
                        "training.attack_objective": "kl",
                        "training.curve.batch": 1000,
                        "attacks.level": 0.95,
                        "attacks.pgd_cw.objective": "cw",
                        "attacks.autoattack.weights": "last",
                        "sampling.seeds": "derived",
                        "sampling.layout": "contiguous",
                        "quality.batch": 256,
                        "laws.recipe": "converged",
                        "laws.points": "curves",
                        "generators.edm.training.accumulate": 1,
                        "generators.dg.guidance.weight_second_order": 0.0,
                    },
                ),
            ),
            (REPORT,),
            "it shows the config as it is given",
        ),
    ),
)
