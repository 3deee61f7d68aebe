"""The update loop of generator training; a killed job resumes.

One process on the CPU ends with the same bytes as if never killed; on a GPU this is not tested. An update is a pure
function of the seed and its number. So a state holds only the number, the weights and the optimiser.
"""

import math
import time
from abc import ABC, abstractmethod
from collections import deque

import torch

from robustlaws.runtime import device, resumable_state
from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress
from robustlaws.runtime.signals import Stop, Stopped
from robustlaws.seeds import derive

_LOOKED_AT = 16  # updates between two looks at the losses: reading one waits for the GPU


class Work(ABC):
    """Some number of updates of one network; a subclass says what one of them is.

    Parameters
    ----------
    name : str
        Name of the trained network, for messages.
    settings : settings.GeneratorTraining or settings.EncoderTraining
        Its seed, batch and updates are used here.
    where : torch.device
    kept : dict of str to nn.Module or torch.optim.Optimizer
        Everything that an update changes and that the updates to come depend on.
    """

    def __init__(self, name, settings, where, kept):
        self.name, self.settings, self.where, self.kept = name, settings, where, kept
        self.update = 0
        self._pending, self._recent = [], deque(maxlen=_LOOKED_AT)

    @abstractmethod
    def step(self, generator):
        """Do one update and return its loss, 0-d, on the device.

        Parameters
        ----------
        generator : torch.Generator
            torch's own of the CPU, seeded for this update: draws and dropout both take from it.
        """

    def saved(self, folder):  # noqa: B027 (for most there is nothing to do)
        """Do what is to be done each time that a state was saved in `folder`."""

    def advance(self):
        """Do the next update; return a word on the losses."""
        self._pending.append(self.step(torch.manual_seed(derive(self.settings.seed, "update", self.update))).detach())
        self.update += 1
        if self.where.type == "cpu" or len(self._pending) >= _LOOKED_AT or self.update == self.settings.updates:
            self.look_at_losses()
        return f"loss {sum(self._recent) / len(self._recent):.3f}" if self._recent else ""

    def look_at_losses(self):
        """Bring the losses of the last updates over from the device; ValueError if one is not finite."""
        first = self.update - len(self._pending)
        losses = torch.stack(self._pending).tolist() if self._pending else []
        self._pending = []
        for number, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                raise ValueError(f"{self.name}: the loss is {loss} at update {number}; lower its learning_rate")
        self._recent.extend(losses)

    def save(self, folder, owner):
        """Write a state; return why it could not be, or an empty string."""
        self.look_at_losses()  # no state of a network that is lost already
        content = {name: part.state_dict() for name, part in self.kept.items()}
        return resumable_state.save(folder, {"update": self.update, **content}, owner, self.update)

    def take_up(self, state):
        """Go on from a state."""
        self.update = state["update"]
        for name, part in self.kept.items():
            part.load_state_dict(state[name])


def carry_out(work, state_path, owner, compute):
    """Do all updates of `work`, from its newest state on if there is one, saving states by the clock.

    Parameters
    ----------
    work : Work
    state_path : path
        Folder of the states; the caller holds it and forgets it when what was trained is written.
    owner : dict
        Owner of a state: settings, revision and checksums of the inputs.
    compute : settings.Compute

    Raises
    ------
    ValueError
        If a loss is not finite, the memory of a GPU does not suffice, or the states are of other settings.
    Stopped
        After SIGTERM, SIGUSR1 or Ctrl-C, or when the time budget is used up: the state is saved.
    """
    if path := resumable_state.newest(state_path, owner):
        work.take_up(resumable_state.read(path))
        resumable_state.going_on(state_path, f"at update {work.update} of {work.settings.updates}")
    total = work.settings.updates
    progress = Progress(f"training {work.name}", total, "updates", done=work.update)
    saved = started = time.monotonic()
    deadline = compute.deadline(time.time())
    with device.watched(work.name, state_path), Stop(deadline) as stop:
        while work.update < total:
            reason = stop.reason()
            if reason or time.monotonic() - saved > 60 * compute.state_minutes:
                failed = work.save(state_path, owner)
                if reason:
                    outcome = resumable_state.outcome(failed, state_path)
                    where = f"{work.name}: stopped ({reason}) at update {work.update} of {total}, {outcome}"
                    raise Stopped(f"{where}; the same job goes on from there")
                if not failed:  # what has no room for a state has none for what goes with it
                    work.saved(state_path)
                saved = time.monotonic()
            progress.advance(1, _advanced(work))
    log.info("%s: %d updates, %.1f s here", work.name, total, time.monotonic() - started)


def _advanced(work):
    try:
        return work.advance()
    except torch.OutOfMemoryError as error:
        first = str(error).splitlines()[0]
        remedy = "Raise its accumulate" if hasattr(work.settings, "accumulate") else "Lower its batch"
        raise ValueError(f"{work.name}: {first} {remedy} or give it a larger GPU") from None
