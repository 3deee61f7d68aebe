"""The shared list of analysis steps agrees with the library functions."""

import inspect
import sys
from pathlib import Path
from subprocess import run

import pytest

from robustlaws import report
from robustlaws.figures import OF_RUNS
from robustlaws.fit_table import steps
from robustlaws.laws import fit_jobs, limits
from robustlaws.report import explorer

FUNCTIONS = (
    (steps.FIT_LAW, fit_jobs.fit_law, steps.as_paths),
    (steps.FIT_ACCURACY, fit_jobs.fit_accuracy, steps.as_paths),
    (steps.MEASURE_LIMITS, limits.measure_limits, steps.as_paths),
    (steps.DRAW_EXPLORER, explorer.write, lambda output: {}),
    (steps.WRITE_REPORT, report.write_files, lambda output: {}),
)


@pytest.mark.parametrize(("step", "function", "keywords"), FUNCTIONS)
def test_step_keywords_are_parameters_of_the_function(step, function, keywords):
    given = {*step.reads.values(), *keywords(step.outputs(Path("out"), law="additive"))}
    assert given <= set(inspect.signature(function).parameters)


def test_files_below_lists_one_path_per_law():
    files = steps.files_below(Path("out"), ["additive", "envelope"])
    assert files["laws"] == [Path("out/laws/additive.json"), Path("out/laws/envelope.json")]
    assert files["accuracy"] == Path("out/laws/accuracy.json")


def test_step_arguments_leave_out_absent_inputs():
    assert steps.MEASURE_LIMITS.arguments({"runs": "r", "laws": ["l"], "other": "o"}) == {
        "runs_path": "r",
        "law_paths": ["l"],
    }


def test_step_inputs_refuse_an_absent_noun():
    with pytest.raises(KeyError, match="curves"):
        steps.FIT_LAW.inputs({"runs": "r"})


def test_steps_import_neither_pandas_nor_matplotlib():
    code = "import sys; import robustlaws.fit_table.steps; print({'pandas', 'matplotlib', 'torch'} & set(sys.modules))"
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_figures_of_runs_read_files_of_the_steps():
    assert set(OF_RUNS) <= set(steps.files_below(Path("out"), []))
