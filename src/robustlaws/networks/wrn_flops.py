"""Parameters and FLOPs of the networks, by arithmetic; imports no torch.

Source: spec/training.md 8. One forward pass of one image costs 2 for each multiply-add (convolutions, linear), 2 per
BatchNorm element, 1 per activation, and 1 per element of a residual sum or of an average.
"""

from functools import cache


def passes_per_step(attack_steps, target_pass=True):
    """Return the forward-pass equivalents of a TRADES step per image: 27 for 10 attack steps.

    The target of the attack costs 1, each attack step 2 (forward, and backward to the input). The two outer passes
    with their backward passes cost 6. Source: spec/training.md 3.
    """
    return target_pass + 2 * attack_steps + 6


def training_flops(settings, images):
    """Return the FLOPs of training on `images` images, as a dict of floats.

    Parameters
    ----------
    settings : settings.Training
    images : int
        Drawn so far or in all.

    Returns
    -------
    dict
        `flops`: as the paper charges them, whatever is saved: 27 passes for its step; the laws use these.
        `flops_spent`: of the passes that are really made: 26 where the clean pass is made only once.
    """
    s, a = settings, settings.architecture
    forward = wrn_forward_flops(a.depth, a.width, a.image_size, a.classes, a.channels)
    target_pass = s.attack_objective == "kl" and not s.reuse_clean_pass
    return {
        "flops": float(passes_per_step(s.attack_steps) * forward * images),
        "flops_spent": float(passes_per_step(s.attack_steps, target_pass) * forward * images),
    }


@cache
def wrn_parameters(depth, width, classes=10, channels=3):
    """Return the number of trainable parameters of a WideResNet."""
    total = channels * 16 * 9
    for many, block in _blocks(depth, width, image_size=4):
        of_block = 2 * block.channels_in + 9 * block.channels_in * block.channels_out
        of_block += 2 * block.channels_out + 9 * block.channels_out**2
        of_block += block.channels_in * block.channels_out if block.channels_in != block.channels_out else 0
        total += many * of_block
    last = 64 * width
    return total + 2 * last + last * classes + classes


@cache
def wrn_forward_flops(depth, width, image_size, classes=10, channels=3):
    """Return the FLOPs of one eval-mode forward pass of one square image of `image_size` pixels a side."""
    flops = 2 * channels * 16 * 9 * image_size**2
    size = image_size
    for many, block in _blocks(depth, width, image_size):
        size = block.size_out
        n_in, n_out = block.channels_in * block.size_in**2, block.channels_out * size**2
        of_block = 3 * n_in + 2 * 9 * block.channels_in * n_out  # BatchNorm 2, SiLU 1, convolution
        of_block += 3 * n_out + 2 * 9 * block.channels_out * n_out
        if block.channels_in != block.channels_out:
            of_block += 2 * block.channels_in * n_out
        flops += many * (of_block + n_out)
    last = 64 * width
    return flops + 4 * last * size**2 + 2 * last * classes  # BatchNorm, SiLU, mean; linear


@cache
def wrn_touched(depth, width, image_size):
    """Return the FLOPs of the element-wise layers of a forward pass.

    As many numbers, about, a forward pass of one image leaves for the backward pass to the weights.
    """
    total, last = 0, 64 * width
    for many, block in _blocks(depth, width, image_size):
        total += many * (3 * block.channels_in * block.size_in**2 + 4 * block.channels_out * block.size_out**2)
    return total + 4 * last * block.size_out**2


class _Block:
    def __init__(self, channels_in, channels_out, size_in, size_out):
        self.channels_in, self.channels_out = channels_in, channels_out
        self.size_in, self.size_out = size_in, size_out


def _blocks(depth, width, image_size):
    """Yield (number of equal blocks, block): six pairs at most, however deep a network somebody names."""
    channels_in, size_in, many = 16, image_size, (depth - 4) // 6
    for group, channels_out in enumerate((16 * width, 32 * width, 64 * width)):
        if many:
            size_out = -(-size_in // 2) if group else size_in
            yield 1, _Block(channels_in, channels_out, size_in, size_out)
            channels_in, size_in = channels_out, size_out
        if many > 1:
            yield many - 1, _Block(channels_out, channels_out, size_in, size_in)
