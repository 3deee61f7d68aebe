"""Studies whose rules run in conda environments."""

import os
import subprocess

import numpy as np

from robustlaws.data import shards
from robustlaws.storage import tables
from tests.support import conda_imports, figure_study
from tests.support.checkouts import Checkout, fresh_checkout, without_humans

RULES = ("import_data", "train_run", "fit_accuracy", "draw_figure")


RUN, LAWS, FIGURES = "results/tiny/runs/wrn-10-1/edm-2/128/1", "results/tiny/laws", "results/tiny/figures"


LOGS = "results/tiny/logs"


def lacks(python, package):
    """Return whether a Python by itself has no such package."""
    return subprocess.run([python, "-I", "-c", f"import {package}"], capture_output=True, check=False).returncode == 1


class Login(Checkout):
    """A checkout where Snakemake deploys environments; `python`: what runs Snakemake."""

    def __init__(self, folder, home, python):
        super().__init__(folder)
        self.home, self.python = home, python

    def snakemake(self, *arguments):
        command = [self.python, "-m", "snakemake", "--configfile", "study.yaml", "--nocolor", "--cores", "2"]
        command += ["--software-deployment-method", "conda", "--conda-prefix", self.home / "envs"]
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONNOUSERSITE")}
        env["PATH"] = f"{self.home}/bin:{env['PATH']}"
        return subprocess.run(
            [*map(str, command), *arguments], cwd=self.folder, capture_output=True, text=True, check=False, env=env,
            timeout=600,
        )  # fmt: skip

    def environment_of(self, log):
        """Return the environment file that the job of a log had: its Python was that of what was made from it."""
        text = (self.folder / LOGS / f"{log}.log").read_text()
        (place,) = [line.split()[-1] for line in text.splitlines() if "Python of" in line]
        assert place.startswith(str(self.home / "envs")), text
        made = (self.home / "envs" / f"{place.rpartition('/')[2]}.yaml").read_text()
        (result,) = [path.stem for path in (self.folder / "envs").glob("*.yaml") if path.read_text() == made]
        return result


def small(config):
    """Leave of the tiny study what one job of each kind needs; its run is shared by two processes."""
    for block, names in (("generators", {"edm"}), ("datasets", {"edm-2", "edm-4"})):
        config[block] = {name: config[block][name] for name in names}
    del config["grid"][1:], config["mixtures"]
    without_humans(config)
    config["laws"]["fit"] = ["envelope", "additive"]
    config["figures"] = ["samples", "accuracy_from_loss"]
    config["compute"]["processes"] = 2


def login(folder, home, python):
    """Return a Login with the tiny study: images of one dataset and a table of runs are there, nothing else is."""
    fresh_checkout(folder)
    (folder / "src").symlink_to(conda_imports.SOURCE)
    made = Login(folder, home, python)
    made.configure(small)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (128, 8, 8, 1), dtype=np.uint8)
    shards.write(folder / "results/tiny/datasets/edm-2/shard-00000.h5", images, np.arange(128) % 10, {})
    rows = figure_study.run_rows({"a": 80_000, "b": 310_000, "c": 690_000}, (2000, 6000, 20000), {"x": 2.1, "y": 8.8})
    tables.write(folder / "results/tiny/tables/runs.parquet", rows, tables.RUNS)
    return made
