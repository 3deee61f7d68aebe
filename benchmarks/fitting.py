"""The converged fit side by side with the published recipe: objective, starts that agree, error of a, time.

    python benchmarks/fitting.py                 # 20 draws from 108 starts, one of all 3,125, 1,000 refits
    python benchmarks/fitting.py --draws 3 --grid small
    python benchmarks/fitting.py --alpha 0.4 --beta 0.17 --grid none   # a truth that no start lies beside

Every draw is the paper's grid of 8 models x 5 sizes on one dataset, with losses of the published constants and noise of
0.2 to 0.5%, each draw fitted from the same starts both ways: the SUM of Huber losses with exact gradients to
convergence, and the published recipe: the mean, SciPy's L-BFGS-B at its default tolerances, finite differences.
Objectives are the sum at both ends. The time of all starts is taken in one run, one after the other, one thread each.
"""

import argparse
import platform
import time
from importlib.metadata import version

import numpy as np
import simulated
from coverage import law_settings
from machine import processor

from robustlaws import settings
from robustlaws.laws import additive, published
from robustlaws.laws.fit import multistart, published_recipe

DATASET = "DG"
DELTA = 1e-3


def fitted(seen, recipe, starts):
    """Return the fit of five parameters from a grid of starts, its exponent a, and seconds."""
    form, how = additive.FORM, law_settings("additive", 20, 1)
    how = settings.LawFit(**settings.as_params(how) | {"recipe": recipe})
    problem = form.problem(seen.params, seen.images, seen.fid, seen.loss, quality=False)
    begin = time.perf_counter()
    fit = published_recipe.best(form, problem, form.grid(starts), seen, how, recipe)
    seconds = time.perf_counter() - begin
    logs = problem.logs(fit.theta[None])
    return fit, float(logs["beta"][0] / (logs["alpha"][0] + logs["beta"][0])), seconds


def truth(alpha, beta):
    """Return the published constants with other exponents, and terms of the same size in the middle of the grid."""
    _, params, images, _ = simulated.grid((DATASET,))
    known = published.ADDITIVE
    params, images = (float(np.exp(np.log(item).mean())) for item in (params, images))
    return known | {
        "A": known["A"] * params ** (alpha - known["alpha"]), "alpha": alpha,
        "B": known["B"] * images ** (beta - known["beta"]), "beta": beta,
    }  # fmt: skip


def draws(count, starts, known):
    """Print both recipes over simulated studies whose law has the parameters `known`."""
    true_a = float(additive.exponents(known)[0])
    heads = ("noise", "starts", "sum: converged", "published / converged", "agree: converged", "published",
             f"a - {true_a:.3f}: converged", "published", "gradient: converged", "published")  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    ratios, errors = [], {"converged": [], "published": []}
    for draw in range(count):
        noise = 0.002 + 0.003 * draw / max(1, count - 1)
        rng = np.random.default_rng([draw, 7])
        seen = simulated.observations(additive, known, noise, rng, datasets=(DATASET,))
        both = {recipe: fitted(seen, recipe, starts) for recipe in errors}
        (best, a, _), (other, b, _) = both["converged"], both["published"]
        ratios.append(other.objective / best.objective)
        errors["converged"].append(abs(a - true_a))
        errors["published"].append(abs(b - true_a))
        print(f"| {100 * noise:.2f}% | {best.starts} | {best.objective:.4e} | {ratios[-1]:.4f} | "
              f"{best.starts_agreeing} | {other.starts_agreeing} | {a - true_a:+.4f} | {b - true_a:+.4f} | "
              f"{best.gradient_norm:.0e} | {other.gradient_norm:.0e} |", flush=True)  # fmt: skip
    print(f"\npublished / converged objective: lowest {min(ratios):.6f}, median {np.median(ratios):.4f}, "
          f"highest {max(ratios):.4f}; median error of a: converged {np.median(errors['converged']):.4f}, "
          f"published {np.median(errors['published']):.4f}; largest {max(errors['converged']):.4f}, "
          f"{max(errors['published']):.4f}\n")  # fmt: skip


def compare_times(starts):
    """Print the time of all starts both ways on the same data, and that of bootstrap refits."""
    seen = simulated.observations(
        additive, published.ADDITIVE, 0.003, np.random.default_rng([0, 7]), datasets=(DATASET,)
    )
    times = {}
    for recipe in ("converged", "published"):
        fit, a, times[recipe] = fitted(seen, recipe, starts)
        told_of = f"{times[recipe]:.2f} s (a {a:.4f}, {fit.starts_agreeing} agree)"
        print(f"{fit.starts} starts, {len(seen)} runs: {recipe} {told_of}", flush=True)
    print(f"converged is {times['published'] / times['converged']:.0f} times faster\n")
    everything = simulated.observations(additive, published.ADDITIVE, 0.003, np.random.default_rng([0, 8]))
    for what, runs in (("one dataset, 5 parameters", seen), ("all datasets, 7 parameters", everything)):
        quality = runs is everything
        problem = additive.FORM.problem(runs.params, runs.images, runs.fid, runs.loss, quality=quality)
        best = multistart.multistart(problem, additive.FORM.starts(problem, "small"), DELTA)
        begin = time.perf_counter()
        _, converged = multistart.bootstrap(problem, best, 1000, DELTA, np.random.default_rng(1))
        print(f"1,000 bootstrap refits to {len(runs)} runs ({what}): {time.perf_counter() - begin:.1f} s on one core, "
              f"{int(converged.sum())} converged", flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description="The converged fit beside the published recipe.")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--grid", choices=["grid", "small", "none"], default="grid", help="starts that are timed")
    parser.add_argument("--alpha", type=float, default=published.ADDITIVE["alpha"], help="true exponent of N")
    parser.add_argument("--beta", type=float, default=published.ADDITIVE["beta"], help="true exponent of D")
    arguments = parser.parse_args()
    print(f"{processor()}, numpy {version('numpy')}, scipy {version('scipy')}, Python {platform.python_version()}\n")
    draws(arguments.draws, "small", truth(arguments.alpha, arguments.beta))
    if arguments.grid != "none":
        compare_times(arguments.grid)


if __name__ == "__main__":
    main()
