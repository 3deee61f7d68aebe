"""A study as an RO-Crate: its files, the jobs that made them and what they ran, as JSON-LD.

Each job is an action whose instrument is its rule, in a revision and with its software. Each rule is a step of the
workflow, whose run is an action too.

Source: RO-Crate 1.1; Process, Workflow and Provenance Run Crate 0.5; Workflow RO-Crate 1.0.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from robustlaws.data import download

_VERSION = "1.1"  # the one that the profiles extend
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_FORMATS = {
    ".csv": "text/csv",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}
_DESCRIPTION = "A study of scaling laws of adversarial robustness."
_UNSTATED = "Not stated: the config of the study names no licence (crate.license)."


@dataclass(frozen=True)
class Job:
    """One job: `facts` are its provenance (see `provenance.read`), `files` the :class:`origins.Origin` that it made."""

    facts: dict
    files: list

    @property
    def rule(self):
        """Name of its rule."""
        return self.facts["rule"]

    @property
    def id(self):
        """Its name in the crate."""
        return quote("#" + "/".join([self.rule, *map(str, self.facts["wildcards"].values())]), safe="#/")

    @property
    def name(self):
        """Its name for a reader."""
        return " ".join([self.rule, *(f"{name}={value}" for name, value in self.facts["wildcards"].items())])

    @property
    def end(self):
        """When the last of its files was finished."""
        return max(origin.job["end"] for origin in self.files)

    @property
    def tool(self):
        """The instrument of the job: equal for jobs that ran the same."""
        names = ("rule", "revision", "commit")
        return (*(self.facts[name] or "" for name in names), json.dumps(self.facts["versions"], sort_keys=True))


def jobs_of(origins):
    """Return the :class:`Job` behind each file with provenance, by name."""
    files_of = defaultdict(list)
    for origin in origins:
        if origin.job:
            files_of[origin.job["rule"], tuple(origin.job["wildcards"].items())].append(origin)
    return [Job(files[0].job, files) for _, files in sorted(files_of.items())]


def describe(origins, *, folder, conclusions, beside, announced, workflow, config, settings):
    """Return the metadata of the RO-Crate that the folder of a study is.

    Parameters
    ----------
    origins : list of origins.Origin
        Files that say where they come from.
    folder : path
        Of the study, as its jobs named it.
    conclusions : list of str
        Those of the files that a reader of the study is after.
    beside : list of origins.Origin
        Further files; what has the name of one of `origins` but for its ending was made by the same job.
    announced : list of str
        Files that will be there.
    workflow, config : origins.Origin
        The Snakefile and the config.
    settings : settings.Crate

    Returns
    -------
    dict
        JSON-LD, `@context` and `@graph`; the same for the same input, in whatever order.
    """
    origins, beside = (sorted(some, key=lambda origin: origin.file) for some in (origins, beside))
    jobs = jobs_of(origins)
    graph = _Graph(folder)
    _say_what_it_is(graph, settings, jobs)
    snakefile = _add_workflow(graph, workflow, jobs)
    for origin in sorted([*origins, *beside, config], key=lambda origin: origin.file):
        graph.file(origin)
    later = [graph.crate.add_file(dest_path=name, properties=_format(name)) for name in announced]
    tools = _add_tools(graph, jobs)
    snakefile["hasPart"] = list(tools.values())
    alike = {origin.file.rpartition(".")[0]: job.id for job in jobs for origin in job.files}
    made = defaultdict(list)
    for origin in beside:
        made[alike.get(origin.file.rpartition(".")[0])].append(graph.at(origin.file))
    actions = [_add_job(graph, job, tools[job.tool], made[job.id]) for job in jobs]
    results = [graph.at(name) for name in sorted(conclusions)] + [graph.at(origin.file) for origin in beside] + later
    run = _add_run(graph, jobs, snakefile, [graph.at(config.file), *graph.external], results)
    _add_steps(graph, jobs, tools, actions, snakefile, run)
    graph.crate.root_dataset["mentions"] = [run, *actions]
    return graph.crate.metadata.generate()


class _Graph:
    """A crate that is being filled."""

    def __init__(self, folder):
        self.folder, self._read = Path(folder), {}
        self.crate = ROCrate(version=_VERSION)
        self.crate.metadata.extra_contexts.append(_TERMS)

    def add(self, identifier, kind, **properties):
        """Add something that is no file, unless it is there; return it."""
        entity = self.crate.get(identifier)
        if entity is not None:
            return entity
        given = {name: _single(value) for name, value in properties.items() if value not in (None, "", [])}
        return self.crate.add(ContextEntity(self.crate, identifier, {"@type": kind} | given))

    def file(self, origin):
        """Add a file of the study."""
        about = {"contentSize": str(origin.bytes)} | ({"sha256": origin.sha256} if origin.sha256 else {})
        if origin.job:
            about["dateModified"] = origin.job["end"]
        return self.crate.add_file(dest_path=origin.file, properties=about | _format(origin.file))

    def at(self, name):
        """Return the file of that name within the study, or None."""
        return self.crate.get(quote(name))

    def read(self, path):
        """Return the inputs of a job: files of the study or from elsewhere."""
        if path not in self._read:
            within = Path(path).is_relative_to(self.folder)
            own = self.at(Path(path).relative_to(self.folder).as_posix()) if within else None
            self._read[path] = self._elsewhere(path) if own is None else own
        return self._read[path]

    def _elsewhere(self, path):
        published = download.PUBLISHED.get(Path(path).name)
        about = {"description": "Not in this crate.", "url": published.url if published else None}
        return self.add("#" + quote(path), "CreativeWork", name=path, **about)

    @property
    def external(self):
        """Inputs of jobs from outside the study."""
        return [entity for entity in self._read.values() if entity.id.startswith("#")]


def _single(value):
    # RO-Crate's way of JSON-LD
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _format(name):
    return {"encodingFormat": _FORMATS.get(Path(name).suffix, "text/plain")}


def _say_what_it_is(graph, settings, jobs):
    """Say of the whole what the profiles and RO-Crate ask for."""
    root = graph.crate.root_dataset
    root["name"], root["description"] = settings.name, settings.description or _DESCRIPTION
    if jobs:  # the clock would make each crate another one
        root["datePublished"] = max(job.end for job in jobs)
    root["conformsTo"] = [
        graph.add(address, "CreativeWork", name=name, version=version) for address, (name, version) in _PROFILES.items()
    ]
    terms = settings.license or _UNSTATED
    root["license"] = graph.add(terms, "CreativeWork", name=terms) if _is_address(terms) else terms
    people = [
        graph.add(person.get("orcid") or "#" + quote(person["name"]), "Person", name=person["name"])
        for person in settings.authors
    ]
    if people:
        root["author"] = _single(people)


def _is_address(terms):
    return terms.startswith(("http://", "https://"))  # not "CC-BY-4.0: see LICENSE"


def _add_workflow(graph, workflow, jobs):
    last = max(jobs, key=lambda job: job.end).facts if jobs else {"versions": {}, "commit": None}
    about = {"name": "robustlaws", "contentSize": str(workflow.bytes), "sha256": workflow.sha256}
    about |= {"version": last["versions"].get("robustlaws"), "description": _of_commit(last["commit"])}
    about = {name: value for name, value in about.items() if value} | _format(workflow.file)
    return graph.crate.add_workflow(
        dest_path=workflow.file,
        properties={"@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]} | about,
        main=True,
        lang="snakemake",
        lang_version=last["versions"].get("snakemake"),
    )


def _of_commit(commit):
    return f"commit {commit}" if commit else None


def _add_tools(graph, jobs):
    """Add the rules as they were run; return {Job.tool: rule}."""
    entities, alike = {}, Counter()
    for tool in sorted({job.tool for job in jobs}):
        rule, revision, commit, versions = tool
        software = [
            graph.add(f"#{quote(name)}-{quote(version)}", "SoftwareApplication", name=name, softwareVersion=version)
            for name, version in sorted(json.loads(versions).items())
        ]
        name = quote(f"#rule-{rule}-{revision}", safe="#")
        alike[name] += 1  # of another commit, or with other software
        entities[tool] = graph.add(
            name if alike[name] == 1 else f"{name}-{alike[name]}",
            "SoftwareApplication",
            name=f"rule {rule}",
            softwareVersion=revision,
            description=_of_commit(commit),
            softwareRequirements=software,
        )
    return entities


def _add_job(graph, job, tool, beside):
    return graph.add(
        job.id,
        "CreateAction",
        name=job.name,
        description=_description(job.facts),
        instrument=tool,
        startTime=job.facts["start"],
        endTime=job.end,
        object=[graph.read(path) for path in dict.fromkeys(job.facts["inputs"])],
        result=[graph.at(origin.file) for origin in job.files] + beside,
    )


def _description(facts):
    """Return a job's seeds, threads, machine and starts, in words."""
    hardware, scheduler = facts["hardware"], facts["scheduler"]
    seeds = ", ".join(f"{name} {value}" for name, value in facts["seeds"].items())
    machine = [f"{hardware['cores']} cores", f"{hardware['memory_gb']:.0f} GB", *(hardware["gpus"] or ["no GPU"])]
    lines = [f"seeds: {seeds}" if seeds else "", f"threads: {facts['threads']}"]
    lines += [f"processor: {hardware['processor']} ({', '.join(machine)})"]
    lines += [f"{scheduler['name']} job: {scheduler['job']}" if scheduler else ""]
    lines += [f"went on with work begun: {time}" for time in facts["earlier_starts"]]
    return "; ".join(filter(None, lines))


