"""Write docs/staleness.md from the table."""

from tests.workflow.staleness import page

page.PAGE.write_text(page.rendered(), encoding="utf-8")
print(page.PAGE)
