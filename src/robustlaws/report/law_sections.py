"""Each fitted law in the report: numbers, quality of the fit, held-out predictions, convergence."""

from robustlaws.figures.drawing import inputs
from robustlaws.formatting import html_tables, numbers
from robustlaws.report import approaches

# Names on the page for the numbers of a law file; the others keep their own.
_CALLED = {"coefficient": "c", "exponent": "g"}


def stages(law):
    """Return the fits of a law, one a stage: [] where nothing was minimised, two for a law of two stages."""
    fit = law.get("fit") or {}
    return [stage for stage in fit["stages"] if stage] if "stages" in fit else [fit] if fit else []


def converged(law):
    """Return whether every stage of a law's fit converged; True where nothing was minimised."""
    return all(stage.get("converged") for stage in stages(law))


def unconverged(laws):
    """Return the names of the laws whose fit has not converged."""
    return [law["law"] for law in laws if not converged(law)]


def overview(laws):
    """Return the table of the laws' fits and their certainty, one row each; None without laws."""
    rows = []
    for law in laws:
        fits, unseen = stages(law), [errors for errors in (law.get("held_out") or {}).values() if errors]
        rows.append(
            {
                "law": inputs.title(law),
                "runs": f"{law.get('n_runs') or 0:,}",
                "R²": _r2(law),
                "R² on unseen datasets": _from_to([errors.get("r2") for errors in unseen], "{:.3f}".format),
                "typical error there": _from_to([errors.get("median_error") for errors in unseen], numbers.percent),
                "fit": html_tables.Cell("", badge=approaches.UNCONVERGED)
                if not converged(law)
                else "converged"
                if fits
                else "",
                "starts that agree": "; ".join(
                    f"{f.get('starts_agreeing', '?')} of {f['starts']}" for f in fits if f.get("starts") is not None
                ),
            }
        )
    return html_tables.table("How well the laws fit", rows, texts=("law", "fit"))


def _r2(law):
    if law.get("r2") is not None:
        return f"{law['r2']:.3f}"
    return _from_to((law.get("r2_by_dataset") or {}).values(), "{:.3f}".format)


def _from_to(values, text):
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = text(min(known)), text(max(known))
    return low if low == high else f"{low} to {high}"


def section(law):
    """Return the page's section of one law."""
    warnings = _gathered(law)
    says_so = any("converged" in warning for warning in warnings)
    if not converged(law) and not says_so:
        warnings.insert(0, "the fit has not converged: its numbers are not those of the best fit")
    parameters = [
        {"parameter": name, "value [interval]": _with_reason(entry)}
        for name, entry in (law.get("parameters") or {}).items()
    ]
    title = inputs.title(law)
    datasets = [_dataset(law, entry) for entry in law.get("datasets") or []]
    by_dataset = html_tables.table(f"{title} by dataset", datasets, texts=("dataset",), notes=True)
    return {
        "name": law["law"],
        "title": title,
        "form": law.get("form") or "",
        "converged": converged(law),
        "warnings": warnings,
        "parameters": html_tables.table(f"Parameters of {title}", parameters, texts=("parameter", "value [interval]")),
        "datasets": by_dataset,
        "many": len(datasets),
        # a law without numbers of its own is what it says of each dataset
        "open": not parameters,
        "notes": _notes(law),
    }


def _gathered(law):
    """Return a law's warnings; what holds for several datasets is said once."""
    datasets = {entry["dataset"] for entry in law.get("datasets") or []}
    heads = {}
    for warning in law.get("warnings") or []:
        head, _, rest = warning.partition(": ")
        of_dataset = head in datasets and rest
        heads.setdefault(rest if of_dataset else warning, []).extend([head] if of_dataset else [])
    return [f"{text} ({numbers.listed(names)})" if names else text for text, names in heads.items()]


def _with_reason(entry):
    cell = html_tables.value(entry)
    return cell if not cell.why else html_tables.Cell(f"{cell.text}: {cell.why}", known=cell.known)


def _dataset(law, entry):
    entries = dict(entry.get("parameters") or {})
    entries = {_CALLED.get(name, name): cell for name, cell in entries.items()}
    exponents = entry.get("exponents") or {}
    entries |= {label: exponents[name] for name, label in approaches.EXPONENTS.items() if name in exponents}
    if entry.get("asymptote") is not None:
        entries["loss at infinite compute"] = entry["asymptote"]
    r2 = (law.get("r2_by_dataset") or {}).get(entry["dataset"])
    unseen = (law.get("held_out") or {}).get(entry["dataset"]) or {}
    return {
        "dataset": inputs.labelled(entry["dataset"], entry.get("fid")),
        **{name: html_tables.value(cell) for name, cell in entries.items()},
        "R²": "" if r2 is None else f"{r2:.3f}",
        "R² unseen": "" if unseen.get("r2") is None else f"{unseen['r2']:.3f}",
        "error unseen": "" if unseen.get("median_error") is None else numbers.percent(unseen["median_error"]),
    }


def _notes(law):
    """Return the text below a law's tables: its observations, and the quality of the fit."""
    notes = [f"Fitted to {numbers.plural(law.get('n_runs') or 0, 'run')}{left_out(law)}."]
    interval = law.get("interval")
    if interval and interval["refits"]:
        notes.append(f"{100 * interval['level']:.3g}% intervals by {interval['method']}, {interval['refits']} refits.")
    fits = stages(law)
    for index, fit in enumerate(fits):
        name = f"stage {index + 1}" if len(fits) > 1 else "fit"
        notes.append(f"{name.capitalize()}: {_fit(fit)}.")
    if law.get("flops_per_parameter_image"):
        notes.append(f"{numbers.number(law['flops_per_parameter_image'], 4)} training FLOPs per parameter and image.")
    return notes


def left_out(fitted):
    """Return the number of runs that a fit excludes, and why, after the number of those that it uses."""
    return "".join(f"; {count:,} left out: {why}" for why, count in (fitted.get("n_runs_left_out") or {}).items())


def _fit(fit):
    parts = ["converged" if fit.get("converged") else approaches.UNCONVERGED]
    for key, label in (("objective", "objective"), ("gradient_norm", "gradient norm")):
        if fit.get(key) is not None:
            parts.append(f"{label} {numbers.scientific(fit[key])}")
    if fit.get("starts") is not None:
        parts.append(f"{fit.get('starts_agreeing', '?')} of {fit['starts']} starts agree")
    if fit.get("hessian_condition") is not None:
        parts.append(f"condition of the Hessian {numbers.scientific(fit['hessian_condition'], 2)}")
    return ", ".join(parts)


def line(accuracy):
    """Return the line from loss to accuracy for the page; None where no accuracy was measured.

    Parameters
    ----------
    accuracy : dict or None
        As `laws.accuracy.fit` gives it.
    """
    if not accuracy or not accuracy.get("n_runs"):
        return None
    rows = [
        {"parameter": name, "value [interval]": _with_reason(accuracy.get(name))} for name in ("intercept", "slope")
    ]
    r2 = "" if accuracy.get("r2") is None else f"R² {accuracy['r2']:.3f}, "
    source = f"; {accuracy['source']}" if accuracy.get("source") else ""
    return {
        "table": html_tables.table("Line from loss to accuracy", rows, texts=("parameter", "value [interval]")),
        "note": f"{r2}{numbers.plural(accuracy['n_runs'], 'run')}{left_out(accuracy)}{source}.",
    }
