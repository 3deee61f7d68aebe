# Reads: weights that somebody else trained. Writes: the same weights in this project's format.


rule import_checkpoint:
    input:
        checkpoint=lambda wildcards: study.checkpoint_file(wildcards.checkpoint),
    output:
        weights="<results>/checkpoints/{checkpoint}/weights.safetensors",
    log:
        "<results>/logs/interop/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/interop/{checkpoint}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("import_checkpoint"),
        runtime=minutes("import_checkpoint"),
    params:
        settings=lambda wildcards: as_params(study.checkpoint(wildcards.checkpoint)),
        revision=revision("import"),
    script:
        "../scripts/import_checkpoint.py"
