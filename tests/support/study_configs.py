"""The default config, its schema and changes to it."""

import copy
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


SCHEMA = ROOT / "workflow/schemas/config.yaml"


CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def changed(*path, to):
    config = copy.deepcopy(CONFIG)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return config


EXPORT = {"name": "A", "authors": "B", "link": "", "venue": "", "dataset": "digits", "additional_data": False}
