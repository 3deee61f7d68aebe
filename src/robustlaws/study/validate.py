"""Validation of a config: first the closed schema, then rules beyond it. Imports no torch.

Every error is one line: file, key, what was given, what would do.
"""

from itertools import product
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonschema import Draft202012Validator

from robustlaws import registry
from robustlaws.attacks import ATTACKS, CHUNKED
from robustlaws.figures import FIGURE_INPUTS, FIGURES
from robustlaws.laws import LAWS, PARAMETERS
from robustlaws.settings import AUTOATTACK, AUTOATTACK_CLASSES, Compute
from robustlaws.settings.plan import QUANTITIES
from robustlaws.study.human_settings import check_humans
from robustlaws.study.validate_generators import check_generators

if TYPE_CHECKING:
    from robustlaws.study import Study

# each job of a cluster reads the schema twice; the loader in C is ten times faster, where PyYAML was built with it
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {
    "object": "a block of keys",
    "array": "a list",
    "number": "a number",
    "integer": "a whole number",
    "string": "a text",
    "boolean": "true or false",
}
_PATTERNS = {
    "^[a-z0-9][a-z0-9+_.-]*$": "has other characters than a-z 0-9 + _ . -",
    "^[0-9a-f]{64}$": "is not 64 hexadecimal digits in lower case",
    r"^https://orcid.org/(\d{4}-){3}\d{3}[\dX]$": "is not the address of an ORCID",
}


def checked(config: dict[str, Any], schema_path: Path | str, origin: str) -> dict[str, Any]:
    """Return `config` in one spelling: keys in the order of the schema, every number of its declared type.

    So 5 and 5.0, or reordered keys, are the same config to everything downstream.

    Parameters
    ----------
    config : dict
        As read from YAML.
    schema_path : path
        JSON schema in YAML; the `$defs` of the files beside it count as its own.
    origin : str
        Name of the file the config comes from, for the error.

    Raises
    ------
    ValueError
        One line if `config` is not a study: file, key, what was given, what would do.
    """
    schema = read_schema(Path(schema_path))
    errors = sorted(
        Draft202012Validator(schema).iter_errors(config), key=lambda error: (len(error.path), str(error.path))
    )
    if errors:
        raise ValueError(_line(errors[0], schema, config, origin))
    _check_finite(config, (), origin)
    _check_names(config, origin)
    check_generators(config, origin)
    _check_sizes(config, origin)
    _check_attacks(config, origin)
    checked = _one_spelling(config, schema, schema)
    # Snakemake does not compare the order of inputs, so it must mean nothing
    checked["laws"]["fit"] = [law for law in LAWS if law in checked["laws"]["fit"]]
    return checked


def typed(value: Any) -> Any:
    """Return a value of the command line with the types that YAML gives what stands in it.

    Snakemake reads `--config 'compute={gpus: 4}'`, and `config:` of a profile, as blocks of texts.
    """
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    try:
        return yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        return value


def _one_spelling(value, node, schema):
    node = _chosen(value, _follow(node, schema), schema)
    if isinstance(value, dict):
        known, others = node.get("properties", {}), node.get("additionalProperties", {})
        # names that the user gives keep their order, which decides that of tables; a block of any keys has none
        free = [name for name in value if name not in known]
        names = [name for name in known if name in value] + (free if others else sorted(free))
        return {name: _one_spelling(value[name], known.get(name, others), schema) for name in names}
    if isinstance(value, list):
        return [_one_spelling(item, node.get("items", {}), schema) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"number": float, "integer": int}.get(node.get("type"), lambda same: same)(value)
    return value


def _check_finite(value, path, origin):
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{origin} {_key(path)}: {value} is not a finite number")
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check_finite(item, (*path, key), origin)


