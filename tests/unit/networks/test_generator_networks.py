"""The networks of the generators: algebra, fresh weights and refusals."""

import copy
import dataclasses
import math

import pytest
import torch

from robustlaws.networks import ddpmpp, discriminator
from tests.support.generator_zoo import DDPMPP, ENCODER, JUDGE, STYLES, awake, images


@pytest.fixture(params=STYLES)
def style(request):
    torch.manual_seed(0)
    return STYLES[request.param]


@pytest.fixture
def net(style):
    return awake(ddpmpp.Preconditioned(ddpmpp.build(style), 0.5))


X, SIGMA, ONEHOT = images(3, 1, 8, 8), torch.tensor([0.01, 0.7, 30.0]), torch.eye(10)[[0, 4, 9]]


# the preconditioned network


@torch.no_grad()
def test_denoiser_is_skip_plus_scaled_network(net):
    noise_level = SIGMA[:, None, None, None]
    total = (noise_level**2 + 0.25).sqrt()
    raw = net.raw(X / total, SIGMA.log() / 4, ONEHOT)
    assert raw.std() > 0.1
    assert torch.allclose(net(X, SIGMA, ONEHOT), 0.25 / total**2 * X + 0.5 * noise_level / total * raw, atol=1e-6)
    silent = copy.deepcopy(net)
    for parameter in silent.model.dec["8x8_aux_conv"].parameters():
        parameter.zero_()
    guess = 0.25 / (noise_level**2 + 0.25) * X  # the best linear one, which is all that is left
    assert torch.allclose(silent(X, SIGMA, ONEHOT), guess, atol=1e-6)


@torch.no_grad()
def test_absent_labels_are_zero_vectors_and_given_ones_matter(net):
    zeros, augmented = torch.zeros(3, 10), torch.zeros(3, 9)
    assert torch.allclose(net(X, SIGMA), net(X, SIGMA, zeros), atol=1e-6)
    assert torch.allclose(net(X, SIGMA, ONEHOT), net(X, SIGMA, ONEHOT, augmented), atol=1e-6)
    item = net.raw(X, SIGMA, ONEHOT)
    others = [net.raw(X, SIGMA), net.raw(X, SIGMA, ONEHOT.flip(0)), net.raw(X, SIGMA, ONEHOT, augmented + 1)]
    changes = torch.stack([(item - other).abs().amax((1, 2, 3)) for other in others])
    assert (changes > 1e-3).sum(1).tolist() == [3, 2, 3]  # flipped, the class in the middle stays


@torch.no_grad()
def test_one_level_or_class_stands_for_the_whole_batch(net):
    every = net(X, SIGMA[1].expand(3), ONEHOT[:1].expand(3, -1))
    assert torch.allclose(net(X, SIGMA[1], ONEHOT[:1]), every, atol=1e-6)
    assert torch.allclose(net(X[1:2], SIGMA[1:2], ONEHOT[:1])[0], every[1], atol=1e-5)


@torch.no_grad()
def test_whatever_comes_in_is_computed_in_float32(net):
    made = net(X.double(), SIGMA.double(), ONEHOT.double())
    assert made.dtype == torch.float32
    assert torch.equal(made, net(X, SIGMA, ONEHOT))


def test_every_parameter_learns_at_any_noise_level(net):
    net(X, SIGMA, ONEHOT, torch.ones(3, 9)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in net.parameters())


@torch.no_grad()
def test_dropout_acts_in_training_only(style):
    network = awake(ddpmpp.build(dataclasses.replace(style, dropout=0.5, label_dropout=1.0)))
    plain = ddpmpp.build(style).eval()
    plain.load_state_dict(network.state_dict())
    level = SIGMA.log() / 4
    assert torch.equal(network(X, level, ONEHOT), plain(X, level, ONEHOT))
    network.train()
    assert not torch.equal(network(X, level), network(X, level))
    for block in network.modules():
        block.dropout = 0.0
    assert torch.equal(network(X, level, ONEHOT), plain(X, level))  # all labels dropped


# the layers


