"""Jobs run in the environments of their rules, which hold what the files say and no more."""

import re
import sys

from tests.support import conda_imports
from tests.support.checkouts import Checkout
from tests.support.conda_studies import FIGURES, LAWS, LOGS, RULES, RUN, lacks, login

ONLY = ("--allowed-rules", *RULES, "--")


def test_rules_run_in_their_environments_without_torch_outside(conda, driver, tmp_path):
    assert all(lacks(driver, package) for package in ("torch", "robustlaws", "h5py"))
    checkout = login(tmp_path / "checkout", conda, driver)
    done = checkout.snakemake(*ONLY, f"{RUN}/weights.safetensors", f"{FIGURES}/accuracy_from_loss.png")
    assert done.returncode == 0, done.stdout + done.stderr
    logs = "data/import", f"train/{RUN.partition('runs/')[2]}", "laws/accuracy", "figures/accuracy_from_loss"
    assert [checkout.environment_of(log) for log in logs] == ["gpu", "gpu", "analysis", "analysis"]


def test_environment_hides_packages_of_snakemakes_python(conda, tmp_path):
    checkout = login(tmp_path / "checkout", conda, sys.executable)  # has all packages
    file = checkout.folder / "envs/analysis.yaml"
    file.write_text(re.sub(r".*\bpandas\b.*\n", "", file.read_text()))
    done = checkout.snakemake(*ONLY, f"{LAWS}/accuracy.json")
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if "No module named 'pandas'" in line)
    assert "ModuleNotFoundError" in line
    assert f"(log: {LOGS}/laws/accuracy.log)" in line
    assert checkout.environment_of("laws/accuracy") == "analysis"


def test_changed_environment_is_stale_only_with_its_trigger(conda, tmp_path):
    checkout = login(tmp_path / "checkout", conda, sys.executable)
    make_up(checkout)
    pretend(checkout)
    change(checkout, "analysis")
    # a comment in the file, another folder of environments or none would count as much: what another version of a
    # package makes stale, the ledger of revisions says
    assert checkout.planned() == {}
    assert Checkout(checkout.folder).planned() == {}
    have = {rule for rule, (environment, _) in conda_imports.rules().items() if environment == "analysis"}
    settings = checkout.planned("--rerun-triggers", "mtime", "params", "input", "software-env")
    unneeded = {"cost", "fetch_file", "published"}  # by this study, which has no human one either
    unneeded |= {"simulate_participants", "collect_answers", "judge_images", "draw_quiz"}
    assert set(settings) == have - unneeded


def change(checkout, environment):
    """Change the pin of pandas in an environment file."""
    file = checkout.folder / f"envs/{environment}.yaml"
    file.write_text(file.read_text().replace("pandas =3.1.1", "pandas =3.1.0"))


def make_up(checkout):
    """Put an empty file where each job of the study would leave its own."""
    listed = checkout.snakemake("--dry-run", "--forceall", "--quiet", "host")
    for line in listed.stdout.splitlines():
        for path in filter(None, line.partition("output: ")[2].split(", ")):
            (checkout.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (checkout.folder / path).touch()


def pretend(checkout):
    """Let Snakemake believe that the study has just been run as this checkout runs it."""
    done = checkout.snakemake("--touch", "--forceall")
    assert done.returncode == 0, done.stdout + done.stderr
