"""Generators of labelled images: their training, samplers and files."""

# kinds that are trained here
GENERATORS = {
    "edm": "robustlaws.generators.training.generator:train_generator",
    "pfgmpp": "robustlaws.generators.training.generator:train_generator",
}

# A sampler: class(files, settings, where) with batch(indices) -> (images, labels) and a dict `provenance`
SAMPLERS = {
    "edm": "robustlaws.generators.edm:Sampler",
    "pfgmpp": "robustlaws.generators.pfgmpp:Sampler",
    "dg": "robustlaws.generators.dg:Sampler",
    "pipeline": "robustlaws.generators.diffusers_pipeline:Sampler",
    "files": "robustlaws.generators.sampled_files.sampler:Sampler",
}
