"""Any diffusers pipeline: its images by index, its classes, its scheduler, and what is refused."""

import json
import pickle
import shutil

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from robustlaws.generators import diffusers_pipeline, latents
from robustlaws.networks import checkpoint, wrn
from robustlaws.settings import Architecture, Pipeline, Sampling
from robustlaws.storage.atomic import digest
from tests.support.image_sources import Hostile

CPU = torch.device("cpu")
CLASSIFIER = Architecture(depth=10, width=1, classes=10, channels=1, image_size=8, mean=(), std=())


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    """Return a folder with two small random pipelines: `ddpm` (unconditional, grey) and `dit` (classes, colour)."""
    root = tmp_path_factory.mktemp("pipelines")
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "UpBlock2D")}
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 8), norm_num_groups=4, **blocks
    )
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(root / "ddpm")
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        sample_size=4,
        norm_num_groups=4,
    )
    torch.nn.init.normal_(transformer.proj_out_2.weight, std=0.3)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        layers_per_block=1,
    )
    diffusers.DiTPipeline(transformer, vae, diffusers.DDIMScheduler()).save_pretrained(root / "dit")
    return root


@pytest.fixture(scope="module")
def classifier(folders):
    torch.manual_seed(1)
    path = folders / "classifier.safetensors"
    network = wrn.build(CLASSIFIER)
    network.logits.weight.data.mul_(30)  # so that the images are not all of one class
    checkpoint.save(path, network, CLASSIFIER)
    return path


def sampling(source, *, steps=3, count=8, channels=1, **changes):
    names = {"dataset": "theirs", "generator": "theirs", "sampler": "pipeline", "steps": steps}
    kept = {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0, "seed": 1, "labels": changes.pop("labels", "balanced")}
    shape = {"classes": 10, "image_size": changes.pop("image_size", 8), "channels": channels}
    rest = {"first": 0, "count": count, "batch": 4, "seeds": changes.pop("seeds", "derived")}
    return Sampling(**names, **kept, **shape, **rest, pipeline=Pipeline(source=str(source), **changes))


def ddpm(folders, classifier, **changes):
    asked = sampling(folders / changes.pop("folder", "ddpm"), classifier=CLASSIFIER, **changes)
    return diffusers_pipeline.Sampler({"classifier": classifier}, asked, CPU)


def dit(folders, **changes):
    arguments = changes.pop("arguments", {"guidance_scale": 2.0})
    asked = sampling(folders / "dit", channels=3, class_argument="class_labels", arguments=arguments, **changes)
    return diffusers_pipeline.Sampler({}, asked, CPU)


def test_unconditional_pipeline_equals_diffusers_with_labels(folders, classifier):
    made = ddpm(folders, classifier, seeds="index")
    images, labels = made.batch(range(4, 8))
    theirs = diffusers.DDPMPipeline.from_pretrained(folders / "ddpm")
    generators = [torch.Generator().manual_seed(index) for index in range(4, 8)]
    expected = theirs(batch_size=4, generator=generators, num_inference_steps=3).images  # of Pillow
    assert np.array_equal(images[..., 0], np.stack([np.asarray(each) for each in expected]).reshape(4, 8, 8))
    network = checkpoint.load(classifier, CLASSIFIER, CPU)
    logits = network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    assert labels.tolist() == logits.argmax(1).tolist()
    assert len(set(labels.tolist())) > 1
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)


def test_conditional_pipeline_equals_diffusers_by_class(folders):
    images, labels = dit(folders, seeds="index").batch(range(8, 12))
    assert labels.tolist() == [8, 9, 0, 1]
    theirs = diffusers.DiTPipeline.from_pretrained(folders / "dit")
    theirs.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(index) for index in range(8, 12)]
    expected = theirs([8, 9, 0, 1], guidance_scale=2.0, generator=generators, num_inference_steps=3).images
    assert np.array_equal(images, np.stack([np.asarray(each) for each in expected]))


@pytest.mark.parametrize("scheduler", [None, "DDIMScheduler", "DPMSolverMultistepScheduler"])
def test_an_image_is_a_function_of_its_index(folders, classifier, scheduler):
    first = ddpm(folders, classifier, scheduler=scheduler)
    item, other = first.batch(range(4)), first.batch(range(4, 8))
    torch.manual_seed(9)  # what else was drawn does not matter
    again = ddpm(folders, classifier, scheduler=scheduler)
    assert np.array_equal(again.batch(range(4, 8))[0], other[0])
    assert np.array_equal(again.batch(range(4))[0], item[0])
    alone = again.batch(range(2, 3))[0][0].astype(int)
    assert np.abs(alone - item[0][2].astype(int)).max() <= 1  # the network may round otherwise
    assert len({image.tobytes() for image in np.concatenate([item[0], other[0]])}) == 8


