"""The web application's view of a bundle folder, without its secrets."""

import hashlib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from robustlaws.humans import BUNDLES, DATABASE, PEOPLE
from robustlaws.humans.stimuli import presentation
from robustlaws.storage import human_tables, tables


@dataclass(frozen=True)
class Batch:
    """One batch: its part and number there, from 1, and the places of its images among all, [start, stop)."""

    part: int
    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class Bundle:
    """The images in the order in which they are shown, and how they are."""

    ids: tuple[str, ...]
    png: dict  # id: bytes
    batches: tuple[Batch, ...]
    presentation: presentation.Presentation
    digest: str  # of all that an answer depends on: images, order, classes

    @property
    def single(self):
        """Whether one image is shown at a time."""
        return self.presentation.page == "single"

    @property
    def image_seconds(self):
        """Seconds that an image is shown, or None; the page of a batch has no such limit."""
        return self.presentation.image_seconds if self.single else None

    @property
    def answer_seconds(self):
        """Seconds that an answer is taken, or None; the page of a batch has no such limit."""
        return self.presentation.answer_seconds if self.single else None


@dataclass(frozen=True)
class Paths:
    """The files of a bundle."""

    folder: Path
    stimuli: Path
    key: Path
    presentation: Path
    database: Path
    table: Path
    csv: Path


def locate(study, name="test"):
    """Return the `Paths` of a bundle of the study in the folder `study`.

    Raises
    ------
    ValueError
        If there is no such bundle; says what makes it.
    """
    if name not in BUNDLES:
        raise ValueError(f"--bundle: unknown {name!r}; known: {', '.join(BUNDLES)}")
    study = Path(study)
    folder = study / "humans" / name
    if not study.is_dir():
        raise ValueError(f"{study}: no such folder; give the one of a study, below results")
    paths = Paths(
        folder, folder / "stimuli.parquet", folder / "key.parquet", folder / "presentation.json", folder / DATABASE,
        folder / PEOPLE, (folder / PEOPLE).with_suffix(".csv"),
    )  # fmt: skip
    for path in (paths.stimuli, paths.key, paths.presentation):
        if not path.is_file():
            raise ValueError(
                f"{path}: not there; set up `humans` in the study's config and run `snakemake`, which makes it"
            )
    return paths


def read(paths):
    """Return the `Bundle` at these `Paths`.

    Raises
    ------
    ValueError
        If a file is not what it should be.
    """
    shown = presentation.read(paths.presentation)
    stimuli = tables.read(paths.stimuli, human_tables.STIMULI).sort_values(["part", "batch", "position"], kind="stable")
    if stimuli.empty:
        raise ValueError(f"{paths.stimuli}: no images; nothing fooled the network")
    if stimuli["id"].duplicated().any():
        raise ValueError(
            f"{paths.stimuli} column id: {stimuli['id'][stimuli['id'].duplicated()].iloc[0]!r} comes twice"
        )
    batches, start = [], 0
    for (part, number), rows in groupby(zip(stimuli["part"], stimuli["batch"], strict=True)):
        stop = start + len(list(rows))
        batches.append(Batch(int(part), int(number), start, stop))
        start = stop
    png = dict(zip(stimuli["id"], stimuli["png"], strict=True))
    return Bundle(tuple(png), png, tuple(batches), shown, _digest(stimuli, shown.classes))


def _digest(stimuli, classes):
    digest = hashlib.sha256()
    for part in (*classes, ""):
        digest.update(f"{len(part.encode())} {part}\n".encode())
    for row in stimuli.itertuples():
        digest.update(f"{row.id} {row.part} {row.batch} {row.position} {len(row.png)}\n".encode() + row.png)
    return digest.hexdigest()
