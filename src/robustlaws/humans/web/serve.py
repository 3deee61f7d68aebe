"""The command `robustlaws serve`: the web application of a study, on this machine."""

import errno
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from contextlib import contextmanager
from functools import partial
from logging.handlers import RotatingFileHandler

import uvicorn

from robustlaws import errors
from robustlaws.humans import BUNDLES
from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web import app as server
from robustlaws.humans.web import export
from robustlaws.humans.web.connection_limits import Connection
from robustlaws.humans.web.organiser_view import Overview
from robustlaws.humans.web.store import Store
from robustlaws.runtime.file_lock import exclusive

_LOG_BYTES, _LOGS = 1_000_000, 5


def command(parser):
    """Give `parser` the arguments of `robustlaws serve`; return what carries it out."""
    parser.add_argument("folder", metavar="FOLDER", help="of a study, below results")
    parser.add_argument("--bundle", default=BUNDLES[0], help="which images: test (default) or train")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: all of this machine's")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument("--certificate", metavar="FILE", help="TLS certificate with its chain, PEM")
    parser.add_argument("--key", metavar="FILE", help="private key of the certificate, PEM")
    parser.add_argument("--proxy", metavar="ADDRESS", help="of a web server before this one, whose word counts for "
                        "where requests come from and whether they were encrypted")  # fmt: skip
    return _run


def _run(arguments):
    if bool(arguments.certificate) != bool(arguments.key):
        raise ValueError("--certificate and --key go together; give both or none")
    if not 0 <= arguments.port < 65_536:
        raise ValueError(f"--port: {arguments.port} is not within [0, 65535]")
    paths = bundle.locate(arguments.folder, arguments.bundle)
    lock = paths.folder / "server.lock"
    with exclusive(lock, f"{lock}: another server is at work on these images; use it, or stop it first"):
        images = bundle.read(paths)
        key = export.read_key(paths, images)
        store = Store(paths.database, images)
        try:
            _serve(arguments, paths, store, key)
        finally:
            store.close()
    return 0


def _serve(arguments, paths, store, key):
    log = _log(paths.folder / "server.log")
    exporter = _Exporter(store, key, [paths.table, paths.csv], log)
    app = server.app(store=store, overview=Overview(store, key), finished=exporter.wake, log=log)
    limits = {"each": None} if arguments.proxy else {}  # all connections are the proxy's
    config = uvicorn.Config(
        app, http=partial(Connection, log=log, **limits), ws="none", access_log=False, log_level="warning",
        server_header=False, proxy_headers=bool(arguments.proxy), forwarded_allow_ips=arguments.proxy,
        timeout_graceful_shutdown=10, ssl_certfile=arguments.certificate, ssl_keyfile=arguments.key,
    )  # fmt: skip
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"--certificate {arguments.certificate}, --key {arguments.key}: {error}") from None
    with _listening(arguments.host, arguments.port) as listening:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        exporter.start()
        try:
            _tell(arguments, paths, store, listening)
            uvicorn.Server(config).run(sockets=[listening])  # ends well at a signal, and raises it once more
        except KeyboardInterrupt:
            pass
        finally:
            if exporter.stop():
                print(f"stopped; all answers are in {paths.table} and {paths.csv.name}", flush=True)


def _tell(arguments, paths, store, listening):
    host, port = listening.getsockname()[:2]
    scheme = "https" if arguments.certificate else "http"
    print(f"{paths.folder}: {len(store.bundle.ids)} images in {len(store.bundle.batches)} batches")
    print(f"address: {scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    same = "the same as before; `robustlaws participants FOLDER --organiser` makes a new one"
    print(f"the organiser's code, shown only now: {code}" if (code := store.organiser()) else f"organiser: {same}")
    print(f"answers: {paths.database}, exported to {paths.table} and {paths.csv.name}")
    print(f"refusals: {paths.folder / 'server.log'}")
    if not arguments.certificate and not arguments.proxy and host not in ("127.0.0.1", "::1"):
        print("codes and answers are not encrypted on the way here: give --certificate and --key, or --proxy")
    print("to stop: Ctrl+C", flush=True)


@contextmanager
def _listening(host, port):
    """Yield a socket that takes connections at `port`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ValueError(f"--host {host}: no address of this machine ({error.strerror})") from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            reasons = {
                errno.EADDRINUSE: "is in use; stop what uses it, or give another (0: any that is free)",
                errno.EACCES: "may not be used by you; give one above 1023",
            }
            raise ValueError(f"--port {port}: {reasons.get(error.errno, os.strerror(error.errno))}") from None
        listener.listen(512)
        yield listener


def _log(path):
    log = logging.getLogger("robustlaws.humans.web.app")
    log.propagate = False
    handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOGS, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    return log


class _Exporter:
    """Exports the answers in a thread of its own, whenever it is woken and once at the end."""

    def __init__(self, store, key, outputs, log):
        self._store, self._key, self._outputs, self._log = store, key, outputs, log
        self._wanted, self._ended = threading.Event(), False
        self._exported = False
        self._thread = threading.Thread(target=self._work, name="export")

    def start(self):
        self._thread.start()

    def wake(self):
        """Export soon."""
        self._wanted.set()

    def stop(self):
        """Export a last time, end, and return whether it was written."""
        self._ended = True
        self._wanted.set()
        self._thread.join()
        return self._exported

    def _work(self):
        ended = False
        while not ended:
            self._wanted.wait()
            self._wanted.clear()
            ended = self._ended
            self._exported = False
            try:
                export.export(self._store, self._key, self._outputs)
                self._exported = True
            except Exception as error:  # answers go on being taken; the next export may work
                self._log.error("no export: %s", errors.line(error))
                print(f"no export: {errors.line(error)}", file=sys.stderr, flush=True)
