# Reads: real images and the first shards of a dataset. Writes: the feature network, and the FID of each dataset.


rule train_features:
    input:
        train=rules.import_data.output.train,
        test=rules.import_data.output.test,
    output:
        weights="<results>/quality/features.safetensors",
    log:
        "<results>/logs/quality/features.log",
    benchmark:
        "<results>/benchmarks/quality/features.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=min(1, config["compute"]["gpus"]),
        mem_mb=2000,
        runtime=60,
    params:
        settings=as_params(study.features()),
        revision=revision("features"),
    script:
        "../scripts/train_features.py"


rule measure_quality:
    input:
        train=rules.import_data.output.train,
        test=rules.import_data.output.test,
        features=rules.train_features.output.weights,
        shards=lambda wildcards: first_shards(wildcards.dataset, config["quality"]["images"]),
    output:
        quality="<results>/quality/{dataset}.json",
    log:
        "<results>/logs/quality/{dataset}.log",
    benchmark:
        "<results>/benchmarks/quality/{dataset}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=min(1, config["compute"]["gpus"]),
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: as_params(study.quality(wildcards.dataset)),
        revision=revision("quality"),
    script:
        "../scripts/measure_quality.py"
