"""Render the report from its template, `page.html.j2`."""

from robustlaws.formatting.html import environment


def render(**content):
    """Return the page as HTML.

    Raises
    ------
    jinja2.UndefinedError
        If the template names what `content` lacks: an error here, not a gap there.
    """
    return environment("report").get_template("page.html.j2").render(content)
