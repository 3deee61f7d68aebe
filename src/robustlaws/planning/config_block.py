"""The plan as a block of YAML for a study's config."""

import yaml


def block(proposal, next_runs, settings):
    """Return the block as text: models, images of datasets, blocks of the grid; only a comment where there is nothing.

    Parameters
    ----------
    proposal : planning.Proposal
    next_runs : next_run.NextRuns
    settings : settings.Plan
    """
    wanted = _wanted(proposal, next_runs, settings)
    models = {run.network.name: run.network for run, _, _ in wanted if not _known(run.network.name, settings.models)}
    lines = ["# Into the config of the study: add these models, raise these numbers of images, add these to the grid."]
    if not wanted:
        return "# The planner names no run for this study; its page says why.\n"
    if models:
        lines.append("models:")
        lines += [f"  {_name(name)}: {{depth: {n.depth}, width: {n.width}}}" for name, n in models.items()]
    images = _images(wanted, settings)
    if images:
        lines.append("datasets:")
        lines += [f"  {_name(name)}: {{images: {_number(count)}}}" for name, count in images.items()]
    lines.append("grid:")
    for run, dataset, why in wanted:
        where = f"models: [{_name(run.network.name)}], datasets: [{_name(dataset)}], sizes: [{_number(run.images)}]"
        lines.append(f"  - {{{where}}} # {why}")
    return "\n".join(lines) + "\n"


def _wanted(proposal, next_runs, settings):
    """Return [(candidate, dataset, why)]: the best network for the budget and the next run, where not done already."""
    wanted = []
    if proposal.networks and proposal.dataset is not None:
        wanted.append((proposal.networks[0].run, proposal.dataset, "the best network for the budget"))
    if next_runs.runs:
        best = next_runs.runs[0]
        wanted.append((best.run, best.dataset, f"the next run worth doing, for {next_runs.words}"))
    done, kept = {name.rsplit("/", 1)[0] for name in settings.runs}, {}
    for run, dataset, why in wanted:
        name = f"{run.network.name}/{dataset}/{run.images}"
        if name not in done:
            kept.setdefault(name, (run, dataset, why))
    return list(kept.values())


def _known(name, models):
    return any(model["name"] == name for model in models)


def _images(wanted, settings):
    """Return {dataset: images} of the datasets that must grow for the runs wanted."""
    there = {entry["name"]: entry["images"] for entry in settings.datasets}
    needed = {}
    for run, dataset, _ in wanted:
        needed[dataset] = max(needed.get(dataset, 0), run.synthetic_images)
    return {dataset: count for dataset, count in needed.items() if count > there.get(dataset, 0)}


def _number(count):
    return f"{count:_}" if count >= 100_000 else str(count)


def _name(name):
    """Return a name as YAML, quoted where it would be read as something else."""
    return name if yaml.safe_load(name) == name else f'"{name}"'
