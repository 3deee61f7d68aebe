"""HTML pages from templates."""

import jinja2


def environment(folder):
    """Return how all pages are rendered: text is escaped, and a name that the content lacks is an error.

    Parameters
    ----------
    folder : str
        Below the package, where templates are looked for.
    """
    return jinja2.Environment(
        loader=jinja2.PackageLoader("robustlaws", folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
