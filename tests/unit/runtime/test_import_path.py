"""What a job may import."""

import os
import sys
from pathlib import Path

import pytest

from robustlaws.runtime import import_path

LIBRARY = str(Path(import_path.__file__).parents[2])


@pytest.fixture(autouse=True)
def _put_back(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", f"/theirs{os.pathsep}{LIBRARY}")
    monkeypatch.setenv("PYTHONNOUSERSITE", "")


def test_import_path_keeps_snakemakes_own_python_unchanged():
    before = list(sys.path)
    for _ in range(2):
        import_path.keep_to_environment()
        assert sys.path == before
        assert os.environ["PYTHONPATH"].split(os.pathsep) == [LIBRARY, "/theirs"]
        assert os.environ["PYTHONNOUSERSITE"] == ""


def test_in_an_environment_the_folders_of_another_python_go(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/os.py").touch()
    own = [folder for folder in sys.path if Path(folder).is_relative_to(sys.prefix)]
    sys.path += [str(tmp_path / "lib"), str(tmp_path / "lib/site-packages"), "/theirs"]
    import_path.keep_to_environment()
    assert sys.path == [*own, LIBRARY]
    assert os.environ["PYTHONPATH"] == LIBRARY
    assert os.environ["PYTHONNOUSERSITE"] == "1"