def test_pipeline_scheduler_noise_depends_on_the_batch(folders):
    # DiT hands its scheduler no generator, and DDPM draws noise at every step
    made = dit(folders, scheduler="DDPMScheduler")
    before = made.batch(range(4))[0]
    state = torch.random.get_rng_state()
    assert np.array_equal(made.batch(range(4))[0], before)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_classes_share_their_seeds_where_labels_say_so(folders):
    made = dit(folders, labels="shared", arguments={"guidance_scale": 1.0})
    assert len({latents.seed(index, made.settings) for index in range(20)}) == 2
    drawn = diffusers_pipeline._labels(range(5000), sampling(folders, labels="random"))
    assert np.bincount(drawn, minlength=10).min() > 400


def test_scheduler_and_steps_are_those_of_the_settings(folders, classifier):
    def images(**settings):
        return ddpm(folders, classifier, **settings).batch(range(4))[0]

    made = ddpm(folders, classifier, scheduler="DDIMScheduler", scheduler_arguments={"timestep_spacing": "trailing"})
    scheduler = made._pipeline.scheduler
    assert type(scheduler) is diffusers.DDIMScheduler
    assert (scheduler.config.timestep_spacing, scheduler.config.beta_end) == ("trailing", 0.02)
    assert scheduler.timesteps.tolist() == [999, 666, 332]
    trailing = made.batch(range(4))[0]
    assert not np.array_equal(trailing, images(scheduler="DDIMScheduler"))
    assert not np.array_equal(trailing, images(scheduler="DDIMScheduler", steps=5))
    assert not np.array_equal(images(), images(scheduler="DDIMScheduler"))


@pytest.mark.parametrize("scheduler", [None, "DDIMScheduler"])
def test_one_step_is_enough_for_a_pipeline(folders, classifier, scheduler):
    # distilled models need no more
    images, _ = ddpm(folders, classifier, scheduler=scheduler, steps=1, seeds="index").batch(range(4))
    theirs = diffusers.DDPMPipeline.from_pretrained(folders / "ddpm")
    if scheduler:
        theirs.scheduler = diffusers.DDIMScheduler.from_config(theirs.scheduler.config)
    generators = [torch.Generator().manual_seed(index) for index in range(4)]
    expected = theirs(batch_size=4, generator=generators, num_inference_steps=1).images
    assert np.array_equal(images[..., 0], np.stack([np.asarray(each) for each in expected]).reshape(4, 8, 8))


def test_provenance_names_what_was_used_and_no_path(folders, classifier):
    about = ddpm(folders, classifier, scheduler="DDIMScheduler").provenance
    assert about["weights_sha256"] == digest(folders / "ddpm/unet/diffusion_pytorch_model.safetensors")
    assert about["classifier_sha256"] == digest(classifier)
    assert (about["pipeline"], about["scheduler"]) == ("DDPMPipeline", "DDIMScheduler")
    assert about["pipeline_source"] == "ddpm"
    assert str(folders) not in json.dumps(about)
    assert len(dit(folders).provenance["weights_sha256"]) == 64


# sizes and channels


