"""The batches of a run: every image once, real ones mixed in, the paper's accounting, augmentation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robustlaws.data.augment import augment
from robustlaws.data.sample_order import Walk
from robustlaws.training.batches import Batches, ImagesInMemory
from tests.support.training_runs import training_settings


def window(count, offset=0, seed=3, shuffle=True):
    images = torch.zeros(count, 2, 2, 1, dtype=torch.uint8)
    return ImagesInMemory(images, torch.arange(offset, offset + count), seed, "order", shuffle=shuffle)


def drawn(batches):
    return [batches.batch_at(step)[1] for step in range(batches.settings.steps)]


@given(images=st.integers(1, 200), batch=st.integers(1, 40), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_a_pass_draws_every_image_once(images, batch, seed):
    own = training_settings(images=images, batch=batch, real_fraction=0, seed=seed)
    labels = torch.cat(drawn(Batches(window(images, seed=seed), None, own)))
    assert sorted(labels.tolist()) == list(range(images))


def test_one_real_to_seven_synthetic_in_every_batch():
    own = training_settings(images=128, batch=16, real_fraction=0.125)
    each = drawn(Batches(window(112), window(10, offset=1000), own))
    assert all((labels >= 1000).sum() == 2 and (labels[:2] >= 1000).all() for labels in each)
    everything = torch.cat(each)
    assert sorted(everything[everything < 1000].tolist()) == list(range(112))
    # 16 real draws from 10 images: each once before any twice
    reals = everything[everything >= 1000].tolist()
    assert sorted(reals[:10]) == list(range(1000, 1010))
    assert len(set(reals[10:])) == 6


@given(length=st.integers(1, 30), position=st.integers(0, 100), count=st.integers(0, 70))
@settings(max_examples=80, deadline=None)
def test_walk_resumes_anywhere_and_meets_each_once(length, position, count):
    def order(turn):
        return torch.randperm(length, generator=torch.Generator().manual_seed(turn))

    whole = Walk(length, order).at(0, position + count).tolist()
    assert Walk(length, order).at(position, count).tolist() == whole[position:]
    for start in range(0, len(whole) - length + 1, length):
        assert sorted(whole[start : start + length]) == list(range(length))


def test_accounting_epochs_draw_full_batches_past_the_end():
    # 2 epochs of 50 images in batches of 16: 4 batches an epoch, 128 draws from 100 images
    own = training_settings(images=100, epoch_images=50, batch=16, real_fraction=0)
    each = drawn(Batches(window(100), None, own))
    assert [len(labels) for labels in each] == [16] * 8
    everything = torch.cat(each).tolist()
    assert (own.draws, own.synthetic_images) == (128, 100)
    assert sorted(everything[:100]) == list(range(100))
    assert len(set(everything[100:])) == 28
    wide = training_settings(images=100, epoch_images=50, batch=16, real_fraction=0, pool="draws")
    assert wide.synthetic_images == 128
    assert sorted(torch.cat(drawn(Batches(window(128), None, wide))).tolist()) == list(range(128))


def test_unshuffled_images_come_as_stored():
    own = training_settings(images=64, batch=16, real_fraction=0.125)
    each = drawn(Batches(window(56, shuffle=False), window(10, offset=1000, shuffle=False), own))
    assert each[0].tolist() == [1000, 1001, *range(14)]
    assert each[1].tolist() == [1002, 1003, *range(14, 28)]


def test_a_batch_depends_on_the_seed_and_its_number_only():
    own = training_settings(images=64, batch=16, real_fraction=0)
    item, two = (Batches(window(64), None, own) for _ in range(2))
    later = item.batch_at(3)[1]
    assert torch.equal(later, drawn(two)[3])
    assert not torch.equal(later, Batches(window(64, seed=6), None, own).batch_at(3)[1])


@pytest.mark.parametrize("given", [63, 65])
def test_too_few_or_too_many_images_are_refused(given):
    with pytest.raises(ValueError, match=f"64 synthetic images needed for .*, {given} given"):
        Batches(window(given), None, training_settings(images=64, batch=16, real_fraction=0))


def test_augmentation_only_shifts_and_mirrors():
    images = torch.arange(9, dtype=torch.uint8).reshape(1, 3, 3, 1).expand(200, -1, -1, -1)
    made = augment(images, 1, True, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images[0, :, :, 0], (1, 1, 1, 1))
    allowed = {
        tuple(c.flatten().tolist())
        for y in range(3)
        for x in range(3)
        for c in (padded[y : y + 3, x : x + 3], padded[y : y + 3, x : x + 3].flip(1))
    }
    seen = {tuple(image.flatten().tolist()) for image in made[..., 0]}
    assert seen <= allowed
    assert len(seen) == len(allowed) == 18
    assert torch.equal(augment(images, 0, False, torch.Generator()), images)