def _key(path):
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _line(error, schema, config, origin):
    if error.validator == "oneOf":  # numbers, or one word: what is wrong with it as a number
        return _line(error.context[0], schema, config, origin)
    key, given = _key(error.absolute_path), error.instance
    meaning = error.schema.get("description") or _parent_description(error, schema, config)
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(given) - set(known))[0]
        return f"{origin} {_key([*error.absolute_path, unknown])}: unknown key; known: {', '.join(known)}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in given)
        meaning = error.schema["properties"][missing].get("description", "")
        return f"{origin} {_key([*error.absolute_path, missing])}: missing; {meaning}"
    allowed = {
        "type": lambda v: f"is not {_WORDS.get(v, v)}",
        "enum": lambda v: f"is not one of {', '.join(map(str, v))}",
        "minimum": lambda v: f"is less than {v}",
        "maximum": lambda v: f"is more than {v}",
        "exclusiveMinimum": lambda v: f"must be more than {v}",
        "exclusiveMaximum": lambda v: f"must be less than {v}",
        "multipleOf": lambda v: f"is not a multiple of {v}",
        "pattern": lambda v: _PATTERNS.get(v, f"does not match {v}"),
        "minItems": lambda v: f"needs at least {v} entries",
        "maxItems": lambda v: f"has more than {v} entries",
        "minProperties": lambda v: f"needs at least {v} entries",
        "uniqueItems": lambda v: "names something twice",
    }.get(error.validator, lambda v: error.message)
    return f"{origin} {key or 'config'}: {given!r} {allowed(error.validator_value)}. {meaning}".rstrip(". ")


def _parent_description(error, schema, config):
    # the description stands beside the $ref that led to the failing part
    node, best, value = schema, "", config
    for part in error.absolute_path:
        node = _chosen(value, _follow(node, schema), schema)
        value = value[part]
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part, node.get("additionalProperties", {}))
        best = node.get("description", best) if isinstance(node, dict) else best
    return best


def read_schema(path: Path | str) -> dict[str, Any]:
    """Return the schema at `path` with the `$defs` of the files beside it. Whether it is one, a test has checked."""

    def read(file):
        return yaml.load(file.read_text(encoding="utf-8"), _LOADER)

    schema = read(Path(path))
    for beside in sorted(Path(path).parent.glob("*.yaml")):
        schema["$defs"] |= read(beside)["$defs"]
    return schema


def _chosen(value, node, schema):
    """Return the part of the schema that holds for `value` where its kind decides."""
    for choice in node.get("allOf", []):
        if value.get("kind") == choice["if"]["properties"]["kind"]["const"]:
            return _follow(choice["then"], schema)
    return node


def _follow(node, schema):
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _check_names(config, origin):
    def each(key, names, table):
        for name in names:
            registry.check(name, table, f"{origin} {key}")

    each("laws.fit", config["laws"]["fit"], LAWS)
    two_stage = config["laws"].get("two_stage", {"base": None, "quality": []})
    each("laws.two_stage.base", [two_stage["base"]] if two_stage["base"] else [], config["datasets"])
    each("laws.two_stage.quality", two_stage["quality"], config["datasets"])
    if two_stage["base"] in two_stage["quality"]:
        raise ValueError(f"{origin} laws.two_stage.quality: {two_stage['base']!r} is the base; name other datasets")
    _check_plan(config, origin, each)
    each("figures", config["figures"], FIGURES)
    each("attacks", [name for name in config["attacks"] if name != "level"], ATTACKS)
    mixtures, recipes = config.get("mixtures", {}), config.get("recipes", {})
    for name, mixture in mixtures.items():
        if name in config["datasets"]:
            raise ValueError(f"{origin} mixtures.{name}: a dataset has this name already; choose another")
        if ("dataset" in mixture) == ("datasets" in mixture):
            raise ValueError(f"{origin} mixtures.{name}: give dataset, or datasets for several, and not both")
        each(f"mixtures.{name}.dataset", mixture.get("datasets", [mixture.get("dataset")]), config["datasets"])
        if "images" in mixture and "datasets" not in mixture:
            raise ValueError(f"{origin} mixtures.{name}.images: only of several datasets; leave it out")
    for name in config.get("checkpoints", {}):
        if name in config["models"]:
            raise ValueError(f"{origin} checkpoints.{name}: a model has this name already; choose another")
    for index, block in enumerate(config["grid"]):
        each(f"grid[{index}].models", block["models"], config["models"])
        each(f"grid[{index}].datasets", block["datasets"], {**config["datasets"], **mixtures})
        each(f"grid[{index}].recipe", [block["recipe"]] if "recipe" in block else [], recipes)
    each("parts", config.get("parts", []), {block["part"] for block in config["grid"] if "part" in block})
    attacked = config["attacks"].get("autoattack", {}).get("runs", [])
    for index, figure in enumerate(config["figures"]):
        if "autoattack" in FIGURE_INPUTS[figure] and not attacked:
            raise ValueError(
                f"{origin} figures[{index}]: {figure!r} shows AutoAttack; name a run in attacks.autoattack.runs"
            )


