# Reads: real images and the first shards of a dataset. Writes: the feature network, the moments of each file of images in
# its features, and the FID of each dataset from these.


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
        gpu=ONE_GPU,
        mem_mb=memory("train_features"),
        runtime=minutes("train_features"),
    params:
        settings=lambda wildcards: as_params(study.features()),
        revision=revision("features"),
    script:
        "../scripts/train_features.py"


INCEPTION = study.config["quality"].get("inception", {})
FEATURES = INCEPTION["weights"] if INCEPTION else rules.train_features.output.weights


rule measure_split:
    input:
        images="<results>/data/{split}.h5",
        features=FEATURES,
    output:
        moments="<results>/quality/real/{split}.safetensors",
    log:
        "<results>/logs/quality/real/{split}.log",
    benchmark:
        "<results>/benchmarks/quality/real/{split}.tsv"
    wildcard_constraints:
        split="train|test",
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("measure_split"),
        runtime=minutes("measure_split"),
    params:
        settings=as_params(study.moments()),
        revision=revision("moments"),
    script:
        "../scripts/measure_moments.py"


rule measure_shard:
    input:
        images=rules.sample_shard.output.shard,
        features=FEATURES,
    output:
        moments="<results>/quality/{dataset}/shard-{shard}.safetensors",
    log:
        "<results>/logs/quality/{dataset}/{shard}.log",
    benchmark:
        "<results>/benchmarks/quality/{dataset}/{shard}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("measure_shard"),
        runtime=minutes("measure_shard"),
    params:
        settings=lambda wildcards: as_params(study.shard_moments(wildcards.dataset, wildcards.shard)),
        revision=revision("moments"),
    script:
        "../scripts/measure_moments.py"


rule measure_quality:
    input:
        moments=lambda wildcards: expand(
            rules.measure_shard.output.moments,
            dataset=wildcards.dataset,
            shard=study.shards(wildcards.dataset, study.measured_images()),
        ),
        real=INCEPTION.get("reference", expand(rules.measure_split.output.moments, split="train")[0]),
        test=expand(rules.measure_split.output.moments, split="test")[0],
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
        mem_mb=memory("measure_quality"),
        runtime=minutes("measure_quality"),
    params:
        settings=lambda wildcards: as_params(study.quality(wildcards.dataset)),
        revision=revision("quality"),
    script:
        "../scripts/measure_quality.py"
