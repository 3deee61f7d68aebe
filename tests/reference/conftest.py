"""The numbers that the comparisons reach, printed at the end whether or not output is captured."""


def pytest_terminal_summary(terminalreporter):
    here = [report for report in terminalreporter.stats.get("passed", []) if "tests/reference/" in report.nodeid]
    output = [(report.nodeid.split("/")[-1], report.capstdout.strip()) for report in here if report.capstdout.strip()]
    if output:
        terminalreporter.section("numbers against the recordings")
        for name, numbers in output:
            terminalreporter.line(f"{name}: {numbers}")
