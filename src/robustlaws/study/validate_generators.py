"""Validation of sources, generators, datasets and FIDs beyond the schema. Imports no torch."""

from pathlib import Path
from typing import Any

from robustlaws import registry
from robustlaws.data import SOURCES
from robustlaws.generators import SAMPLERS


def check_generators(config: dict[str, Any], origin: str) -> None:
    """Raise ValueError, one line, for a source, generator, dataset or FID that cannot be made."""
    _check_source(config["source"], origin)
    for name, generator in config["generators"].items():
        registry.check(generator["kind"], SAMPLERS, f"{origin} generators.{name}.kind")
        if generator["kind"] in _CHECKS:
            _CHECKS[generator["kind"]](name, config, origin)
    sampling, quality = config["sampling"], config["quality"]
    if sampling["sigma_min"] >= sampling["sigma_max"]:
        raise ValueError(f"{origin} sampling.sigma_min: {sampling['sigma_min']} must be less than sigma_max")
    if sampling["batch"] > sampling["shard_images"]:
        raise ValueError(
            f"{origin} sampling.batch: {sampling['batch']} is more than sampling.shard_images:"
            f" {sampling['shard_images']}; every shard would make a whole batch and keep a part"
        )
    if ("features" in quality) == ("inception" in quality):
        raise ValueError(f"{origin} quality: give features (a classifier trained here) or inception, and not both")
    for name, dataset in config["datasets"].items():
        _check_dataset(name, dataset, config, origin)


def _check_source(source, origin):
    name = registry.check(source["name"], SOURCES, f"{origin} source.name")
    needed = SOURCES[name].keys
    if not needed and ("train_files" in source or "test_files" in source):
        raise ValueError(f"{origin} source.train_files: source {name} reads no files; leave it out")
    for key in needed:
        if key not in source:
            raise ValueError(f"{origin} source.{key}: missing; {name} needs it")
    if "image_size" in source and name != "folder":
        raise ValueError(f"{origin} source.image_size: only for folder; leave it out")


def _check_unet(name, config, origin):
    where, generator, size = f"{origin} generators.{name}", config["generators"][name], config["image"]["size"]
    own = ("network", "training", *(["dimension"] if generator["kind"] == "pfgmpp" else []))
    if "checkpoint" in generator:
        if given := [key for key in own if key in generator]:
            raise ValueError(f"{where}.{given[0]}: not with a checkpoint, which says it itself; leave one of them out")
        return
    if missing := [key for key in own if key not in generator]:
        raise ValueError(f"{where}.{missing[0]}: missing; a generator is trained here (it) or loaded (checkpoint)")
    if "sha256" in generator:
        raise ValueError(f"{where}.sha256: of a checkpoint, and none is given; leave it out")
    network, training = generator["network"], generator["training"]
    _check_halvings(network["channel_mult"], size, f"{where}.network.channel_mult")
    there = [size >> level for level in range(len(network["channel_mult"]))]
    _check_levels(network["attn_resolutions"], there, f"{where}.network.attn_resolutions")
    if training["batch"] % training.get("accumulate", 1):
        raise ValueError(
            f"{where}.training.accumulate: a batch of {training['batch']} has not {training['accumulate']} equal parts"
        )


def _check_halvings(multipliers, size, where):
    if size % 2 ** (len(multipliers) - 1):
        raise ValueError(
            f"{where}: {len(multipliers)} resolutions; {size} pixels cannot be halved {len(multipliers) - 1} times"
        )


def _check_levels(wanted, there, where):
    if missing := [level for level in wanted if level not in there]:
        raise ValueError(f"{where}: {missing[0]} is no level of this network; it has {', '.join(map(str, there))}")


