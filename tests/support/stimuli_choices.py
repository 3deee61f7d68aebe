"""What participants of a made-up study answer who answer all by one rule, and what is exported of that."""

import pandas as pd

from robustlaws.humans.stimuli import bundle
from robustlaws.storage import human_tables, tables
from tests.support import stimuli_studies

# What a script that answers cannot know: the server measures it.
_TIMES = ["reaction_time", "time_elapsed"]


def choice(image):
    """Return the class and the confidence that these participants give."""
    number = int(image[:8], 16)
    return number % 10, ("low", "high")[number // 10 % 2]


def expected(study, name):
    """Return the export of one participant who answers all by `choice`, from the files of the study alone."""
    paths = bundle.locate(study)
    stimuli, key = pd.read_parquet(paths.stimuli), pd.read_parquet(paths.key).set_index("id")
    rows = []
    for trial, shown in enumerate(stimuli.sort_values(["part", "batch", "position"]).itertuples()):
        about, (chosen, confidence) = key.loc[shown.id], choice(shown.id)
        rows.append(
            {
                "annotator_id": name, "kind": "person", "trial_index": trial,
                "is_attn_check": int(about["is_attn_check"]),
                "true_category": stimuli_studies.CLASSES[about["label"]],
                "chosen_category": stimuli_studies.CLASSES[chosen],
                "true_label": about["label"], "chosen_label": chosen, "correct_guess": int(about["label"] == chosen),
                "cifar10_test_test_idx": about["index"], "split": about["split"], "variant": about["variant"],
                "confidence": confidence, "status": "answered", "batch": shown.batch, "stimulus": shown.id,
            }
        )  # fmt: skip
    return rows


def check_exported(study, names):
    """Check that both exported files are what these participants answered."""
    paths = bundle.locate(study)
    table = tables.read(paths.table, human_tables.ANSWERS)
    csv = tables.table(pd.read_csv(paths.csv), human_tables.ANSWERS)
    pd.testing.assert_frame_equal(table, csv)
    rows = tables.table(
        [row | dict.fromkeys(_TIMES) for name in names for row in expected(study, name)], human_tables.ANSWERS
    )
    pd.testing.assert_frame_equal(table.drop(columns=_TIMES), rows.drop(columns=_TIMES))
    return table
