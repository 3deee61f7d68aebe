"""How often the intervals of the laws hold the truth: simulated studies on the paper's grid, fitted as a study is.

    python benchmarks/coverage.py                        # 200 studies of each law, all cores
    python benchmarks/coverage.py --studies 20 --noise 0.005

Each study has the losses of the published constants with noise of the given size (0.3% if none is given), every run
its own. It is fitted by `robustlaws.laws` with refits, and it is counted how often the 90% interval of each number
holds the value that made the data. Also printed: how far the numbers of a study without noise are off.
"""

import argparse
import functools
import platform
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version

import numpy as np
import simulated
from machine import processor

from robustlaws import registry, settings
from robustlaws.laws import FORMS, LAWS, additive, bottleneck, one_stage, published

TRUTH = {
    "additive": (additive, published.ADDITIVE),
    "additive_two_stage": (additive, published.ADDITIVE),
    "bottleneck": (bottleneck, published.BOTTLENECK),
}
DATASET = "DG"


def law_settings(law, refits, seed, starts="small"):
    """Return the settings of a fit."""
    return settings.LawFit(
        law=law, observations="final", min_train_fraction=0.5, huber_delta=1e-3, refits=refits, level=0.9, budgets=2,
        extrapolate=1.0, seed=seed, small_on_large=None, starts=starts,
        two_stage={"base": "DG", "quality": ["EDM-7", "EDM-10", "EDM-20"]},
    )  # fmt: skip


def fitted(law, noise, refits, seed):
    """Return the summary of the law fitted to one simulated study."""
    module, truth = TRUTH[law]
    seen = simulated.observations(module, truth, noise, np.random.default_rng([seed, 1]))
    if law == "additive_two_stage":
        from robustlaws.laws import two_stage

        return two_stage.fit_observations(seen, law_settings(law, refits, seed)).summary
    return one_stage.fit(registry.load(law, FORMS), seen, law_settings(law, refits, seed)).summary


def true_values(law):
    """Return {name: value} of the parameters, a, and the loss at infinite compute."""
    module, truth = TRUTH[law]
    flops = simulated.FLOPS
    _, params, images, _ = simulated.grid()
    middle = flops * np.sqrt((params * images).min() * (params * images).max())
    fid = simulated.FIDS[DATASET]
    a = module.exponents(truth)[0] if module is additive else module.exponents(truth, middle, fid, flops)[0]
    return truth | {"a": float(a), "limit": float(module.asymptote(truth, fid))}


def entries(summary):
    """Return {name: entry} for the names of :func:`true_values`."""
    own = next(item for item in summary["datasets"] if item["dataset"] == DATASET)
    return summary["parameters"] | {"a": own["exponents"]["N_star"], "limit": own["asymptote"]}


def study(law, noise, refits, seed):
    """Return {name: (interval holds the truth, its width over the truth)} of one simulated study."""
    result, truth = entries(fitted(law, noise, refits, seed)), true_values(law)
    return {
        name: (
            result[name]["low"] <= value <= result[name]["high"],
            (result[name]["high"] - result[name]["low"]) / abs(value),
        )
        for name, value in truth.items()
    }


def main():
    parser = argparse.ArgumentParser(description="Coverage of the intervals of the laws.")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--refits", type=int, default=200)
    parser.add_argument("--noise", type=float, default=0.003, help="of each loss, relative")
    parser.add_argument("--workers", type=int, default=None)
    arguments = parser.parse_args()
    print(f"{processor()}, numpy {version('numpy')}, Python {platform.python_version()};", end=" ")
    print(f"{arguments.studies} studies of {len(simulated.grid()[0])} runs,", end=" ")
    print(f"noise {100 * arguments.noise:.2g}%, {arguments.refits} refits\n")
    with ProcessPoolExecutor(arguments.workers) as pool:
        for law in [name for name in LAWS if name in TRUTH]:
            exact = entries(fitted(law, 0.0, 0, 1))
            off = max(abs(exact[name]["value"] / value - 1) for name, value in true_values(law).items())
            work = functools.partial(study, law, arguments.noise, arguments.refits)
            result = list(pool.map(work, range(1, arguments.studies + 1)))
            print(f"{law}: without noise, every number is within {off:.1e} of the truth\n")
            print(f"| {law} | truth | held by the 90% interval | median width |\n|---|---|---|---|")
            for name, value in true_values(law).items():
                kept = np.mean([item[name][0] for item in result])
                width = np.median([item[name][1] for item in result])
                print(f"| {name} | {value:.4g} | {100 * kept:.1f}% | {100 * width:.2g}% |")
            print()


if __name__ == "__main__":
    main()
