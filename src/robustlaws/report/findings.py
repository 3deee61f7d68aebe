"""The findings of a study as sentences computed from its tables."""

import math
from itertools import pairwise

import pandas as pd

from robustlaws.figures.drawing import inputs
from robustlaws.formatting import numbers
from robustlaws.report import approaches, tables


def summary(runs, attacks, laws, limits):
    """Return the head of the page.

    Parameters
    ----------
    runs, attacks : data frames as `tables.RUNS` and `tables.ATTACKS`
        `attacks` may be None.
    laws : list of dict
        Law files.
    limits : list of dict
        Rows of `tables.APPROACHES`; may be empty.

    Returns
    -------
    dict
        {"sentences", "laws", "exceptions", "fids"}: lists of sentences.
    """
    images_sentence, exceptions = more_images(runs)
    fid_sentence, fids = better_fid(runs)
    sentences = [what_was_run(runs), best_in_words(runs, attacks), images_sentence, fid_sentence]
    sentences.append(approaches.human_sentence(limits))
    return {
        "sentences": [sentence for sentence in sentences if sentence],
        "laws": [
            f"{exponent_text} {approaches.to_human_level(limits, law['law'])}".rstrip()
            for law, exponent_text in zip(laws, exponents(laws), strict=True)
        ],
        "exceptions": exceptions,
        "fids": fids,
    }


def best_run(runs):
    """Return the run with the highest adversarial accuracy (PGD), None where neither accuracy nor loss is known.

    Among equals, or where no accuracy is known, the lowest loss decides.
    """
    known = runs[runs["adv_acc"].notna() | runs["adv_loss"].notna()]
    return None if known.empty else tables.runs_by_robustness(known).iloc[0]


def comparable(runs):
    """Return the runs that differ in model, data and seed alone: trained by the study's recipe, their loss known."""
    return runs[runs["recipe"].isna() & runs["adv_loss"].notna()]


def what_was_run(runs):
    """Return one sentence on the number of runs and the grid that they fill.

    Parameters
    ----------
    runs : data frame as `tables.RUNS`
    """
    if runs.empty:
        return "No run has finished."
    own = runs[runs["recipe"].isna()]
    synthetic = own[own["real_fraction"] == 0]
    mixed, other = len(own) - len(synthetic), len(runs) - len(own)
    parts = []
    if len(synthetic):
        nouns = {"model": "model", "size": "dataset size", "dataset": "dataset", "seed": "seed"}
        counts = {name: synthetic[name].nunique() for name in nouns}
        shown = [numbers.plural(n, nouns[name]) for name, n in counts.items() if name != "seed" or n > 1]
        grid, filled_cells = math.prod(counts.values()), len(synthetic.drop_duplicates(list(nouns)))
        filled = "" if filled_cells == grid else f" ({filled_cells} of the grid's {grid} combinations)"
        parts.append(
            f"{numbers.plural(len(synthetic), 'run')} on purely synthetic data:"
            f" {f' {numbers.TIMES} '.join(shown)}{filled}"
        )
    if mixed:
        verb = "mixes" if mixed == 1 else "mix"
        parts.append(f"{numbers.plural(mixed, 'run')} that {verb} real images in")
    if other:
        parts.append(f"{numbers.plural(other, 'run')} trained by another recipe")
    spans = (
        f"N from {_span(runs['params'], numbers.count)} parameters,"
        f" D from {_span(runs['images'], numbers.count)} images, "
        f"{_span(runs['flops'], lambda value: numbers.scientific(value, 2))} training FLOPs"
    )
    return f"{'; '.join([*parts, spans])}."


def _span(values, text):
    low, high = text(values.min()), text(values.max())
    return low if low == high else f"{low} to {high}"


def best_in_words(runs, attacks):
    """Return one sentence on the best run, with what is known of its accuracies.

    Parameters
    ----------
    runs, attacks : data frames as `tables.RUNS` and `tables.ATTACKS`
        `attacks` may be None.
    """
    best = best_run(runs)
    if best is None:
        return ""
    recipe = f", recipe {best['recipe']}," if pd.notna(best["recipe"]) else ""
    accuracies = []
    if pd.notna(best["clean_acc"]):
        accuracies.append(f"{numbers.percent(best['clean_acc'])} clean")
    if pd.notna(best["adv_acc"]):
        images = ""
        if pd.notna(best["test_images"]):
            images = f" ({numbers.plural(int(best['test_images']), 'test image')})"
        accuracies.append(f"{numbers.percent(best['adv_acc'])} under PGD on the CW loss{images}")
    if pd.notna(best["autoattack_acc"]):
        accuracies.append(_autoattack(best, attacks))
    elif attacks is not None:
        accuracies.append("AutoAttack was not run on it")
    parts = [f"accuracy {', '.join(accuracies)}"] if accuracies else []
    parts += [f"adversarial loss {best['adv_loss']:.4f} nats"] if pd.notna(best["adv_loss"]) else []
    verdict = "The most robust run is" if pd.notna(best["adv_acc"]) else "The run with the lowest adversarial loss is"
    where = f"{best['model']}{recipe} on {best['dataset']} with {numbers.count(best['images'])} images"
    return f"{verdict} {where}: {'; '.join(parts)}."


