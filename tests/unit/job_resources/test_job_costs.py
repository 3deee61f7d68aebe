"""What each job costs, against the profiler of torch, the attack package, the networks and files of real jobs."""

import numpy as np
import pyautoattack
import pytest
import torch

from robustlaws.attacks import pgd, record
from robustlaws.data import shards
from robustlaws.generators import heun, network_files
from robustlaws.job_resources.forward_passes import autoattack_passes, guided, measured_images, official
from robustlaws.job_resources.job_costs import _OF_RULES, STAGES, Costs, Known
from robustlaws.networks import checkpoint, discriminator, unet_flops, wrn
from robustlaws.networks.wrn_flops import wrn_forward_flops
from robustlaws.quality import moments
from robustlaws.settings import Architecture, AutoAttack, Guidance, Sampling, Threat
from robustlaws.training import learning_curve
from tests.support.checkouts import without_humans
from tests.support.study_files import ROOT, TINY, study_of

WRN_10_1 = wrn_forward_flops(10, 1, 8, 10, 1)
PARAMS_10_1 = 77_562  # a test below counts them in the network


@pytest.fixture(scope="module")
def costs():
    return Costs(study_of())


class Counted(torch.nn.Module):
    """Finds class 0 in everything near black; counts the images that it passes on, and those of its gradients."""

    def __init__(self, classes):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3 * 4 * 4, classes).requires_grad_(False)
        self.layer.bias[0] = 1000.0
        self.passes = 0

    def forward(self, x):
        logits = self.layer(x.flatten(1))
        self.passes += len(x)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self.count(len(x)))
        return logits

    def count(self, images):
        self.passes += images


# passes


@pytest.mark.parametrize(
    ("version", "attacks", "classes"),
    [
        ("standard", (), 10),
        ("custom", ("apgd-ce", "fab"), 4),
        ("custom", ("apgd-dlr", "fab-t", "fab"), 10),
    ],
)
def test_autoattack_passes_of_a_surviving_image_are_counted(version, attacks, classes):
    network, images = Counted(classes), torch.rand(2, 3, 4, 4)
    suite = pyautoattack.AutoAttack(network, attacks=list(attacks) or None, eps=0.01, version=version, seed=0)
    architecture, threat = Architecture(10, 1, classes, 3, 4, (), ()), Threat("Linf", 0.01)
    settings = AutoAttack("run", architecture, threat, 0, version, images=2, chunk=2, attacks=attacks)
    for name in settings.names:
        suite.attacks_to_run = [name]
        _, predicted = suite.run_standard_evaluation(images, torch.zeros(2, dtype=torch.int64), batch_size=2)
        assert (predicted == 0).all()
    assert autoattack_passes(settings) == network.passes / 2 + 2  # ours: the check, and the clean prediction


def test_pgd_makes_as_many_passes_of_an_image_that_stays_right(costs):
    network, images = Counted(10), torch.zeros(3, 4, 4, 3, dtype=torch.uint8)
    how = {"epsilon": 0.1, "step_size": 0.01, "steps": 7, "beta": 5.0, "seed": 0, "batch": 2}
    pgd.evaluate(network, images, torch.zeros(3, dtype=torch.int64), **how)
    (result,) = costs.of("attack_run", {"victim": "runs/wrn-10-1/edm-4/256/1", "attack": "pgd_cw"})
    # of the tiny study: 5 steps, 100 images, and a look at the network
    assert result.flops == 100 * (network.passes / 3 - 2 * 2 + 1) * WRN_10_1
    assert (result.images, result.at_most) == (100, True)


