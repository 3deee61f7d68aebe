# Reads: the shards that a run's size needs. Writes: the run's averaged weights and its learning curve.


def run_shards(wildcards):
    """Return the shards of one run: those that its size needs and no others."""
    run = of_run(wildcards)
    return first_shards(study.ingredients(run.dataset)[0], study.training(run).synthetic_images)


def run_real(wildcards):
    """Return the real training images if the run mixes them in."""
    return rules.import_data.output.train if study.training(of_run(wildcards)).real_fraction else []


rule train_run:
    input:
        real=run_real,
        test=rules.import_data.output.test,
        shards=run_shards,
    output:
        weights="<results>/runs/<run>/weights.safetensors",
        curve="<results>/runs/<run>/curve.parquet",
    log:
        "<results>/logs/train/<run>.log",
    benchmark:
        "<results>/benchmarks/train/<run>.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=config["compute"]["gpus"],
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: as_params(study.training(of_run(wildcards))),
        revision=revision("train"),
    script:
        "../scripts/train_run.py"
