"""Render the report from its template, `page.html.j2`."""

from robustlaws.formatting import html


def render(**content):
    """Return the page as HTML.

    Raises
    ------
    jinja2.UndefinedError
        If the template names what `content` lacks: an error here, not a gap there.
    """
    return html.page("report/page.html.j2", **content)
