# Reads: weights that somebody else trained; a run and what attacks did to it. Writes: the former in this project's format,
# the latter as RobustBench takes it, weights and entry of the leaderboard.


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


rule export_run:
    input:
        weights=lambda wildcards: RUN_WEIGHTS[study.exported_weights(of_run(wildcards))],
        records=run_records,
        test=rules.import_data.output.test,
    output:
        checkpoint="<results>/runs/<run>/robustbench.pt",
        info="<results>/runs/<run>/model_info.json",
    log:
        "<results>/logs/export/<run>.log",
    benchmark:
        "<results>/benchmarks/export/<run>.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("export_run"),
        runtime=minutes("export_run"),
    params:
        settings=lambda wildcards: as_params(study.export(of_run(wildcards))),
        revision=revision("export"),
    script:
        "../scripts/export_run.py"


rule export:
    input:
        lambda wildcards: of_each_run(rules.export_run.output.checkpoint, study.exported_runs),
        lambda wildcards: of_each_run(rules.export_run.output.info, study.exported_runs),
