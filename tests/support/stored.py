"""What tests of the database of the web application share: a clock, and what a participant does."""


class Clock:
    """A clock that is told to go on."""

    now = 1_700_000_000.0

    def __call__(self):
        return self.now


def answer(store, shown, chosen=3, confidence="low", elapsed=None, participant=1):
    """Answer what was shown."""
    return store.answer(
        participant, image=shown.id, token=shown.token, chosen=chosen, confidence=confidence, elapsed=elapsed
    )


def current(store, participant=1):
    """Return what a participant has before them."""
    return store.current(participant)[1]
