# What samplers and attacks read, which depends on how a generator or a victim came about; and what the human study reads.
from robustlaws.generators import GENERATORS
from robustlaws.humans import PEOPLE


def sampler_files(wildcards):
    """Return the files that the generator of a dataset samples with, by the names that its sampler knows."""
    generator = study.generator_of(wildcards.dataset)
    kind, own = study.kind(generator), study.config["generators"][generator]
    if kind == "files":
        return {"samples": expand(rules.stage_samples.output.samples, generator=generator)[0]}
    if kind == "pipeline":
        local = sorted(path for path in Path(own["source"]).rglob("*") if path.is_file())
        return {"folder": list(map(str, local)), **pipeline_classifier(own)}
    if kind != "dg" and kind not in GENERATORS:
        return {}
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


def weights_of(victim, attack):
    """Return the weights of a victim that an attack meets: those of a checkpoint, or the last or best ones of a run."""
    kind, name = victim.split("/", 1)
    if kind == "checkpoints":
        return expand(rules.import_checkpoint.output.weights, checkpoint=name)[0]
    return of_each_run(RUN_WEIGHTS[study.attacked_weights(attack)], [name])[0]


def victim_weights(wildcards):
    """Return the weights of what is attacked."""
    return weights_of(wildcards.victim, wildcards.attack)


def outcomes_of_runs(attack):
    """Return the outcomes of an attack on the runs that meet it."""
    return expand(rules.attack_run.output.outcome, attack=attack, victim=study.victims(attack, ["runs"]))


def run_records(wildcards):
    """Return the records of the attacks on the weights of a run that are exported."""
    run = of_run(wildcards)
    chosen, victim = study.exported_weights(run), f"runs/{run.name}"
    attacks = [attack for attack in study.attacks_on[victim] if study.attacked_weights(attack) == chosen]
    return expand(rules.attack_run.output.outcome, victim=victim, attack=attacks)


def record_of(wildcards):
    """Return the record of the attack whose images a bundle of stimuli shows."""
    if wildcards.bundle == "train":
        return expand(rules.attack_inner.output.outcome, bundle="train")[0]
    return expand(rules.attack_run.output.outcome, victim=study.humans["victim"], attack="autoattack")[0]


def model_files(participant, key):
    """Return the file that the config gives a vision model under `key`, if there is one."""
    own = study.humans["models"][participant]
    return [own[key]] if key in own else []


def answers_to(wildcards):
    """Return the files of answers to a bundle: what a simulation made up; or of people, models and the config's own."""
    if "simulated" in study.humans:
        return expand(rules.simulate_participants.output.answers, bundle=wildcards.bundle)
    beside = Path(expand(rules.make_stimuli.output.stimuli, bundle=wildcards.bundle)[0])
    people = [str(path) for path in [beside.with_name(PEOPLE)] if path.exists()]
    models = expand(
        rules.ask_model.output.answers, bundle=wildcards.bundle, participant=study.asked_about(wildcards.bundle)
    )
    return [*people, *models, *study.given_answers(wildcards.bundle)]


def of_bundles(pattern, bundles=None):
    """Return `pattern` for each bundle of stimuli of the study, or for these."""
    return expand(pattern, bundle=study.bundles if bundles is None else bundles)
