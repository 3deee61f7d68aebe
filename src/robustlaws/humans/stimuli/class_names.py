"""Class names in the order of the labels, for participants, models and tables."""

from robustlaws.data import shards

_OF_THE_KEY = ["label", "clean_prediction", "adversarial_prediction"]


def names(images_path, key=None):
    """Return the names of a split's classes in the order of their labels; their numbers where the data have no names.

    Parameters
    ----------
    images_path : path
        Shard of the split.
    key : data frame of columns.STIMULUS_KEY, optional
        Every class in it gets a name too: a network may predict one of which the split has no image.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If the file is no shard, or the key has a class beyond those that the data name.
    """
    largest = int(key[_OF_THE_KEY].to_numpy().max()) if key is not None and len(key) else -1
    given = shards.attributes(images_path).get("class_names")
    if given is not None and len(given):
        if largest >= len(given):
            raise ValueError(f"{images_path} class_names: {len(given)} names, but the key has class {largest}; give "
                             "the images that the stimuli were made of")  # fmt: skip
        return [str(name) for name in given]
    with shards.opened(images_path) as file:
        largest = max(largest, int(file["label"][:].max()))
    return [str(label) for label in range(largest + 1)]
