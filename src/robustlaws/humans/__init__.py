"""The human study: people and vision models classify images that fooled a network."""

# Origins of the images: the test split under AutoAttack, or the training split under the attack of the training.
BUNDLES = ("test", "train")
# The variants of an image, in the order in which they are shown.
VARIANTS = ("adversarial", "clean")
# Kinds of participants. Answers of a simulation are marked wherever they are shown.
KINDS = ("person", "model", "simulated")
CONFIDENCES = ("low", "high")
# Outcomes of a shown image: only the first has a class.
STATUSES = ("answered", "unparsable", "refused", "timed_out")
# The answers that the web application gathers, beside the stimuli; also as CSV.
PEOPLE = "people.parquet"
# The database of the web application, beside the stimuli.
DATABASE = "study.sqlite"
