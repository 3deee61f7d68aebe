# Reads: a source of real images, and images that somebody already sampled. Writes: the published files that a study names
# and that are not there; the training and the test split in one format for all sources; an index by which the sampled
# images can be read in any order.
from robustlaws.data import download


# Only what is missing: a file that is there is the user's, and no rerun may replace it.
rule fetch_file:
    output:
        path="{external}",
    log:
        "<results>/logs/data/fetch/{external}.log",
    wildcard_constraints:
        external=any_of(path for path in study.external_files if download.known(path) and not Path(path).exists()),
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("fetch_file"),
        runtime=minutes("fetch_file"),
    script:
        "../scripts/fetch_file.py"


rule import_data:
    input:
        train_files=study.config["source"].get("train_files", []),
        test_files=study.config["source"].get("test_files", []),
    output:
        train="<results>/data/train.h5",
        test="<results>/data/test.h5",
    log:
        "<results>/logs/data/import.log",
    benchmark:
        "<results>/benchmarks/data/import.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("import_data"),
        runtime=minutes_for_files("import_data"),
    params:
        settings=lambda wildcards: as_params(study.importing()),
        revision=revision(f"data.{study.config['source']['name']}"),
    script:
        "../scripts/import_data.py"


rule stage_samples:
    input:
        files=lambda wildcards: study.config["generators"][wildcards.generator]["files"],
    output:
        samples="<results>/generators/{generator}/samples.h5",
    log:
        "<results>/logs/data/stage/{generator}.log",
    benchmark:
        "<results>/benchmarks/data/stage/{generator}.tsv"
    wildcard_constraints:
        generator=any_of(study.made_by("files")),
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("stage_samples"),
        runtime=minutes_for_files("stage_samples"),
    params:
        settings=lambda wildcards: as_params(study.staging(wildcards.generator)),
        revision=revision("stage"),
    script:
        "../scripts/stage_samples.py"