def _autoattack(best, attacks):
    notes = []
    if pd.notna(best["autoattack_images"]):
        notes.append(numbers.plural(int(best["autoattack_images"]), "image"))
    if attacks is not None:
        for row in attacks[(attacks["victim"] == best["run"]) & (attacks["attack"] == "autoattack")].to_dict("records"):
            span = f"{numbers.percent(row['low'])} to {numbers.percent(row['high'])}"
            notes.append(f"{100 * row['level']:.3g}% interval {span}")
    known = f" ({'; '.join(notes)})" if notes else ""
    return f"{numbers.percent(best['autoattack_acc'])} under AutoAttack{known}"


def more_images(runs):
    """Return whether every larger dataset size lowered the adversarial loss, and each step that did not.

    Steps go from one size to the next larger one, within one model, dataset and seed. The losses are compared as
    measured, without allowance for noise.

    Returns
    -------
    sentence : str
    exceptions : list of str
        One a step that did not lower the loss, the largest rise first.
    """
    runs = comparable(runs)
    groups, exceptions, steps, failing = 0, [], 0, set()
    several = runs["seed"].nunique() > 1
    for key, group in runs.groupby(["model", "dataset", "seed"]):
        group = group.sort_values("size", kind="stable")
        if len(group) < 2:
            continue
        groups += 1
        steps += len(group) - 1
        ordered = group.to_dict("records")
        for small, large in pairwise(ordered):
            if large["adv_loss"] < small["adv_loss"]:
                continue
            failing.add(key)
            seed = f", seed {key[2]}" if several else ""
            text = (
                f"{key[0]} on {key[1]}{seed}:"
                f" from {numbers.count(small['size'])} to {numbers.count(large['size'])} images"
                f" the loss goes from {small['adv_loss']:.4f} to {large['adv_loss']:.4f}"
            )
            exceptions.append((small["adv_loss"] - large["adv_loss"], text))
    pair = "model, dataset and seed" if several else "model and dataset"
    if not groups:
        return f"Whether more images help cannot be said: no {pair} was trained at two sizes.", []
    if not exceptions:
        return (
            f"Each larger dataset size lowers the adversarial loss, for every {pair} "
            f"({groups} of {groups}; {numbers.plural(steps, 'step')})."
        ), []
    sentence = (
        "A larger dataset size does not always lower the adversarial loss: it does at every step for "
        f"{groups - len(failing)} of {groups} combinations of {pair}; "
        f"{len(exceptions)} of {numbers.plural(steps, 'step')} {'does' if len(exceptions) == 1 else 'do'} not."
    )
    return sentence, [text for _, text in sorted(exceptions)]


def better_fid(runs):
    """Return whether a better FID went with a lower adversarial loss at equal model, size and seed.

    Returns
    -------
    sentence : str
    details : list of str
        One for each two datasets next to each other in FID.
    """
    runs = comparable(runs)
    runs = runs[runs["fid"].notna() & (runs["real_fraction"] == 0)]
    order = list(inputs.fid_order(zip(runs["dataset"], runs["fid"], strict=True)).items())
    losses = runs.pivot_table(index=["model", "size", "seed"], columns="dataset", values="adv_loss")
    won = total = 0
    for i, (better, low) in enumerate(order):
        for worse, high in order[i + 1 :]:
            pairs = losses[[better, worse]].dropna()
            if low < high:
                won += int((pairs[better] < pairs[worse]).sum())
                total += len(pairs)
    if not total:
        return "Whether better FID helps cannot be said: no model and size was trained on datasets of two FIDs.", []
    verdict = {total: "always goes", 0: "never goes"}.get(won, "does not always go")
    sentence = (
        f"Better FID {verdict} with lower adversarial loss: in {won} of {total} comparisons of two datasets at equal "
        "model and size, the dataset with the better FID has the lower loss."
    )
    details = []
    for (better, low), (worse, high) in pairwise(order):
        pairs = losses[[better, worse]].dropna()
        if len(pairs) and low < high:
            gain = (pairs[worse] - pairs[better]).mean()
            details.append(
                f"{better} (FID {numbers.fid(low)}) has the lower loss than {worse} (FID {numbers.fid(high)}) in "
                f"{int((pairs[better] < pairs[worse]).sum())} of {len(pairs)}, by {gain:.4f} nats on average"
            )
    return sentence, details


def _spread(law, cell):
    # how little is known is a finding too; the estimate itself stays out
    if not cell or cell.get("low") is None or cell.get("high") is None:
        return ""
    level = (law.get("interval") or {}).get("level")
    share = f"the {100 * level:.3g}% interval" if level else "its interval"
    return f" ({share} goes from {numbers.number(cell['low'])} to {numbers.number(cell['high'])})"


def exponents(laws):
    """Return one sentence per law on the exponent of N* at the best FID that it was fitted to."""
    sentences = []
    for law in laws:
        order = inputs.fid_order(inputs.fids_of_laws([law]))
        best = next(iter(order), None)
        cell = (inputs.dataset_entry(law, best).get("exponents") or {}).get("N_star")
        where = f" on {inputs.labelled(best, order[best])}" if best is not None else ""
        if numbers.is_determined(cell):
            sentences.append(f"{inputs.title(law)}: N* grows as FLOPs to the power {numbers.interval(cell)}{where}.")
        else:
            why = (cell or {}).get("why") or "; ".join(law.get("warnings") or []) or "the law was not fitted"
            spread = _spread(law, cell)
            sentences.append(
                f"{inputs.title(law)}: the exponent of N*{where} is {numbers.NOT_DETERMINED}: {why}{spread}."
            )
    return sentences
