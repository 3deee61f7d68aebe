"""The provenance record of a job's files: settings, code, machine, time.

:func:`robustlaws.runtime.job_facts.of_job` notes what there is to know of a Snakemake job; whoever writes an HDF5,
Parquet, safetensors or JSON file asks :func:`current` for it and puts it into the file
(:mod:`robustlaws.storage.embedded`). Outside a job there is nothing to note. No number of a result depends on any of
it. Imports no torch.
"""

import os
import platform
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from robustlaws import __version__
from robustlaws.storage.embedded import FORMAT, content_digest, read

__all__ = ["FORMAT", "content_digest", "current", "go_on_from", "job", "now", "of", "read", "seeds", "starts"]

_job: ContextVar[dict[str, Any] | None] = ContextVar("the job at work", default=None)


@contextmanager
def of(job_facts: dict[str, Any] | None) -> Iterator[None]:
    """Let files written in the block carry the provenance of a job as :func:`job` gives it; None for none."""
    token = _job.set(job_facts)
    try:
        yield
    finally:
        _job.reset(token)


def job() -> dict[str, Any] | None:
    """Return the facts of the current job (JSON values), for another process that writes its files; or None."""
    return _job.get()


def current(path: Path | str) -> dict[str, Any] | None:
    """Return the provenance of a file that is about to be written to `path`, as JSON values; None outside a job.

    Returns
    -------
    dict or None
        `format`; `study`, `rule`, `wildcards`; `output`: the file, or the folder that it is in, as Snakemake names it,
        None if the rule does not declare it; `inputs`: likewise; `revision` of the code; `settings` of the job;
        `seeds`: {dotted name in the settings: seed}; `config` of the whole study; `commit` of the workflow, with
        "+changes" where its code was changed, None where that is not known; `versions`: {package: version};
        `hardware`: `processor`, `cores`, `memory_gb` (10^9 bytes) of the machine and `gpus` in use; `threads` given to
        the job; `scheduler`: its `name` and `job`, or None; `earlier_starts`: when jobs began whose unfinished work
        this one went on with; `start`, `end`: when the job began and the file was written (ISO 8601, UTC).
    """
    job_facts = _job.get()
    if job_facts is None:
        return None
    kept = {name: job_facts[name] for name in ("study", "rule", "wildcards")}
    kept |= {"output": _declared(path, job_facts["outputs"])}
    kept |= {name: job_facts[name] for name in ("inputs", "revision", "settings")}
    kept |= {"seeds": seeds(job_facts["settings"])}
    kept |= {name: job_facts[name] for name in ("config", "commit")}
    kept |= {"versions": _versions(), "hardware": _machine() | {"gpus": _gpus(job_facts["gpus"])}}
    kept |= {name: job_facts[name] for name in ("threads", "scheduler", "earlier_starts", "start")}
    return {"format": FORMAT, **kept, "end": now()}


def seeds(settings: Any, where: str = "") -> dict[str, int]:
    """Return {dotted name: seed} of everything called `seed`, or something ending in `_seed`, in nested settings."""
    items = enumerate(settings) if isinstance(settings, (list, tuple)) else settings.items()
    seeds_of: dict[str, int] = {}
    for name, value in items:
        name = str(name)
        if isinstance(value, (dict, list, tuple)):
            seeds_of |= seeds(value, f"{where}{name}.")
        elif (name == "seed" or name.endswith("_seed")) and value is not None:
            seeds_of[f"{where}{name}"] = value
    return seeds_of


def starts() -> list[str]:
    """Return the start times of the current job and of those whose work it continues; [] outside a job.

    Unfinished work keeps it, for the job that ends it.
    """
    job_facts = _job.get()
    return [*job_facts["earlier_starts"], job_facts["start"]] if job_facts else []


def go_on_from(earlier: Iterable[str]) -> None:
    """Note that the job at work goes on with unfinished work, which kept `earlier` of :func:`starts`."""
    job_facts = _job.get()
    if job_facts is not None:
        job_facts["earlier_starts"] = sorted({*job_facts["earlier_starts"], *earlier} - {job_facts["start"]})


def _declared(path, outputs):
    """Return which of the outputs of a job `path` is, or is in; None for none."""
    path = Path(path).absolute()
    for output in outputs:
        if Path(output).absolute() in (path, *path.parents):
            return output
    return None


@lru_cache
def _versions():
    """Return versions: Python's, ours, and of the packages we ask for those that are installed here."""
    own, wanted = _ours()
    versions = {"python": platform.python_version(), "robustlaws": own}
    for text in wanted:
        name = re.match(r"[\w.-]+", text)[0]
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an environment holds what its rules use
    return versions


def _ours():
    """Return our version and requirements: those of the source, if that is what runs, or as installed."""
    source = Path(__file__).parents[3] / "pyproject.toml"
    if source.is_file():  # need not be installed, and may be newer than when it was
        project = tomllib.loads(source.read_text(encoding="utf-8"))["project"]
        return project["version"], project["dependencies"]
    try:
        wanted = metadata.requires("robustlaws") or []
    except metadata.PackageNotFoundError:  # a copy of the source alone, in an environment
        wanted = []
    return __version__, [text for text in wanted if "extra ==" not in text]


@lru_cache
def _machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"processor": _processor(), "cores": os.cpu_count(), "memory_gb": round(memory / 1e9, 1)}


def _processor():
    try:
        about = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        about = ""
    named = re.search(r"^model name\s*:\s*(.+)$", about, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def _gpus(count):
    """Return the names of the `count` GPUs in use, if this process has begun to use any: its own, then the first."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    own = torch.cuda.current_device()
    others = [index for index in range(torch.cuda.device_count()) if index != own]
    return [torch.cuda.get_device_name(index) for index in [own, *others][:count]]


def now() -> str:
    """Return the time as ISO 8601 text, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
