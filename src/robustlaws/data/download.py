"""Published files: their addresses, checksums and download. Imports no torch.

A config names such a file by a path; its last part says which one is meant. Source: spec/interop.md 4e to 4h.
"""

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress
from robustlaws.storage.atomic import replacing

_EDM = "https://nvlabs-fi-cdn.nvidia.com/edm"
_DRIVE = "https://drive.google.com/drive/folders"


class Published(NamedTuple):
    """A published file."""

    url: str  # of the file, or of the page where a person can get it
    direct: bool = True  # whether `url` is the file itself
    sha256: str = ""  # hex, or its first digits; "": none is published
    what: str = ""  # which file of the page


PUBLISHED = {
    "cifar-10-python.tar.gz": Published(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar-10-binary.tar.gz": Published("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),
    "edm-cifar10-32x32-cond-vp.pkl": Published(f"{_EDM}/pretrained/edm-cifar10-32x32-cond-vp.pkl"),
    "cifar10-32x32.npz": Published(f"{_EDM}/fid-refs/cifar10-32x32.npz"),
    "weights-inception-2015-12-05-6726825d.pth": Published(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    "pfgmpp-cifar10-ncsnpp-D-2048-cond.pt": Published(
        f"{_DRIVE}/1IADJcuoUb2wc-Dzg42-F8RjgKVSZE-Jd", False, what="training-state-*.pt under this name"
    ),
    "32x32_classifier.pt": Published(f"{_DRIVE}/1gb68C13-QOt8yA6ZnnS6G5pVIlPO7j_y", False),
    "discriminator_250.pt": Published(f"{_DRIVE}/1P1u7cz7kY1BJDPVrPNiFcksy_HCHY_bI", False),
    "discriminator_60.pt": Published(f"{_DRIVE}/1P1u7cz7kY1BJDPVrPNiFcksy_HCHY_bI", False),
}


def known(path: Path | str) -> bool:
    """Return whether :func:`fetch` can fetch the file that `path` names."""
    return Path(path).name in PUBLISHED


def fetch(path: Path | str) -> None:
    """Download a published file to `path`, going on where an earlier attempt stopped.

    Raises
    ------
    ValueError
        One line if it cannot be had from here, naming what to download and where to put it, or if what
        came is another file.
    """
    path = Path(path)
    published = PUBLISHED[path.name]
    if not published.direct:
        what = published.what or path.name
        raise ValueError(f"{path}: not there, and no program may fetch it; download {what} from {published.url}")
    path.parent.mkdir(parents=True, exist_ok=True)
    started = path.with_name(f".{path.name}.download")
    try:
        _download(published.url, started)
    except OSError as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise ValueError(
            f"{path}: not there, and {published.url} cannot be had from here ({reason}); download it and put it there"
        ) from None
    with open(started, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if not actual.startswith(published.sha256):
        started.unlink()
        raise ValueError(
            f"{path}: {published.url} came with the SHA-256 {actual}, not {published.sha256}; nothing kept"
        )
    with replacing(path) as partial:
        os.replace(started, partial)
    log.info("%s: fetched from %s, SHA-256 %s", path, published.url, actual)


def _download(url, path, block=1 << 20):
    """Append to the file at `path` what it lacks of `url`; OSError if that cannot be had."""
    have = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing after what is there: it is whole
            return
        raise
    with answer:
        have = have if answer.status == 206 else 0  # a server without ranges sends everything again
        total = have + int(answer.headers.get("Content-Length") or 0)
        progress = Progress(f"fetching {url}", max(total, 1), "bytes", done=have)
        with open(path, "ab" if have else "wb") as file:
            while part := answer.read(block):
                file.write(part)
                have += len(part)
                progress.advance(len(part))
    if have < total:
        raise OSError(f"the connection ended after {have} of {total} bytes")
