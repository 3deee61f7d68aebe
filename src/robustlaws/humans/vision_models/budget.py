"""The cost of a vision model's requests, and its limit."""

import math

from robustlaws.runtime.logger import log

_REPLY_TOKENS = 4096  # of a reply as long as any seen, before one is seen and where the request sets no limit
# The most that an image is charged for by a hosted model: tokens, and more for each tile of so many pixels.
_IMAGE_TOKENS, _TILE_TOKENS, _TILE = 2833, 5667, 512
_LIMITS = ("max_completion_tokens", "max_tokens")


class Spending:
    """US dollars spent so far and reserved for requests under way.

    Parameters
    ----------
    price : dict or None
        input and output, US dollars for a million tokens; None: not known, and nothing is counted.
    limit : float or None
        US dollars.
    prompt : str
        The text that goes with each image.
    pixels : int
        Along an image.
    parameters : dict
        Of the request; a limit of tokens there bounds the reply.

    Raises
    ------
    ValueError
        If there is a limit without a price, or the price is not one.
    """

    def __init__(self, price, limit, prompt, pixels, parameters):
        if price is None and limit is not None:
            raise ValueError("cost_limit without price: give price with input and output, US dollars a million tokens")
        if price is not None and not all(_is_price(price.get(name)) for name in ("input", "output")):
            raise ValueError(f"price {price}: give input and output, US dollars a million tokens, each 0 or more")
        self.price, self.limit, self.spent, self.reserved = price, limit, 0.0, 0.0
        tiles = math.ceil(pixels / _TILE) ** 2
        self._input = len(prompt.encode()) + _IMAGE_TOKENS + _TILE_TOKENS * tiles
        set_limits = [parameters[name] for name in _LIMITS if isinstance(parameters.get(name), int)]
        self._output, self._bounded = max(set_limits, default=_REPLY_TOKENS), bool(set_limits)
        self._seen = self._warned = False

    def cost(self, line):
        """Return the cost of the attempt behind a line of the replies; None without a price.

        Without usage it is the upper estimate of a request, and the log warns. An endpoint that refuses by its status
        charges nothing.
        """
        if self.price is None:
            return None
        if line["reply"] is not None and line["http_status"] != 200:
            return 0.0
        tokens = _tokens(line["usage"])
        if tokens is None:
            if not self._warned:
                log.warning("not every answer says how many tokens it took: an upper estimate is counted for such")
            self._warned = True
            return self.estimate()
        return self._dollars(*tokens)

    def total(self, lines):
        """Return the cost of all `lines` of the replies; those from before there was a price count at this price."""
        costs = (self.cost(line) if line["cost"] is None else line["cost"] for line in lines)
        return sum(cost or 0.0 for cost in costs)

    def estimate(self):
        """Return the largest likely cost of the next request; 0.0 without a price."""
        return 0.0 if self.price is None else self._dollars(self._input, self._output)

    def learn(self, usage):
        """Take the usage of a reply to a request of the same kind into account for the estimates."""
        tokens = _tokens(usage)
        if tokens is None:
            return
        read, written = tokens
        self._input = max(self._input, read) if self._seen else read
        if not self._bounded:  # twice the longest so far
            self._output = max(self._output, 2 * written) if self._seen else 2 * written
        self._seen = True

    def fits(self):
        """Return whether one more request stays within the limit together with those under way."""
        return self.limit is None or self.spent + self.reserved + self.estimate() <= self.limit

    def _dollars(self, read, written):
        return (self.price["input"] * read + self.price["output"] * written) / 1e6


def _is_price(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _tokens(usage):
    """Return (input, output) tokens of a usage, or None if it does not say both."""
    if not isinstance(usage, dict):
        return None
    counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return counts if all(isinstance(count, int) and count >= 0 for count in counts) else None