@pytest.mark.parametrize("path", [TINY, *(ROOT / "config" / f"{name}.yaml" for name in ("config", "cifar10", "paper"))])
def test_runs_measure_as_many_images_as_the_curve_does(path):
    study = study_of(path)
    for run in list(study.runs.values())[:: max(1, len(study.runs) // 20)]:
        s = study.training(run)
        validated = len(set(learning_curve.validation_steps(s))) * s.validation_images
        assert measured_images(s, 10**9) == len(learning_curve.steps(s)) * s.curve.images + validated
        assert measured_images(s, 30) == len(learning_curve.steps(s)) * 30 + validated


@pytest.mark.parametrize("steps", [2, 5, 18, 20, 50])
@pytest.mark.parametrize("window", [(0.01, 1.0), (0.0, 0.5), (0.3, 0.6), (0.95, 1.0)])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 0.0), (1.0, 0.5)])
def test_the_discriminator_is_asked_where_the_sampler_asks_it(steps, window, weights):
    guidance = Guidance(weights[0], False, *window, weights[1])
    sampling = Sampling(*("d", "g", "dg", steps, 0.002, 80.0, 7.0, 0, "random", 10, 32, 3, 0, 1, 1), guidance=guidance)
    inside = [window[0] <= float(tau) <= window[1] for tau in discriminator.tau(heun.noise_levels(steps))[:-1]]
    expected = bool(weights[0]) * sum(inside) + bool(weights[1]) * sum(inside[1:])
    assert guided(sampling) == expected


def test_the_papers_guided_sampler_asks_17_times():  # spec/generators.md 1
    study = study_of(ROOT / "config" / "paper.yaml")
    assert guided(study.sampling("dg-20", "00000")) == 17


# official networks


def test_official_files_hold_the_official_networks():  # numbers of parameters: spec/generators.md 5 and 9.2
    vp, pfgmpp = official("data/edm-cifar10-32x32-cond-vp.pkl"), official("pfgmpp-cifar10-ncsnpp-D-2048-cond.pt")
    assert unet_flops.unet(vp).parameters == 55_735_299
    assert unet_flops.unet(pfgmpp).parameters == 56_400_643
    parameters = {
        name: unet_flops.encoder(official(f"elsewhere/{name}.pt"))[1].parameters
        for name in ("32x32_classifier", "discriminator_250", "discriminator_60")
    }
    assert parameters == {
        "32x32_classifier": 47_771_112,
        "discriminator_250": 3_395_841,
        "discriminator_60": 2_883_841,
    }
    assert official("data/edm-cifar10-32x32-uncond-ve.pkl").label_dim == 0
    assert official("data/mine.pkl") is None


# jobs


def test_sampling_counts_the_whole_batches_that_the_network_sees():
    def change(config):
        config["sampling"]["batch"] = 48  # 128 images of a shard: 3 batches, the second shard touches 4

    study = study_of(change=change)
    evaluation = unet_flops.unet(study.network("edm")).flops
    for shard, batches in (("00000", 3), ("00001", 4)):
        (result,) = Costs(study).of("sample_shard", {"dataset": "edm-4", "shard": shard})
        assert (result.stage, result.images, result.flops) == ("sampling", 128, 7 * evaluation * 48 * batches)


def test_guided_sampling_adds_forward_and_backward_passes(costs):
    (result,) = costs.of("sample_shard", {"dataset": "dg-3", "shard": "00000"})
    study = costs.study
    evaluations = 5 * unet_flops.unet(study.network("edm")).flops
    asked = unet_flops.encoder(study.encoder("dg", "extractor").network)[0].flops
    asked += unet_flops.encoder(study.encoder("dg", "discriminator").network)[1].flops
    assert result.flops == 128 * (evaluations + 2 * asked * guided(study.sampling("dg-3", "00000")))


def test_training_counts_what_is_spent_and_what_is_charged(costs):
    training, measuring = costs.of("train_run", {"model": "wrn-10-1", "dataset": "edm-4", "size": "256", "seed": "1"})
    assert training.images == 256
    assert training.flops == (2 * 2 + 6) * WRN_10_1 * 256  # two attack steps; the clean pass serves twice
    assert training.charged == (1 + 2 * 2 + 6) * WRN_10_1 * 256
    assert training.bytes == 2 * 4 * PARAMS_10_1
    # curve: before training, in the middle, at the end, 50 images; held out: 32 images twice
    assert measuring.images == 3 * 50 + 2 * 32
    assert measuring.flops == measuring.images * (2 * 5 + 2) * WRN_10_1


