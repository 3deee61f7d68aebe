"""Tables and sentences of the plan page."""

from functools import partial

from robustlaws.formatting import html_tables, numbers

_BEST_RUNS = 5


def hours(flops, speed):
    """Return the time that FLOPs take on one device, "" where no speed is known."""
    if speed is None:
        return ""
    return numbers.duration(flops / speed.value)


def place(proposal):
    """Return the dataset that is meant, in words."""
    if proposal.fid is None:
        return "images of no known FID"
    if proposal.dataset is None:
        return f"images of an imagined FID of {numbers.fid(proposal.fid)}"
    return f"images of {proposal.dataset} (FID {numbers.fid(proposal.fid)})"


def _flops(value):
    return numbers.scientific(value, 3)


def _open(entry, text):
    """Return an entry as a cell; an interval may have no upper end."""
    cell = html_tables.value(entry, text)
    if cell.known and entry["low"] is not None and entry["high"] is None:
        return html_tables.Cell(cell.text, f"[{text(entry['low'])}, no end]")
    if entry["value"] is None and entry["why"].startswith(("never", "no number")):
        return html_tables.Cell("never", why=entry["why"])
    return cell


# tables


def spent(proposal, speed, settings, title):
    """Return the table of what is planned for."""
    flops = proposal.budget.flops
    rows = []
    if settings.accuracy is not None:
        rows.append(("adversarial accuracy to reach", numbers.percent(settings.accuracy)))
        rows.append(("training FLOPs that takes", _open(proposal.budget.needed, _flops)))
    else:
        rows.append(("training FLOPs", "not known: " + proposal.budget.why if flops is None else _flops(flops)))
    if settings.gpu_hours is not None:
        rows.append(("time on one device", f"{settings.gpu_hours:,g} h"))
    elif flops is not None and speed is not None:
        rows.append(("time on one device", hours(flops, speed)))
    rows.append(("speed of a device", _speed(speed)))
    rows += [("trained on", place(proposal)), ("law", title)]
    made = [{"what": what, "value": content} for what, content in rows]
    return html_tables.table("What is planned for", made, texts=("what", "value"), notes=True)


def _speed(speed):
    if speed is None:
        return "not known: no run was timed, and no speed is given"
    if not speed.runs:
        return f"{_flops(speed.value)} training FLOPs a second, as given"
    spread = f"{_flops(speed.slowest)} to {_flops(speed.fastest)}" if speed.runs > 1 else "one run only"
    return f"{_flops(speed.value)} training FLOPs a second: median of the {speed.runs} larger runs ({spread})"


_OPTIMUM = (
    ("params", "model size N*", numbers.count),
    ("images", "training images D*", numbers.count),
    ("loss", "adversarial loss L*", numbers.number),
    ("accuracy", "adversarial accuracy", numbers.percent),
    ("N_star", "exponent of N*", numbers.number),
    ("D_star", "exponent of D*", numbers.number),
    ("asymptote", "loss with unlimited compute", numbers.number),
    ("accuracy_limit", "accuracy with unlimited compute", numbers.percent),
)


def optimum(proposal):
    """Return the table of the best split of the budget."""
    rows = [
        {"quantity": label, "value": html_tables.value(proposal.entries[name], text)}
        for name, label, text in _OPTIMUM
        if name in proposal.entries
    ]
    return html_tables.table("The best split of the budget", rows, texts=("quantity",), notes=True)


def approaches(proposal):
    """Return the table of all laws at the budget."""
    columns = {"params": "N*", "images": "D*", "loss": "L*", "accuracy": "accuracy", "N_star": "exponent of N*"}
    texts = {name: text for name, _, text in _OPTIMUM}
    rows = [
        {"law": approach.title}
        | {label: html_tables.value(approach.entries[name], texts[name]) for name, label in columns.items()}
        for approach in proposal.approaches
    ]
    return html_tables.table("The laws side by side", rows, texts=("law",), notes=True)


def region(proposal):
    """Return the compute-efficient region in a sentence."""
    known = [approach for approach in proposal.approaches if approach.entries["params"]["determined"]]
    if proposal.region is None:
        if not known:
            return "No law determines N* here."
        return f"Only one law determines N* here: {known[0].title}. A region would need two."
    low, high = (numbers.count(approach) for approach in proposal.region)
    return f"The compute-efficient region, between the laws that determine N*: {low} to {high} parameters."


