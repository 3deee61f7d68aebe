"""A login node: Snakemake in an environment of its own, a command `conda`, and a study that is half done."""

import subprocess

import pytest
import yaml

from tests.support import conda_channel, conda_imports, conda_stand_in


@pytest.fixture(scope="session")
def conda(tmp_path_factory):
    """The home of a `conda` with channels of all that is installed here."""
    pytest.importorskip("rattler", reason="py-rattler, the solver of the stand-in for conda, is not installed")
    home = tmp_path_factory.mktemp("conda")
    conda_stand_in.install(home)
    file = yaml.safe_load((conda_imports.ROOT / "envs/gpu.yaml").read_text())
    conda_channel.write(home / "channels", [line.split()[0] for line in conda_imports.pip_section(file)])
    return home


@pytest.fixture(scope="session")
def driver(conda):
    """The Python of the environment that starts the workflow: no torch is there, nor our library."""
    file, prefix = conda_imports.ROOT / "envs/driver.yaml", conda / "driver"
    subprocess.run([conda / "bin/conda", "env", "create", "--file", file, "--prefix", prefix], check=True)
    return prefix / "bin/python"
