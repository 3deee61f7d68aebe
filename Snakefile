import sys
from pathlib import Path

from snakemake.utils import min_version

# Where the workflow and all jobs find the library: beside the Snakefile, installed or not. Snakemake hands the folders
# that its own Python searches on to every job, also in an environment (which then keeps to this one of them).
sys.path.insert(0, str(Path(workflow.basedir, "src")))

from robustlaws.attacks import ATTACKS, CHUNKED
from robustlaws.laws import LAWS
from robustlaws.revisions import revision
from robustlaws.settings import as_params
from robustlaws.study import Study

min_version("9.27")


# A study named on the command line replaces the default one; Snakemake would mix the two.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/input_functions.smk"


study = checked_study()


pathvars:
    results=f"results/{study.name}",
    run="{model}/{dataset}/{size}/{seed}",


wildcard_constraints:
    model=r"[^/]+",
    checkpoint=r"[^/]+",
    dataset=r"[^/]+",
    generator=r"[^/]+",
    size=r"\d+",
    seed=r"\d+",
    shard=r"\d{5}",
    chunk=r"\d{5}",
    victim=r"runs/[^/]+/[^/]+/\d+/\d+|checkpoints/[^/]+",
    attack="|".join(ATTACKS),
    law="|".join(LAWS),


for (
    stage
) in "job_resources data generate guidance quality train checkpoints attack humans answers collect laws figures published plan archive report cost".split():

    include: f"workflow/rules/{stage}.smk"


rule all:
    default_target: True
    input:
        rules.write_report.output.page,
        rules.plan.output.page,
        rules.collect_provenance.output.crate,
