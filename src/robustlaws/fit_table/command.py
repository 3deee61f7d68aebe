"""The command `robustlaws fit`."""

import argparse
import math
from dataclasses import replace

from robustlaws.fit_table import columns

_RULE = ("params_below", "images_above", "fid_below")  # of settings.LawFit.small_on_large

_FEWEST_REFITS = 20


def command(parser):
    """Give `parser` the arguments of `robustlaws fit`; return what carries it out."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(
        [
            "columns of TABLE (one row a run; our own runs.parquet will do; other columns are passed over):",
            *columns.explained(columns.RUNS),
            "",
            "columns of --curves FILE (one row a measurement while training; our own curves.parquet will do):",
            *columns.explained(columns.CURVES),
        ]
    )
    parser.add_argument("table", nargs="?", metavar="TABLE", help="finished runs, .csv or .parquet")
    parser.add_argument("--published", action="store_true", help="fit the runs of the published study instead")
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="where to: a new folder, or that of an older fit"
    )
    parser.add_argument("--curves", metavar="FILE", help="learning curves of the runs, .csv or .parquet")
    parser.add_argument("--laws", metavar="LAW,...", help="laws to fit (default: all that the runs allow)")
    parser.add_argument("--refits", type=int, metavar="N", help="refits behind each interval (default: 200)")
    parser.add_argument("--level", type=float, metavar="P", help="coverage of the intervals (default: 0.9)")
    parser.add_argument("--human", type=float, metavar="ACCURACY", help="accuracy of humans under attack, 0 to 1")
    parser.add_argument("--base", metavar="DATASET", help="dataset of the first stage of additive_two_stage")
    parser.add_argument("--quality", metavar="DATASET,...", help="datasets of its second stage")
    parser.add_argument(
        "--small-on-large",
        nargs="?",
        const=True,
        metavar="N,D,FID",
        help="leave out runs below N parameters on more than D images below FID, as the paper does "
        "(without numbers: 1e8,1e7,10; with --published always)",
    )
    parser.add_argument(
        "--recipe", choices=("converged", "published"), help="how laws are minimised (default: converged)"
    )
    parser.add_argument("--starts", choices=("small", "grid"), help="starts of a fit: some 100, or the paper's grids")
    parser.add_argument("--seed", type=int, metavar="N", help="of the refits (default: 1)")
    parser.add_argument(
        "--flops-per-parameter-image",
        type=float,
        metavar="K",
        help="FLOPs are K N D where TABLE has none (7822: WideResNets, 32 x 32 pixels, 10-step attack)",
    )
    return _run


def _run(arguments):
    # late, so that --help does not wait for pandas and matplotlib
    from robustlaws.fit_table import pipeline, terminal_summary

    choices = _choices(arguments, pipeline)
    if arguments.published:
        pipeline.fit_published(arguments.out, choices)
    else:
        pipeline.fit(arguments.table, arguments.out, choices, arguments.curves, arguments.flops_per_parameter_image)
    print(terminal_summary.text(arguments.out))
    return 0


def _choices(given, pipeline):
    """Return the choices of a command line; ValueError for what cannot be."""
    if given.published == (given.table is not None):
        raise ValueError("give either a TABLE of runs or --published")
    if given.published and (given.curves or given.flops_per_parameter_image is not None):
        raise ValueError(
            "--published brings its own runs: neither --curves nor --flops-per-parameter-image goes with it"
        )
    if (given.base is None) != (given.quality is None):
        raise ValueError("--base and --quality belong together: the datasets of the two stages")
    _within("--level", given.level, 0, 1)
    _within("--human", given.human, 0, 1)
    _within("--flops-per-parameter-image", given.flops_per_parameter_image, 0, math.inf)
    chosen = {name: getattr(given, name) for name in ("refits", "level", "starts", "recipe", "seed")}
    chosen |= {"human_accuracy": given.human, "small_on_large": _rule(given.small_on_large)}
    if given.laws is not None:
        chosen["laws"] = _listed("--laws", given.laws)
    if given.base is not None:
        chosen["two_stage"] = {"base": given.base, "quality": list(_listed("--quality", given.quality))}
    base = pipeline.PUBLISHED if given.published else pipeline.Choices()
    settings = replace(base, **{name: value for name, value in chosen.items() if value is not None})
    fewest = max(_FEWEST_REFITS, math.ceil(round(2 / (1 - settings.level), 6)))  # one at least beyond each end
    if settings.refits < fewest:
        raise ValueError(
            f"--refits {settings.refits}: too few for a level of {settings.level:g}; give {fewest} or more"
        )
    return settings


def _within(option, value, low, high):
    if value is not None and not low < value < high:
        raise ValueError(f"{option} {value:g}: give a number between {low:g} and {high:g}")


def _listed(option, text):
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ValueError(f"{option} {text!r}: give names, apart by commas")
    return names


def _rule(given):
    """Return `settings.LawFit.small_on_large` of what was given: None, True, or text with three numbers."""
    if given is None:
        return None
    if given is True:
        from robustlaws.laws.published import SMALL_ON_LARGE

        return SMALL_ON_LARGE
    try:
        numbers = [float(number) for number in given.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(_RULE) or not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ValueError(f"--small-on-large {given!r}: give three numbers N,D,FID, as 1e8,1e7,10, or none")
    return dict(zip(_RULE, numbers, strict=True))
