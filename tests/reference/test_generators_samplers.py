"""The samplers against recorded states of the official ones, and against algebra (spec/generators.md 12)."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from robustlaws.generators import dg, edm, heun, pfgmpp
from robustlaws.generators.latents import Draws
from robustlaws.networks import discriminator
from robustlaws.settings import Churn, Guidance, Sampling
from tests.support import analytic_denoisers
from tests.support.recorded import REFERENCE
from tests.support.recorded_generators import denoiser

# the augmented dimensions D that are recorded
DIMENSIONS = sorted(int(n[1:-6]) for n in np.load(REFERENCE / "pfgmpp_sampler.npz").files if n.endswith("_seeds"))


class Recording(dict):
    """What a sampler says while it works: name -> float64 array of all values, in order."""

    def __call__(self, name, value):
        self.setdefault(name, []).append(value.numpy().astype(np.float64))


def off(ours, theirs):
    """Return the largest difference; infinite if the shapes differ."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.abs(ours - theirs).max() if ours.shape == theirs.shape else np.inf


def check_close(name, limit, **pairs):
    """Print how far each pair is apart, and hold them to the limit."""
    apart = {what: off(*pair) for what, pair in pairs.items()}
    print(f"\n{name}: " + ", ".join(f"{what} off by {value:.1e}" for what, value in apart.items()))
    assert max(apart.values()) < limit


def sampling_settings(**changes):
    given = {
        "dataset": "d", "generator": "g", "sampler": "edm", "steps": 5, "sigma_min": 0.002, "sigma_max": 80, "rho": 7,
        "seed": 0, "labels": "random", "classes": 10, "image_size": 32, "channels": 3, "first": 0, "count": 4,
        "batch": 4, "seeds": "index",
    }  # fmt: skip
    return Sampling(**(given | changes))


@pytest.mark.parametrize("steps", [5, 6, 7, 10, 18, 20])
def test_edm_goes_through_the_official_states(steps, fixture_arrays):
    arrays, _ = fixture_arrays("edm_sampler")
    levels, seen, n = heun.noise_levels(steps), Recording(), f"n{steps}_"
    start = torch.from_numpy(arrays["latents"]) * levels[0]
    made = heun.integrate(analytic_denoisers.mixture_denoiser(arrays), start, levels, record=seen)
    check_close(
        f"edm n = {steps}", 1e-9,
        levels=(levels, arrays[n + "t_steps"]), x=(seen["x"], arrays[n + "x"]),
        x_pred=(seen["x_pred"], arrays[n + "x_pred"]), sigma=(seen["sigma"], arrays[n + "sigma_calls"]),
        final=(made, arrays[n + "final"]),
    )  # fmt: skip
    assert (edm.to_uint8(made).numpy() == arrays[n + "uint8"]).all()


def test_edm_without_classes(fixture_arrays):
    arrays, _ = fixture_arrays("edm_sampler")
    levels = heun.noise_levels(18)
    start = torch.from_numpy(arrays["latents"]) * levels[0]
    made = heun.integrate(analytic_denoisers.mixture_denoiser(arrays, labelled=False), start, levels)
    check_close("edm without classes", 1e-9, final=(made, arrays["n18_final_nolabel"]))


def test_edm_with_churn(fixture_arrays):
    arrays, _ = fixture_arrays("edm_sampler")
    levels, seen, drawn = heun.noise_levels(10), Recording(), []

    def noise(step):
        drawn.append(step)
        return torch.from_numpy(arrays["churn_noise"][step])

    start = torch.from_numpy(arrays["latents"]) * levels[0]
    churn = Churn(s_churn=40, s_min=0.05, s_max=50, s_noise=1.003)
    made = heun.integrate(
        analytic_denoisers.mixture_denoiser(arrays), start, levels, churn=churn, noise=noise, record=seen
    )
    check_close(
        "edm with churn", 1e-9, x_hat=(seen["x_hat"], arrays["churn_x_hat"]), final=(made, arrays["churn_final"])
    )
    assert drawn == list(range(10))  # the official stream: also where S_min and S_max silence the noise


def test_edm_keeps_to_what_the_network_knows(fixture_arrays):
    arrays, _ = fixture_arrays("edm_sampler")
    levels, seen = heun.noise_levels(6, rho=5, limits=(0.01, 40.0)), Recording()
    start = torch.from_numpy(arrays["latents"]) * levels[0]
    made = heun.integrate(analytic_denoisers.mixture_denoiser(arrays), start, levels, record=seen)
    check_close(
        "edm with limits", 1e-9,
        sigma=(seen["sigma"], arrays["clamp_sigma_calls"]), final=(made, arrays["clamp_final"]),
    )  # fmt: skip


def test_the_streams_of_images_are_the_official_ones(fixture_arrays):
    arrays, _ = fixture_arrays("edm_sampler")
    draws = Draws(arrays["rng_seeds"].tolist(), sampling_settings())
    latents, labels, noise = draws.normal(), draws.labels(), draws.noise(0)
    check_close(
        "streams", 1e-6,
        latents=(latents, arrays["rng_latents"]), classes=(labels, arrays["rng_classes"]),
        noise=(noise[:, :, ::8, ::8], arrays["rng_noise_step0"]),
    )  # fmt: skip
    small = [torch.randn(3, 8, 8, dtype=torch.float64, generator=each) for each in draws._generators]
    check_close("streams afterwards", 1e-6, noise=(torch.stack(small), arrays["rng_noise_next_8x8"]))


