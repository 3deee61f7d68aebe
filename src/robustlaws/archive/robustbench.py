"""Export of a run to RobustBench: the `.pt` for its loader and the `model_info` for its leaderboard.

Source: spec/interop.md 4a.
"""

import numpy as np
import torch

from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.networks import checkpoint
from robustlaws.runtime.logger import log
from robustlaws.storage.atomic import replacing, write_json
from robustlaws.storage.embedded import content_digest


def export(*, weights_path, record_paths, test_path, checkpoint_path, info_path, settings):
    """Write a run as RobustBench takes it; the same input gives the same bytes.

    Parameters
    ----------
    weights_path : path
        Weights of the run.
    record_paths : list of path
        Records of attacks on these very weights (:mod:`robustlaws.attacks.record`): of PGD, AutoAttack or both,
        AutoAttack last. The first gives the accuracy on clean images.
    test_path : path
        Test split, to know whether the records cover it.
    checkpoint_path, info_path : path
        `.pt` and JSON to write.
    settings : settings.Export

    Raises
    ------
    ValueError
        If the files are not those of the run.
    """
    a = settings.architecture
    network = checkpoint.load(weights_path, a, "cpu")
    state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    records = []
    for path in record_paths:
        columns, about = record.read(path)
        if about["run"] != settings.run:
            raise ValueError(f"{path}: a record of {about['run']}, not of {settings.run}")
        if about["weights_sha256"] != content_digest(weights_path):
            raise ValueError(f"{path}: a record of other weights than {weights_path}; attack these")
        records.append(columns)
    clean, autoattack = records[0], records[-1] if settings.autoattack else None
    info = model_info(clean, autoattack, len(shards.read(test_path)[1]), settings)
    # an open file: torch would write the name of a path into the archive
    with replacing(checkpoint_path) as partial, open(partial, "wb") as file:
        torch.save({"state_dict": state}, file)
    write_json(info_path, info)
    log.info(
        "RobustBench: DMWideResNet(num_classes=%d, depth=%d, width=%d, activation_fn=nn.SiLU, mean=%s, std=%s,"
        " num_input_channels=%d)",
        *(a.classes, a.depth, a.width, a.mean or (0.0,) * a.channels, a.std or (1.0,) * a.channels, a.channels),
    )


def model_info(clean, autoattack, test_images, settings):
    """Return the leaderboard entry of a run, as RobustBench requires.

    Parameters
    ----------
    clean : dict of arrays
        Columns `label`, `clean_prediction` of a record.
    autoattack : dict of arrays or None
        Columns `robust` of AutoAttack's record.
    test_images : int
        Images of the whole test split.
    settings : settings.Export

    Returns
    -------
    dict
        In the leaderboard's order; accuracies are texts, in percent, and "" without AutoAttack.
    """
    footnotes = [settings.footnote] if settings.footnote else []
    if settings.test_kept is not None:
        footnotes.append(f"The test images are the first {settings.test_kept} of the dataset's.")
    images = len(clean["label"])
    if images < test_images:
        footnotes.append(f"Clean accuracy on {images} of the {test_images} test images.")
    robust = ""
    if autoattack is None:
        footnotes.append("Not attacked by AutoAttack.")
    else:
        robust, attacked = _percent(autoattack["robust"]), len(autoattack["robust"])
        if attacked < test_images:
            footnotes.append(f"AutoAttack on {attacked} of the {test_images} test images.")
        if settings.autoattack != "standard":
            footnotes.append(f"AutoAttack in its version {settings.autoattack}.")
    a = settings.architecture
    return {
        "link": settings.link,
        "name": settings.name,
        "authors": settings.authors,
        "additional_data": settings.additional_data,
        "number_forward_passes": 1,
        "dataset": settings.dataset,
        "venue": settings.venue,
        "architecture": f"WideResNet-{a.depth}-{a.width}",
        "eps": radius(settings.threat.epsilon),
        "clean_acc": _percent(clean["clean_prediction"] == clean["label"]),
        "reported": robust,
        "autoattack_acc": robust,
        "footnote": " ".join(footnotes),
        "unreliable": False,
    }


def radius(epsilon):
    """Return `epsilon` (pixels in [0, 1]) as the leaderboard spells it: "8/255" where it is whole grey levels."""
    levels = round(epsilon * 255)
    # to a float's precision: 0.0314 is near 8/255 but another radius
    return f"{levels}/255" if levels and abs(epsilon * 255 / levels - 1) < 1e-9 else repr(epsilon)


def _percent(right):
    return f"{100 * np.mean(right):.2f}"
