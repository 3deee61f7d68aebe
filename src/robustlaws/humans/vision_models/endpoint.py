"""One request to an OpenAI-compatible endpoint, and the interpretation of its response."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial

import openai

OPENAI = "https://api.openai.com/v1"
_PASSING = {408, 409, 425, 429}  # and all from 500
# Codes of a request refused for what the image shows, of several providers.
_POLICY = ("content_policy", "content_filter", "responsibleaipolicy", "moderation", "data_inspection_failed")
_NO_MONEY = "insufficient_quota"  # comes as 429, and does not pass
_SECRET_LENGTH = 8  # characters; shorter keys are placeholders of endpoints that need none


@dataclass(frozen=True)
class Outcome:
    """The outcome of one attempt: a reply, or a failure."""

    milliseconds: float
    http_status: int | None = None  # None: no answer came
    reply: dict | None = None  # the JSON as it came: a completion, or a refusal for what the image shows
    trouble: str = ""  # why there is no reply
    fatal: bool = False  # whether no other request would fare better
    wait: float | None = None  # seconds that the endpoint asks to wait
    charged: bool = False  # whether it may cost something although there is no reply


class Endpoint:
    """A client of the endpoint at `address` (None: OpenAI's) that never shows its key.

    Parameters
    ----------
    address : str or None
    key : str or None
        None: the endpoint needs none.
    variable : str
        Where the key comes from, for errors.
    timeout : float
        Seconds of an attempt.

    Raises
    ------
    ValueError
        If the address or the key cannot be one, or OpenAI's endpoint is meant without a key.
    """

    def __init__(self, address, key, variable, timeout):
        self.address, self.variable, self.timeout = address or OPENAI, variable, timeout
        self._key = (key or "").strip()
        if not self.address.startswith(("http://", "https://")):
            raise ValueError(f"address {self.address!r}: not of an endpoint; it begins with http:// or https://")
        if not self._key and address is None:
            raise ValueError(f"environment variable {variable} is not set; OpenAI's endpoint needs a key there")
        if not (self._key.isascii() and self._key.isprintable()):
            raise ValueError(f"environment variable {variable}: holds characters that no key has")
        self._headers = {} if self._key else {"Authorization": openai.Omit()}
        if address is not None:  # another endpoint must not get the account of OpenAI from the environment
            self._headers |= {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            admin_api_key="",
            base_url=self.address,
            timeout=timeout,
            max_retries=0,  # its own retries know no longer waits than 8 s, no broken JSON, no cost limit
        )

    async def close(self):
        """Close the connections."""
        await self._client.close()

    async def ask(self, body):
        """Send one chat completion request, once; return its :class:`Outcome`.

        Parameters
        ----------
        body : dict
            model, messages and whatever else the endpoint is to be told.
        """
        start = time.monotonic()
        outcome = await self._attempt(dict(body))
        return Outcome(round(1000 * (time.monotonic() - start), 1), **outcome)

    async def _attempt(self, body):
        model, messages = body.pop("model"), body.pop("messages")
        create = partial(self._client.chat.completions.with_raw_response.create, extra_headers=self._headers)
        try:
            async with asyncio.timeout(self.timeout):  # the client's own is for each part of the answer anew
                response = await create(model=model, messages=messages, extra_body=body)
                text = response.http_response.text
        except (TimeoutError, openai.APITimeoutError):
            return {"trouble": f"no answer within {self.timeout:g} s", "charged": True}
        except openai.APIStatusError as error:
            return self._refusal(error.response)
        except openai.APIConnectionError as error:
            reason = error.__cause__ or error
            why = self._hidden(str(reason)) or type(reason).__name__
            return {"trouble": f"no connection ({why})", "charged": "Connect" not in type(reason).__name__}
        reply = _json(self._hidden(text))
        if isinstance(reply, dict) and message(reply) is not None:
            return {"http_status": 200, "reply": reply}
        problem = "the answer is not JSON" if reply is None else _error_text(reply) or "the answer holds no completion"
        return {"http_status": 200, "trouble": problem, "charged": True}

    def _refusal(self, response):
        status, reply = response.status_code, _json(self._hidden(response.text))
        about = reply.get("error") if isinstance(reply, dict) else None
        codes = _codes(about if isinstance(about, dict) else reply)
        if status in (400, 403) and any(word in code for code in codes for word in _POLICY):
            return {"http_status": status, "reply": reply}
        detail, wait = _error_text(reply), _wait(response.headers)
        trouble = f"HTTP status {status}" + (f", {detail}" if detail else "")
        if status in (401, 403):  # what the endpoint says there may hold a part of the key
            set_or_not = "its key is refused" if self._key else "it wants a key, and none is set"
            trouble = f"HTTP status {status}, {set_or_not}; check environment variable {self.variable}"
        elif status == 404:
            trouble += "; check the model's name and the address"
        elif wait is not None:
            trouble += f", asks to wait {wait:g} s"
        fatal = (status < 500 and status not in _PASSING) or _NO_MONEY in codes
        return {"http_status": status, "trouble": trouble, "fatal": fatal, "wait": wait}

    def _hidden(self, text):
        return text.replace(self._key, "[key]") if len(self._key) >= _SECRET_LENGTH else text


def message(reply):
    """Return the message of a completion, or None if there is none."""
    try:
        reply_message = reply["choices"][0]["message"]
    except (KeyError, IndexError, TypeError):
        return None
    return reply_message if isinstance(reply_message, dict) else None


def text_of(reply):
    """Return the text of a completion; "" if it has none."""
    content = message(reply).get("content")
    if isinstance(content, list):  # some endpoints give parts
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def refused(reply):
    """Return whether the model, its filter or its endpoint would not answer for what the image shows."""
    answer = message(reply)
    return answer is None or bool(answer.get("refusal")) or reply["choices"][0].get("finish_reason") == "content_filter"


def _json(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _codes(about):
    """Return the names of an error, in lower case."""
    codes = []
    while isinstance(about, dict):
        codes += [str(about.get(name)).lower() for name in ("code", "type") if about.get(name)]
        about = about.get("innererror")
    return codes


def _error_text(reply):
    """Return the message of an endpoint's error, in one line; "" if nothing."""
    about = reply.get("error", reply) if isinstance(reply, dict) else reply
    text = about.get("message") if isinstance(about, dict) else about
    return " ".join(text.split())[:200] if isinstance(text, str) else ""


def _wait(headers):
    """Return the seconds that Retry-After (a number, or a date) asks to wait, or None."""
    retry_after = headers.get("retry-after", "")
    try:
        return max(float(retry_after), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
