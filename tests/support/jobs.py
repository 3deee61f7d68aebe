"""What Snakemake gives to a script, as far as files say where they come from."""

from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[2]
CONFIG = {"study": "digits", "seed": 7, "threat": {"norm": "Linf", "epsilon": 1e-05}, "é": [1, None]}
SETTINGS = {"run": 'a "quoted" \\ name', "seed": 3, "curve": {"seed": 4, "seeds": "derived"}, "parts": ({"x_seed": 5},)}


def job(*outputs, **changes):
    """Return the `snakemake` of a script whose rule declares `outputs`."""
    given = {
        "rule": "train_run", "wildcards": {"model": "wrn-10-1"}, "output": list(outputs), "input": ["in/a.h5"],
        "params": {"settings": SETTINGS, "revision": "train-r3"}, "config": CONFIG, "threads": 2,
        "resources": {"gpu": 0}, "scriptdir": str(ROOT / "workflow/scripts"),
    }  # fmt: skip
    return SimpleNamespace(**(given | changes))
