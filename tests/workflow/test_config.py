"""A config that cannot be made stops before any job."""

from tests.support.checkouts import fresh_checkout


def test_a_broken_config_stops_before_any_job_with_one_line(tmp_path):
    checkout = fresh_checkout(tmp_path / "checkout")
    checkout.configure(lambda config: config["threat"].update(epsilon=8))
    done = checkout.snakemake()
    assert done.returncode == 1
    output = done.stdout + done.stderr
    assert "study.yaml threat.epsilon: 8 is more than 1. Linf radius" in output
    assert "Traceback" not in output
    assert "rule " not in output