def test_generators_and_pairs_learn_with_three_passes_an_image(costs):
    study = costs.study
    (result,) = costs.of("train_generator", {"generator": "edm"})
    network, s = study.network("edm"), study.generator("edm")
    grid = 35 * 8 * 10 * unet_flops.unet(network).flops
    assert result.images == s.batch * s.updates
    assert result.flops == 3 * result.images * unet_flops.unet(network, augmented=True).flops + grid
    (extractor,), (judge,) = (
        costs.of(f"train_{which}", {"generator": "dg"}) for which in ("extractor", "discriminator")
    )
    features, whole = unet_flops.encoder(study.encoder("dg", "extractor").network)
    assert extractor.flops == 3 * 5 * 32 * whole.flops
    own = unet_flops.encoder(study.encoder("dg", "discriminator").network)[1]
    assert judge.flops == 5 * 32 * (3 * own.flops + features.flops)


def test_the_features_of_the_fid_learn_and_look(costs):
    (learning,) = costs.of("train_features", {})
    batches = (1797 - 100) // 64 * 64
    assert learning.flops == (3 * batches + 100) * WRN_10_1
    (result,) = costs.of("measure_shard", {"dataset": "edm-4", "shard": "00000"})
    assert result.images == 128
    assert result.flops == 128 * (WRN_10_1 - 2 * 64 * 10 + 2 * 64**2)  # without the last layer; products of features
    assert costs.of("measure_split", {"split": "test"})[0].images == 100


