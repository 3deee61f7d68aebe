"""The page's text from its template, `page.html.j2`, and the parts beside it."""

import jinja2


def render(**content):
    """Return the page as HTML.

    Raises
    ------
    jinja2.UndefinedError
        If the template names what `content` lacks: an error here, not a gap there.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("robustlaws", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2").render(content)
