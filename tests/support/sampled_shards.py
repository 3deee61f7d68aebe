"""Settings, weights and shards of tiny generators."""

import pytest
import torch

from robustlaws.data import shards
from robustlaws.generators import network_files, sample_shard
from robustlaws.networks import ddpmpp, discriminator
from robustlaws.settings import Compute, Encoder, Guidance, Network, Sampling

NETWORK = Network(
    img_resolution=8, in_channels=1, out_channels=1, label_dim=10, augment_dim=0, model_channels=8, channel_mult=(1, 2),
    channel_mult_emb=4, num_blocks=1, attn_resolutions=(4,), dropout=0.1, label_dropout=0, embedding_type="positional",
    channel_mult_noise=1, encoder_type="standard", decoder_type="standard", resample_filter=(1, 1),
)  # fmt: skip


EXTRACTOR = Encoder(8, 1, 32, (1, 2), 1, (2,), 10, head_channels=32)


DISCRIMINATOR = Encoder(4, 64, 32, (1,), 1, (1,), 1, label_table=10, head_channels=32)


GUIDED = Guidance(weight=1.0, boosting=True, time_min=0.01, time_max=1.0)


def random_weights(module, seed, scale=0.15):
    """Return `module` with random weights that all matter: fresh ones leave its last layers at nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return module


def undecided(module):
    """Return the discriminator with log ratios of both signs, so that only some images are boosted."""
    with torch.no_grad():
        module.out[2].c_proj.weight.mul_(30)
        module.out[2].c_proj.bias.fill_(-5.7)
    return module


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the files of each sampler: sampler -> name -> path."""
    folder = tmp_path_factory.mktemp("generators")
    torch.manual_seed(0)
    modules = {
        "edm": random_weights(ddpmpp.Preconditioned(ddpmpp.build(NETWORK), 0.5), 0),
        "pfgmpp": random_weights(ddpmpp.Preconditioned(ddpmpp.build(NETWORK), 0.5), 1),
        "extractor": random_weights(discriminator.build(EXTRACTOR), 2, 0.05),
        "discriminator": undecided(random_weights(discriminator.build(DISCRIMINATOR), 3, 0.05)),
    }
    for kind, module in modules.items():
        about = {"kind": kind} | ({"augmented_dimension": 128} if kind == "pfgmpp" else {})
        network_files.save(folder / f"{kind}.json", folder / f"{kind}.safetensors", module, about)
    base = {kind: {"network": folder / f"{kind}.json", "weights": folder / f"{kind}.safetensors"} for kind in modules}
    pair = {name: folder / f"{name}.json" for name in ("extractor", "discriminator")}
    pair |= {f"{name}_weights": folder / f"{name}.safetensors" for name in ("extractor", "discriminator")}
    return base | {"dg": base["edm"] | pair}


def sampling_settings(sampler="edm", **changes):
    given = {
        "dataset": "d-3", "generator": "g", "sampler": sampler, "steps": 3, "sigma_min": 0.002, "sigma_max": 80,
        "rho": 7, "seed": 5, "labels": "balanced", "classes": 10, "image_size": 8, "channels": 1, "first": 0,
        "count": 48, "batch": 16, "guidance": GUIDED if sampler == "dg" else None,
    }  # fmt: skip
    if sampler == "dg":
        given["steps"] = 8  # boosting begins at the sixth
    return Sampling(**(given | changes))


def sample(files, folder, settings, name="shard", **compute):
    path = folder / f"{name}.h5"
    sample_shard.sample_shard(
        files=files[settings.sampler], shard_path=path, state_path=folder / f"{name}.partial", settings=settings,
        revision="sampler-r1", compute=Compute(**({"state_minutes": 0.0} | compute)),
    )  # fmt: skip
    return shards.read(path)
