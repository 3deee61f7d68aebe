# What samplers and attacks read, which depends on how a generator or a victim came about.


def sampler_files(wildcards):
    """Return the files that the generator of a dataset samples with, by the names that its sampler knows."""
    generator = study.generator_of(wildcards.dataset)
    kind, own = study.kind(generator), study.config["generators"][generator]
    if kind == "files":
        return {"samples": expand(rules.stage_samples.output.samples, generator=generator)[0]}
    if kind == "pipeline":
        local = sorted(path for path in Path(own["source"]).rglob("*") if path.is_file())
        return {"folder": list(map(str, local)), **pipeline_classifier(own)}
    base = {"network": rules.train_generator.output.network, "weights": rules.train_generator.output.weights}
    files = {name: expand(path, generator=study.base_of(generator))[0] for name, path in base.items()}
    if kind == "dg":
        pair = ("extractor", "extractor_weights", "discriminator", "discriminator_weights")
        files |= {name: expand(rules.import_pair.output[name], generator=generator)[0] for name in pair}
    return files


def pipeline_classifier(own):
    """Return the weights of the classifier that labels what a pipeline makes, if one does."""
    if "classifier" not in own:
        return {}
    if own["classifier"] == "features":
        return {"classifier": rules.train_features.output.weights}
    return {"classifier": expand(rules.import_checkpoint.output.weights, checkpoint=own["classifier"])[0]}


def victim_weights(wildcards):
    """Return the weights of what is attacked: those of a checkpoint, or the last or best ones of a run."""
    kind, name = wildcards.victim.split("/", 1)
    if kind == "checkpoints":
        return expand(rules.import_checkpoint.output.weights, checkpoint=name)[0]
    return of_each_run(RUN_WEIGHTS[study.attacked_weights(wildcards.attack)], [name])[0]


def outcomes_of_runs(attack):
    """Return the outcomes of an attack on the runs that meet it."""
    return expand(rules.attack_run.output.outcome, attack=attack, victim=study.victims(attack, ["runs"]))


def run_records(wildcards):
    """Return the records of the attacks on the weights of a run that are exported."""
    run = of_run(wildcards)
    chosen, victim = study.exported_weights(run), f"runs/{run.name}"
    attacks = [attack for attack in study.attacks_on[victim] if study.attacked_weights(attack) == chosen]
    return expand(rules.attack_run.output.outcome, victim=victim, attack=attacks)
