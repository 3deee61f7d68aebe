# Reads: the shards that a run's size needs. Writes: the run's averaged weights, the best of them, and its learning curve.
# beside each GPU one processor that drives it and one that reads
PROCESSES = COMPUTE.get("processes") or max(1, 2 * GPUS)


rule train_run:
    input:
        real=run_real,
        test=rules.import_data.output.test,
        shards=run_shards,
    output:
        weights="<results>/runs/<run>/weights.safetensors",
        best="<results>/runs/<run>/best.safetensors",
        curve="<results>/runs/<run>/curve.parquet",
    log:
        "<results>/logs/train/<run>.log",
    benchmark:
        "<results>/benchmarks/train/<run>.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: PROCESSES
    resources:
        # profiles/slurm holds threads to one, so that the jobs of a group take turns
        cpus_per_task=PROCESSES,
        # on several nodes SLURM's plugin breaks a sum of GPUs, and wants as many tasks as nodes where there are none
        gpu=GPUS if NODES == 1 else None,
        nodes=NODES if NODES > 1 else None,
        gres=f"gpu:{GPUS}" if NODES > 1 and GPUS else None,
        tasks=NODES if NODES > 1 and not GPUS else None,
        mem_mb=memory("train_run"),
        runtime=minutes("train_run"),
    params:
        settings=lambda wildcards: as_params(study.training(of_run(wildcards))),
        revision=revision("train"),
    script:
        "../scripts/train_run.py"


RUN_WEIGHTS = {"last": rules.train_run.output.weights, "best": rules.train_run.output.best}
