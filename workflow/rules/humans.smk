# Reads: what an attack did to each image. Writes: the images that fooled the network as stimuli, for the web application
# (robustlaws serve) and for models; and what models and made-up participants answer.
from robustlaws.humans import BUNDLES


wildcard_constraints:
    bundle="|".join(BUNDLES),
    participant=any_of(study.vision_models),


rule attack_inner:
    input:
        weights=lambda wildcards: weights_of(study.humans["victim"], "autoattack"),
        images=lambda wildcards: rules.import_data.output[wildcards.bundle],
    output:
        outcome="<results>/humans/{bundle}/inner.h5",
    log:
        "<results>/logs/humans/{bundle}/inner.log",
    benchmark:
        "<results>/benchmarks/humans/{bundle}/inner.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("attack_inner"),
        runtime=minutes("attack_inner"),
    params:
        settings=lambda wildcards: as_params(study.inner_attack(wildcards.bundle)),
        revision=revision("attack.inner"),
    script:
        "../scripts/attack_inner.py"


rule make_stimuli:
    input:
        record=record_of,
        images=lambda wildcards: rules.import_data.output[wildcards.bundle],
    output:
        stimuli="<results>/humans/{bundle}/stimuli.parquet",
        key="<results>/humans/{bundle}/key.parquet",
    log:
        "<results>/logs/humans/{bundle}/stimuli.log",
    benchmark:
        "<results>/benchmarks/humans/{bundle}/stimuli.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("make_stimuli"),
        runtime=minutes("make_stimuli"),
    params:
        settings=lambda wildcards: as_params(study.stimuli(wildcards.bundle)),
        revision=revision("stimuli"),
    script:
        "../scripts/make_stimuli.py"


rule write_presentation:
    input:
        images=rules.import_data.output.test,
        consent=[study.humans["consent"]] if "consent" in study.humans else [],
    output:
        presentation="<results>/humans/{bundle}/presentation.json",
    log:
        "<results>/logs/humans/{bundle}/presentation.log",
    benchmark:
        "<results>/benchmarks/humans/{bundle}/presentation.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("write_presentation"),
        runtime=minutes("write_presentation"),
    params:
        settings=lambda wildcards: as_params(study.presentation()),
        revision=revision("presentation"),
    script:
        "../scripts/write_presentation.py"


rule simulate_participants:
    input:
        key=rules.make_stimuli.output.key,
        images=lambda wildcards: rules.import_data.output[wildcards.bundle],
    output:
        answers="<results>/humans/{bundle}/simulated.parquet",
    log:
        "<results>/logs/humans/{bundle}/simulated.log",
    benchmark:
        "<results>/benchmarks/humans/{bundle}/simulated.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("simulate_participants"),
        runtime=minutes("simulate_participants"),
    params:
        settings=lambda wildcards: as_params(study.simulation(wildcards.bundle)),
        revision=revision("simulation"),
    script:
        "../scripts/simulate_participants.py"


# Every raw reply stays beside the answers, as NAME.replies.jsonl: nothing is asked twice, whatever ends the job.
rule ask_model:
    input:
        stimuli=rules.make_stimuli.output.stimuli,
        key=rules.make_stimuli.output.key,
        images=lambda wildcards: rules.import_data.output[wildcards.bundle],
        prompt=lambda wildcards: model_files(wildcards.participant, "prompt"),
        replay=lambda wildcards: model_files(wildcards.participant, "replay"),
    output:
        answers="<results>/humans/{bundle}/models/{participant}.parquet",
    log:
        "<results>/logs/humans/{bundle}/models/{participant}.log",
    benchmark:
        "<results>/benchmarks/humans/{bundle}/models/{participant}.tsv"
    # nodes of a cluster seldom reach the network, and this waits for answers most of the time
    localrule: True
    conda:
        "../../envs/humans.yaml"
    threads: 1
    resources:
        mem_mb=memory("ask_model"),
        runtime=minutes("ask_model"),
    params:
        settings=lambda wildcards: as_params(study.vision_model(wildcards.participant)),
        revision=revision("model"),
    script:
        "../scripts/ask_model.py"
