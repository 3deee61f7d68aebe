"""Generators of labelled images, their training, their samplers and the quality of what they make."""

GENERATORS = {"edm": "robustlaws.generators.fitting:train_edm"}
SAMPLERS = {"edm": "robustlaws.generators.edm:sample"}
