"""All data of a finished study say where they come from, and how to make them again works."""

import shlex
import shutil
import subprocess
import sys

import yaml

from robustlaws import revisions
from robustlaws.storage import embedded, provenance

REMADE = "results/tiny/laws/accuracy.json"


def test_every_file_of_data_says_where_it_comes_from(finished):
    files = [path for path in (finished.folder / "results").rglob("*") if path.suffix in embedded.SUFFIXES]
    # JSON-LD has no room for it; cost.json may be there because another test has asked for it; hidden are notes
    without = ("ro-crate-metadata.json", "cost.json")
    files = [path for path in files if path.name not in without and not path.name.startswith(".")]
    assert {path.suffix for path in files} == {".h5", ".parquet", ".safetensors", ".json"}
    config = yaml.safe_load((finished.folder / "study.yaml").read_text())
    for path in files:
        stamp, name = provenance.read(path), path.relative_to(finished.folder).as_posix()
        assert stamp is not None, name
        assert stamp["output"] == name
        assert stamp["config"] == config, name
        entry, _, number = stamp["revision"].rpartition("-r")
        assert number.isdigit(), name
        assert entry in revisions.entries(), name
        assert all((finished.folder / path).exists() for path in stamp["inputs"]), name
        assert stamp["inputs"] or stamp["rule"] == "import_data", name  # the digits come with scikit-learn
        assert stamp["settings"] or stamp["rule"] == "draw_figure", name
        if stamp["rule"] in ("train_run", "sample_shard", "attack_run", "fit_law"):
            assert stamp["seeds"]["seed"] == stamp["settings"]["seed"], name


def test_the_commands_of_show_make_a_file_again(finished, tmp_path):
    copy = shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    before = provenance.read(copy / REMADE), provenance.content_digest(copy / REMADE)

    def run(command):
        done = subprocess.run(["bash", "-ec", command], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    show = f"{shlex.quote(sys.executable)} -m robustlaws show {REMADE}"
    run(run(show).partition("to make it again")[2].partition("\n")[2])
    after = provenance.read(copy / REMADE)
    assert after["start"] > before[0]["end"]
    assert provenance.content_digest(copy / REMADE) == before[1]
    settings = ("rule", "output", "inputs", "settings", "config", "revision")
    assert [after[name] for name in settings] == [before[0][name] for name in settings]