def _add_run(graph, jobs, snakefile, read, results):
    times = {}
    if jobs:
        times["startTime"] = min(job.facts["start"] for job in jobs)
        times["endTime"] = max(job.end for job in jobs)
    about = {"name": "the study", "description": f"jobs: {len(jobs)}", "instrument": snakefile}
    return graph.add("#run", "CreateAction", **about, object=read, result=results, **times)


def _add_steps(graph, jobs, tools, actions, snakefile, run):
    """Add the rules as steps, and what Snakemake did: it ran each step, and so the workflow."""
    steps, controls = [], []
    for rule in dict.fromkeys(job.rule for job in jobs):
        used = [tools[tool] for tool in sorted({job.tool for job in jobs if job.rule == rule})]
        step = graph.add(f"#step-{rule}", "HowToStep", name=rule, workExample=used)
        done = [action for job, action in zip(jobs, actions, strict=True) if job.rule == rule]
        name = f"jobs of {rule}"
        controls.append(graph.add(f"#control-{rule}", "ControlAction", name=name, instrument=step, object=done))
        steps.append(step)
    snakefile["step"] = steps
    language = snakefile["programmingLanguage"]
    engine = graph.add("#snakemake", "SoftwareApplication", name="Snakemake", softwareVersion=language.get("version"))
    graph.add("#snakemake-run", "OrganizeAction", name="Snakemake", instrument=engine, object=controls, result=run)
