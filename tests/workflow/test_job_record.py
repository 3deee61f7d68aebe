"""Moving and renaming code plans the same jobs: same inputs, outputs and params as the recorded ones."""

import json
import shutil

import pytest

from tests.support.job_record import ROOT, planned_jobs

RECORDS = ROOT / "tests/reference/data/job_record"


@pytest.mark.parametrize("study", ["digits", "tiny"])
def test_planned_jobs_equal_the_record(study, tmp_path):
    config = shutil.copy(RECORDS / f"{study}.yaml", tmp_path)
    recorded = json.loads((RECORDS / f"{study}.json").read_text(encoding="utf-8"))
    planned = planned_jobs(config)
    advice = f"if jobs should change: python -m tests.support.job_record {RECORDS}/{study}.yaml {RECORDS}/{study}.json"
    assert {json.dumps(job) for job in planned} == {json.dumps(job) for job in recorded}, advice
    assert len(planned) == len(recorded)
