"""Studies from the configs of the repository, with changes."""

from pathlib import Path

import yaml

from robustlaws.study import Study

ROOT = Path(__file__).parents[2]


SCHEMA = ROOT / "workflow" / "schemas" / "config.yaml"


TINY = ROOT / "tests" / "workflow" / "tiny.yaml"


def study_of(path=TINY, change=None):
    """Return the study of a config, changed by the function `change`."""
    config = yaml.safe_load(Path(path).read_text())
    if change:
        change(config)
    return Study(config, SCHEMA)
