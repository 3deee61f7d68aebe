"""Values of the command line have the types that YAML would give them."""

from robustlaws.study.validate import typed


def test_texts_in_a_block_become_what_they_say():
    # as Snakemake hands over --config 'compute={gpus: 4, ...}'
    settings = {
        "compute": {"gpus": "4", "budget_minutes": "1.5", "compile": "true", "node_command": ["srun", "--nodes=2"]}
    }
    assert typed(settings) == {
        "compute": {"gpus": 4, "budget_minutes": 1.5, "compile": True, "node_command": ["srun", "--nodes=2"]}
    }


def test_other_values_stay():
    assert typed({"seed": 7, "study": "a: b: c", "description": None}) == {
        "seed": 7, "study": "a: b: c", "description": None,
    }  # fmt: skip
