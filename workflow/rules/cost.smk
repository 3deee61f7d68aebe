# Reads: nothing. Writes: what the study costs and what of it is left, to the terminal and beside the results. It has no
# output that Snakemake knows of: so it runs whenever it is asked for, and nothing can depend on it. While the study is
# running, ask with --nolock: any other Snakemake that ends takes the locks of all with it (9.27).
import sys


rule cost:
    log:
        "<results>/logs/cost.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("cost"),
        runtime=minutes("cost"),
    params:
        folder=subpath(rules.write_report.output.page, parent=True),
        schema=str(Path(workflow.basedir, "workflow/schemas/config.yaml")),
        # This Snakemake says which jobs are stale: the environment of the job need not have one, and its triggers count
        snakemake=[sys.executable, "-m", "snakemake", "--snakefile", workflow.main_snakefile],
        triggers=lambda wildcards: sorted(map(str, workflow.rerun_triggers)),
        software=lambda wildcards: sorted(map(str, workflow.deployment_settings.deployment_method)),
        conda_prefix=lambda wildcards: workflow.deployment_settings.conda_prefix,
    script:
        "../scripts/cost.py"
