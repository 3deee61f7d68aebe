"""Train one WideResNet adversarially: one pass over D images, resumable at any step."""

import os
import time

import torch
from torch import nn

from robustlaws import device, records
from robustlaws.attacks import pgd
from robustlaws.data import shards
from robustlaws.data.batches import Batches, augment, to_network
from robustlaws.files import replacing
from robustlaws.joblog import Progress, log
from robustlaws.networks import checkpoint, cost, wrn
from robustlaws.seeds import derive
from robustlaws.settings import as_params
from robustlaws.training import schedule, trades
from robustlaws.training.averaging import Average
from robustlaws.training.optimiser import Nesterov


def train(
    *,
    real_path,
    test_path,
    shard_paths,
    weights_path,
    curve_path,
    state_path,
    settings,
    n_threads,
    n_gpus,
    state_minutes,
):
    """Train one run; write its averaged weights and its learning curve.

    Parameters
    ----------
    real_path, test_path : path
        Real training images (read only if the run mixes them in) and test images.
    shard_paths : list of path
        The shards that hold the run's synthetic images, in order.
    weights_path, curve_path : path
        Written at the end: safetensors, and Parquet of records.CURVES.
    state_path : path
        Where the state of an unfinished run is kept; a run that finds its own state there goes on from
        it and ends with the same bytes as one that was never interrupted (same machine, CPU).
    settings : settings.Training
    n_threads, n_gpus : int
    state_minutes : float
        How often the state is saved.

    Raises
    ------
    ValueError
        If the shards hold too few images, or the loss is no longer finite.
    """
    run = _Run(settings, device.prepare(n_threads, n_gpus))
    run.batches = _batches(real_path, shard_paths, settings)
    run.test = [torch.from_numpy(part) for part in shards.read(test_path)]
    run.resume(state_path)
    progress = Progress(
        f"training {settings.run}", settings.images, done=min(run.step * settings.batch, settings.images)
    )
    saved = time.monotonic()
    if run.step == 0:
        run.observe(None)
    while run.step < settings.steps:
        size, detail = run.advance()
        progress.advance(size, detail)
        if time.monotonic() - saved > 60 * state_minutes and run.step < settings.steps:
            run.save(state_path)
            saved = time.monotonic()
    records.write(curve_path, run.rows, records.CURVES)
    run.average.copy_statistics(run.network)
    checkpoint.save(weights_path, run.average.network, settings)
    if os.path.exists(state_path):
        os.remove(state_path)


def _batches(real_path, shard_paths, settings):
    def tensors(pair):
        return tuple(torch.from_numpy(part) for part in pair)

    synthetic = tensors(shards.read_prefix(shard_paths, settings.synthetic_images))
    real = tensors(shards.read(real_path)) if settings.real_fraction else None
    return Batches(synthetic, real, settings.images, settings.batch, settings.synthetic_per_batch, settings.seed)


