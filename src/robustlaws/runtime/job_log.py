"""The log of a job: its output, its progress, and its traceback if it fails."""

import io
import logging
import os
import sys
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path

from robustlaws import errors
from robustlaws.runtime import job_facts
from robustlaws.runtime.import_path import keep_to_environment
from robustlaws.runtime.logger import log


@contextmanager
def job(snakemake):
    """Run a rule's script: redirect output to its log, record provenance, restrict sys.path to the rule's environment.

    Parameters
    ----------
    snakemake : the object that Snakemake gives to a script
    """
    with to(snakemake.log[0]):
        keep_to_environment()
        log.info("Python of %s", sys.prefix)
        with job_facts.of_job(snakemake):
            yield


@contextmanager
def to(path):
    """Redirect the output and the log records of the block to the file at `path`.

    An error is written there with its traceback. The terminal gets one line with the name of the log, and the
    process ends with status 1. Records of level ERROR go to the terminal too. A log that becomes unwritable does
    not end the job and hides no error.
    """
    path, terminal = Path(path), sys.stderr
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sink = _Sink(path)
    except OSError as error:
        print(f"{errors.line(error)} (it would be the log of the job)", file=terminal, flush=True)
        raise SystemExit(1) from None
    with io.TextIOWrapper(io.BufferedWriter(sink), "utf-8", "backslashreplace", line_buffering=True) as file:
        handlers = _handler(file), _handler(os.fdopen(os.dup(2), "w"), logging.ERROR)
        saved = _begin(file, handlers)
        failed = ""
        try:
            yield
        except Exception as error:
            failed = errors.line(error)
            with suppress(MemoryError):
                traceback.print_exc(file=file)
        finally:
            _end(saved, handlers)
        cut = "" if sink.error is None else f", which ends early: {sink.error.strerror}"
        if failed or cut:
            print(f"{failed or 'the job is done'} (log: {path}{cut})", file=terminal, flush=True)
        if failed:
            raise SystemExit(1) from None


def _begin(file, handlers):
    """Send what the process prints and logs to `file` and the handlers; return what :func:`_end` needs."""
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.stdout = sys.stderr = file
    # compiled libraries write to the descriptors, not to sys.stdout
    saved = os.dup(1), os.dup(2)
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    return saved


def _end(saved, handlers):
    for target, copy in enumerate(saved, start=1):
        os.dup2(copy, target)
        os.close(copy)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    logging.captureWarnings(False)
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
    handlers[-1].stream.close()


class _Sink(io.FileIO):
    """The file of a log; its first error of a write is kept as `error`, and never raised."""

    def __init__(self, path):
        super().__init__(path, "w")
        self.error = None

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            self.error = self.error or error
            return memoryview(data).nbytes


def to_stderr(level):
    """Send what is logged from `level` on to stderr: a process of a job whose log that is."""
    logging.getLogger().addHandler(_handler(sys.stderr))
    log.setLevel(level)
    logging.captureWarnings(True)


def _handler(stream, level=logging.NOTSET):
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    return handler
