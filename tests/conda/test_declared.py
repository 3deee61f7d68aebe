"""The environment files say what the code imports, in the versions of pyproject.toml."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import robustlaws
from tests.support import conda_imports

ENVIRONMENTS = sorted(path.stem for path in conda_imports.ROOT.glob("envs/*.yaml"))
# Modules whose imports in functions are for jobs: what starts the workflow does not call these functions.
# Likewise states of work, which only jobs with a GPU have, and the command that starts a Snakemake.
UNREACHED = {
    ("driver", "robustlaws.storage.atomic"),
    ("driver", "robustlaws.storage.embedded"),
    ("analysis", "robustlaws.runtime.resumable_state"),
    ("humans", "robustlaws.intervals"),
    ("humans", "robustlaws.runtime.resumable_state"),
    ("gpu", "robustlaws.data.repair"),
}
# What no code of ours imports: python itself, pip and what it is there for, and the executor that a profile names.
UNIMPORTED = {"python", "pip", "snakemake-minimal", "snakemake-executor-plugin-slurm"}


@pytest.fixture(scope="module")
def needs():
    """Of each environment {package: modules that import it}, over the rules that have it; the driver reads them all."""
    code = [(environment, script) for environment, script in conda_imports.rules().values() if script]
    code += [("driver", path) for path in conda_imports.snakefiles()]
    # the commands of the human study, which docs/humans.md starts in that environment
    commands = ("serve", "participants", "export")
    code += [("humans", conda_imports.SOURCE / f"robustlaws/humans/web/{name}.py") for name in commands]
    results = {name: {} for name in ENVIRONMENTS}
    for environment, path in code:
        for package, modules in conda_imports.needed(path).items():
            if reached := {module for module in modules if (environment, module) not in UNREACHED}:
                results[environment].setdefault(package, set()).update(reached)
    return results


def test_every_rule_with_a_script_has_an_environment():
    bare = [rule for rule, (environment, script) in conda_imports.rules().items() if script and environment is None]
    assert bare == []
    assert {environment for environment, script in conda_imports.rules().values() if script} == {
        "gpu",
        "analysis",
        "humans",
    }


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_lists_exactly_the_imported_packages(name, needs):
    listed = set(conda_imports.environment(name))
    missing = {package: sorted(modules) for package, modules in needs[name].items() if package not in listed}
    assert missing == {}, f"envs/{name}.yaml lacks"
    assert listed - set(needs[name]) - UNIMPORTED == set(), f"nothing imports these of envs/{name}.yaml"


def test_the_tables_of_names_are_followed(needs):
    # only through SAMPLERS, ATTACKS, SOURCES and FIGURES; by name in a function; in the processes of a run
    assert "robustlaws.generators.diffusers_pipeline" in needs["gpu"]["diffusers"]
    assert "robustlaws.attacks.autoattack" in needs["gpu"]["pyautoattack"]
    assert "robustlaws.data.sources" in needs["gpu"]["scikit-learn"]
    assert "robustlaws.data.shard_format" in needs["gpu"]["hdf5plugin"]
    assert "robustlaws.training.distributed" in needs["gpu"]["pytorch"]
    assert "robustlaws.figures.drawing.contours" in needs["analysis"]["matplotlib-base"]


def test_nothing_that_starts_the_workflow_needs_torch(needs):
    assert "pytorch" not in needs["driver"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_pins_are_those_of_the_project(name):
    project = tomllib.loads((conda_imports.ROOT / "pyproject.toml").read_text())["project"]
    pins = {}
    for line in project["dependencies"]:
        asked = Requirement(line)
        (pins[conda_imports.conda_name(asked.name)],) = (
            part.version for part in asked.specifier if part.operator == "=="
        )
    pins["python"] = re.search(r"[\d.]+", project["requires-python"])[0]
    given = conda_imports.environment(name)
    assert {package: version for package, version in given.items() if package != "pip"} == {
        package: pins[package] for package in given if package != "pip"
    }


def test_the_lock_holds_the_pins_of_the_project():
    project = tomllib.loads((conda_imports.ROOT / "pyproject.toml").read_text())["project"]
    lines = (line.partition("==") for line in (conda_imports.ROOT / "envs/lock.txt").read_text().split())
    locked = {canonicalize_name(name): version for name, _, version in lines}
    asked = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["dev"]]
    assert {item.name: locked.get(canonicalize_name(item.name)) for item in asked} == {
        item.name: str(item.specifier).removeprefix("==") for item in asked
    }
    assert robustlaws.__version__ == project["version"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_only_what_conda_lacks_comes_from_pip(name):
    file = yaml.safe_load((conda_imports.ROOT / "envs" / f"{name}.yaml").read_text())
    assert conda_imports.pip_section(file) == (["pyautoattack ==0.2.0"] if name == "gpu" else [])
    assert file["channels"][-1] == "nodefaults"
