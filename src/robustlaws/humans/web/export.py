"""The command `robustlaws answers`: the answers of the web application as a table, Parquet and CSV."""

from collections import defaultdict
from pathlib import Path

from robustlaws.humans import BUNDLES
from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web.store import Store
from robustlaws.runtime.file_lock import exclusive
from robustlaws.storage import human_tables, tables
from robustlaws.storage.atomic import replacing


def command(parser):
    """Give `parser` the arguments of `robustlaws answers`; return what carries it out."""
    parser.add_argument("folder", metavar="FOLDER", help="of a study, below results")
    parser.add_argument("--bundle", default=BUNDLES[0], help="which images: test (default) or train")
    parser.add_argument("--output", metavar="FILE", help=".parquet or .csv; default: people.parquet and people.csv "
                        "beside the images, where the workflow looks for them")  # fmt: skip
    return _run


def _run(arguments):
    if arguments.output and Path(arguments.output).suffix not in (".parquet", ".csv"):
        raise ValueError(f"--output: {arguments.output!r} ends in neither .parquet nor .csv")
    paths = bundle.locate(arguments.folder, arguments.bundle)
    if not paths.database.is_file():
        raise ValueError(f"{paths.database}: not there, so nobody has answered; `robustlaws serve` begins it")
    store = Store(paths.database, bundle.read(paths))
    try:
        outputs = [Path(arguments.output)] if arguments.output else [paths.table, paths.csv]
        count = export(store, read_key(paths, store.bundle), outputs)
    finally:
        store.close()
    print(f"{count:,} answers: {', '.join(map(str, outputs))}")
    return 0


def read_key(paths, images):
    """Return the key of the images of a bundle: for each id a row of human_tables.STIMULUS_KEY.

    Raises
    ------
    ValueError
        If it is not of these images.
    """
    key = tables.read(paths.key, human_tables.STIMULUS_KEY)
    rows_by_id = {row.id: row for row in key.itertuples()}
    missing = set(images.ids) - set(rows_by_id)
    if missing:
        raise ValueError(f"{paths.key}: not of the images of {paths.stimuli} (none of {min(missing)}); make both again")
    classes = images.presentation.classes
    if key["label"].max() >= len(classes):
        raise ValueError(f"{paths.key} column label: {key['label'].max()} is none of {len(classes)} classes")
    return rows_by_id


def export(store, key, outputs):
    """Write all answers that stand to each of `outputs`, whole or not at all; return how many there are.

    Parameters
    ----------
    store : store.Store
    key : dict
        Of :func:`read_key`.
    outputs : list of path
        Parquet files, or CSV where a name ends so.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    # one process or thread at a time: all use the same temporary name
    with exclusive(store.database.path.with_name("export.lock")):
        frame = tables.table(rows(store, key), human_tables.ANSWERS)
        for path in outputs:
            if Path(path).suffix == ".csv":
                with replacing(path) as partial:
                    frame.to_csv(partial, index=False, lineterminator="\n")
            else:
                tables.write(path, frame, human_tables.ANSWERS)
    return len(frame)


def rows(store, key):
    """Return the answers that stand as rows of human_tables.ANSWERS, by participant in the order of what each saw."""
    with store.database.reading() as connection:
        shown = connection.execute(
            "SELECT participant, stimulus, min(shown) AS shown FROM showings GROUP BY participant, stimulus"
            " ORDER BY participant, min(id)"
        ).fetchall()
        answers = connection.execute(
            "SELECT timed.*, name, kind FROM timed JOIN participants ON participants.id = participant ORDER BY timed.id"
        ).fetchall()
    trials, entered = defaultdict(dict), {}
    for row in shown:
        trials[row["participant"]][row["stimulus"]] = len(trials[row["participant"]])
        entered[row["participant"]] = min(row["shown"], entered.get(row["participant"], row["shown"]))
    batch_of = {
        image: batch.number for batch in store.bundle.batches for image in store.bundle.ids[batch.start : batch.stop]
    }
    classes = store.bundle.presentation.classes
    exported = [
        _row(row, key[row["stimulus"]], classes)
        | {
            "trial_index": trials[row["participant"]][row["stimulus"]],
            "time_elapsed": max(0.0, row["at"] - entered[row["participant"]]) * 1000,
            "batch": batch_of[row["stimulus"]],
            "reaction_time": time,
        }
        for row, time in zip(answers, _reaction_times(answers), strict=True)
        if row["undone"] is None
    ]
    number = {row["name"]: row["participant"] for row in answers}
    return sorted(exported, key=lambda row: (number[row["annotator_id"]], row["trial_index"]))


def _reaction_times(answers):
    """Return the reaction time (ms) of each of all answers, in the order in which they were given.

    A browser measures better than the server, but may say anything. The browser's time counts if all its times since
    the image was shown fit into the server's. Otherwise the server's time counts, from when the participant could turn
    to the image. That alone is no bound of an honest time: where the way to the server was cut, answers arrive all at
    once.
    """
    times, measured = [], defaultdict(list)
    for row in answers:
        elapsed, before = row["elapsed"], measured[row["participant"]]
        before.append((row["at"], max(0.0, elapsed or 0.0)))
        together = 0.0
        for at, trial in reversed(before):
            if at <= row["shown"]:
                break
            together += trial
        fits = elapsed is not None and 0 <= elapsed <= together <= (row["at"] - row["shown"]) * 1000
        times.append(elapsed if fits else max(0.0, row["at"] - row["begun"]) * 1000)
    return times


def _row(answer, about, classes):
    chosen = answer["class"] if answer["status"] == "answered" else None
    return {
        "annotator_id": answer["name"],
        "kind": answer["kind"],
        "is_attn_check": int(about.is_attn_check),
        "true_category": classes[about.label],
        "chosen_category": None if chosen is None else classes[chosen],
        "true_label": about.label,
        "chosen_label": chosen,
        "correct_guess": int(chosen == about.label),
        "cifar10_test_test_idx": about.index,
        "split": about.split,
        "variant": about.variant,
        "confidence": None if chosen is None else answer["confidence"],
        "status": answer["status"],
        "stimulus": answer["stimulus"],
    }
