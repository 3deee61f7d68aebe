# Reads: a source of real images. Writes: its training and its test split, one format for all sources.


rule import_data:
    input:
        train_files=config["source"].get("train_files", []),
        test_files=config["source"].get("test_files", []),
    output:
        train="<results>/data/train.h5",
        test="<results>/data/test.h5",
    log:
        "<results>/logs/data/import.log",
    benchmark:
        "<results>/benchmarks/data/import.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=as_params(study.importing()),
        revision=revision(f"data.{config['source']['name']}"),
    script:
        "../scripts/import_data.py"
