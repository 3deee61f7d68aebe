"""FLOPs and parameters of U-Nets by arithmetic, against torch's own counter and the operations that really run."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from robustlaws.networks import ddpmpp, discriminator, unet_flops
from robustlaws.quality import inception
from robustlaws.settings import Encoder, Network

IMAGES = 2
DDPMPP = {
    "img_resolution": 16, "in_channels": 3, "out_channels": 3, "label_dim": 10, "augment_dim": 9, "model_channels": 8,
    "channel_mult": (1, 2), "channel_mult_emb": 4, "num_blocks": 1, "attn_resolutions": (8,), "dropout": 0.0,
    "label_dropout": 0.0, "embedding_type": "positional", "channel_mult_noise": 1, "encoder_type": "standard",
    "decoder_type": "standard", "resample_filter": (1, 1),
}  # fmt: skip
NCSNPP = DDPMPP | {
    "embedding_type": "fourier", "channel_mult_noise": 2, "encoder_type": "residual", "resample_filter": (1, 3, 3, 1)
}  # fmt: skip
UNETS = {
    "ddpmpp": DDPMPP,
    "ncsnpp": NCSNPP,
    "one level": DDPMPP | {"channel_mult": (2,)},
    "unconditional": DDPMPP | {"label_dim": 0, "augment_dim": 0},
    "grey, deep": DDPMPP | {
        "in_channels": 1, "out_channels": 1, "channel_mult": (1, 2, 2), "num_blocks": 2, "attn_resolutions": (16, 8)
    },
    "ncsnpp, deep": NCSNPP | {"channel_mult": (2, 1, 2), "num_blocks": 3},
    "boxes beside": DDPMPP | {"encoder_type": "residual"},
    "long filter": DDPMPP | {"encoder_type": "residual", "resample_filter": (1, 2, 3, 3, 2, 1)},
}  # fmt: skip
ADM = {"img_resolution": 8, "in_channels": 3, "model_channels": 32, "channel_mult": (1, 2), "depth": 1}
ENCODERS = {
    "extractor": ADM | {"attention": (2,), "outputs": 10},
    "conditional": ADM | {"attention": (), "outputs": 1, "label_table": 10},
    "one level": ADM | {"attention": (1,), "outputs": 1, "channel_mult": (1,)},
    "many heads": ADM | {"attention": (1, 2), "outputs": 7, "depth": 2, "in_channels": 64, "head_channels": 16},
    "deep": ADM | {"attention": (2, 4), "outputs": 10, "model_channels": 64, "channel_mult": (1, 2, 4)},
}


class Elementwise(TorchDispatchMode):
    """Counts what the conventions of `networks.cost` count beside products, operation by operation."""

    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        made = function(*arguments, **(keywords or {}))
        name = function.__name__.split(".")[0]
        if name in ("silu", "sin", "cos", "add", "_softmax", "_safe_softmax"):
            self.flops += made.numel()
        elif name == "native_group_norm":
            self.flops += 2 * made[0].numel()
        elif name in ("avg_pool2d", "mean"):
            self.flops += arguments[0].numel()
        return made


def products(run):
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.get_total_flops()


def rest(run):
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), Elementwise() as counter:
        run()
    return counter.flops


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("name", UNETS)
def test_a_denoiser_is_counted_as_by_torch(name, augmented):
    settings = Network(**UNETS[name])
    network, result = ddpmpp.build(settings), unet_flops.unet(settings, augmented)
    x, noise = torch.randn(IMAGES, settings.in_channels, 16, 16), torch.randn(IMAGES)
    onehot = torch.randn(IMAGES, settings.label_dim) if settings.label_dim else None
    labels = torch.randn(IMAGES, settings.augment_dim) if augmented and settings.augment_dim else None

    def run():
        network(x, noise, onehot, labels)

    assert products(run) == IMAGES * result.products
    # a bias after the filter of the side branch is a sum of its own
    biases = sum(
        module.weight.shape[0] * (16 >> level) ** 2
        for level, module in enumerate((m for m in network.enc.values() if isinstance(m, ddpmpp.Residual)), start=1)
        if not module.boxes
    )
    assert rest(run) == IMAGES * (result.rest + biases)
    assert parameters(network) == result.parameters


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_is_counted_as_by_torch(name):
    settings = Encoder(**ENCODERS[name])
    network, (features, whole) = discriminator.build(settings), unet_flops.encoder(settings)
    x, time = torch.randn(IMAGES, settings.in_channels, 8, 8), torch.rand(IMAGES)
    labels = torch.tensor([1, 2]) if settings.label_table else None
    assert products(lambda: network.features(x, time, labels)) == IMAGES * features.products
    assert products(lambda: network(x, time, labels)) == IMAGES * whole.products
    assert parameters(network) == whole.parameters
    # the scales (1 + s, times) are another operation there
    assert rest(lambda: network(x, time, labels)) == pytest.approx(IMAGES * whole.rest, rel=0.1)


def test_inception_is_counted_as_by_torch():
    network, elements = inception.Inception().to("meta").eval(), []
    for module in network.modules():
        if isinstance(module, inception.Convolution):
            module.register_forward_hook(lambda module, given, made: elements.append(made.numel()))
    images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8, device="meta")
    assert products(lambda: network.features(images)) + 3 * sum(elements) == unet_flops.INCEPTION_FLOPS
    assert network.fc.in_features == unet_flops.INCEPTION_FEATURES


def test_a_denoiser_counted_by_hand():
    settings = Network(
        **DDPMPP | {"img_resolution": 2, "in_channels": 1, "out_channels": 1, "label_dim": 0, "augment_dim": 0,
                    "model_channels": 4, "channel_mult": (1,), "attn_resolutions": ()}
    )  # fmt: skip
    side, c, e = 2, 4, 16
    pixels = side**2

    def block(channels, out=c):
        convolutions = 2 * 9 * (channels * out + out * out) * pixels + (2 * channels * out * pixels) * (channels != out)
        return convolutions + 2 * e * out, 3 * channels * pixels + 5 * out * pixels

    embedding = 2 * (c * e + e * e), c + 2 * e
    ends = 2 * 9 * (1 * c + c * 1) * pixels, 3 * c * pixels
    attention = 2 * (3 * c * c + c * c) * pixels + 4 * pixels**2 * c, 2 * c * pixels + pixels**2 + c * pixels
    # encoder: one block; decoder: one with attention, one without, two that take outputs of the encoder
    blocks = [block(c), block(c), block(c), block(2 * c), block(2 * c)]
    result = unet_flops.unet(settings)
    parts = [embedding, ends, attention, *blocks]
    assert (result.products, result.rest) == tuple(map(sum, zip(*parts, strict=True)))
