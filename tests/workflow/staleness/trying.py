"""Tries changes on finished studies: which jobs does Snakemake plan, and which should it?"""

import json
import subprocess

import yaml

from robustlaws import revisions
from tests.workflow.conftest import CONFIGURED, jobs_in
from tests.workflow.staleness import LEFT_OUT, But, Of
from tests.workflow.staleness.dryruns import dry_runs
from tests.workflow.staleness.jobs import AFTER_ANYTHING, AFTER_NOTHING
from tests.workflow.staleness.studies import CONFIGS, TARGETS


def expected(row, whole):
    """Return the jobs of a row.

    Parameters
    ----------
    row : Row
    whole : dict
        All jobs of its study, as :func:`tests.workflow.conftest.jobs_in` gives them.

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


class Trial:
    """Changes to be tried, all by one process.

    Parameters
    ----------
    checkouts : dict
        Study -> Checkout in which it is finished.
    folder : path
        Empty; for configs, ledgers and copies of checkouts.
    """

    def __init__(self, checkouts, folder):
        self.checkouts, self.folder, self.asked = checkouts, folder, {}

    def whole(self, study):
        """Ask for all jobs of a study."""
        self._ask(study, study, self.checkouts[study].folder, "study.yaml", ["--forceall"])

    def change(self, key, study, change):
        """Ask under `key` for the jobs that `change` makes."""
        place, folder = self.folder / f"{len(self.asked):03d}", self.checkouts[study].folder
        place.mkdir()
        text = CONFIGS[study].read_text()
        if change.settings or change.config:
            text = yaml.safe_dump(changed(yaml.safe_load(text), change), sort_keys=False)
        if change.spelling:
            text = change.spelling(text)
        config = place / "study.yaml"
        config.write_text(text)
        if change.files:
            copied = place / "checkout"
            subprocess.run(["cp", "-a", str(folder), str(copied)], check=True)
            folder = change.files(copied) or copied
        self._ask(key, study, folder, str(config), change.arguments)
        if change.bumped or change.accepted:
            ledger = place / "revisions.toml"
            ledger.write_text(_ledger(change))
            self.asked[key]["ledger"] = str(ledger)

    def _ask(self, key, study, folder, config, arguments):
        configured = [config if word == "study.yaml" else word for word in CONFIGURED]
        self.asked[key] = {"folder": str(folder), "arguments": [*TARGETS[study], *configured, *arguments]}

    def answers(self):
        """Return key -> (exit status, what Snakemake said) of all that was asked."""
        return dict(zip(self.asked, dry_runs(list(self.asked.values())), strict=True))


def planned(answer):
    """Return the jobs in an answer, as :func:`tests.workflow.conftest.jobs_in` gives them."""
    status, said = answer
    assert status == 0, said
    return jobs_in(said)


def _ledger(change):
    """Return the ledger as a change leaves it."""
    text = ""
    for entry, known in revisions.ledger().items():
        revision = known["revision"] + (entry in change.bumped)
        fingerprint = "another" if entry in change.bumped + change.accepted else known["fingerprint"]
        text += f'["{entry}"]\nrevision = {revision}\nfingerprint = "{fingerprint}"\n'
    return text
