"""The table of rules knows those of the workflow, and what the rules and the profile say of them."""

import re

import pytest

from robustlaws.job_resources.job_costs import Costs
from robustlaws.job_resources.job_memory import Memory
from robustlaws.settings import Compute
from robustlaws.stages import RULES
from tests.support.jobs import ROOT
from tests.support.study_files import study_of

TEXTS = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
BODIES = {
    name: body
    for path in TEXTS
    for name, body in re.findall(r"^rule (\w+):$(.*?)(?=^\S|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
}


def test_rules_are_those_of_the_workflow():
    assert set(RULES) == set(BODIES)


def test_rules_with_a_gpu_are_those_of_workflow_and_profile():
    known = {name for name, rule in RULES.items() if rule.gpu}
    assert known == {name for name, body in BODIES.items() if re.search(r"^ +gpu=", body, re.MULTILINE)}
    profile = (ROOT / "profiles" / "slurm" / "config.yaml").read_text()
    assert known == set(re.search(r'gpu_rules = "([\w ]+)"', profile)[1].split())


def test_rules_name_their_own_memory_and_minutes():
    for name, body in BODIES.items():
        asked = re.findall(r'\b(?:memory|minutes|minutes_for_files)\("(\w+)"\)', body)
        assert set(asked) <= {name}, name
        assert bool(asked) == ("script:" in body), name


def test_resumed_rules_keep_a_state():
    for name, rule in RULES.items():
        script = re.search(r'"\.\./scripts/(\w+\.py)"', BODIES[name])
        text = (ROOT / "workflow" / "scripts" / script[1]).read_text() if script else ""
        assert rule.resumed == ("state_path=" in text), name


@pytest.mark.parametrize("make", [Costs, lambda study: Memory(Costs(study), Compute())], ids=["costs", "memory"])
def test_unknown_rule_is_an_error_that_names_the_known(make):
    with pytest.raises(ValueError, match="rule: unknown 'trian_run'; known: .*train_run"):
        make(study_of()).of("trian_run", {})
