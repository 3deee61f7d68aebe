"""What is refused before an attack, each with one line that says what, where and what would do."""

import pytest
import torch
from torch import nn

from robustlaws.attacks import sanity_checks
from robustlaws.networks import wrn
from robustlaws.settings import Architecture


class Of(nn.Module):
    """A network and what a function makes of its images and logits."""

    def __init__(self, network, function):
        super().__init__()
        self.network, self.function = network, function

    def forward(self, x):
        return self.function(x, self.network(x))


@pytest.fixture
def network():
    torch.manual_seed(1)
    built = wrn.build(Architecture(10, 1, 10, 3, 16, (0.5,) * 3, (0.25,) * 3))
    for _ in range(3):
        built.train()(torch.rand(16, 3, 16, 16))  # statistics that are not those of the start
    return built.eval()


@pytest.fixture
def batch():
    torch.manual_seed(2)
    return torch.rand(20, 3, 16, 16), torch.arange(20) % 10


def with_pixel(images, value):
    images = images.clone()
    images[7, 0, 3, 3] = value
    return images


IMAGES = {
    "grey levels": (lambda x: x * 255, r"images: pixels from .* to 25.*; an attack needs \[0, 1\]: divide"),
    "negative": (lambda x: with_pixel(x, -0.01), r"images: pixels from -0.01 to"),
    "above one": (lambda x: with_pixel(x, 1.01), r"images: pixels from .* to 1.01;"),
    "NaN": (lambda x: with_pixel(x, float("nan")), "images: 1 hold NaN or infinity, first image 7"),
    "infinity": (lambda x: with_pixel(x, float("inf")), "images: 1 hold NaN or infinity, first image 7"),
    "none": (lambda x: x[:0], "one label an image is needed"),
}
NETWORKS = {
    "NaN logits": (lambda x, z: z.masked_fill(z == z[-1:].max(), float("nan")), "logits: not finite for 1 images"),
    "infinite logits": (lambda x, z: z / 0, "logits: not finite for 20 images, first image 0"),
    "dropout": (lambda x, z: nn.functional.dropout(z, 0.01, training=True), "two passes of the same images differ"),
    "noise": (lambda x, z: z + 1e-3 * torch.randn_like(z), "two passes of the same images differ"),
    "mean of the batch": (lambda x, z: z - 0.1 * z.mean(0), "gets other logits .* than in its batch"),
    "position in the batch": (lambda x, z: z + 0.1 * torch.arange(len(z))[:, None], "gets other logits .* than in its"),
    "no logits": (lambda x, z: z.mean(), "one row of logits for each is needed"),
}


def test_a_network_in_order_passes_and_stays_as_it_is(network, batch):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sanity_checks.check(network, *batch)
    sanity_checks.check(network, batch[0][:1], batch[1][:1])
    sanity_checks.check(network, batch[0].round(), batch[1])  # black and white
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.training


@pytest.mark.parametrize(("change", "says"), IMAGES.values(), ids=IMAGES)
def test_images_out_of_order_are_refused(network, batch, change, says):
    images = change(batch[0])
    with pytest.raises(ValueError, match=says):
        sanity_checks.check(network, images, batch[1][: len(images)])


@pytest.mark.parametrize(("function", "says"), NETWORKS.values(), ids=NETWORKS)
def test_a_network_out_of_order_is_refused(network, batch, function, says):
    with pytest.raises(ValueError, match=says) as caught:
        sanity_checks.check(Of(network, function).eval(), *batch)
    assert "\n" not in str(caught.value)


def test_train_mode_is_refused_and_changes_nothing(network, batch):
    network.layer[1].block[0].batchnorm_0.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match="1 modules in train mode, first 'layer.1.block.0.batchnorm_0'; call"):
        sanity_checks.check(network, *batch)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("count", [1, 20])
def test_statistics_of_the_batch_are_refused_in_eval_mode_too(network, batch, count):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
    with pytest.raises(ValueError, match="gets other logits .* use running statistics in BatchNorm"):
        sanity_checks.check(network, batch[0][:count], batch[1][:count])


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_that_are_no_classes_are_refused(network, batch, label):
    batch[1][5] = label
    with pytest.raises(ValueError, match="the network knows classes 0 to 9"):
        sanity_checks.check(network, *batch)
