"""HTML pages from templates."""

from typing import Any

import jinja2

# Text is escaped. Templates name each other by their paths below the package.
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("robustlaws", "."),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
)


def page(template: str, /, **content: Any) -> str:
    """Return a page as HTML text.

    Parameters
    ----------
    template : str
        Path of the template below the package.
    content
        Values of the template's names.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a name that `content` lacks.
    """
    return _TEMPLATES.get_template(template).render(content)
