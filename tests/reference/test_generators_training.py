"""The training of generators against recordings of the official code: losses, gradients, augmentation, schedule."""

import json

import numpy as np
import pytest
import torch

from robustlaws.generators.training import augmentation, generator, guidance, losses
from robustlaws.networks import ddpmpp, discriminator
from robustlaws.settings import Encoder, Network


@pytest.fixture(scope="module")
def train(fixture_arrays):
    arrays, _ = fixture_arrays("edm_train")
    return {name: torch.from_numpy(value) for name, value in arrays.items() if value.dtype.kind != "U"}, arrays


def weights(arrays, prefix):
    return {
        key.removeprefix(prefix): torch.from_numpy(value) for key, value in arrays.items() if key.startswith(prefix)
    }


def denoiser(fixture_arrays, name):
    """Return the recorded network in eval mode, as the recordings have it: no dropout."""
    arrays, _ = fixture_arrays(name)
    config = json.loads(str(arrays["config"]))
    inner, outer, effective = config["inner"], config["outer"], config["effective"]
    names = Network.__dataclass_fields__
    settings = {key: value for part in (effective, inner, outer) for key, value in part.items() if key in names}
    network = ddpmpp.Preconditioned(ddpmpp.build(Network(**{"channel_mult_emb": 4, **settings})), 0.5)
    network.load_state_dict(weights(arrays, "sd/"))
    return network.eval()


def scaled(images):
    return images.to(torch.float32) / 127.5 - 1


def off(given, expected):
    """Return the largest deviation relative to the largest expected value."""
    expected = np.asarray(expected, np.float64)
    return np.abs(np.asarray(given, np.float64) - expected).max() / np.abs(expected).max()


def loss_of(network, arrays, prefix, perturbation):
    onehot = torch.nn.functional.one_hot(arrays[f"{prefix}_labels"], 10).to(torch.float32)
    images, sigma = scaled(arrays[f"{prefix}_images_uint8"]), arrays[f"{prefix}_sigma"]
    return losses.elements(lambda x, level: network(x, level, onehot), images, sigma, perturbation, 0.5)


def test_edm_losses_and_gradients(train, fixture_arrays):
    given, arrays = train
    sigma = losses.noise_level(given["edm_rnd_normal"], -1.2, 1.2)
    assert off(sigma, arrays["edm_sigma"]) < 1e-6
    assert off(losses.weight(sigma, 0.5), arrays["edm_weight"]) < 1e-6
    network = denoiser(fixture_arrays, "edm_tiny")
    elements = loss_of(network, given, "edm", losses.gaussian(sigma, given["edm_noise"]))
    total = elements.sum() / 4
    total.backward()
    gradients = {
        name: parameter.grad.numpy() for name, parameter in network.named_parameters() if parameter.grad is not None
    }
    names = json.loads(str(arrays["edm_grad_names"]))
    assert set(names) == set(gradients)
    norms = np.array([np.linalg.norm(gradients[name]) for name in names])
    norms_off = np.abs(norms / arrays["edm_grad_norms"] - 1).max()
    full = [key.removeprefix("edm_grad/") for key in arrays if key.startswith("edm_grad/")]
    gradients_off = max(off(gradients[name], arrays[f"edm_grad/{name}"]) for name in full)
    elements_off = off(elements.detach(), arrays["edm_loss"])
    total_off = abs(float(total.detach()) / float(arrays["edm_loss_sum_over_batch"]) - 1)
    print(
        f"loss elements off by {elements_off:.1e}, their sum by {total_off:.1e}, "
        f"{len(names)} gradient norms by {norms_off:.1e}, {len(full)} gradients by {gradients_off:.1e}"
    )
    assert elements_off < 5e-6
    assert total_off < 5e-6
    assert norms_off < 1e-4
    assert gradients_off < 1e-4


