# Reads: the real training images, or official checkpoints. Writes: one generator each, and the shards of each dataset.


rule train_generator:
    input:
        train=rules.import_data.output.train,
    output:
        network="<results>/generators/{generator}/network.json",
        weights="<results>/generators/{generator}/network.safetensors",
        grid="<results>/generators/{generator}/grid.png",
    log:
        "<results>/logs/generate/train/{generator}.log",
    benchmark:
        "<results>/benchmarks/generate/train/{generator}.tsv"
    wildcard_constraints:
        generator=any_of(study.made_by(*GENERATORS, imported=False)),
    # everything waits for the images
    priority: 20
    conda:
        "../../envs/gpu.yaml"
    threads: 1  # two were ten times slower than one beside any other load, and may round differently
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("train_generator"),
        runtime=minutes("train_generator"),
    params:
        settings=lambda wildcards: as_params(study.generator(wildcards.generator)),
        revision=lambda wildcards: revision(f"generator.{study.kind(wildcards.generator)}"),
    script:
        "../scripts/train_generator.py"


rule import_generator:
    input:
        checkpoint=lambda wildcards: study.config["generators"][wildcards.generator]["checkpoint"],
    output:
        network=rules.train_generator.output.network,
        weights=rules.train_generator.output.weights,
    log:
        "<results>/logs/generate/import/{generator}.log",
    benchmark:
        "<results>/benchmarks/generate/import/{generator}.tsv"
    wildcard_constraints:
        generator=any_of(study.made_by("edm", "pfgmpp", imported=True)),
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("import_generator"),
        runtime=minutes("import_generator"),
    params:
        settings=lambda wildcards: as_params(study.imported(wildcards.generator)),
        revision=revision("generator.import"),
    script:
        "../scripts/import_generator.py"


rule sample_shard:
    input:
        unpack(sampler_files),
    output:
        shard="<results>/datasets/{dataset}/shard-{shard}.h5",
    log:
        "<results>/logs/generate/sample/{dataset}/{shard}.log",
    benchmark:
        "<results>/benchmarks/generate/sample/{dataset}/{shard}.tsv"
    priority: 20
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("sample_shard"),
        runtime=minutes("sample_shard"),
    params:
        settings=lambda wildcards: as_params(study.sampling(wildcards.dataset, wildcards.shard)),
        revision=lambda wildcards: revision(f"sampler.{study.kind(study.generator_of(wildcards.dataset))}"),
    script:
        "../scripts/sample_shard.py"