@pytest.mark.parametrize("augmented", DIMENSIONS)
@pytest.mark.parametrize(("kind", "steps"), [("gmm", 5), ("gmm", 18), ("poisson", 18)])
def test_pfgmpp_goes_through_the_official_states(augmented, kind, steps, fixture_arrays):
    arrays, _ = fixture_arrays("pfgmpp_sampler")
    denoiser = (
        analytic_denoisers.mixture_denoiser(arrays)
        if kind == "gmm"
        else analytic_denoisers.points_denoiser(arrays, augmented)
    )
    seen, n = Recording(), f"D{augmented}_{kind}_n{steps}_"
    start = torch.from_numpy(arrays[f"D{augmented}_latents"])
    made = heun.integrate(denoiser, start, heun.noise_levels(steps), record=seen)
    check_close(
        n.rstrip("_"), 1e-9,
        x=(seen["x"], arrays[n + "x"]), x_pred=(seen["x_pred"], arrays[n + "x_pred"]),
        sigma=(seen["sigma"], arrays[n + "sigma_calls"]), final=(made, arrays[n + "final"]),
    )  # fmt: skip
    assert (edm.to_uint8(made).numpy() == arrays[n + "uint8"]).all()


@pytest.mark.parametrize("augmented", DIMENSIONS)
def test_the_prior_is_the_official_one(augmented, fixture_arrays):
    arrays, _ = fixture_arrays("pfgmpp_prior")
    arrays = {key.removeprefix(f"D{augmented}_"): value for key, value in arrays.items()}
    drawn = [pfgmpp.draw_prior(int(seed), 3072, augmented) for seed in arrays["seeds"]]
    beta, gauss = (torch.stack(part) for part in zip(*drawn, strict=True))
    made = pfgmpp.prior(torch.from_numpy(arrays["beta"]), torch.from_numpy(arrays["gauss"]), augmented, 80.0)
    again = pfgmpp.prior(beta, gauss, augmented, 80.0)
    check_close(f"prior D = {augmented}: draws", 1e-6, beta=(beta, arrays["beta"]), gauss=(gauss, arrays["gauss"]))
    theirs = arrays["latents"].reshape(4, -1)
    check_close(f"prior D = {augmented}: latents", 1e-4, made=(made, theirs), drawn=(again, theirs))
    assert Draws(arrays["seeds"].tolist(), sampling_settings()).labels().tolist() == arrays["class_draw"].tolist()


@pytest.mark.parametrize("augmented", DIMENSIONS)
def test_the_start_of_small_images_is_the_official_one(augmented, fixture_arrays):
    arrays, _ = fixture_arrays("pfgmpp_sampler")
    drawn = [pfgmpp.draw_prior(int(seed), 192, augmented) for seed in arrays[f"D{augmented}_seeds"]]
    made = pfgmpp.prior(*(torch.stack(part) for part in zip(*drawn, strict=True)), augmented, 80.0)
    check_close(
        f"prior of 192 pixels, D = {augmented}", 1e-4, x=(made.reshape(4, 3, 8, 8), arrays[f"D{augmented}_latents"])
    )


@pytest.mark.parametrize("augmented", DIMENSIONS)
def test_the_radius_follows_its_law(augmented, fixture_arrays):
    arrays, _ = fixture_arrays("pfgmpp_prior")
    levels, config = arrays["quantile_levels"], json.loads(str(arrays["config"]))
    arrays = {key.removeprefix(f"D{augmented}_"): value for key, value in arrays.items()}
    seeds = range(config["first_seed"], config["first_seed"] + config["draws"])
    beta = torch.stack([pfgmpp.draw_prior(seed, 3072, augmented)[0] for seed in seeds])
    radius = pfgmpp.prior(beta, torch.ones(len(beta), 1), augmented, 80.0)[:, 0].numpy()
    law = stats.betaprime(3072 / 2, augmented / 2)
    exact = 80 * np.sqrt(augmented * law.ppf(levels))
    ours, moments = np.quantile(radius, levels), [radius.mean(), radius.std()]
    relative = [
        np.abs(item / other - 1).max()
        for item, other in (
            (exact, arrays["radius_quantiles_exact"]),
            (ours, arrays["radius_quantiles_official"]),
            (moments, arrays["radius_mean_std_official"]),
            (ours[1:-1], exact[1:-1]),
        )
    ]
    p = stats.kstest((radius / 80) ** 2 / augmented, law.cdf).pvalue
    print(
        f"\nradius D = {augmented}: law off by {relative[0]:.1e}, official draws by {relative[1]:.1e} (moments"
        f" {relative[2]:.1e}), quantiles of {len(radius)} draws from the law by {relative[3]:.1e}, Kolmogorov p {p:.2f}"
    )
    assert relative[0] < 1e-6
    assert max(relative[1:3]) < 1e-4
    assert relative[3] < 0.01
    assert p > 1e-3