def _check_plan(config, origin, each):
    own = config.get("plan", {})
    for kind in (("flops", "gpu_hours", "accuracy"), ("dataset", "fid")):
        given = [name for name in kind if name in own]
        if len(given) > 1:
            raise ValueError(f"{origin} plan: {' and '.join(given)} are given; choose one of them")
    each("plan.dataset", [own["dataset"]] if "dataset" in own else [], config["datasets"])
    each("plan.law", [own["law"]] if "law" in own else [], config["laws"]["fit"])


def _check_sizes(config, origin):
    image, checkpoints = config["image"], config.get("checkpoints", {})
    _check_normalisation(image, "image", image["channels"], origin)
    for name, checkpoint in checkpoints.items():
        _check_normalisation(checkpoint, f"checkpoints.{name}", image["channels"], origin)
    shapes = [(f"models.{name}.depth", model["depth"]) for name, model in config["models"].items()]
    shapes += [(f"checkpoints.{name}.depth", checkpoint["depth"]) for name, checkpoint in checkpoints.items()]
    if "features" in config["quality"]:
        shapes.append(("quality.features.depth", config["quality"]["features"]["depth"]))
    for key, depth in shapes:
        if (depth - 4) % 6:
            raise ValueError(f"{origin} {key}: {depth} is no depth of a WideResNet; 4 + 6 n: 10, 16, 22, 28, ...")
    training = config["training"]
    if training["curve"]["fractions"] == "paper" and not training.get("epoch_images"):
        raise ValueError(
            f"{origin} training.curve.fractions: 'paper' counts in accounting epochs;"
            " give training.epoch_images (the paper: 50000), or shares of the run"
        )
    compute = config["compute"]
    if compute["gpus"] and compute.get("processes", compute["gpus"]) != compute["gpus"]:
        raise ValueError(
            f"{origin} compute.processes: {compute['processes']} for {compute['gpus']} GPUs;"
            " leave it out, each GPU has one"
        )
    if config["attacks"].get("autoattack", {}).get("weights") == "best" and not training.get("validation_images"):
        raise ValueError(
            f"{origin} attacks.autoattack.weights: 'best' are chosen on held-out images;"
            " give training.validation_images"
        )
    together = compute.get("nodes", 1) * compute.get("processes", max(1, compute["gpus"]))
    if compute.get("compile") and together > 1:
        raise ValueError(
            f"{origin} compute.compile: not with {together} processes, whose BatchNorm talks between layers;"
            " leave it out"
        )


def _check_normalisation(block, where, channels, origin):
    given = [key for key in ("mean", "std") if key in block]
    if len(given) == 1:
        raise ValueError(f"{origin} {where}.{given[0]}: mean and std go together; give both, or [] for both")
    if given and not block["mean"] and not block["std"]:
        return  # no normalisation
    for key in given:
        if len(block[key]) != channels:
            raise ValueError(
                f"{origin} {where}.{key}: {block[key]} has not one value for each of {channels} channels"
                " (both [] for no normalisation)"
            )
    if given and min(block["std"]) <= 0:
        raise ValueError(f"{origin} {where}.std: {block['std']} must be positive")


def _check_attacks(config, origin):
    attacks, classes = config["attacks"], config["image"]["classes"]
    for name in CHUNKED:
        if name in attacks and "images" not in attacks[name] and "test_images" not in config["source"]:
            raise ValueError(
                f"{origin} attacks.{name}.images: missing; its chunks are planned before the test split is there:"
                " give it, or source.test_images"
            )
    if "autoattack" not in attacks:
        return
    own, where = attacks["autoattack"], f"{origin} attacks.autoattack"
    if own["version"] == "custom" and "attacks" not in own:
        raise ValueError(f"{where}.attacks: missing; version custom needs a list of {', '.join(AUTOATTACK['plus'])}")
    if own["version"] != "custom" and "attacks" in own:
        raise ValueError(f"{where}.attacks: version {own['version']} has its own; leave the list out or say custom")
    for name in own.get("attacks", AUTOATTACK.get(own["version"])):
        registry.check(name, AUTOATTACK["plus"], f"{where}.attacks")  # plus has them all
        if classes < AUTOATTACK_CLASSES.get(name, 2):
            raise ValueError(
                f"{where}.version: {name} needs {AUTOATTACK_CLASSES[name]} classes, image.classes is {classes};"
                " say custom and list others"
            )


