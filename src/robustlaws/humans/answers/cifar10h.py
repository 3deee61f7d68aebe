"""CIFAR-10H: 2,571 people's classifications of CIFAR-10 test images, 200 each, with attention checks.

Its raw table has a row for each answer; only clean images were shown, and no confidence was asked for.

Source: Peterson, Battleday, Griffiths and Russakovsky 2019, Human uncertainty makes classification more robust;
github.com/jcpeterson/cifar-10h, data/cifar10h-raw.zip (CC BY-NC-SA 4.0).
"""

# Of the raw table beside those that the table of answers has too.
OTHER_COLUMNS = ("image_filename", "subcategory")


def is_raw(names):
    """Return whether these are the columns of the raw table."""
    return "image_filename" in names and "cifar10_test_test_idx" in names and "variant" not in names


def as_answers(frame):
    """Return the rows of the raw table as answers: an attention check, which is no image of the test split, left out.

    Parameters
    ----------
    frame : data frame
        The raw table, numbers as numbers.

    Returns
    -------
    data frame
        `annotator_id` with "cifar10h-" before it, as a study may have numbers for names too; `reaction_time` without
        the few negative ones; no `is_attn_check`: what was no check there may be one in the study that it is for.
    """
    frame = frame[(frame["cifar10_test_test_idx"] >= 0) & (frame["is_attn_check"] == 0)].drop(
        columns=[name for name in (*OTHER_COLUMNS, "is_attn_check") if name in frame]
    )
    times = {name: frame[name].where(frame[name] >= 0) for name in ("reaction_time", "time_elapsed") if name in frame}
    return frame.assign(
        annotator_id="cifar10h-" + frame["annotator_id"], kind="person", split="test", variant="clean", **times
    ).reset_index(drop=True)