@pytest.mark.parametrize("case", ["cond", "default", "window", "off"])
def test_guidance_goes_through_the_official_states(case, fixture_arrays):
    arrays, _ = fixture_arrays("dg_guidance")
    options = json.loads(str(arrays["config"]))["cases"][case]
    c = {key.removeprefix(f"{case}_"): value for key, value in arrays.items()}
    window = {"time_min": options["time_min"], "time_max": options["time_max"]}
    settings = Guidance(weight=options["w1"], boosting=bool(options["boosting"]), **window)
    guide = dg.Guidance(partial(dg.field, analytic_denoisers.discriminator(arrays), **window), settings)
    levels, seen = heun.noise_levels(options["n"]), Recording()
    made = heun.integrate(
        analytic_denoisers.mixture_denoiser(arrays), torch.from_numpy(arrays["latents"]) * levels[0], levels,
        noise=lambda step: torch.from_numpy(c["noise"][step]), guidance=guide, record=seen,
    )  # fmt: skip
    guided = options["w1"] != 0
    check_close(
        f"dg {case}", 1e-6,
        x_hat=(seen["x_hat"], c["x_hat"]), x_pred=(seen["x_pred"], c["x_pred"]),
        t_hat=(np.stack([np.broadcast_to(t, 6) for t in seen["sigma"][::2]]), c["t_hat"]),
        t_next=(seen["sigma"][1::2], c["t_next"]), final=(made, c["final"]),
    )  # fmt: skip
    if guided:
        inside = c["log_ratio"] < 1e6
        ratio = np.stack(seen["log_ratio"])
        assert (ratio[~inside] == 1e7).all()
        scale = np.abs(c["guidance"]).max(axis=(1, 2, 3, 4), keepdims=True).clip(1e-30)
        check_close(
            f"dg {case}: field", 3e-5,
            log_ratio=(ratio[inside], c["log_ratio"][inside]),
            guidance=(np.stack(seen["guidance"]) / scale, c["guidance"] / scale),
        )  # fmt: skip
    else:
        assert "guidance" not in seen
    grey = made.permute(0, 2, 3, 1).numpy() * 127.5
    differ = edm.to_uint8(made).numpy() != c["uint8"]
    assert (np.abs(grey - grey.round())[differ] < 1e-4).all()  # only where truncation is a matter of rounding


def test_the_field_alone_is_the_official_one(fixture_arrays):
    arrays, _ = fixture_arrays("dg_guidance")
    for step in range(17):
        given = (torch.from_numpy(arrays[f"cond_{name}"][step]) for name in ("x_hat", "t_hat"))
        g, ratio = dg.field(analytic_denoisers.discriminator(arrays), *given, 0.01, 1.0)
        theirs = arrays["cond_guidance"][step]
        assert off(g / np.abs(theirs).max(), theirs / np.abs(theirs).max()) < 3e-5
        assert off(ratio, arrays["cond_log_ratio"][step]) < 1e-5


def test_the_change_of_time_is_the_official_one(fixture_arrays):
    arrays, _ = fixture_arrays("dg_guidance")
    sigma = torch.from_numpy(arrays["map_sigma"])
    tau = discriminator.tau(sigma)
    check_close("time", 1e-9, tau=(tau, arrays["map_tau"]), m=(discriminator.m(tau), arrays["map_mean"]))


@pytest.mark.parametrize("kind", ["edm", "pfgmpp"])
@pytest.mark.parametrize(("steps", "limit"), [(5, 2e-4), (18, 1e-5)])
def test_network_with_sampler_gives_the_official_images(kind, steps, limit, fixture_arrays):
    arrays, _ = fixture_arrays(f"{kind}_tiny")
    network, levels = denoiser(arrays), heun.noise_levels(steps)
    onehot = torch.nn.functional.one_hot(torch.from_numpy(arrays["sample_labels"]), 10).float()
    start = torch.from_numpy(arrays["sample_latents"]).double()
    if kind == "edm":
        start = start * levels[0]
    else:
        dimension, pixels = json.loads(str(arrays["config"]))["outer"]["D"], start[0].numel()
        drawn = [pfgmpp.draw_prior(int(seed), pixels, dimension) for seed in arrays["sample_latents_seeds"]]
        prior = pfgmpp.prior(*(torch.stack(part) for part in zip(*drawn, strict=True)), dimension, 80.0)
        check_close(f"{kind}_tiny", 1e-4, start=(prior.reshape(start.shape), start))
    with torch.no_grad():
        made = heun.integrate(lambda x, sigma: network(x, sigma, onehot), start, levels)
    check_close(f"{kind}_tiny n = {steps}", limit, images=(made, arrays[f"sample_n{steps}"]))
    apart = np.abs(edm.to_uint8(made).numpy().astype(int) - arrays[f"sample_n{steps}_uint8"])
    print(f"uint8: {np.count_nonzero(apart)} of {apart.size} differ, by {apart.max()} at most")
    assert apart.max() <= 1
    assert np.count_nonzero(apart) <= 1e-3 * apart.size