def _check_conclusions(study):
    """Check that laws see a run on each dataset that they are asked about, and that the plan's law has its quantity."""
    seen = dict.fromkeys(sorted({run.dataset for run in study.runs.values() if run.recipe is None}))
    two_stage, planned = study.config["laws"].get("two_stage"), study.config.get("plan", {})
    asked = [("plan.dataset", planned["dataset"])] if "dataset" in planned else []
    if two_stage and "additive_two_stage" in study.config["laws"]["fit"]:
        asked += [("laws.two_stage.base", two_stage["base"])]
        asked += [("laws.two_stage.quality", dataset) for dataset in two_stage["quality"]]
    for key, dataset in asked:
        registry.check(dataset, seen, f"{study.origin} {key}")
    law, quantity = study.planning_law, planned.get("quantity")
    parameters = {name for names in PARAMETERS.values() for name in names}
    if quantity in parameters:
        registry.check(quantity, PARAMETERS.get(law, ()), f"{study.origin} plan.quantity")
    elif quantity is not None:
        registry.check(quantity, {*QUANTITIES, *parameters}, f"{study.origin} plan.quantity")


def check_runs(study: "Study") -> None:
    """Check each kind of run of a `study.Study`; ValueError, one line, for one that cannot be made."""
    if not study.runs:
        raise ValueError(f"{study.origin} parts: no block of the grid is left; name one of them, or leave parts out")
    _check_conclusions(study)
    datasets = study.config["datasets"]
    of_first_models = {(run.dataset, run.size, run.recipe): run for run in reversed(study.runs.values())}
    for index, block in enumerate(study.config["grid"]):
        if block not in study.blocks:
            continue
        for dataset, size in product(block["datasets"], block["sizes"]):
            where = f"{study.origin} grid[{index}].sizes"
            try:
                training = study.training(of_first_models[dataset, int(size), block.get("recipe")])
                _check_training(training, dataset, Compute(**study.config["compute"]).ranks)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            for source, (needed, _) in zip(study.ingredients(dataset)[0], training.parts, strict=True):
                has = datasets[source]["images"]
                if needed < 1:
                    raise ValueError(
                        f"{where}: {size} leaves no image of {source} in {dataset}; give it a larger share"
                    )
                if needed > has:
                    raise ValueError(
                        f"{where}: {size} is more than {dataset} has; datasets.{source}.images is {has},"
                        f" {needed} are needed"
                    )
    for key, wanted in (
        ("attacks.autoattack", study.config["attacks"].get("autoattack", {})),
        ("export", study.config.get("export", {})),
    ):
        for index, name in enumerate(wanted.get("runs", [])):
            if name != "all" and name not in study.runs:
                raise ValueError(
                    f"{study.origin} {key}.runs[{index}]: {name!r} is no run of the grid;"
                    f" for example {next(iter(study.runs))}, or all"
                )
    check_humans(study)


def _check_training(training, dataset, ranks):
    if training.batch > (training.epoch_images or training.images):
        unit = "accounting epoch (training.epoch_images)" if training.epoch_images else "run"
        raise ValueError(f"training.batch: {training.batch} images are more than one {unit} has; make it smaller")
    training.check_parts(ranks)
    if training.real_fraction and training.synthetic_per_batch == training.batch:
        raise ValueError(
            f"{dataset}: a batch of {training.batch} has no real image at real_fraction {training.real_fraction};"
            " raise one of them"
        )
    least = 1 / training.warmup_fraction if training.warmup_fraction else float("inf")
    if training.epoch_images and training.epochs <= least:
        raise ValueError(
            f"{training.images} is {training.epochs} epochs of training.epoch_images; the paper's schedule has no"
            f" warm-up up to {least:g}: leave training.epoch_images out"
        )
