"""A file that is made again as it was, because it was damaged or lost, keeps its time.

Snakemake compares large files by their time alone: else one bad byte in one shard would train all runs again that
have read it.
"""

import json
import os
from pathlib import Path

from robustlaws.files import write_json
from robustlaws.joblog import log


def keep_time(path, content, sources):
    """Give the file at `path` the time that it had when it last became what it is.

    What it is and since when is kept beside it, in a hidden file that stays when it is deleted. Called by the job that
    makes the file, as its last act: a job that is killed before is done again.

    Parameters
    ----------
    path : path
    content : str
        Digest of all that others use of the file.
    sources : list of path
        What the file was made from; the time that it had does not count if one of them is younger.
    """
    path = Path(path)
    note = path.with_name(f".{path.name}.json")
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        told = {}
    now, youngest = path.stat().st_mtime_ns, max((os.stat(source).st_mtime_ns for source in sources), default=0)
    if told.get("content") == content and youngest < told["time_ns"] <= now:
        os.utime(path, ns=(told["time_ns"], told["time_ns"]))
        log.info("%s: the same as before, and of the same time", path)
        return
    write_json(note, {"content": content, "time_ns": now})