def forecasts(networks):
    """Return the table of real networks and what they would reach."""
    rows = [
        {
            "network": network.run.network.name,
            "N": numbers.count(network.run.network.params),
            "D": numbers.count(network.run.images),
            "adversarial loss": html_tables.value(network.loss, partial(numbers.number, digits=4)),
            "adversarial accuracy": html_tables.value(network.accuracy, numbers.percent),
        }
        for network in networks
    ]
    return html_tables.table("Real networks for the budget", rows, texts=("network",), marked=1, notes=True)


def bills(networks, speed):
    """Return the table of what networks take to train."""
    rows = [
        {
            "network": network.run.network.name,
            "N": numbers.count(network.run.network.params),
            "forward FLOPs an image": _flops(network.run.network.forward_flops),
            "D": numbers.count(network.run.images),
            "batch": f"{network.run.batch:,}",
            "learning rate": f"{network.run.learning_rate:g}",
            "training FLOPs": _flops(network.run.flops),
            "time on one device": hours(network.run.flops, speed),
            "images to sample": numbers.count(network.to_sample) if network.to_sample else "none",
            "storage": numbers.size(network.stored),
        }
        for network in networks
    ]
    return html_tables.table("What they take", rows, texts=("network",))


def resized(sizes, settings):
    """Return the table of other sizes that reach the same loss."""
    head = f"smallest for {numbers.relative(settings.overhead)} more compute"
    rows = [
        {
            "model": head if model is sizes.smallest else model.name,
            "N": html_tables.value(model.params, numbers.count),
            "D at the same loss": _open(model.images, numbers.count),
            "compute beyond the budget": _open(model.overhead, numbers.relative),
        }
        for model in (sizes.smallest, *sizes.models)
    ]
    return html_tables.table("Other sizes at the same loss", rows, texts=("model",), notes=True)


def best_runs(runs):
    """Return the table of the study's most robust runs so far; None without any."""
    mine = runs[(runs["real_fraction"] == 0) & runs["recipe"].isna() & runs["adv_loss"].notna()]
    mine = mine.sort_values(["adv_loss", "run"], kind="stable").head(_BEST_RUNS)
    rows = [
        {
            "model": run["model"],
            "N": numbers.count(run["params"]),
            "dataset": run["dataset"],
            "D": numbers.count(run["images"]),
            "training FLOPs": _flops(run["flops"]),
            "adversarial loss": numbers.number(run["adv_loss"], 4),
            "adversarial accuracy": "" if run["adv_acc"] != run["adv_acc"] else numbers.percent(run["adv_acc"]),
        }
        for run in mine.to_dict("records")
    ]
    return html_tables.table("The study's best runs so far", rows, texts=("model", "dataset"), marked=1)


def next_runs(runs, speed):
    """Return the table of the runs worth doing."""
    unit = _unit(runs)
    rows = [
        {
            "network": next_run.run.network.name,
            "N": numbers.count(next_run.run.network.params),
            "dataset": f"{next_run.dataset} (FID {numbers.fid(next_run.fid)})",
            "D": numbers.count(next_run.run.images),
            "training FLOPs": _flops(next_run.run.flops),
            "time on one device": hours(next_run.run.flops, speed),
            "images to sample": numbers.count(next_run.to_sample) if next_run.to_sample else "none",
            "interval narrower by": html_tables.Cell(
                numbers.relative(next_run.reduction), badge="rough" if next_run.rough else ""
            ),
            f"by, for each {numbers.scientific(unit, 1)} FLOPs": numbers.relative(next_run.per_flop * unit),
        }
        for next_run in runs.runs
    ]
    return html_tables.table("Runs worth doing next", rows, texts=("network", "dataset"), marked=1)


def _unit(next_runs):
    """Return the power of ten of FLOPs for which the best run narrows the interval by 1% to 10%, nearly."""
    unit = 1.0
    while next_runs.runs and next_runs.runs[0].per_flop * unit < 0.01:
        unit *= 10
    return unit


# sentences


def interval(next_runs):
    """Return the present interval of the quantity in words."""
    text = numbers.count if next_runs.quantity == "params" else numbers.number
    ends = f"{text(next_runs.low)} to {text(next_runs.high)}"
    return f"{ends}, a factor {next_runs.high / next_runs.low:.3g}" if next_runs.by_factor else ends


def run_in_words(next_run, speed):
    """Return a run with its price in words."""
    time = hours(next_run.run.flops, speed)
    return (
        f"{next_run.run.network.name} on {numbers.count(next_run.run.images)} images of {next_run.dataset}"
        f" ({_flops(next_run.run.flops)} FLOPs{f', {time} on one device' if time else ''})"
    )


