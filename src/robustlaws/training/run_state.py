"""The state of a run during training, and one optimiser step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from robustlaws.data.augment import draw, moved
from robustlaws.data.tensors import to_network
from robustlaws.networks import wrn
from robustlaws.runtime import device
from robustlaws.seeds import derive
from robustlaws.settings import Training
from robustlaws.training import learning_curve, schedule, trades
from robustlaws.training.batches import Batches
from robustlaws.training.distributed import SingleProcess
from robustlaws.training.optimiser import Nesterov
from robustlaws.training.weight_average import Average

_LOOKED_AT = 16  # steps between two looks at the losses: reading one waits for the GPU


class Run:
    """The state of a run and how one step changes it.

    Learning rate, data order and random numbers are pure functions of the seed and the step. So a state needs only the
    step for all of them.

    Parameters
    ----------
    settings : Training
    ranks : distributed.SingleProcess
        The processes that share the run.
    batches : data.batches.Batches
    compiled : bool
        Whether the network goes through torch.compile.
    """

    def __init__(self, settings: Training, ranks: SingleProcess, batches: Batches, compiled: bool = False) -> None:
        self.settings, self.ranks, self.batches = settings, ranks, batches
        torch.manual_seed(derive(settings.seed, "weights"))
        network = wrn.build(settings.architecture).to(ranks.where).train()
        ranks.same(network)
        self.average = Average(network, settings.average_warmup, settings.average_decay)
        self.network = ranks.synchronised(network)
        self.network.precision = settings.precision  # type: ignore[assignment]  # of the training only: the average is measured in float32
        self.compiled = device.compiled(self.network, compiled)
        self.optimiser = Nesterov(self.network, settings.weight_decay)
        self.step = 0
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.losses: list[float] = []
        self._pending: list[Tensor] = []
        self._measured_at, self._validated_at = (
            learning_curve.steps(settings),
            learning_curve.validation_steps(settings),
        )
        settings.check_parts(ranks.count)

    def advance(self) -> tuple[int, str]:
        """Do one optimiser step; return how many images it took and a word on the loss."""
        s = self.settings
        images, labels = self.batches.batch_at(self.step)
        parts = self._parts(images, labels)
        rate, momentum = schedule.at(self.step, s)
        self._set_statistics()
        losses = []
        for x, y, noise in parts:
            step = trades.step(
                # the first step has BatchNorm momenta of its own, not worth a graph
                self.compiled if self.step else self.network,
                x,
                y,
                noise,
                epsilon=s.threat.epsilon,
                step_size=s.attack_step_size,
                attack_steps=s.attack_steps,
                beta=s.beta,
                label_smoothing=s.label_smoothing,
                objective=s.attack_objective,
                reuse_clean_pass=s.reuse_clean_pass,
                total=len(labels),
            )
            step.loss.backward()
            losses.append(step.loss.detach())
        self.ranks.sum_gradients(self.network.parameters())
        self.optimiser.step(rate, momentum)
        self.step += 1
        self.average.update(self.network, self.step)
        self._pending.append(torch.stack(losses).sum())
        if len(self._pending) >= _LOOKED_AT or self.step == s.steps:
            self.look_at_losses()
        return len(labels), f"loss {self.losses[-1]:.3f}" if self.losses else ""

    def _parts(self, images, labels):
        """Yield this rank's share of each part of a batch: images and labels on the device, and noise.

        Each part and each share takes every n-th image. Real images come first in a batch, so contiguous parts would
        have BatchNorm statistics of their own.
        """
        s, where = self.settings, self.ranks.where
        generator = self.batches.generator(self.step)
        # drawn for the whole batch, on the CPU, by every rank: no image depends on the processors at work
        offsets, flips = draw(len(labels), s.crop_padding, s.mirror, generator)
        noise = torch.rand((len(labels), images.shape[3], *images.shape[1:3]), generator=generator) * 2 - 1
        for part in range(s.accumulate):
            mine = self.ranks.share(torch.arange(part, len(labels), s.accumulate))
            pixels, y, start, shift, flip = (
                None if values is None else values[mine].to(where, non_blocking=True)
                for values in (images, labels, noise, offsets, flips)
            )
            yield to_network(moved(pixels, s.crop_padding, shift, flip), where), y, start

    def _set_statistics(self):
        # the very first batch defines the statistics alone (spec/training.md 3); the parts of a batch move
        # them together as far as the whole would
        momentum, parts = self.settings.batchnorm_momentum, self.settings.accumulate
        if parts > 1:
            momentum = 1 - (1 - momentum) ** (1 / parts)
        if self.step == 0:
            momentum = 1.0
        for module in wrn.batchnorms(self.network):
            module.momentum = momentum

    def look_at_losses(self) -> None:
        """Bring the losses of the last steps over from the device; ValueError if one is not finite."""
        if not self._pending:
            return
        first = self.step - len(self._pending)
        losses = self.ranks.summed(torch.stack(self._pending)).tolist()
        self._pending = []
        for number, loss in enumerate(losses, start=first + 1):
            if loss - loss != 0:  # infinite or not a number
                raise ValueError(
                    f"{self.settings.run}: the loss is {loss} at step {number}; lower training.learning_rate"
                )
        self.losses += losses

    def measure(
        self, test: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor] | None, poll: Callable[[], None]
    ) -> None:
        """Measure what is due at this step: a row of the curve, and whether these weights are the best so far."""
        s = self.settings
        if self.step in self._measured_at and (not self.rows or self.rows[-1]["step"] != self.step):
            self.look_at_losses()
            images, labels = (part[: s.curve.images] for part in test)
            outcome = self._attacked(images, labels, poll)
            rate = schedule.at(self.step - 1, s)[0] if self.step else None
            self.rows.append({"step": self.step, **learning_curve.row(s, self.step, outcome, self.losses, rate)})
            self.losses = []
            learning_curve.say(s, self.rows[-1])
        if validation and self.step in self._validated_at and (self.best or {}).get("seen") != self.step:
            right = self._attacked(*validation, poll)["adv_acc"]
            if self.best is None or right >= self.best["adv_acc"]:
                # on the CPU, also after a resume: a GPU has better use for the room
                weights = {name: tensor.cpu().clone() for name, tensor in self.average.network.state_dict().items()}
                self.best = {"adv_acc": right, "step": self.step, "average": weights}
            self.best["seen"] = self.step

    def _attacked(self, images, labels, poll):
        self.average.copy_statistics(self.network)
        return learning_curve.measured(self.average.network, images, labels, self.settings, self.ranks, poll)

    def state(self) -> dict[str, Any]:
        """Return everything that the steps to come depend on, for :mod:`robustlaws.runtime.resumable_state`."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state(),
            "rows": self.rows,
            "losses": self.losses,
            "best": self.best,
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state`."""
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimiser.load_state(state["optimiser"], self.ranks.where)
        self.step, self.rows, self.losses, self.best = (state[key] for key in ("step", "rows", "losses", "best"))
