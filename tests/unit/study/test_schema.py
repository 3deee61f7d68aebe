"""The schema of the config: its keys come from the settings, so that a key is written once."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated

import pytest
import yaml

from robustlaws.settings import Key, Settings, given, neutral
from robustlaws.study import schema
from tests.support.study_configs import ROOT, SCHEMA

SCHEMAS = sorted(SCHEMA.parent.glob("*.yaml"))
# A copy of the tree whose training has one more key, and what a study then says of it.
ADDED = """
    patience: Annotated[int, Key("Epochs without a better model before a run stops; none if left out.", minimum=1)] = (
        neutral(0)
    )
"""
ASK = """
import json, sys, yaml
from robustlaws.settings import as_params
from robustlaws.study import Study
config = yaml.safe_load(open(sys.argv[1]))
said = []
for patience in (None, 3, 3.0, 0, "long"):
    own = config["training"] | ({} if patience is None else {"patience": patience})
    try:
        study = Study(config | {"training": own}, sys.argv[2])
        training = study.training(next(iter(study.runs.values())))
        said.append([training.patience, as_params(training).get("patience", "left out")])
    except ValueError as error:
        said.append(str(error))
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Oven(Settings):
    name: str
    degrees: Annotated[float, Key("Degrees Celsius.", minimum=0)]
    racks: Annotated[int | None, Key("Racks; all if left out.", absent=None)]
    fan: Annotated[bool, Key("Whether the fan runs.")] = neutral(False)
    colours: Annotated[tuple[str, ...], Key("Of the front.", minItems=1, required=True)] = ()


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_schema_is_what_the_settings_say(path):
    text = path.read_text(encoding="utf-8")
    assert schema.generated(text) == text


def test_schema_of_settings_has_types_rules_and_order():
    node = "oven:\n  x-settings: [oven]\n  type: object\n  required: [gone]\n  properties:\n    fan: {}\n    gone: {}\n"
    made = yaml.safe_load("\n".join(["oven:", *schema._node(node.splitlines()[2:], "  ", [Oven])]))["oven"]
    assert made == {
        "type": "object",
        "required": ["gone", "degrees", "colours"],
        "properties": {
            "fan": {"description": "Whether the fan runs.", "type": "boolean"},
            "gone": {},
            "degrees": {"description": "Degrees Celsius.", "type": "number", "minimum": 0},
            "racks": {"description": "Racks; all if left out.", "type": "integer"},
            "colours": {
                "description": "Of the front.",
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
            },
        },
    }
    assert list(made["properties"]) == ["fan", "gone", "degrees", "racks", "colours"]


def test_given_takes_keys_of_the_config_alone():
    block = {"name": "not a key", "degrees": 180, "colours": ["red"], "else": 1}
    assert given(Oven, block) == {"degrees": 180, "racks": None, "colours": ["red"]}
    assert given(Oven, {"fan": True}) == {"racks": None, "fan": True}


def test_new_key_is_one_definition(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SCHEMA.parent, tmp_path / "schemas")
    settings = tmp_path / "src/robustlaws/settings/train.py"
    settings.write_text(settings.read_text().rstrip("\n") + ADDED)
    copies, variables = (
        sorted((tmp_path / "schemas").glob("*.yaml")),
        os.environ | {"PYTHONPATH": str(tmp_path / "src")},
    )

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    assert run("-m", "robustlaws.study.schema", *copies).returncode == 1  # it was not what the settings say
    assert run("-m", "robustlaws.study.schema", *copies).returncode == 0
    changed = [path.name for path in copies if path.read_text() != (SCHEMA.parent / path.name).read_text()]
    assert changed == ["config.yaml"]
    done = run("-c", ASK, ROOT / "config/config.yaml", tmp_path / "schemas/config.yaml")
    assert done.returncode == 0, done.stderr
    absent, three, whole, nothing, text = json.loads(done.stdout)
    assert (absent, three, whole) == ([0, "left out"], [3, 3], [3, 3])
    assert "training.patience: 0 is less than 1. Epochs without a better model" in nothing
    assert "training.patience: 'long' is not a whole number" in text
