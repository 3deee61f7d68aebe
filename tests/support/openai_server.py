"""A local server that speaks the protocol of chat completions, with faults as a script says."""

import hashlib
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def completion(text, usage=USAGE, finish="stop", **message):
    """Return what an endpoint answers with `text`."""
    message = {"role": "assistant", "content": text, "refusal": None} | message
    choices = [{"index": 0, "finish_reason": finish, "message": message}]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices} | (
        {"usage": usage} if usage else {}
    )


def error(message, code=None):
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


class Server(ThreadingHTTPServer):
    """Answers as `script(image, turn)` says: image is the digest of its data URL, turn counts its requests from 0.

    A script returns a dict with any of: status, body (JSON, text or bytes), headers, delay (seconds), cut (bool).
    """

    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.guard = script, threading.Lock()
        self.asked, self.requests, self.at_work, self.most_at_work = Counter(), [], 0, 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):  # clients that were killed are meant
        pass


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        url = body["messages"][0]["content"][1]["image_url"]["url"]
        image = hashlib.sha256(url.encode()).hexdigest()
        with server.guard:
            turn = server.asked[image]
            server.asked[image] += 1
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append((self.path, headers, body, time.monotonic()))
            server.at_work += 1
            server.most_at_work = max(server.most_at_work, server.at_work)
        answer = {"status": 200, "headers": {}, "delay": 0.0, "cut": False} | server.script(image, turn)
        time.sleep(answer["delay"])
        with server.guard:
            server.at_work -= 1
        data = answer["body"]
        data = json.dumps(data) if isinstance(data, dict) else data
        data = data.encode() if isinstance(data, str) else data
        self.send_response(answer["status"])
        for name, value in ({"Content-Type": "application/json"} | answer["headers"]).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if answer["cut"] else data)
        if answer["cut"]:
            self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def serving(script):
    """Yield a server at work on a free port."""
    with Server(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