def summary(proposal, next_runs, speed, title):
    """Return the summary of the page, in a few sentences."""
    sentences, entries = [], proposal.entries
    if proposal.budget.flops is None:
        never = proposal.budget.why.removeprefix("never: ")
        what = "There is no budget to plan for" if never == proposal.budget.why else "No budget reaches the accuracy"
        sentences.append(f"{what}: {never}.")
        if proposal.why:
            sentences.append(f"Nor does the study determine N* ({title}: {proposal.why}).")
    elif proposal.why:
        sentences.append(
            f"The study does not determine how {_flops(proposal.budget.flops)} training FLOPs are best split between"
            f" model and images, so that no N* is given here ({title}: {proposal.why})."
        )
    else:
        params, images = (numbers.count(entries[name]["value"]) for name in ("params", "images"))
        sentences.append(
            f"{_flops(proposal.budget.flops)} training FLOPs on {place(proposal)} are best spent on a model of {params}"
            f" parameters, trained on {images} images."
        )
        sentences += _reaches(entries)
    if proposal.networks:
        best = proposal.networks[0]
        sentences.append(
            f"The best real network for it: {best.run.network.name}, on {numbers.count(best.run.images)} images."
        )
    elif proposal.sizes is not None:
        sentences.append("No WideResNet in shapes like the study's can be trained for so little.")
    if next_runs.runs:
        best = next_runs.runs[0]
        sentences.append(
            f"The next run worth doing is {run_in_words(best, speed)}: for its price it narrows the interval of"
            f" {next_runs.words} most, by {numbers.relative(best.reduction)}."
        )
    return sentences


def _reaches(entries):
    if not entries["loss"]["determined"]:
        return [f"What loss it would reach is not determined: {entries['loss']['why']}."]
    reached = f"It would reach an adversarial loss of {numbers.number(entries['loss']['value'])}"
    if entries["accuracy"]["determined"]:
        reached += f" and an adversarial accuracy of {numbers.percent(entries['accuracy']['value'])}"
    if entries["accuracy_limit"]["determined"]:
        return [f"{reached}; unlimited compute would reach {numbers.percent(entries['accuracy_limit']['value'])}."]
    return [reached + "."]


def why(proposal, law_summary):
    """Return in plain words why N* is not determined: a list of sentences."""
    sentences = [
        "A law is fitted again many times, each time to runs drawn anew from the study's own. Where these refits"
        " disagree too much, or end where the fit may go no further, the number is not known: another study of the"
        " same kind could well give another one.",
    ]
    lacking = [text for text in law_summary.get("warnings") or [] if "spans only" in text or "distinct" in text]
    others = [approach for approach in proposal.approaches if approach.entries["params"]["determined"]]
    if others:
        names = numbers.listed(
            [f"{approach.title} ({numbers.count(approach.entries['params']['value'])})" for approach in others]
        )
        sentences.append(f"N* is determined by {names}; plan.law: {others[0].law} plans with it.")
    if lacking:
        sentences.append(f"What the runs lack: {'; '.join(lacking)}. Runs further apart would help most.")
    return sentences


def largest(next_runs, speed):
    """Return in a sentence which run narrows the interval most whatever it costs; "" if it is the table's first."""
    if next_runs.largest is None or next_runs.largest == next_runs.runs[0]:
        return ""
    narrows = f"narrows it by {numbers.relative(next_runs.largest.reduction)}"
    return f"Whatever it costs: {run_in_words(next_runs.largest, speed)} {narrows}."


def caveats(next_runs):
    """Return the caveats of the runs worth doing: a list of sentences."""
    sentences = [
        "Outcomes are simulated from the refits, with the noise of the study's own runs"
        f" ({numbers.relative(next_runs.noise)} of the loss). Each refit is then weighted by the likelihood of the"
        " outcome. The mean over outcomes is shown.",
        "A refit leaves out a third of the runs, the new one too: the interval of the next fit narrows somewhat less.",
        f"{next_runs.considered:,} runs were looked at; a run is named only if it does better than chance"
        f" ({numbers.relative(next_runs.chance)}).",
    ]
    if any(run.rough for run in next_runs.runs):
        sentences.append(
            "Rough: so few refits agree with an outcome that the noise was raised to keep enough; the run may say more."
            " More refits (laws.refits) would tell."
        )
    return sentences
