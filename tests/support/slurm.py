"""A real SLURM on this machine: a controller and two nodes with two make-believe GPUs each, as long as a test needs it.

One machine can have one SLURM (its configuration stands in /etc/slurm): `lock` keeps test sessions apart.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = Path("/tmp/slurm-tests.lock")
# srun inside a job of Snakemake's plugin no longer knows SLURM_CONF, so the files stand where SLURM looks by itself
ETC = Path("/etc/slurm")
CGROUPS = Path("/sys/fs/cgroup")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "setpriv")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")

CONTROLLER = """
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/{tracking}
TaskPlugin=task/{tasks}
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=100000,batch_sched_delay=0
GresTypes=gpu
MpiDefault=none
ReturnToService=2
MinJobAge=900
KillWait=2
SlurmctldTimeout=10
SlurmdTimeout=20
SlurmdParameters=config_overrides
DefMemPerCPU=100
MailProg=/bin/true
"""
# more processors and memory than there may be: SLURM only counts them
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=12000 Gres=gpu:2\n"
PARTITION = "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
CONSTRAINTS = """
CgroupPlugin=cgroup/v1
CgroupMountpoint={cgroups}
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
ConstrainDevices=no
"""


def why_not():
    """Return why SLURM cannot be started here, or None."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)} here (Debian: slurm-wlm, munge)"
    if os.geteuid():
        return "SLURM's daemons need root"
    if (ETC / "slurm.conf").exists() and not (ETC / "slurm.conf").is_symlink():
        return f"{ETC}/slurm.conf: this machine has a SLURM of its own"
    return None


def run(*command, check=True):
    """Run a command of SLURM; return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def until(true, what, seconds=60, pause=0.1):
    """Wait until `true()`; return what it returned."""
    end = time.monotonic() + seconds
    while not (result := true()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(pause)
    return result


def tracks_processes():
    """Return whether SLURM can hold jobs in cgroups here: whether their memory is limited and none outlives its job."""
    for kind in ("freezer", "memory"):
        trial = CGROUPS / kind / f"trial-{os.getpid()}"
        try:
            trial.mkdir()
            trial.rmdir()
        except OSError:
            return False
    return True


class Cluster:
    """The running SLURM; `nodes`: names; `cgroups`: whether memory and processes of a job are held in cgroups."""

    def __init__(self, folder, nodes=("n1", "n2"), port=17000):
        self.folder, self.nodes, self.port = Path(folder), nodes, port
        self.cgroups = tracks_processes()
        self._running = []

    def start(self):
        """Start munge, the controller and the nodes; return when all nodes are idle."""
        self._sweep()  # of a session that was killed
        self._configure()
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
            Path("/run/munge").mkdir(mode=0o755, exist_ok=True)
            key = self.folder / "munge.key"
            key.touch(mode=0o600)
            key.write_bytes(os.urandom(128))
            names = {"key-file": key, "log-file": self.folder / "munged.log", "seed-file": self.folder / "munged.seed"}
            self._daemon("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in names.items()))
            until(lambda: subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0, "munge")
        self._daemon("slurmctld", "-D", "-c")
        for node in self.nodes:
            self.start_node(node)
        until(lambda: set(run("sinfo", "-hN", "-o%T", check=False).split()) == {"idle"}, "idle nodes", 30)

    def start_node(self, node):
        """Start the daemon of one node."""
        (self.folder / f"spool.{node}").mkdir(exist_ok=True)
        return self._daemon("slurmd", "-D", "-N", node)

    def stop(self):
        """Cancel all jobs, stop the daemons and take the configuration away."""
        if self._running:
            run("scancel", f"--user={os.geteuid()}", check=False)
            gone = "all jobs cancelled"
            try:
                until(lambda: not run("squeue", "--noheader", check=False), gone, 30)
            except TimeoutError:
                run("scancel", "--signal=KILL", "--full", f"--user={os.geteuid()}", check=False)
        for daemon in reversed(self._running):
            daemon.terminate()
        for daemon in reversed(self._running):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._running.clear()
        for name in FILES:
            (ETC / name).unlink(missing_ok=True)
        self._sweep()

    def jobs(self):
        """Return all jobs that SLURM still knows, as {id: {field: value}}, finished ones too."""
        results = {}
        for line in run("scontrol", "--oneliner", "show", "job", check=False).splitlines():
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if "JobId" in fields:
                results[int(fields["JobId"])] = fields
        return results

    def _daemon(self, *command):
        log = (self.folder / f"{command[0]}.out").open("a")
        # a test session that is killed takes its daemons with it
        self._running.append(
            subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdout=log, stderr=log, cwd=self.folder)
        )
        log.close()
        return self._running[-1]

    def _sweep(self):
        """End what the jobs left running and remove the cgroups of the nodes."""
        if not self.cgroups:
            return
        for top in (top for node in self.nodes for top in CGROUPS.glob(f"*/slurm_{node}")):
            for file in top.rglob("cgroup.procs"):
                for process in map(int, file.read_text().split()):
                    # a process that is just ending is listed as 0, which to kill is the whole group of this one
                    if process:
                        with suppress(ProcessLookupError):
                            os.kill(process, signal.SIGKILL)
            for folder in sorted((top, *top.rglob("*/")), key=lambda path: -len(path.parts)):
                until(lambda folder=folder: _removed(folder), f"{folder} is without processes", 20)

    def _configure(self):
        (self.folder / "state").mkdir()
        host = socket.gethostname().split(".")[0]
        text = CONTROLLER.format(
            host=host,
            port=self.port,
            folder=self.folder,
            tracking="cgroup" if self.cgroups else "linuxproc",
            tasks="cgroup,task/affinity" if self.cgroups else "none",
        )
        for place, name in enumerate(self.nodes, start=1):
            text += NODE.format(name=name, host=host, port=self.port + place)
        # links to character devices: other files are counted, but no job is told which are its own
        for place, device in enumerate(("null", "zero")):
            (self.folder / f"nvidia{place}").symlink_to(f"/dev/{device}")
        gpus = f"AutoDetect=off\nName=gpu File={self.folder}/nvidia[0-1] Flags=nvidia_gpu_env\n"
        for name, content in zip(FILES, (text + PARTITION, gpus, CONSTRAINTS.format(cgroups=CGROUPS)), strict=True):
            (self.folder / name).write_text(content)
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).symlink_to(self.folder / name)


def _removed(folder):
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def cluster():
    """Yield a running `Cluster`, the only one of this machine; stop it and all its jobs afterwards."""
    with LOCK.open("w") as lock, tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Cluster(folder)
        try:
            made.start()
            yield made
        finally:
            made.stop()
