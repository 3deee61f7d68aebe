"""Small networks of the generators, for the tests of what they compute and of their files."""

import dataclasses
import math

import torch

from robustlaws import settings

DDPMPP = settings.Network(
    img_resolution=8,
    in_channels=1,
    out_channels=1,
    label_dim=10,
    augment_dim=9,
    model_channels=16,
    channel_mult=(1, 2),
    channel_mult_emb=4,
    num_blocks=1,
    attn_resolutions=(4,),
    dropout=0.0,
    label_dropout=0.0,
    embedding_type="positional",
    channel_mult_noise=1,
    encoder_type="standard",
    decoder_type="standard",
    resample_filter=(1, 1),
)
NCSNPP = dataclasses.replace(
    DDPMPP, embedding_type="fourier", channel_mult_noise=2, encoder_type="residual", resample_filter=(1, 3, 3, 1)
)
STYLES = {"ddpmpp": DDPMPP, "ncsnpp": NCSNPP}
ENCODER = settings.Encoder(8, 1, 32, (1, 2), 1, (1, 2), 10)
JUDGE = settings.Encoder(4, 64, 32, (1,), 1, (1,), 1, label_table=10)


def awake(network):
    """Return `network` with all weights of ordinary size: fresh ones leave the branches nearly or wholly silent."""
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
        parameter.data = torch.randn(parameter.shape, generator=generator) / math.sqrt(fan_in)
    return network.eval()


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))
