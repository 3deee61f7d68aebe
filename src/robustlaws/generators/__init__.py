"""Generators of labelled images, their training, their samplers and the quality of what they make."""

# kinds that are trained here
GENERATORS = {
    "edm": "robustlaws.generators.fitting:train_generator",
    "pfgmpp": "robustlaws.generators.fitting:train_generator",
}

# A sampler: class(files, settings, where) with batch(indices) -> (images, labels) and a dict `provenance`
SAMPLERS = {
    "edm": "robustlaws.generators.edm:Sampler",
    "pfgmpp": "robustlaws.generators.pfgmpp:Sampler",
    "dg": "robustlaws.generators.dg:Sampler",
    "pipeline": "robustlaws.generators.pipeline:Sampler",
    "files": "robustlaws.generators.files:Sampler",
}
