# Reads: the real training images. Writes: one generator each, and the shards of each dataset.


rule train_generator:
    input:
        train=rules.import_data.output.train,
    output:
        config="<results>/generators/{generator}/config.json",
        weights="<results>/generators/{generator}/diffusion_pytorch_model.safetensors",
    log:
        "<results>/logs/generate/train/{generator}.log",
    benchmark:
        "<results>/benchmarks/generate/train/{generator}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1  # two were ten times slower than one beside any other load, and may round differently
    resources:
        gpu=min(1, config["compute"]["gpus"]),
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: as_params(study.generator(wildcards.generator)),
        revision=lambda wildcards: revision(f"generator.{study.generator(wildcards.generator).kind}"),
    script:
        "../scripts/train_generator.py"


rule sample_shard:
    input:
        config=lambda wildcards: expand(
            rules.train_generator.output.config, generator=study.generator_of(wildcards.dataset)
        ),
        weights=lambda wildcards: expand(
            rules.train_generator.output.weights, generator=study.generator_of(wildcards.dataset)
        ),
    output:
        shard="<results>/datasets/{dataset}/shard-{shard}.h5",
    log:
        "<results>/logs/generate/sample/{dataset}/{shard}.log",
    benchmark:
        "<results>/benchmarks/generate/sample/{dataset}/{shard}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=min(1, config["compute"]["gpus"]),
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: as_params(study.sampling(wildcards.dataset, wildcards.shard)),
        revision=lambda wildcards: revision(f"sampler.{study.sampling(wildcards.dataset, wildcards.shard).sampler}"),
    script:
        "../scripts/sample_shard.py"
