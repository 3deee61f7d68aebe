"""The command `robustlaws`."""

import argparse
import logging
import sys

from robustlaws import errors, registry
from robustlaws.runtime import job_log

# Name of a subcommand: what adds its arguments to a parser and returns the function that takes them and gives the
# exit status, as "module:function"; and its line of help. Only the one that is asked for is imported.
COMMANDS = {
    "answers": ("robustlaws.humans.web.export:command", "export what the participants of a human study answered"),
    "fit": ("robustlaws.fit_table.command:command", "fit laws to a table of finished runs"),
    "participants": ("robustlaws.humans.web.participants:command", "make the personal codes of a human study"),
    "remake": ("robustlaws.data.repair:command", "make damaged shards again, and nothing that was made from them"),
    "serve": ("robustlaws.humans.web.serve:command", "serve a human study to its participants"),
    "show": ("robustlaws.archive.show:command", "say where a file of a study comes from, and how to make it again"),
    "verify": ("robustlaws.data.verify:command", "check shards: damaged, missing, repeated images"),
}


def main(argv=None):
    """Carry out one subcommand and return its exit status: 0, 1 for findings, 2 for a mistake in the command."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="robustlaws", description="Tools for adversarial-robustness studies.")
    several = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (target, summary) in COMMANDS.items():
        subparser = several.add_parser(name, help=summary, description=summary)
        if argv[:1] == [name]:
            subparser.set_defaults(run=registry.resolve(target)(subparser))
    arguments = parser.parse_args(argv)
    job_log.to_stderr(logging.INFO)
    try:
        return arguments.run(arguments)
    except ValueError as error:
        print(f"robustlaws {argv[0]}: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # what may not be read, or is no name of a file
        print(f"robustlaws {argv[0]}: {errors.line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
