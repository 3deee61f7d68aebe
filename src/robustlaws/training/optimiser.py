"""Stochastic gradient descent with Nesterov momentum, as torch computes it.

Making a `torch.optim.SGD` imports torch's compiler, which costs a job as much as importing torch. The function behind
it does not, and a small study has many short jobs.
"""

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


class Nesterov:
    """SGD with Nesterov momentum; weight decay on everything but BatchNorm.

    Source: spec/training.md 4.

    Parameters
    ----------
    network : nn.Module
    weight_decay : float
        L2 coefficient on the parameters whose name lacks "batchnorm".
    """

    def __init__(self, network: nn.Module, weight_decay: float) -> None:
        named = dict(network.named_parameters())
        decayed = [p for name, p in named.items() if "batchnorm" not in name]
        others = [p for name, p in named.items() if "batchnorm" in name]
        self.groups = [(decayed, weight_decay), (others, 0.0)]
        self.momenta: list[list[Tensor | None]] = [[None] * len(parameters) for parameters, _ in self.groups]

    @torch.no_grad()
    def step(self, learning_rate: float, momentum: float) -> None:
        """Update the parameters by their gradients and forget the gradients."""
        for (parameters, weight_decay), momenta in zip(self.groups, self.momenta, strict=True):
            sgd(
                list(parameters),
                [parameter.grad for parameter in parameters if parameter.grad is not None],
                momenta,
                foreach=True,
                lr=learning_rate,
                momentum=momentum,
                dampening=0.0,
                nesterov=True,
                weight_decay=weight_decay,
                maximize=False,
                has_sparse_grad=False,
            )
            for parameter in parameters:
                parameter.grad = None

    def state(self) -> list[list[Tensor | None]]:
        """Return the momenta, a list of lists of tensors."""
        return self.momenta

    def load_state(self, state: list[list[Tensor | None]], where: torch.device) -> None:
        """Take up the momenta of :meth:`state` on device `where`."""
        self.momenta = [[m if m is None else m.to(where) for m in momenta] for momenta in state]
