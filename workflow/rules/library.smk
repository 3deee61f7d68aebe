# Where the Snakefile and all jobs find the library: beside the Snakefile, installed or not. Snakemake hands the folders
# that its own Python searches on to every job, also in an environment (which then keeps to this one of them).
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "src")))