def _check_guided(name, config, origin):
    where, generator = f"{origin} generators.{name}", config["generators"][name]
    base = registry.check(generator["base"], config["generators"], f"{where}.base")
    if config["generators"][base]["kind"] != "edm":
        raise ValueError(f"{where}.base: {base!r} is of kind {config['generators'][base]['kind']}; guidance needs edm")
    own = ("extractor", "discriminator", "fakes")
    given = [key for key in own if key in generator]
    if "checkpoint" in generator:
        if given:
            raise ValueError(f"{where}.{given[0]}: not with a checkpoint, which says it itself; leave one of them out")
        return
    if missing := [key for key in own if key not in generator]:
        raise ValueError(f"{where}.{missing[0]}: missing; the pair is trained here (it) or loaded (checkpoint)")
    fakes = generator["fakes"]
    source = config["datasets"][registry.check(fakes["dataset"], config["datasets"], f"{where}.fakes.dataset")]
    if source["generator"] != base:
        raise ValueError(f"{where}.fakes.dataset: {fakes['dataset']!r} is of {source['generator']}, not of {base}")
    if fakes["images"] > source["images"]:
        raise ValueError(
            f"{where}.fakes.images: {fakes['images']} is more than datasets.{fakes['dataset']}.images:"
            f" {source['images']}"
        )
    size = config["image"]["size"]
    _check_halvings(generator["extractor"]["channel_mult"], size, f"{where}.extractor.channel_mult")
    under = size >> (len(generator["extractor"]["channel_mult"]) - 1)
    for which in ("extractor", "discriminator"):
        there = [2**level for level in range(len(generator[which]["channel_mult"]))]
        _check_levels(generator[which]["attention"], there, f"{where}.{which}.attention")
    _check_halvings(generator["discriminator"]["channel_mult"], under, f"{where}.discriminator.channel_mult")


def _check_pipeline(name, config, origin):
    where, generator = f"{origin} generators.{name}", config["generators"][name]
    if ("class_argument" in generator) == ("classifier" in generator):
        raise ValueError(
            f"{where}.classifier: a pipeline is told its classes (class_argument) or labelled by a classifier;"
            " give one of them"
        )
    if "revision" not in generator and not Path(generator["source"]).is_dir():
        # "main" of the hub may change between two shards
        raise ValueError(f"{where}.source: no local folder {generator['source']!r}; a name on the hub needs revision")
    known = {**config.get("checkpoints", {}), **({"features": 0} if "features" in config["quality"] else {})}
    if "classifier" in generator:
        registry.check(generator["classifier"], known, f"{where}.classifier")


def _check_files(name, config, origin):
    where, generator = f"{origin} generators.{name}", config["generators"][name]
    if "sha256" in generator and len(generator["sha256"]) != len(generator["files"]):
        raise ValueError(
            f"{where}.sha256: {len(generator['sha256'])} for {len(generator['files'])} files; give one for each"
        )


_CHECKS = {
    "edm": _check_unet,
    "pfgmpp": _check_unet,
    "dg": _check_guided,
    "pipeline": _check_pipeline,
    "files": _check_files,
}


def _check_dataset(name, dataset, config, origin):
    where, sampling, quality = f"{origin} datasets.{name}", config["sampling"], config["quality"]
    generator = registry.check(dataset["generator"], config["generators"], f"{where}.generator")
    kind = config["generators"][generator]["kind"]
    if ("steps" in dataset) == (kind == "files"):
        raise ValueError(
            f"{where}.steps: files are sampled already; leave it out"
            if "steps" in dataset
            else f"{where}.steps: missing; Sampler steps, 2 at least"
        )
    if dataset.get("steps", 2) < 2 and kind != "pipeline":
        raise ValueError(f"{where}.steps: 1 is less than 2, the least of a sampler of kind {kind}")
    if "churn" in dataset and kind not in ("edm", "pfgmpp"):
        raise ValueError(f"{where}.churn: not for a generator of kind {kind}; leave it out")
    if dataset["images"] % sampling["shard_images"]:
        # a shard that is not full would change when the dataset grows, and every run on it with it
        raise ValueError(
            f"{where}.images: {dataset['images']} is not a multiple of"
            f" sampling.shard_images: {sampling['shard_images']}"
        )
    subsets = quality.get("subsets", 1)
    for key, wanted in [
        ("images", quality["images"] * subsets),
        *(("prefixes", n) for n in quality.get("prefixes", [])),
    ]:
        if wanted > dataset["images"]:
            times = f" times quality.subsets: {subsets}" if key == "images" and subsets > 1 else ""
            raise ValueError(
                f"{origin} quality.{key}: {quality['images'] if key == 'images' else wanted}{times} is more than"
                f" datasets.{name}.images: {dataset['images']}"
            )