def test_every_rule_that_may_use_a_gpu_is_counted():
    texts = [path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")]
    rules = [part for text in texts for part in text.split("\nrule ")[1:]]
    named = {part.partition(":")[0] for part in rules if "gpu=" in part}
    assert len(named) > 8
    assert named <= set(_OF_RULES)


def test_every_job_of_the_studies_has_a_stage():
    for name in ("config", "cifar10", "paper"):
        study = study_of(ROOT / "config" / f"{name}.yaml")
        run = dict(zip(("model", "dataset", "size", "seed"), next(iter(study.runs)).split("/"), strict=True))
        result = Costs(study)
        for cost in (*result.of("train_run", run), *result.of("draw_figure", {"figure": "accuracy"})):
            assert cost.stage in STAGES


# what is not known


def test_what_is_not_known_is_not_counted_and_said():
    def change(config):
        config["source"] = {"name": "npz", "train_files": ["a.npz"], "test_files": ["b.npz"]}
        without_humans(config)
        config["attacks"].pop("autoattack")
        config["figures"].remove("adversarial")
        config["generators"]["edm"] = {"kind": "edm", "checkpoint": "data/mine.pkl"}

    study = study_of(change=change)
    victim = {"victim": "runs/wrn-10-1/edm-4/256/1", "attack": "pgd_cw"}
    shard = {"dataset": "edm-4", "shard": "00000"}
    (attacked,), (sampled,) = Costs(study).of("attack_run", victim), Costs(study).of("sample_shard", shard)
    assert (attacked.flops, attacked.bytes) == (None, None)
    assert "source.test_images says it" in attacked.missing
    assert sampled.flops is None
    assert sampled.bytes == 128 * 80
    assert "edm: the shape of its network is not known" in sampled.missing
    (imported,) = Costs(study).of("import_generator", {"generator": "edm"})
    assert (imported.bytes, "not known" in imported.missing) == (None, True)

    known = Costs(study, Known(1000, 100, {"edm": study_of().network("edm")}))
    (attacked,), (sampled,) = known.of("attack_run", victim), known.of("sample_shard", shard)
    assert (attacked.images, attacked.missing, sampled.missing) == (100, "", "")
    assert sampled.flops == Costs(study_of()).of("sample_shard", shard)[0].flops


def test_pipelines_are_not_counted_and_files_cost_nothing():
    def change(config):
        config["generators"]["ready"] = {"kind": "files", "files": ["a.npz"], "format": "npz"}
        config["generators"]["hub"] = {
            "kind": "pipeline", "source": "someone/something", "revision": "abc", "class_argument": "class_labels",
        }  # fmt: skip
        config["datasets"]["ready"] = {"generator": "ready", "images": 256}
        config["datasets"]["hub-4"] = {"generator": "hub", "steps": 4, "images": 256}

    costs = Costs(study_of(change=change))
    (ready,), (hub,) = (costs.of("sample_shard", {"dataset": name, "shard": "00000"}) for name in ("ready", "hub-4"))
    assert (ready.flops, ready.missing, ready.images) == (0, "", 128)
    assert (hub.flops, hub.missing) == (None, "FLOPs of hub-4: a pipeline's network is its own")
    assert costs.of("stage_samples", {"generator": "ready"})[0].bytes is None


# disk


def test_shards_and_splits_are_as_large_as_said(costs, tmp_path):
    images = np.zeros((128, 8, 8, 1), np.uint8)
    shards.write(tmp_path / "shard.h5", images, np.zeros(128, np.int64), {})
    size = (tmp_path / "shard.h5").stat().st_size
    (result,) = costs.of("sample_shard", {"dataset": "edm-4", "shard": "00000"})
    assert 0 < size - result.bytes < 6000  # headers
    assert costs.of("import_data", {})[0].bytes == 1797 * (64 + 16)


def test_records_of_attacks_are_as_large_as_said(costs, tmp_path):
    study, victim = costs.study, "runs/wrn-10-1/edm-4/256/1"
    labels = np.zeros(100, np.int64)
    whole = {"clean_prediction": labels, "adversarial_prediction": labels}
    whole["adversarial"] = np.zeros((100, 8, 8, 1), np.float32)
    losses = {"clean_loss": np.zeros(100), "adversarial_loss": np.zeros(100)}
    for attack, rule, columns in (
        ("pgd_cw", "attack_run", whole | losses),
        ("autoattack", "gather_chunks", whole | {"broken_by": labels}),
    ):
        settings = study.attack(attack, victim)
        record.write(tmp_path / attack, labels, labels == 0, columns, settings, {"attacks": [attack]})
        (result,) = costs.of(rule, {"victim": victim, "attack": attack})
        written, _ = record.read(tmp_path / attack)
        assert result.bytes == sum(values.nbytes for values in written.values())


def test_the_chunks_of_autoattack_are_as_many_images_as_attacked(costs):
    wanted = {"victim": "runs/wrn-10-1/edm-4/256/1", "attack": "autoattack"}
    parts = [costs.of("attack_chunk", wanted | {"chunk": chunk})[0] for chunk in costs.study.chunks("autoattack")]
    assert [part.images for part in parts] == [64, 36]
    assert sum(part.bytes for part in parts) == costs.of("gather_chunks", wanted)[0].bytes


def test_weights_are_as_large_as_said(costs, tmp_path):
    study = costs.study
    run = study.training(study.run("wrn-10-1/edm-4/256/1"))
    network = wrn.build(run.architecture)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMS_10_1
    checkpoint.save(tmp_path / "weights", network, run)
    result = costs.of("train_run", {"model": "wrn-10-1", "dataset": "edm-4", "size": "256", "seed": "1"})[0]
    assert (tmp_path / "weights").stat().st_size == pytest.approx(result.bytes / 2, rel=0.05)

    pair = discriminator.build(study.encoder("dg", "extractor").network)
    network_files.save(tmp_path / "json", tmp_path / "extractor", pair, {"kind": "extractor"})
    (result,) = costs.of("train_extractor", {"generator": "dg"})
    assert (tmp_path / "extractor").stat().st_size == pytest.approx(result.bytes, rel=0.05)


def test_moments_are_as_large_as_said(costs, tmp_path):
    pieces = [(64, np.zeros(64), np.zeros((64, 64)))] * 2  # the tiny study: two subsets of 64 in a shard
    moments._write(tmp_path / "moments", pieces, {"features": {"dimensions": 64}})
    (result,) = costs.of("measure_shard", {"dataset": "edm-4", "shard": "00000"})
    assert (tmp_path / "moments").stat().st_size == pytest.approx(result.bytes, rel=0.02)