@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 8), (30, 40, 10), (8, 8, 8)])
def test_images_are_shrunk_by_the_mean_over_each_new_pixel(height, width, size):
    made = np.random.default_rng(0).random((2, height, width, 3)).astype(np.float32)
    side, left = min(height, width), (width - height) // 2
    square = made[:, :, left : left + side]
    expected = square.reshape(2, size, side // size, size, side // size, 3).mean((2, 4)) * 255
    assert np.abs(diffusers_pipeline.to_images(made, size, 3) - expected).max() <= 0.501
    assert diffusers_pipeline.to_images(made, 50, 3).shape == (2, 50, 50, 3)


def test_grey_and_colour_become_each_other_and_nothing_else():
    made = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    pillow = np.asarray(Image.fromarray((made[0] * 255).round().astype(np.uint8)).convert("L")).astype(int)
    assert np.abs(diffusers_pipeline.to_images(made, 8, 1)[0, ..., 0] - pillow).max() <= 1
    grey = diffusers_pipeline.to_images(made[..., :1], 8, 3)
    assert (grey == grey[..., :1]).all()
    with pytest.raises(ValueError, match="images of 4 channels; the study has 3"):
        diffusers_pipeline.to_images(np.zeros((1, 8, 8, 4), np.float32), 8, 3)


# what is refused


def test_schedulers_that_do_not_fit_are_refused(folders, classifier):
    def refused(match, **settings):
        with pytest.raises(ValueError, match=match):
            ddpm(folders, classifier, **settings).batch(range(4))

    refused(r"unknown 'EulerScheduler'; diffusers has DDIMScheduler", scheduler="EulerScheduler")
    refused(r"unknown 'UNet2DModel'", scheduler="UNet2DModel")
    refused(r"DDPMScheduler has no 'beta'; it has num_train_timesteps", scheduler_arguments={"beta": 1})
    # it would run without an error and make images of nothing
    refused(
        r"EulerDiscreteScheduler starts from noise .* which DDPMPipeline does not give",
        scheduler="EulerDiscreteScheduler",
    )
    refused(r"with UniPCMultistepScheduler fails .*unexpected keyword", scheduler="UniPCMultistepScheduler")
    refused(r"no DDPMScheduler with 2000 steps for this pipeline", steps=2000)


def test_calls_that_do_not_fit_are_refused(folders, classifier):
    with pytest.raises(ValueError, match=r"DDPMPipeline takes no 'class_labels'; it takes batch_size"):
        diffusers_pipeline.Sampler({}, sampling(folders / "ddpm", class_argument="class_labels"), CPU)
    with pytest.raises(ValueError, match=r"arguments: 'eta' is none that can be set here"):
        ddpm(folders, classifier, arguments={"eta": 1.0})
    with pytest.raises(ValueError, match=r"arguments: 'generator' is none that can be set here"):
        ddpm(folders, classifier, arguments={"generator": None})
    with pytest.raises(ValueError, match=r"DiTPipeline takes no 'batch_size'; it takes class_labels"):
        diffusers_pipeline.Sampler({}, sampling(folders / "dit", channels=3), CPU)
    with pytest.raises(
        ValueError, match=r"without class_argument its images have no classes; name one, or a classifier"
    ):
        diffusers_pipeline.Sampler({}, sampling(folders / "ddpm"), CPU)
    with pytest.raises(ValueError, match=r"a classifier for 8x8 pixels, 1 channels, 10 classes; the study has 4x4"):
        ddpm(folders, classifier, image_size=4)


def changed(folders, tmp_path, change, name="ddpm"):
    """Return a copy of a pipeline whose model_index.json went through `change`."""
    folder = shutil.copytree(folders / name, tmp_path / name, dirs_exist_ok=True)
    index = json.loads((folder / "model_index.json").read_text())
    change(index)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_pipeline_with_its_own_code_is_refused_unrun(folders, tmp_path):
    marker = tmp_path / "ran"
    hostile = f"import os\nos.mkdir({str(marker)!r})\nclass Mine: pass\n"

    def refused(match, change):
        folder = changed(folders, tmp_path, change)
        for name in ("mine.py", "pipeline.py", "unet/mine.py"):
            (folder / name).write_text(hostile)
        with pytest.raises(ValueError, match=match):
            diffusers_pipeline.Sampler({}, sampling(folder), CPU)
        assert not marker.exists()

    refused(r"its pipeline \['mine', 'Mine'\] is none of diffusers", lambda i: i.update(_class_name=["mine", "Mine"]))
    refused(r"its pipeline 'Mine' is none of diffusers", lambda i: i.update(_class_name="Mine"))
    refused(r"its pipeline 'UNet2DModel' is none of", lambda i: i.update(_class_name="UNet2DModel"))
    refused(r"its unet is mine.Mine, not of diffusers", lambda i: i.update(unet=["mine", "Mine"]))
    refused(r"its unet is os.Mine, not of diffusers", lambda i: i.update(unet=["os", "Mine"]))


def test_pickled_weights_are_refused_and_nothing_runs(folders, tmp_path):
    marker = tmp_path / "ran"
    folder = changed(folders, tmp_path, lambda index: None)
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Hostile(marker)))
    with pytest.raises(
        ValueError, match=r"diffusion_pytorch_model.bin: pickled weights could run code and are not read"
    ):
        diffusers_pipeline.Sampler({}, sampling(folder), CPU)
    assert not marker.exists()


def test_folders_that_are_no_pipeline_are_refused(folders, tmp_path):
    with pytest.raises(ValueError, match=r"no readable model_index.json in it, so no saved pipeline"):
        diffusers_pipeline.Sampler({}, sampling(tmp_path), CPU)
    folder = changed(folders, tmp_path, lambda index: None)
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"ddpm: diffusers cannot load it"):
        diffusers_pipeline.Sampler({}, sampling(folder), CPU)


def test_a_name_that_the_hub_does_not_give_is_refused(monkeypatch):
    def offline(*_, **settings):
        assert settings["use_safetensors"] is True
        assert settings["trust_remote_code"] is False
        raise OSError("no route to the hub\nsecond line")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", offline)
    with pytest.raises(
        ValueError, match=r"somebody/ddpm: no folder .* hub \(no route to the hub\); .*give the local folder$"
    ):
        diffusers_pipeline.Sampler({}, sampling("somebody/ddpm"), CPU)
