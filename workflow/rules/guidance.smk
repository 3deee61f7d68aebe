# Reads: real and generated images, or the official files. Writes: the pair of networks of each guided generator.


rule train_extractor:
    input:
        train=rules.import_data.output.train,
    output:
        extractor="<results>/generators/{generator}/extractor.json",
        extractor_weights="<results>/generators/{generator}/extractor.safetensors",
    log:
        "<results>/logs/generate/extractor/{generator}.log",
    benchmark:
        "<results>/benchmarks/generate/extractor/{generator}.tsv"
    wildcard_constraints:
        generator=any_of(study.made_by("dg", imported=False)),
    priority: 20
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("train_extractor"),
        runtime=minutes("train_extractor"),
    params:
        settings=lambda wildcards: as_params(study.encoder(wildcards.generator, "extractor")),
        revision=revision("guidance"),
    script:
        "../scripts/train_extractor.py"


rule train_discriminator:
    input:
        train=rules.import_data.output.train,
        fakes=lambda wildcards: first_shards(*study.fakes(wildcards.generator)),
        extractor=rules.train_extractor.output.extractor,
        extractor_weights=rules.train_extractor.output.extractor_weights,
    output:
        discriminator="<results>/generators/{generator}/discriminator.json",
        discriminator_weights="<results>/generators/{generator}/discriminator.safetensors",
    log:
        "<results>/logs/generate/discriminator/{generator}.log",
    benchmark:
        "<results>/benchmarks/generate/discriminator/{generator}.tsv"
    wildcard_constraints:
        generator=any_of(study.made_by("dg", imported=False)),
    priority: 20
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("train_discriminator"),
        runtime=minutes("train_discriminator"),
    params:
        settings=lambda wildcards: as_params(study.encoder(wildcards.generator, "discriminator")),
        revision=revision("guidance"),
    script:
        "../scripts/train_discriminator.py"


rule import_pair:
    input:
        extractor=lambda wildcards: study.config["generators"][wildcards.generator]["checkpoint"]["extractor"],
        discriminator=lambda wildcards: study.config["generators"][wildcards.generator]["checkpoint"]["discriminator"],
    output:
        extractor=rules.train_extractor.output.extractor,
        extractor_weights=rules.train_extractor.output.extractor_weights,
        discriminator=rules.train_discriminator.output.discriminator,
        discriminator_weights=rules.train_discriminator.output.discriminator_weights,
    log:
        "<results>/logs/generate/import/{generator}.log",
    benchmark:
        "<results>/benchmarks/generate/import/{generator}.tsv"
    wildcard_constraints:
        generator=any_of(study.made_by("dg", imported=True)),
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("import_pair"),
        runtime=minutes("import_pair"),
    params:
        settings=lambda wildcards: as_params(study.imported(wildcards.generator)),
        revision=revision("generator.import"),
    script:
        "../scripts/import_pair.py"
