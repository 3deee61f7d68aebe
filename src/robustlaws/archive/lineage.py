"""The provenance of a study: the records in its files, collected in one table and one RO-Crate."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import h5py
import yaml

from robustlaws.archive import ro_crate
from robustlaws.runtime.logger import log
from robustlaws.storage import embedded, provenance, tables
from robustlaws.storage.atomic import digest, write_text

# Larger files are not read again to be hashed: a study may have terabytes of images and hundreds of large networks.
_HASHED_BYTES = 16 * 2**20
_AT_ONCE = 16  # files that are looked at: on the disks of a cluster each waits for the network


@dataclass(frozen=True)
class Origin:
    """One file of a study and the job that made it.

    Attributes
    ----------
    file : str
        Path within the folder of the study.
    bytes : int
    sha256 : str or None
        Of the whole file (hex); None where it is too large to be read again.
    content : str or None
        SHA-256 (hex) of what it holds, whoever made it when; of a shard, of its images and labels.
    job : dict or None
        What `provenance.read` gives, without the config; None where the file says nothing.
    """

    file: str
    bytes: int
    sha256: str | None = None
    content: str | None = None
    job: dict | None = None


def collect(
    *, concluded, drawn, table_path, crate_path, workflow_path, config_path, snakefile, report, config, settings
):
    """Write the table of origins, and describe the study's folder as an RO-Crate; none of its files is moved.

    Parameters
    ----------
    concluded : list of path
        What the study comes to: files that say where they come from, and folders of such. What led there is found by
        what they say.
    drawn : list of path
        Files that cannot say it.
    table_path : path
        Table `tables.PROVENANCE`.
    crate_path : path
        `ro-crate-metadata.json`, in the folder of the study.
    workflow_path, config_path : paths
        Where the Snakefile and the config are copied to: a crate holds the workflow that was run.
    snakefile : path
    report : path
        The page that will be written later and belongs to the study too.
    config : dict
        As the workflow has it.
    settings : settings.Crate

    Raises
    ------
    ValueError
        If a file cannot be read, or lies outside of the study's folder.
    """
    folder, concluded = Path(crate_path).parent, _spread(concluded)
    origins = gather(concluded, folder)
    silent = [origin.file for origin in origins if origin.job is None]
    log.info("%d files, %d of which do not say where they come from: %s", len(origins), len(silent), silent[:3])
    tables.write(table_path, rows(origins), tables.PROVENANCE)
    write_text(workflow_path, Path(snakefile).read_text(encoding="utf-8"))
    write_text(config_path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    document = ro_crate.describe(
        origins,
        folder=folder,
        conclusions=[inside(path, folder) for path in concluded],
        beside=[look(Path(path), folder) for path in [*drawn, table_path]],
        announced=[inside(report, folder)],
        workflow=look(Path(workflow_path), folder),
        config=look(Path(config_path), folder),
        settings=settings,
    )
    # JSON-LD has no room for the provenance that other JSON carries
    write_text(crate_path, json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def gather(paths, folder):
    """Return the :class:`Origin` of files and of all that led to them, by name.

    A file's lineage: the files its job read, the files their jobs read, and so on, and the other files that these jobs
    wrote.

    Parameters
    ----------
    paths : iterable of paths
    folder : path
        Of the study; what lies elsewhere is not followed.

    Raises
    ------
    ValueError
        If one of `paths` is not in the folder, or one of the files is damaged.
    """
    jobs, ahead = {}, sorted(set(map(Path, paths)))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while ahead:
            jobs |= zip(ahead, pool.map(provenance.read, ahead), strict=True)
            read = {Path(path) for records in ahead if jobs[records] for path in jobs[records]["inputs"]}
            ahead = _carriers(path for path in read - jobs.keys() if path.is_relative_to(folder))
        made = {_identity(job) for job in jobs.values() if job}
        beside = sorted(
            {path for parent in {path.parent for path in jobs} for path in _carriers(parent.iterdir())} - jobs.keys()
        )
        records = zip(beside, pool.map(_read_any, beside), strict=True)
        jobs |= {path: job for path, job in records if job and _identity(job) in made}
        return list(pool.map(lambda path: _origin(path, folder, jobs[path]), sorted(jobs)))


def _spread(paths):
    """Return the files among `paths`, and those in the folders among them that say where they come from."""
    paths = list(map(Path, paths))
    within = [path for folder in paths if folder.is_dir() for path in _carriers(folder.rglob("*"))]
    return [path for path in paths if not path.is_dir()] + within


def _carriers(paths):
    return sorted(path for path in paths if path.suffix in embedded.SUFFIXES and path.is_file())


def _identity(job):
    return job["rule"], as_json(job["wildcards"])


def _read_any(path):
    try:
        return provenance.read(path)
    except ValueError as error:  # nothing of the study's that anybody read
        log.warning("%s", error)
        return None


def look(path, folder):
    """Return the :class:`Origin` of a file that cannot say it."""
    size = path.stat().st_size
    return Origin(inside(path, folder), size, digest(path) if size <= _HASHED_BYTES else None)


def inside(path, folder):
    """Return the path of a file within the folder of its study, with slashes; ValueError if it is not in there."""
    try:
        return Path(path).relative_to(folder).as_posix()
    except ValueError:
        raise ValueError(f"{path}: not in the folder of the study, {folder}") from None


def _origin(path, folder, job):
    seen = look(path, folder)
    job = job and {name: value for name, value in job.items() if name != "config"}
    return Origin(seen.file, seen.bytes, seen.sha256, _content(path, seen.bytes), job)


def _content(path, size):
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            known = file.attrs.get("checksum")
        if known is not None:  # of a shard, however large it is
            return known.decode() if isinstance(known, bytes) else str(known)
    return provenance.content_digest(path) if size <= _HASHED_BYTES else None


def rows(origins):
    """Return files as rows of `tables.PROVENANCE`."""
    return [
        {"file": origin.file, "bytes": origin.bytes, "sha256": origin.sha256, "content": origin.content}
        | (_columns(origin.job) if origin.job else {})
        for origin in origins
    ]


def _columns(job):
    hardware, scheduler = job["hardware"], job["scheduler"]
    return {
        "rule": job["rule"],
        "wildcards": as_json(job["wildcards"]),
        "revision": job["revision"],
        "settings": hashlib.sha256(as_json(job["settings"]).encode()).hexdigest(),
        "seeds": as_json(job["seeds"]),
        "commit": job["commit"],
        "versions": as_json(job["versions"]),
        "processor": hardware["processor"],
        "cores": hardware["cores"],
        "memory_gb": hardware["memory_gb"],
        "gpus": "; ".join(hardware["gpus"] or []),
        "threads": job["threads"],
        "scheduler": f"{scheduler['name']} {scheduler['job']}" if scheduler else None,
        "start": job["start"],
        "end": job["end"],
        "seconds": (datetime.fromisoformat(job["end"]) - datetime.fromisoformat(job["start"])).total_seconds(),
    }


def as_json(value):
    """Return a value as JSON in one spelling, so that equal values are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