def test_pfgmpp_perturbation_and_losses(train, fixture_arrays):
    given, arrays = train
    dimension = int(arrays["pf_D"])
    sigma = losses.noise_level(given["pf_rnd_normal"], -1.2, 1.2)
    radius_off = off(losses.poisson_radius(sigma, given["pf_beta"], dimension), arrays["pf_radius"])
    normal = given["pf_gauss"].reshape(-1, 3, 32, 32)
    perturbation = losses.poisson(sigma, given["pf_beta"], normal, dimension)
    assert perturbation.dtype == torch.float32
    perturbation_off = off(perturbation, arrays["pf_perturbation"])
    with torch.no_grad():
        elements = loss_of(denoiser(fixture_arrays, "pfgmpp_tiny"), given, "pf", perturbation)
    elements_off = off(elements, arrays["pf_loss"])
    total_off = abs(float(elements.sum()) / 4 / float(arrays["pf_loss_sum_over_batch"]) - 1)
    print(
        f"radius off by {radius_off:.1e}, perturbation by {perturbation_off:.1e}, "
        f"loss elements by {elements_off:.1e}, their sum by {total_off:.1e}"
    )
    assert radius_off < 1e-12
    assert perturbation_off < 1e-6
    assert elements_off < 5e-6
    assert total_off < 5e-6


@pytest.mark.parametrize("probability", ["p12", "p100"])
def test_augmented_images_and_labels(train, probability):
    given, arrays = train
    parameters = given[f"aug_{probability}_params"]
    images = augmentation.apply(scaled(given["aug_images_uint8"]), parameters).numpy()
    images_off = np.abs(images - arrays[f"aug_{probability}_out"]).max()
    labels_off = np.abs(augmentation.labels(parameters).numpy() - arrays[f"aug_{probability}_labels"]).max()
    print(f"{probability}: images off by {images_off:.1e}, labels by {labels_off:.1e}")
    assert images_off < 3e-5
    assert labels_off < 1e-6


def test_learning_rate_and_average(train):
    _, arrays = train
    rates = [generator.learning_rate(seen, 1e-3, 10_000_000) for seen in arrays["sched_nimg"].tolist()]
    betas = [generator.average_weight(seen, 512, 500_000) for seen in arrays["sched_nimg"].tolist()]
    rates_off, betas_off = (
        np.abs(np.array(mine) - arrays[name]).max() for mine, name in ((rates, "sched_lr"), (betas, "sched_ema_beta"))
    )
    print(f"learning rate off by {rates_off:.1e}, EMA beta by {betas_off:.1e}")
    assert rates_off < 1e-15
    assert betas_off < 1e-12


def test_times_of_the_discriminators_training(fixture_arrays):
    arrays, _ = fixture_arrays("dg_guidance")
    times = guidance.diffusion_times(torch.from_numpy(arrays["train_u"]))
    mean, std = discriminator.m(times), discriminator.std(times)
    worst = {
        name: off(mine, arrays[name]) for name, mine in (("train_t", times), ("train_mean", mean), ("train_std", std))
    }
    print(", ".join(f"{name} off by {value:.1e}" for name, value in worst.items()))
    assert max(worst.values()) < 1e-6


def test_the_discriminators_training(fixture_arrays):
    arrays, _ = fixture_arrays("dg_nets")
    given = {name: torch.from_numpy(value) for name, value in arrays.items() if value.dtype.kind != "U"}
    about = json.loads(str(arrays["config"]))
    networks = []
    for name, channels, outputs, table in (("extractor", 3, 10, 0), ("discriminator", 128, 1, 1000)):
        settings = about[f"{name}_args"]
        network = discriminator.build(
            Encoder(
                img_resolution=settings["image_size"],
                in_channels=channels,
                model_channels=settings["classifier_width"],
                channel_mult=about["channel_mult"][name],
                depth=settings["classifier_depth"],
                attention=about["attention_downsamplings"][name],
                outputs=outputs,
                label_table=table,
                head_channels=about["num_head_channels"],
            )
        )
        network.load_state_dict(weights(arrays, f"{name}/"))
        networks.append(network.eval())
    perturbed = guidance.diffused(scaled(given["train_images_uint8"]), given["train_t"], given["train_z"])
    with torch.no_grad():
        features = networks[0].features(perturbed, given["train_t"])
        logits = networks[1](features, given["train_t"], given["labels"])[:, 0]
        bce = guidance.functional.binary_cross_entropy_with_logits(logits, given["train_real_label"])
    worst = {
        "noisy images": np.abs(perturbed.numpy() - arrays["train_perturbed"]).max(),
        "probability": np.abs(torch.sigmoid(logits).numpy() - arrays["train_prob"]).max(),
        "cross entropy": abs(float(bce) - float(arrays["train_bce"])),
    }
    print(", ".join(f"{name} off by {value:.1e}" for name, value in worst.items()))
    assert worst["noisy images"] < 1e-5  # std near time 0: 1 - exp loses digits in float32, expm1 does not
    assert worst["probability"] < 1e-5
    assert worst["cross entropy"] < 1e-5
