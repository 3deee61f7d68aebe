"""Tables of the human study (:mod:`robustlaws.storage.tables`).

Columns of answers are called as in CIFAR-10H's raw table where they mean the same.
"""

from robustlaws.storage.tables import Column, count, number, perhaps, string

STIMULI = {
    "id": string("what the browser calls the image; it tells nothing of it"),
    "part": count("", "1: shown first; 2: after all of part 1", low=1),
    "batch": count("", "within the part, from 1", low=1),
    "position": count("", "within the batch, from 1", low=1),
    "png": Column("binary", "bytes", "the image, in its own size, as PNG"),
}

STIMULUS_KEY = {
    "id": string("of the image in the stimuli"),
    "split": string("test or train: what the index counts in"),
    "index": count("", "position in the split as imported"),
    "variant": string("adversarial or clean"),
    "is_attn_check": Column("bool", "", "an attention check: an image that nothing fooled, not part of the study"),
    "label": count("", "true class"),
    "clean_prediction": count("", "class that the network gives to the clean image"),
    "adversarial_prediction": count("", "class that the network gives to the adversarial image"),
}

ANSWERS = {
    "annotator_id": string("participant"),
    "kind": string("person, model or simulated"),
    "trial_index": perhaps(count("", "place of the image in the order in which the participant saw them, from 0")),
    "is_attn_check": Column("int64", "", "1: an attention check, which counts nowhere; 0: an image of the study",
                            low=0, high=1),
    "true_category": string("name of the true class"),
    "chosen_category": string("name of the class that was answered; null without one", optional=True),
    "true_label": count("", "true class"),
    "chosen_label": perhaps(count("", "class that was answered; null without one")),
    "correct_guess": Column("int64", "", "1: the class is the true one; 0: another or none", low=0, high=1),
    "cifar10_test_test_idx": count("", "position of the image in its split, of whatever data"),
    "reaction_time": number("ms", "from the image to the answer", optional=True),
    "time_elapsed": number("ms", "from the participant's first image to the answer", optional=True),
    "split": string("test or train"),
    "variant": string("adversarial or clean"),
    "confidence": string("low or high; null where it was not asked for, or there is no class", optional=True),
    "status": string("answered; unparsable, refused or timed_out: without a class"),
    "batch": perhaps(count("", "batch of the part, from 1", low=1)),
    "stimulus": string("id of the image that was shown; null where it is not known", optional=True),
}  # fmt: skip

HUMAN_ACCURACY = {
    "annotator_id": string("participant; null: the mean of those of the kind who were shown an adversarial image, "
                           "or of all where none of them was", optional=True),
    "kind": string("person, model or simulated"),
    "variant": string("adversarial or clean"),
    "confidence": string("any, low or high"),
    "images": count("images", "that the participant was shown and answered so; by all of them for a mean"),
    "right": count("images", "of these classified right"),
    "accuracy": number("1", "right / images; null without images", high=1, optional=True),
    "low": number("1", "lower end of the interval: exact binomial; of a mean the bootstrap's", high=1, optional=True),
    "high": number("1", "upper end of the interval", high=1, optional=True),
    "without_class": count("images", "of these without a class: unparsable, refused or timed out"),
}  # fmt: skip

VALIDITY = {
    "split": string("test or train"),
    "index": count("", "position in the split"),
    "label": count("", "true class"),
    "prediction": count("", "class that the network gives to the adversarial image"),
    "participants": count("participants", "who were shown the adversarial image"),
    "people": count("participants", "of these people (or simulated ones), not models"),
    "votes": count("participants", "of these right"),
    "confident": count("participants", "people (or simulated ones) right with high confidence"),
    "majority": perhaps(count("", "class that more than half of the people (or simulated ones) gave; null if none")),
    "verdict": string("valid, deceptive, ambiguous; unjudged where too few have given a class to tell"),
    "simulated": Column("bool", "", "whether the participants are simulated"),
}

BENCHMARK = {
    "who": string("network; human_mean: the network and the people together; participant: the network and that one"),
    "annotator_id": string("that participant; null elsewhere", optional=True),
    "kind": string("kind of the participants; null for the network alone", optional=True),
    "data": string("all, or valid: without the images judged invalid; no rows where a part of what fooled was shown"),
    "images": count("images", "of the data", low=1),
    "right": number("images", "of these classified right: by the network, and of the rest by the participants"),
    "accuracy": number("1", "right / images", high=1),
    "low": number("1", "lower end of the interval: exact for the network, else the bootstrap's", high=1, optional=True),
    "high": number("1", "upper end of the interval", high=1, optional=True),
    "level": number("1", "coverage of the interval", high=1),
    "simulated": Column("bool", "", "whether the participants are simulated, who say what is valid too"),
}

AGREEMENT = {
    "measure": string("fleiss_kappa, agreement (share of images on which two agree) or cohen_kappa (of two)"),
    "variant": string("adversarial or clean"),
    "among": string("person, simulated: these alone; all: models too; pair: of the two named"),
    "first": string("participant of a pair", optional=True),
    "second": string("participant of a pair", optional=True),
    "images": count("images", "on which at least two of them gave a class"),
    "value": Column("float64", "", "the measure; null where it is not defined", optional=True),
    "low": Column("float64", "", "lower end of the interval", optional=True),
    "high": Column("float64", "", "upper end of the interval", optional=True),
    "simulated": Column("bool", "", "whether any of them is simulated"),
}