@torch.no_grad()
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("mode", ["down", "up"])
def test_means_and_copies_of_pixels_are_what_the_filter_says(mode, kernel):
    cheap, general = (ddpmpp.Resampled(4, 6, kernel, mode, (1, 1)) for _ in range(2))
    general.load_state_dict(cheap.state_dict())
    general.boxes = False
    x = images(2, 4, 6, 6)
    assert torch.allclose(cheap(x), general(x), atol=1e-6)
    pixels = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    pixels = x.reshape(2, 4, 3, 2, 3, 2).mean((3, 5)) if mode == "down" else pixels
    expected = torch.nn.functional.conv2d(pixels, cheap.weight, cheap.bias, padding=kernel // 2)
    assert torch.allclose(cheap(x), expected, atol=1e-6)


@torch.no_grad()
def test_the_side_branch_with_means_is_what_the_filter_says():
    cheap, general = (ddpmpp.Residual(3, 5, (1, 1)) for _ in range(2))
    general.load_state_dict(cheap.state_dict())
    general.boxes = False
    x = images(2, 3, 8, 8)
    assert torch.allclose(cheap(x), general(x), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("mode", ["down", "up"])
def test_a_wide_filter_keeps_a_constant_away_from_the_border(mode):
    layer = ddpmpp.Resampled(2, 2, 1, mode, (1, 3, 3, 1))
    layer.weight.copy_(torch.eye(2)[:, :, None, None])
    layer.bias.zero_()
    made = layer(torch.full((1, 2, 8, 8), 3.0))
    assert made.shape[2:] == ((4, 4) if mode == "down" else (16, 16))
    assert torch.allclose(made[:, :, 1:-1, 1:-1], torch.tensor(3.0))
    assert made[0, 0, 0, 0] < 3


@torch.no_grad()
def test_attention_of_equal_keys_is_the_mean_over_positions():
    block = awake(ddpmpp.Block(8, 8, 4, (1, 1), 0.0, attention=True))
    block.qkv.weight[1::3] = block.qkv.bias[1::3] = 0  # channels 3c + 1 are keys
    x = images(2, 8, 4, 4)
    values = block.qkv(block.norm2(x))[:, 2::3]
    assert torch.allclose(block._attended(x), block.proj(values.mean((2, 3), keepdim=True).expand_as(x)), atol=1e-6)


# fresh weights


def test_fresh_weights_are_uniform_with_the_scales_of_the_recipe(style):
    network = ddpmpp.build(dataclasses.replace(style, model_channels=64))
    scales = {"conv1": 1e-5, "proj": 1e-5, "aux_conv": 1e-5, "qkv": math.sqrt(0.2)}
    seen = set()
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.GroupNorm):
            assert layer.eps == 1e-6
            assert layer.num_groups == min(32, layer.num_channels // 4)
            assert torch.equal(layer.weight, torch.ones_like(layer.weight))
            assert not layer.bias.any()
        if not isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            continue
        kind = name.split(".")[-1].removeprefix("8x8_")
        fans = layer.weight[0].numel() + layer.weight.transpose(0, 1)[0].numel()
        bound = math.sqrt(6 / fans) * scales.get(kind, 1.0)
        assert layer.bias is None or not layer.bias.any()
        assert layer.weight.abs().max() <= bound * (1 + 1e-6)
        if layer.weight.numel() > 1000:
            assert layer.weight.abs().max() > 0.98 * bound
            assert float(layer.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)
        seen.add(kind)
    assert seen >= {*scales, "affine", "conv0", "skip", "map_layer0", "map_label", "map_augment", "conv"}


def test_fourier_frequencies_are_drawn_with_a_deviation_of_16():
    torch.manual_seed(0)
    frequencies = ddpmpp.Fourier(4000).freqs
    assert float(frequencies.std()) == pytest.approx(16, rel=0.05)
    assert frequencies.mean().abs() < 1.5


@torch.no_grad()
def test_a_fresh_encoder_starts_with_silent_branches():
    network, x, t = discriminator.build(ENCODER).eval(), images(2, 1, 8, 8), torch.tensor([0.1, 0.9])
    assert torch.equal(network.features(x, t), network.features(x, t.flip(0)))  # time enters in the branches only
    assert not torch.equal(awake(network).features(x, t), network.features(x, t.flip(0)))


# guidance


def test_time_change_is_that_of_the_vp_process():
    sigma = torch.logspace(-3, 2, 50, dtype=torch.float64)
    t = discriminator.tau(sigma)
    assert torch.allclose(discriminator.m(t), 1 / (1 + sigma**2).sqrt(), rtol=1e-12)
    assert torch.allclose(discriminator.std(t) / discriminator.m(t), sigma, rtol=1e-9)
    assert ((t[1:] > t[:-1]) & (t[:-1] > 0) & (t[1:] < 1)).all()


def test_log_ratios_are_clipped_without_gradient():
    extractor, judge = awake(discriminator.build(ENCODER)), awake(discriminator.build(JUDGE))
    x, t, labels = images(3, 1, 8, 8).requires_grad_(), torch.full((3,), 0.3), torch.tensor([0, 5, 9])
    ratio = discriminator.log_ratio(extractor, judge, x, t, labels)
    logits = judge(extractor.features(x, t), t, labels)[:, 0]
    assert torch.allclose(ratio, logits, atol=1e-4)  # between the limits the ratio is the logit
    assert torch.autograd.grad(ratio.sum(), x)[0].any()
    judge.out[2].c_proj.bias.data += 50
    ratio = discriminator.log_ratio(extractor, judge, x, t, labels)
    assert torch.allclose(ratio, torch.full((3,), math.log(1e5)), rtol=1e-2)
    assert not torch.autograd.grad(ratio.sum(), x)[0].any()


@torch.no_grad()
def test_classes_matter_to_a_conditional_discriminator_only():
    extractor = awake(discriminator.build(ENCODER))
    x, t, labels = images(2, 1, 8, 8), torch.tensor([0.2, 0.6]), torch.tensor([1, 2])
    for table, differs in ((10, True), (0, False)):
        judge = awake(discriminator.build(dataclasses.replace(JUDGE, label_table=table)))
        ratios = [discriminator.log_ratio(extractor, judge, x, t, given) for given in (labels, labels + 1)]
        assert torch.equal(*ratios) != differs
    with pytest.raises(ValueError, match="unconditional"):
        extractor(x, t, labels)
    with pytest.raises(ValueError, match="no labels"):
        discriminator.build(JUDGE)(images(2, 64, 4, 4), t)


def test_a_head_has_at_most_the_channels_there_are():
    assert [block[1].heads for block in discriminator.build(ENCODER).input_blocks if len(block) > 1] == [1, 1]
    wide = dataclasses.replace(ENCODER, model_channels=128)
    assert [block[1].heads for block in discriminator.build(wide).input_blocks if len(block) > 1] == [2, 4]


# refusals


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"img_resolution": 9}, r"network.img_resolution: 9 does not halve 1 times"),
        ({"img_resolution": 4, "channel_mult": (1, 1, 1, 1)}, r"4 does not halve 3 times"),
        ({"channel_mult": ()}, r"network.channel_mult: \[\]"),
        ({"model_channels": 10}, r"layer of 30 channels does not divide into min\(32, 30 // 4\)"),
        ({"model_channels": 2, "channel_mult_noise": 2}, r"layer of 2 channels"),
        ({"model_channels": 100}, r"layer of 200 channels .* multiple of 32"),
        ({"model_channels": 0}, r"network.model_channels: 0"),
        ({"num_blocks": 0}, r"network.num_blocks: 0; at least 1"),
        ({"embedding_type": "sinus"}, r"network.embedding_type: 'sinus'; known: positional, fourier"),
        ({"encoder_type": "skip"}, r"network.encoder_type: 'skip'; known: standard, residual"),
        ({"decoder_type": "skip"}, r"network.decoder_type: 'skip'; known: standard"),
        ({"resample_filter": (1, 2, 1)}, r"network.resample_filter: \[1, 2, 1\]"),
    ],
    ids=str,
)
def test_a_network_that_cannot_be_is_refused_in_one_line(change, text):
    with pytest.raises(ValueError, match=text) as caught:
        ddpmpp.build(dataclasses.replace(DDPMPP, **change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"img_resolution": 7}, r"encoder.img_resolution: 7 does not halve 1 times"),
        ({"model_channels": 48}, r"layer of 48 channels does not divide into 32 groups"),
        ({"model_channels": 0}, r"encoder.model_channels: 0"),
        ({"head_channels": 24}, r"encoder.head_channels: 24 does not divide the 32 channels"),
        ({"attention": (4,)}, r"encoder.attention: \[4\]; the network downsamples by \[1, 2\]"),
    ],
    ids=str,
)
def test_an_encoder_that_cannot_be_is_refused_in_one_line(change, text):
    with pytest.raises(ValueError, match=text) as caught:
        discriminator.build(dataclasses.replace(ENCODER, **change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 1, 9, 9), (3, 3, 8, 8), (3, 1, 16, 16), (3, 1, 8, 4)])
def test_images_of_another_shape_are_refused(shape):
    x, t = images(*shape), torch.full((3,), 0.5)
    output = "x".join(map(str, shape[1:]))
    with pytest.raises(ValueError, match=f"images of {output}; this network takes 1x8x8"):
        ddpmpp.Preconditioned(ddpmpp.build(DDPMPP), 0.5)(x, SIGMA)
    with pytest.raises(ValueError, match=f"images of {output}; this network takes 1x8x8"):
        discriminator.build(ENCODER)(x, t)
