"""Check config files against a schema and describe each: `python -m robustlaws.study SCHEMA CONFIG...`."""

import sys
from pathlib import Path

import yaml

from robustlaws.study import Study


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status."""
    schema_path, *paths = arguments
    status = 0
    for path in paths:
        try:
            study = Study(yaml.safe_load(Path(path).read_text(encoding="utf-8")), schema_path, path)
            print(f"{path}: {len(study.runs)} runs on {len(study.datasets)} datasets")
        except ValueError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


sys.exit(main(sys.argv[1:]))
