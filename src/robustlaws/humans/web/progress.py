"""The position of a participant in the study.

Batches come in order: all of part 1, then all of part 2. After each batch but the last there is a page to rest on,
which the participant leaves. So the number of images answered says it all.
"""

from dataclasses import dataclass

CONSENT, WORK, REST, FINISHED = "consent", "work", "rest", "finished"
NOT_BEGUN, AT_WORK, DONE, CONSENTS_AGAIN = WORDS = ("not begun", "at work", "finished", "to consent again")


@dataclass(frozen=True)
class Place:
    """The place of a participant in the study.

    `state` is one of this module's; `batch`: index of the batch at work, or of the one just done; `answered`: images
    answered in all.
    """

    state: str
    batch: int
    answered: int


def place(batches, *, consented, answered, rested):
    """Return the `Place` of a participant.

    Parameters
    ----------
    batches : sequence of bundle.Batch
        In order.
    consented : bool
        To the text as it is now.
    answered : int
        Images answered that were not taken back.
    rested : int
        Batches after which the participant has gone on.
    """
    if not consented:
        return Place(CONSENT, 0, answered)
    done = sum(batch.stop <= answered for batch in batches)
    if done == len(batches):
        return Place(FINISHED, done - 1, answered)
    return Place(REST, done - 1, answered) if done > rested else Place(WORK, done, answered)


def word(where):
    """Return the one of `WORDS` that describes a participant's place to the organiser."""
    if where.state == CONSENT:
        return CONSENTS_AGAIN if where.answered else NOT_BEGUN
    return DONE if where.state == FINISHED else AT_WORK