class _Run:
    """The state of a run and how one step changes it."""

    def __init__(self, settings, where):
        self.settings, self.where = settings, where
        torch.manual_seed(derive(settings.seed, "weights"))
        self.network = wrn.build(settings.architecture).to(where).train()
        self.optimiser = Nesterov(self.network, settings.weight_decay)
        self.average = Average(self.network, settings.warmup_fraction * settings.steps, settings.average_decay)
        self.step, self.rows, self.losses = 0, [], []
        self.observed_at = {round(fraction * settings.steps) for fraction in settings.curve.fractions}

    def advance(self):
        """Do one step; return the size of its batch and a word on the loss."""
        s = self.settings
        images, labels = self.batches.batch_at(self.step)
        generator = self.batches.generator(self.step)
        x = to_network(augment(images, s.crop_padding, s.mirror, generator), self.where)
        noise = (torch.rand(x.shape, generator=generator) * 2 - 1).to(self.where)
        rate, momentum = self._step_size()
        self._set_statistics()
        step = trades.step(
            self.network,
            x,
            labels.to(self.where),
            noise,
            epsilon=s.threat.epsilon,
            step_size=s.attack_step_size,
            attack_steps=s.attack_steps,
            beta=s.beta,
            label_smoothing=s.label_smoothing,
        )
        step.loss.backward()
        self.optimiser.step(rate, momentum)
        self.step += 1
        self.average.update(self.network, self.step)
        self.losses.append(float(step.loss.detach()))
        if not torch.isfinite(step.loss):
            raise ValueError(
                f"{s.run}: the loss is {self.losses[-1]} at step {self.step}; lower training.learning_rate"
            )
        if self.step in self.observed_at:
            self.observe(rate)
        return len(labels), f"loss {self.losses[-1]:.3f}" if self.losses else ""

    def _step_size(self):
        s = self.settings
        last = max(s.steps - 1, 1)
        warmup = schedule.warmup_steps(s.steps, s.warmup_fraction)
        return schedule.one_cycle(self.step, last, warmup, s.learning_rate, s.momentum_low, s.momentum_high)

    def _set_statistics(self):
        # the very first batch defines the statistics alone (spec/training.md 3)
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0 if self.step == 0 else self.settings.batchnorm_momentum

    def observe(self, learning_rate):
        """Add a row to the curve: the averaged network on the first test images, clean and attacked."""
        s = self.settings
        self.average.copy_statistics(self.network)
        images, labels = (part[: s.curve.images] for part in self.test)
        outcome = pgd.evaluate(
            self.average.network,
            images,
            labels,
            epsilon=s.threat.epsilon,
            step_size=s.curve.attack_step_size,
            steps=s.curve.attack_steps,
            beta=s.beta,
            seed=s.curve.seed,
            batch=s.curve.images,
        )
        seen = min(self.step * s.batch, s.images)
        model, dataset, size, seed = s.run.split("/")
        a = s.architecture
        forward = cost.wrn_forward_flops(a.depth, a.width, a.image_size, a.classes, a.channels)
        row = {
            "run": s.run,
            "model": model,
            "dataset": dataset,
            "size": int(size),
            "seed": int(seed),
            "train_fraction": self.step / s.steps,
            "images": seen,
            "flops": float(cost.passes_per_step(s.attack_steps) * forward * seen),
            **pgd.averages(outcome, labels),
            "test_images": len(labels),
            "train_loss": sum(self.losses) / len(self.losses) if self.losses else None,
            "learning_rate": learning_rate,
        }
        self.rows.append(row)
        self.losses = []
        log.info(
            "%s at %.0f %%: clean accuracy %.1f %%, adversarial accuracy %.1f %%, adversarial loss %.4f",
            s.run,
            100 * row["train_fraction"],
            100 * row["clean_acc"],
            100 * row["adv_acc"],
            row["adv_loss"],
        )

    def save(self, path):
        """Write everything that the steps to come depend on."""
        state = {
            "settings": repr(as_params(self.settings)),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state(),
            "rows": self.rows,
            "losses": self.losses,
        }
        with replacing(path) as partial:
            torch.save(state, partial)
        log.info("state saved at step %d of %d", self.step, self.settings.steps)

    def resume(self, path):
        """Take up the state at `path` if there is one of these very settings."""
        if not os.path.exists(path):
            return
        try:
            state = torch.load(path, map_location=self.where, weights_only=True)
        except Exception as error:  # a damaged file can fail in any way; the run then starts anew
            log.warning("%s: unreadable state (%s); starting from the beginning", path, error)
            return
        if state["settings"] != repr(as_params(self.settings)):
            log.warning("%s: state of other settings; starting from the beginning", path)
            return
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimiser.load_state(state["optimiser"])
        self.step, self.rows, self.losses = state["step"], state["rows"], state["losses"]
        log.info("going on at step %d of %d", self.step, self.settings.steps)
