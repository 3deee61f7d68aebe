"""Imports that are not what the study is of, and the order of images that come class by class."""

import numpy as np
import pytest

from robustlaws.data.sources import Split, mixed
from tests.support.image_sources import import_files, picture_folders, some_images


def test_images_of_another_shape_than_the_studys_are_refused(tmp_path):
    for split in ("train", "test"):
        picture_folders(tmp_path / split, some_images(4, 8, 3))

    def refused(match, **settings):
        with pytest.raises(ValueError, match=f"^{match}$"):
            import_files(tmp_path, "folder", [tmp_path], **{"channels": 3, **settings})
        assert not list(tmp_path.glob("*.h5"))

    refused("image.size: 32 given, source folder has images of 8x8 pixels", size=32)
    refused("image.size: 8 given, source folder has images of 4x4 pixels", image_size=4)
    refused("image.channels: 1 given, images of source folder have 3", channels=1)
    refused("image.classes: 1 given, labels of source folder go up to 1", classes=1)
    import_files(tmp_path, "folder", [tmp_path], channels=3, classes=2)


def test_sources_check_test_labels_before_writing(tmp_path):
    np.savez(tmp_path / "train.npz", image=some_images(24, 8), label=np.arange(24) % 10)
    np.savez(tmp_path / "test.npz", image=some_images(24, 8), label=np.arange(24) % 12)
    files = [tmp_path / "train.npz"], [tmp_path / "test.npz"]
    with pytest.raises(ValueError, match="image.classes: 10 given, labels of source npz go up to 11"):
        import_files(tmp_path, "npz", *files, classes=10)
    assert not list(tmp_path.glob("*.h5"))


def test_images_that_are_not_square_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", image=np.zeros((4, 8, 6, 1), np.uint8), label=np.arange(4))
    with pytest.raises(ValueError, match="image.size: 8 given, source npz has images of 6x8 pixels"):
        import_files(tmp_path, "npz", [tmp_path / "a.npz"], [tmp_path / "a.npz"])


def test_sorted_files_one_after_the_other_are_mixed(tmp_path):
    images, labels = some_images(80, 8), np.arange(80) % 40 // 10
    for name, part in (("a", slice(0, 40)), ("b", slice(40, 80))):
        np.savez(tmp_path / f"{name}.npz", image=images[part], label=labels[part])
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    (result, found_labels), _ = import_files(tmp_path, "npz", files, files[:1], train_images=40)
    assert np.bincount(found_labels, minlength=4).min() >= 4
    label_of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert [label_of[image.tobytes()] for image in result] == found_labels.tolist()


def test_sources_keep_the_order_of_mixed_images():
    def kept(labels):
        split = Split(some_images(len(labels)), labels, ())
        return mixed(split, 1) is split

    rng = np.random.default_rng(0)
    assert all(kept(rng.permutation(np.arange(n) % 4)) for n in (60, 500, 3000))
    assert kept(rng.permutation(np.arange(2000) >= 1900).astype(int))  # 5 % are of class 1
    assert kept(np.zeros(30, int))
    assert not kept(np.arange(2000) // 4 % 100)  # five sorted files with four images of each class
    assert not kept(np.arange(6) // 2)
    assert not kept(np.arange(2000)[::-1] // 500)
