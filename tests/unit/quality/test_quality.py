"""Moments, their merging, the Frechet distance, and the FID of a dataset and its parts."""

import hashlib
import json

import numpy as np
import pytest
import scipy.linalg
import torch

from robustlaws.data import shards
from robustlaws.networks import checkpoint, wrn
from robustlaws.quality import fid as quality
from robustlaws.quality import inception, moments
from robustlaws.quality.moments import Gaussian, Moments
from robustlaws.settings import Architecture, Compute, Quality
from robustlaws.settings import Moments as Told

SHAPE = Architecture(10, 1, 10, 1, 8, (0.3,), (0.4,))
FEATURES = {"name": "made up", "dimensions": 5, "sha256": "0" * 64}


def of(values, **named):
    mean = values.mean(0)
    return Moments(len(values), mean, (values - mean).T @ (values - mean), **named)


def textbook(item, other):
    """Return the Frechet distance by its formula, the root by SciPy."""
    root = scipy.linalg.sqrtm(item.covariance @ other.covariance)
    mean = np.square(item.mean - other.mean).sum()
    return mean + np.trace(item.covariance) + np.trace(other.covariance) - 2 * np.trace(root).real


def between(item, other):
    """Return the Frechet distance of two samples without their covariances: exact whatever their rank."""
    apart = item.mean(0) - other.mean(0)
    item, other = ((values - values.mean(0)) / (len(values) - 1) ** 0.5 for values in (item, other))
    return apart @ apart + np.square(item).sum() + np.square(other).sum() - 2 * np.linalg.norm(item @ other.T, "nuc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two shards of 60 and 40 images, 80 real ones, and a classifier of 64 features."""
    folder, rng = tmp_path_factory.mktemp("quality"), np.random.default_rng(0)
    for name, count, high in (("a", 60, 200), ("b", 40, 200), ("real", 80, 256), ("test", 70, 256)):
        images = rng.integers(0, high, (count, 8, 8, 1), dtype=np.uint8)
        shards.write(folder / f"{name}.h5", images, np.arange(count) % 10, {})
    torch.manual_seed(0)
    checkpoint.save(folder / "features.safetensors", wrn.build(SHAPE), SHAPE)
    return folder


def measured(folder, name, cuts=(), batch=16):
    path = folder / f"{name}-{'-'.join(map(str, cuts))}-{batch}.moments"
    if not path.exists():
        moments.measure_moments(
            images_path=folder / f"{name}.h5",
            features_path=folder / "features.safetensors",
            moments_path=path,
            settings=Told("classifier", SHAPE, cuts, batch),
            compute=Compute(),
        )
    return path


def features(folder, *names):
    network = checkpoint.load(folder / "features.safetensors", SHAPE, "cpu")
    images = np.concatenate([shards.read(folder / f"{name}.h5")[0] for name in names])
    with torch.inference_mode():
        return network.features(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).double().numpy()


def test_moments_merge_equal_in_any_grouping():
    rng = np.random.default_rng(0)
    # far from 0, where a sum of squares would lose all digits
    values = rng.standard_normal((1000, 5)) @ rng.standard_normal((5, 5)) + 1e6
    parts = [of(part) for part in np.split(values, [1, 30, 500])]
    flat = moments.merge(parts)
    nested = moments.merge([parts[0], moments.merge([moments.merge(parts[1:3]), parts[3]])])
    expected = np.cov(values, rowvar=False)
    for merged in (flat, nested):
        gaussian = merged.gaussian()
        assert merged.count == 1000
        np.testing.assert_allclose(gaussian.mean, values.mean(0), rtol=1e-14, atol=1e-14)  # means may be near 0
        assert np.abs(gaussian.covariance - expected).max() < 1e-9 * np.abs(expected).max()
    values -= 1e6
    merged = moments.merge(map(of, np.split(values, [1, 30, 500]))).gaussian()
    expected = np.cov(values, rowvar=False)
    assert np.abs(merged.covariance - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize(("cuts", "batch"), [((), 16), ((20, 60), 7), ((1, 30, 60), 64)])
def test_a_file_of_moments_holds_its_pieces(folder, cuts, batch, monkeypatch):
    monkeypatch.setattr(moments, "_READ", 20)
    path = measured(folder, "a", cuts, batch)
    pieces = list(moments.read(path))
    expected = features(folder, "a")
    assert [piece.count for piece in pieces] == np.diff([0, *(cuts or [60])]).tolist()
    start = 0
    for piece in pieces:
        np.testing.assert_allclose(piece.mean, expected[start : start + piece.count].mean(0), atol=1e-6)
        start += piece.count
    merged = moments.merge(pieces).gaussian()
    covariance = np.cov(expected, rowvar=False)
    # the network rounds in float32, in another batch
    assert np.abs(merged.covariance - covariance).max() < 1e-5 * np.abs(covariance).max()
    about = moments.about(path)
    assert about["images"] == shards.attributes(folder / "a.h5")["checksum"]
    assert about["features"]["sha256"] == hashlib.sha256((folder / "features.safetensors").read_bytes()).hexdigest()


def test_the_same_images_give_the_same_bytes(folder, tmp_path):
    settings = {"images_path": folder / "a.h5", "features_path": folder / "features.safetensors", "compute": Compute()}
    for name in "xy":
        moments.measure_moments(moments_path=tmp_path / name, settings=Told("classifier", SHAPE, (20,), 16), **settings)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize("cuts", [(61,), (30, 20), (0,), (20, 20)])
def test_cuts_that_do_not_fit_are_refused(folder, cuts):
    with pytest.raises(ValueError, match="do not ascend within its 60 images"):
        measured(folder, "a", cuts)


def test_distances_with_a_closed_form():
    rng = np.random.default_rng(1)
    item, other = rng.uniform(0.5, 2, (2, 6))
    shift = rng.standard_normal(6)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    a = Gaussian(np.zeros(6), turn @ np.diag(item) @ turn.T)
    b = Gaussian(shift, turn @ np.diag(other) @ turn.T)
    expected = shift @ shift + np.square(np.sqrt(item) - np.sqrt(other)).sum()
    assert moments.frechet_distance(a, b) == pytest.approx(expected, rel=1e-13)
    assert moments.frechet_distance(b, a) == pytest.approx(expected, rel=1e-13)
    assert moments.frechet_distance(a, Gaussian(shift, a.covariance)) == pytest.approx(shift @ shift, rel=1e-13)
    assert moments.frechet_distance(a, a) == pytest.approx(0, abs=1e-13)


def test_covariances_without_full_rank_lose_no_digits():
    rng = np.random.default_rng(2)
    turn = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    few, other = np.zeros((2, 40))
    few[:7], other[5:30] = rng.uniform(1, 2, 7), rng.uniform(1, 2, 25)
    a, b = (Gaussian(np.zeros(40), turn @ np.diag(values) @ turn.T) for values in (few, other))
    expected = np.square(np.sqrt(few) - np.sqrt(other)).sum()
    assert moments.frechet_distance(a, b) == pytest.approx(expected, rel=1e-13)
    assert moments.frechet_distance(a, a) == pytest.approx(0, abs=1e-12)
    constant = Gaussian(np.zeros(40), np.zeros((40, 40)))
    assert moments.frechet_distance(a, constant) == pytest.approx(few.sum(), rel=1e-13)


def test_the_distance_is_the_textbooks():
    rng = np.random.default_rng(3)
    a, b = (of(rng.standard_normal((300, 20)) @ rng.standard_normal((20, 20))).gaussian() for _ in range(2))
    assert moments.frechet_distance(a, b) == pytest.approx(textbook(a, b), rel=1e-10)


def measure(folder, out, cuts_a=(20, 40, 60), cuts_b=(), real=None, **changes):
    settings = {"dataset": "edm-5", "generator": "edm", "steps": 5, "features": "classifier", "architecture": SHAPE}
    quality.measure(
        moments_paths=[measured(folder, "a", cuts_a), measured(folder, "b", cuts_b)],
        real_path=real or measured(folder, "real"),
        test_moments_path=None if real else measured(folder, "test"),
        quality_path=out / "edm-5.json",
        settings=Quality(**(settings | {"images": 20, "subsets": 3} | changes)),
    )
    return json.loads((out / "edm-5.json").read_text())


def test_the_quality_of_a_dataset_is_that_of_its_images(folder, tmp_path):
    made, real = features(folder, "a", "b"), features(folder, "real")

    def fid(first, stop):
        return pytest.approx(between(made[first:stop], real), rel=1e-5)

    result = measure(folder, tmp_path, prefixes=(20, 60, 100))
    assert result["fid_subsets"] == [fid(0, 20), fid(20, 40), fid(40, 60)]
    assert result["fid"] == pytest.approx(np.mean(result["fid_subsets"]))
    assert result["fid_sd"] == pytest.approx(np.std(result["fid_subsets"], ddof=1))
    assert [entry["images"] for entry in result["prefixes"]] == [20, 60, 100]
    assert [entry["fid"] for entry in result["prefixes"]] == [fid(0, 20), fid(0, 60), fid(0, 100)]
    assert result["fid_all"] == fid(0, 100)
    assert (result["images"], result["subsets"], result["images_all"], result["real_images"]) == (20, 3, 100, 80)
    assert result["features"]["dimensions"] == 64
    assert result["floor"]["fid"] == pytest.approx(between(features(folder, "test"), real), rel=1e-5)
    assert result["floor"]["images"] == 70


def test_one_subset_of_two_shards_has_no_spread(folder, tmp_path):
    result = measure(folder, tmp_path, (), (), images=100, subsets=1)
    assert result["fid_sd"] is None
    assert result["fid"] == result["fid_all"] == result["fid_subsets"][0]


def test_a_subset_that_ends_inside_a_piece_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"images 0 to 59 of edm-5 are one piece, .*quality.images.* ends after 20"):
        measure(folder, tmp_path, ())
    with pytest.raises(ValueError, match=r"images 60 to 99 .*quality.prefixes needs one that ends after 70"):
        measure(folder, tmp_path, prefixes=(70,))
    with pytest.raises(ValueError, match="moments of 100 images; quality.images times quality.subsets needs 120"):
        measure(folder, tmp_path, cuts_b=(20, 40), subsets=6)


def test_different_features_do_not_merge_nor_compare(folder, tmp_path):
    values = np.random.default_rng(0).standard_normal((9, 5))
    a = of(values, features=FEATURES, origin="a.moments")
    b = of(values, features=FEATURES | {"sha256": "1" * 64}, origin="b.moments")
    message = r"different features: a.moments in made up \(00000000\), b.moments in made up \(11111111\)"
    with pytest.raises(ValueError, match=message):
        moments.merge([a, b])
    with pytest.raises(ValueError, match=message):
        moments.frechet_distance(a.gaussian(), b.gaussian())
    np.savez(tmp_path / "ref.npz", mu=np.zeros(64), sigma=np.eye(64))
    with pytest.raises(ValueError, match="of Inception's features"):
        measure(folder, tmp_path, real=tmp_path / "ref.npz")


def test_official_reference_statistics_are_read_as_they_are(folder, tmp_path):
    real = of(features(folder, "real")).gaussian()
    np.savez(tmp_path / "ref.npz", mu=real.mean, sigma=real.covariance)
    own = measure(folder, tmp_path)
    result = measure(folder, tmp_path, real=tmp_path / "ref.npz", features="inception")
    assert result["fid"] == pytest.approx(own["fid"], rel=1e-5)
    assert result["real_images"] is result["floor"] is None
    assert result["real_sha256"] == hashlib.sha256((tmp_path / "ref.npz").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(3)}, "no reference statistics"),
        ({"mu": np.zeros(3), "sigma": np.eye(4)}, "are no mean and covariance"),
        ({"mu": np.zeros(2), "sigma": np.array([[1, 2], [3, 4.0]])}, "not symmetric"),
        ({"mu": np.zeros(2), "sigma": np.full((2, 2), np.nan)}, "not finite"),
        ({"mu": np.zeros(2), "sigma": np.array([None, 1])}, "no reference statistics"),
    ],
)
def test_other_archives_are_no_reference(arrays, message, tmp_path):
    np.savez(tmp_path / "ref.npz", **arrays)
    with pytest.raises(ValueError, match=f"ref.npz: .*{message}"):
        moments.reference_moments(tmp_path / "ref.npz")


def test_other_files_are_no_moments(folder, tmp_path):
    (tmp_path / "text").write_text("moments")
    for path in (tmp_path / "text", tmp_path / "missing", folder / "features.safetensors"):
        with pytest.raises(ValueError, match=f"{path}: not a .*file of moments") as error:
            moments.merge(moments.read(path))
        assert "\n" not in str(error.value)


def test_another_file_is_not_inceptions_weights(tmp_path):
    path = tmp_path / inception.NAME
    with pytest.raises(ValueError, match="no such file; download https://github.com/toshas"):
        inception.load(path, "cpu")
    torch.save({"fc.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=f"{path}: SHA-256 .*, not 6726825d"):
        inception.load(path, "cpu")
    with pytest.raises(ValueError, match="not the weights of Inception") as error:
        inception.load(path, "cpu", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert "\n" not in str(error.value)
