"""Rows of a config that says the same in other words."""

import yaml

from tests.workflow.staleness import LEFT_OUT, Change, Row, Section, jobs

DEFAULTS = {
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
}
HAS_DEFAULTS = ("quality.subsets", "quality.batch", "sampling.seeds", "training.precision")  # the study of folders


def _turned(value):
    """Return a block with the keys in the other order, and so on in what is in it."""
    if isinstance(value, dict):
        return {name: _turned(value[name]) for name in reversed(value)}
    return value


def _turn_settings(text):
    """Turn the order of all keys that are no names of the study's own."""
    config = yaml.safe_load(text)
    named = {name: config[name] for name in ("generators", "datasets", "mixtures", "models")}
    return yaml.safe_dump({**_turned(config), **named}, sort_keys=False)


def _turn(*keys):
    """Return a change that turns the order of the names below these keys, or of such a list."""

    def turn(config):
        for key in keys:
            *parents, last = key.split(".")
            block = config
            for name in parents:
                block = block[name]
            old = block[last]
            block[last] = {name: old[name] for name in reversed(old)} if isinstance(old, dict) else old[::-1]

    return turn


SPELT = Section(
    "The config says the same in other words",
    (
        Row(
            "reordered keys, `5` for `5.0`, blocks for braces, anchors, comments",
            (
                Change("5 for 5.0", spelling=lambda text: text.replace("beta: 5.0", "beta: 5")),
                Change("5.0e-4 for 0.0005", spelling=lambda text: text.replace("0.0005", "5.0e-4")),
                Change("blocks", spelling=lambda text: yaml.safe_dump(yaml.safe_load(text), sort_keys=False)),
                Change("reordered settings", spelling=_turn_settings),
                Change("comments", spelling=lambda text: text.replace("\n", "  # a remark\n")),
                Change("anchors", spelling=lambda text: text.replace("*small", "{<<: *small}")),
            ),
        ),
        Row(
            "reordered names under `generators` or `mixtures`, or datasets of a mixture; reordered `laws.fit`",
            (Change("reordered names", config=_turn("generators", "mixtures", "mixtures.three.datasets", "laws.fit")),),
            (jobs.SHOWN,),
            "these show the config as it is given",
        ),
        Row(
            "a setting spelt out at its default",
            (Change("defaults spelt out", settings=DEFAULTS),),
            (jobs.SHOWN,),
        ),
        Row(
            "a setting left out that was spelt out at its default",
            (Change("defaults left out", settings=dict.fromkeys(HAS_DEFAULTS, LEFT_OUT)),),
            (jobs.SHOWN,),
            study="folders",
        ),
        Row(
            "reordered `datasets`",
            (Change("reordered datasets", config=_turn("datasets")),),
            (jobs.PLAN, jobs.figures("samples")),
            "they show them in this order",
        ),
        Row(
            "reordered `figures`",
            (Change("reordered figures", config=_turn("figures")),),
            (jobs.SHOWN,),
            "it shows them in this order",
        ),
        Row(
            "reordered `grid`",
            (Change("reordered grid", config=_turn("grid")),),
            (jobs.ANALYSIS,),
            "runs stand in the tables in this order",
        ),
    ),
)
