"""Access codes and session tokens: generation, normalisation and digests.

A code has 75 random bits, so a fast digest of it is as safe as a slow digest of a password.
"""

import hashlib
import secrets
import unicodedata

# Nobody can mistake one for another on paper: no 0 and O, no 1 and I.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_GROUPS, _LENGTH = 3, 5  # 15 letters of 5 bits
_LONGEST = 100  # characters that anybody would type


def make():
    """Return a new code, such as "7KQ2M-XW9RD-4HTNA"."""
    letters = [secrets.choice(ALPHABET) for _ in range(_GROUPS * _LENGTH)]
    return "-".join("".join(letters[start : start + _LENGTH]) for start in range(0, len(letters), _LENGTH))


def read(text):
    """Return a code as it was typed, without separators and in capitals; None if it cannot be one."""
    if len(text) > _LONGEST:
        return None
    typed = "".join(letter for letter in unicodedata.normalize("NFKC", text).upper() if letter.isalnum())
    return typed if len(typed) == _GROUPS * _LENGTH and set(typed) <= set(ALPHABET) else None


def token():
    """Return a new token for a session or a picture, of 192 random bits."""
    return secrets.token_urlsafe(24)


def digest(text, purpose):
    """Return the digest of a code or token for the database: equal for equal ones of one purpose, not invertible."""
    return hashlib.blake2b(text.encode(), digest_size=24, person=purpose.encode()[:16]).hexdigest()


def csrf(session):
    """Return the CSRF value for forms of the session with this token, so that no other page can send them."""
    return digest(session, "form")
