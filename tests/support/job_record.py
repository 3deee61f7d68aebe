"""Every job of a study as Snakemake plans it in an empty folder: rule, inputs, outputs and params.

`python -m tests.support.job_record CONFIG JSON` writes the record of one config file. Revisions are left out: the
ledger records these, and raising one is a decision of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from snakemake import cli
from snakemake.dag import DAG

ROOT = Path(__file__).parents[2]


def planned_jobs(config):
    """Return the jobs of the study in the config file `config`, planned by a process of its own.

    Returns
    -------
    list of dict
        `rule`, `input`, `output` (lists of paths) and `params` of each job, sorted; JSON values.
    """
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "jobs.json")
        command = [sys.executable, "-m", "tests.support.job_record", str(Path(config).resolve()), str(record)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(record.read_text(encoding="utf-8"))


def job_fields(job):
    """Return what of a planned job decides whether its outputs are stale, as JSON values."""
    params = {name: value for name, value in job.params.items() if name != "revision"}
    text = json.dumps(params, default=str)
    for checkout in (os.path.relpath(ROOT), str(ROOT)):  # the first may end in the second
        text = text.replace(checkout, "<checkout>")
    fields = {"rule": job.rule.name, "input": list(map(str, job.input)), "output": list(map(str, job.output))}
    return fields | {"params": json.loads(text)}


def main(config, record):
    """Write the jobs that a dry run of the study in `config` plans to the file `record`, one a line."""
    planned, postprocess = [], DAG.postprocess

    async def keep(dag, *arguments, **keywords):
        await postprocess(dag, *arguments, **keywords)
        planned[:] = [job_fields(job) for job in dag.jobs]

    DAG.postprocess = keep
    arguments = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", config, "--dry-run", "--quiet", "all"]
    try:
        cli.main([*arguments, "--cores", "2"])
    except SystemExit as end:
        if end.code:
            raise
    lines = sorted(json.dumps(job) for job in planned)
    Path(record).write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
