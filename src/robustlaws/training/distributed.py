"""The processes of one run, started by torch's elastic launcher.

    python -m torch.distributed.run ... -m robustlaws.training.distributed JOB.json

Every rank holds the whole network and takes its share of each batch; BatchNorm sees the global batch. Gradients are
summed once a step. A TRADES step makes 27 passes between two sums, so overlapping them with the backward pass, as
DistributedDataParallel does, would gain little.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustlaws import errors, registry, settings
from robustlaws.networks import wrn
from robustlaws.runtime import device, job_log, slurm
from robustlaws.runtime.signals import Stop, Stopped
from robustlaws.settings import Compute
from robustlaws.storage import provenance
from robustlaws.storage.atomic import read_json, write_json, write_text

_ERRORS = {"ValueError": ValueError, "Stopped": Stopped}  # any other is shown as it is


class SingleProcess:
    """One process that has the whole run to itself."""

    index, count = 0, 1

    def __init__(self, where: torch.device) -> None:
        self.where = where

    def synchronised(self, network: nn.Module) -> nn.Module:
        """Return `network` with BatchNorm over the batches of all ranks."""
        return network

    def share(self, indices: Tensor) -> Tensor:
        """Return this rank's part of `indices`, every count-th one."""
        return indices[self.index :: self.count]

    def same(self, network: nn.Module) -> None:
        """Give all ranks the parameters that the first one has: kinds of processors may draw others."""

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradient of each parameter by its sum over the ranks."""

    def summed(self, values: Tensor) -> Tensor:
        """Return a float tensor summed over the ranks."""
        return values

    def gathered(self, value: Any) -> list[Any]:
        """Return the list of what each rank gives, by rank."""
        return [value]

    def messages(self, text: str) -> list[str]:
        """Return the list of what the ranks say, or an empty one if all are silent."""
        return [text] if text else []


class RankGroup(SingleProcess):
    """One of several ranks; every method is a meeting of all."""

    def __init__(self, where: torch.device) -> None:
        super().__init__(where)
        self.index, self.count = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def synchronised(self, network: nn.Module) -> nn.Module:
        """Return the network with batch statistics over all ranks."""
        if self.where.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)
        for module in wrn.batchnorms(network):
            module.__class__ = _GlobalBatchNorm
        return network

    def same(self, network: nn.Module) -> None:
        """Copy the state of rank 0 to all ranks."""
        for tensor in network.state_dict().values():
            torch.distributed.broadcast(tensor, 0)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of the parameters by their sums over all ranks."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def summed(self, values: Tensor) -> Tensor:
        """Return the sums of `values` over all ranks."""
        values = values.clone()
        torch.distributed.all_reduce(values)
        return values

    def gathered(self, value: Any) -> list[Any]:
        """Return `value` of each rank, a list."""
        values = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def messages(self, text: str) -> list[str]:
        """Return the text of rank 0 on all ranks."""
        # on the CPU: a process must not wait for its GPU to hear that it should stop
        anything = torch.tensor([bool(text)], dtype=torch.int64)
        torch.distributed.all_reduce(anything)
        return [text_of_rank for text_of_rank in self.gathered(text) if text_of_rank] if int(anything) else []


class _Sum(torch.autograd.Function):
    """The sum over the ranks of a tensor, of which each rank's loss then depends on all ranks' tensors."""

    @staticmethod
    def forward(_, values):
        values = values.clone()
        torch.distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(_, gradient):
        return _Sum.forward(None, gradient.contiguous())


class _GlobalBatchNorm(nn.BatchNorm2d):
    """BatchNorm over the batches of all ranks on a CPU, where torch's own synchronised one refuses to work."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        precision = x.dtype
        x = x.to(self.weight.dtype)  # statistics are sums over many pixels
        count = torch.tensor([x.numel() / x.shape[1]], dtype=x.dtype)
        torch.distributed.all_reduce(count)
        mean = _Sum.apply(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        if self.track_running_stats:
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(precision)


def launch(target: str, arguments: dict[str, Any], compute: Compute, folder: Path | str) -> None:
    """Run `target` in `compute.ranks` processes and wait for them.

    Parameters
    ----------
    target : str
        "module:function", called in every rank as function(ranks, stop, **arguments).
    arguments : dict
        JSON values.
    compute : Compute
    folder : path
        Seen by all nodes; the job is described there, and asked to stop there.

    Raises
    ------
    ValueError, Stopped
        The error of a rank, and ValueError where nothing starts it on several nodes.
    errors.ReportedError
        Any other failure.
    """
    # names of its own: ranks of a launcher that was killed may not have noticed yet
    folder, mine = Path(folder), f"{socket.gethostname()}-{os.getpid()}"
    path, request, outcome = (folder / f"{what}-{mine}.json" for what in ("job", "stop", "failed"))
    for old in (request, outcome):
        old.unlink(missing_ok=True)
    job = {"target": target, "arguments": arguments, "compute": settings.as_params(compute)}
    files = {"request": str(request), "outcome": str(outcome)}
    if compute.gpus and compute.nodes == 1:  # on several nodes a scheduler has given them out
        files["gpus"] = device.take(compute.gpus, compute.processes_per_node)
    process = {"host": socket.gethostname(), "process": os.getpid(), "provenance": provenance.job()}
    write_json(path, job | files | process, stamped=False)
    meeting = ["--standalone"]
    if compute.nodes > 1:
        meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint={socket.gethostname()}:{_free_port()}", "--rdzv-id=run"]
    launcher = [sys.executable, "-m", "torch.distributed.run", *meeting, f"--nnodes={compute.nodes}"]
    launcher += [f"--nproc-per-node={compute.processes_per_node}", "--max-restarts=0"]
    # a scheduler may signal the launcher too: it passes this one on instead of dying of it
    launcher += ["--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"]
    on_nodes = compute.node_command
    if compute.nodes > 1 and not on_nodes:
        on_nodes = slurm.on_each_node(compute.nodes, compute.threads)
    started = subprocess.Popen(
        [*on_nodes, *launcher, "-m", "robustlaws.training.distributed", str(path)],
        env=slurm.of_job(),
        start_new_session=True,  # a signal to this job's group must not kill ranks that are saving
    )
    with Stop() as stop:
        while (status := _wait(started)) is None:
            # the first rank removes the folder as soon as the run is written: who ends then need not be asked to stop
            if (reason := stop.reason()) and folder.exists() and not request.exists():
                write_text(request, reason)
    failed = read_json(outcome) if outcome.exists() else None
    if failed:
        raise _ERRORS.get(failed["error"], errors.ReportedError)(failed["says"])
    if status:
        raise errors.ReportedError(
            f"a process of the {compute.ranks} that share the run ended with status {status} and without a word; "
            "what it printed stands in the log; run the same command again"
        )


def _wait(process, seconds=0.2):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _free_port():
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


def main(path: Path | str) -> int:
    """Be one rank of the job that `path` describes; return the exit status."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    compute = settings.Compute(**job["compute"])
    index, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    job_log.to_stderr("INFO" if index == 0 else "WARNING")
    try:
        # one rank looks at the shared folder; any rank beside the job notices that it is gone
        launcher = job["process"] if job["host"] == socket.gethostname() else None
        stopping = Stop(request=None if index else job["request"], launcher=launcher)
        with provenance.of(job["provenance"]), stopping as stop:
            mine = job["gpus"][local] if "gpus" in job else local
            where = device.prepare(max(1, compute.threads // compute.processes_per_node), compute.gpus, mine)
            torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if compute.gpus else "gloo")
            registry.resolve(job["target"])(RankGroup(where), stop, **job["arguments"])
            torch.distributed.barrier()  # none leaves while another still talks to it
            torch.distributed.destroy_process_group()
    except Stopped as stopped:  # on all ranks alike, and no failure: the launcher must not kill the others
        if index == 0:
            write_json(job["outcome"], {"error": "Stopped", "says": str(stopped)}, stamped=False)
    except Exception as error:
        outcome = Path(job["outcome"])
        if not outcome.exists():
            report = json.dumps({"error": type(error).__name__, "says": errors.line(error), "rank": index})
            own = outcome.with_suffix(f".{index}")  # several may fail at once
            write_text(own, report)
            os.replace(own, outcome)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
