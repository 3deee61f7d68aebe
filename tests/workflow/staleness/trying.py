"""Tries changes on finished studies: which jobs does Snakemake plan, and which should it?"""

import json
import subprocess

import yaml

from robustlaws import revisions
from tests.support.checkouts import CONFIGURED, ROOT, SNAKEMAKE, jobs_in
from tests.workflow.staleness import LEFT_OUT, But, Of
from tests.workflow.staleness.forks import DRY, snakemakes
from tests.workflow.staleness.jobs import AFTER_ANYTHING, AFTER_NOTHING
from tests.workflow.staleness.studies import STUDIES, with_conda


def expected(row, whole):
    """Return the jobs of a row.

    Parameters
    ----------
    row : Row
    whole : dict
        All jobs of its study, as :func:`tests.support.checkouts.jobs_in` gives them.

    Returns
    -------
    dict
        Rule -> set of outputs, likewise.
    """
    jobs = {}
    for part in row.made:
        for rule, outputs in part.jobs.items():
            jobs.setdefault(rule, set()).update(_resolved(outputs, whole.get(rule, set())))
    jobs = {rule: outputs for rule, outputs in jobs.items() if outputs}
    if set(jobs) - AFTER_NOTHING:
        jobs |= {rule: whole[rule] for rule in AFTER_ANYTHING}
    return jobs


def _resolved(outputs, whole):
    if isinstance(outputs, But):
        return whole - outputs
    return outputs & whole if isinstance(outputs, Of) else outputs


def changed(config, change):
    """Return `config` as `change` makes it."""
    config = json.loads(json.dumps(config))  # what was one block by a YAML alias is several
    for key, value in change.settings.items():
        *parents, last = key.split(".")
        block = config
        for name in parents:
            block = block.setdefault(name, {})
        if value is LEFT_OUT:
            del block[last]
        else:
            block[last] = value
    if change.config:
        change.config(config)
    return config


class Trials:
    """Changes that are tried on finished studies, all by one process.

    Parameters
    ----------
    checkouts : dict
        Study -> Checkout in which it is finished.
    folder : path
        Empty; for configs, ledgers and copies of checkouts.
    """

    def __init__(self, checkouts, folder):
        self.checkouts, self.folder, self.asked, self.answers = checkouts, folder, {}, {}
        for study, checkout in checkouts.items():
            self.asked[study] = self._request(study, checkout.folder, "study.yaml", ["--forceall"])

    def add(self, name, row, change):
        """Have `change` of `row` tried; its answer will be kept under `name`."""
        place, study, folder = self.folder / f"{len(self.asked):03d}", row.study, self.checkouts[row.study].folder
        place.mkdir()
        text = STUDIES[study].config.read_text()
        if change.settings or change.config:
            text = yaml.safe_dump(changed(yaml.safe_load(text), change), sort_keys=False)
        config = place / "study.yaml"
        config.write_text(change.spelling(text) if change.spelling else text)
        more = {}
        if change.files:
            folder = self._changed_copy(folder, place / "checkout", change)
            more |= {"library": str(folder / "src")} if change.library else {}
        if change.bumped or change.accepted:
            ledger = place / "revisions.toml"
            ledger.write_text(_ledger(change))
            more["ledger"] = str(ledger)
        self.asked[name] = self._request(study, folder, str(config), change.arguments) | more

    def _changed_copy(self, folder, copied, change):
        subprocess.run(["cp", "-a", str(folder), str(copied)], check=True)
        if change.library:
            subprocess.run(["cp", "-a", str(ROOT / "src"), str(copied)], check=True)
        return change.files(copied) or copied

    def _request(self, study, folder, config, arguments):
        configured = [config if word == "study.yaml" else word for word in CONFIGURED]
        settings = [*STUDIES[study].targets, *configured, "--cores", "2", *STUDIES[study].arguments, *arguments, *DRY]
        # what `finished_by_touch` ran with
        variables = with_conda(self.checkouts[study].folder)
        return {"folder": str(folder), "arguments": settings, "environment": variables}

    def run(self):
        """Try all that was added."""
        self.answers = dict(zip(self.asked, snakemakes(list(self.asked.values())), strict=True))

    def jobs(self, name):
        """Return the jobs of a change, as :func:`tests.support.checkouts.jobs_in` gives them."""
        status, output = self.answers[name]
        assert status == 0, output
        return jobs_in(output)

    def whole(self, study):
        """Return all jobs of a study, likewise."""
        return self.jobs(study)

    def by_command(self, name):
        """Return the jobs of a change, likewise, as Snakemake's own command lists them."""
        asked = self.asked[name]
        command = [SNAKEMAKE[0], *asked["arguments"]]
        done = subprocess.run(command, cwd=asked["folder"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return jobs_in(done.stdout + done.stderr)


def _ledger(change):
    """Return the ledger as a change leaves it."""
    text = ""
    for entry, known in revisions.ledger().items():
        revision = known["revision"] + (entry in change.bumped)
        fingerprint = "another" if entry in change.bumped + change.accepted else known["fingerprint"]
        text += f'["{entry}"]\nrevision = {revision}\nfingerprint = "{fingerprint}"\n'
    return text
