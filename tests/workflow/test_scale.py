"""The graph of a large study stays small, and little is done at the start of each job. Times: benchmarks/graph.py."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.support.checkouts import ROOT, fresh_checkout

PAPER = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text())
COUNT = """
import cProfile, sys
from snakemake.cli import main
calls = cProfile.Profile(builtins=False)
try:
    calls.runcall(main, ["--list-rules", "--configfile", sys.argv[1]])
except SystemExit as end:
    assert not end.code
print("calls:", sum(entry.callcount for entry in calls.getstats()), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def unmade(tmp_path_factory):
    """A checkout with the paper's config, nothing of which is made."""
    checkout = fresh_checkout(tmp_path_factory.mktemp("unmade") / "checkout")
    (checkout.folder / "study.yaml").write_text(yaml.safe_dump(PAPER, sort_keys=False))
    return checkout


def test_paper_graph_has_the_expected_jobs_and_few_inputs(unmade):
    done = unmade.snakemake("--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    (jobs,) = set(re.findall(r"^total +(\d+)$", done.stdout, re.MULTILINE))
    inputs = sum(len(line.split(", ")) for line in re.findall(r"^ +input: (.*)$", done.stdout, re.MULTILINE))
    # each run reads the shards that its size needs: these are most; Snakemake pays for each input, not for each file
    assert int(jobs) <= 1_200
    assert inputs <= 16_000


def test_reading_the_workflow_does_not_get_longer_with_the_runs(unmade):
    calls = []
    for seeds in (1, 20):
        grid = [block | {"seeds": list(range(1, seeds + 1))} for block in PAPER["grid"]]
        path = unmade.folder / f"seeds-{seeds}.yaml"
        path.write_text(yaml.safe_dump(PAPER | {"grid": grid}, sort_keys=False))
        done = subprocess.run(
            [sys.executable, "-c", COUNT, path.name], cwd=unmade.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        calls.append(int(re.search(r"calls: (\d+)", done.stderr)[1]))
    few, many = calls
    assert many < 1.5 * few  # 20 times the runs


def test_reading_the_workflow_imports_nothing_heavy():
    texts = [path.read_text() for path in (ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk")))]
    imports = [line for text in texts for line in re.findall(r"^(?:from|import) robustlaws\b.*$", text, re.MULTILINE)]
    assert imports
    code = "\n".join(
        [
            "import sys, jsonschema, psutil, yaml",  # the last two Snakemake has loaded already
            "before = set(sys.modules)",
            *imports,
            "Study(yaml.safe_load(open('config/paper.yaml')), 'workflow/schemas/config.yaml')",
            "new = {name.split('.')[0] for name in set(sys.modules) - before}",
            "print(*sorted(new - sys.stdlib_module_names))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["robustlaws"], done.stderr
