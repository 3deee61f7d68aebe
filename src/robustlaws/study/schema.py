"""Generate the keys of the config's schema that settings define: `python -m robustlaws.study.schema FILE...`.

A node of the schema with `x-settings: [MODULE.CLASS, ...]` has the keys of these classes of `robustlaws.settings`. Keys
written by hand stand beside them; job settings do not take these as they are. A new key comes last.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from robustlaws import registry
from robustlaws.settings import Settings, keys
from robustlaws.settings.base import REQUIRED
from robustlaws.storage.atomic import write_text

_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", dict: "object", tuple: "array"}
_MARKER = re.compile(r"^( *)x-settings: \[(.*)\]$")


def keys_of(cls: type[Settings]) -> dict[str, dict[str, Any]]:
    """Return {key: its JSON schema} of the keys of the config that settings class `cls` takes."""
    hints = get_type_hints(cls)
    return {name: {"description": key.description} | _rules(hints[name], key.rules) for name, key in keys(cls).items()}


def _rules(kind, rules):
    kind = (
        next(option for option in get_args(kind) if option is not type(None)) if type(None) in get_args(kind) else kind
    )
    if "ref" in rules or (isinstance(kind, type) and issubclass(kind, Settings)):
        return {"$ref": f"#/$defs/{rules.get('ref', kind.__name__.lower())}"}
    if {"oneOf", "enum"} & rules.keys():
        return rules
    made = {"type": _TYPES[get_origin(kind) or kind]}
    if made["type"] == "array":
        rules = {**rules, "items": {"type": _TYPES[get_args(kind)[0]]} | rules.get("items", {})}
        rules["items"] = {"$ref": rules["items"]["$ref"]} if "$ref" in rules["items"] else rules["items"]
    return made | rules


def _required(cls: type[Settings]) -> list[str]:
    without = {entry.name for entry in fields(cls) if entry.default is MISSING and keys(cls).get(entry.name)}
    return [
        name
        for name, key in keys(cls).items()
        if (name in without and key.absent is REQUIRED if key.required is None else key.required)
    ]


def generated(text: str) -> str:
    """Return the YAML `text` of a schema with the keys of all its `x-settings` generated anew."""
    lines, made = text.splitlines(), []
    while lines:
        marker = _MARKER.match(line := lines.pop(0))
        made.append(line)
        if marker:
            indent = marker[1]
            length = next((i for i, other in enumerate(lines) if not other.startswith(indent)), len(lines))
            names = [f"robustlaws.settings.{name.strip().replace('.', ':')}" for name in marker[2].split(",")]
            made += _node(lines[:length], indent, list(map(registry.resolve, names)))
            del lines[:length]
    return "\n".join(made) + "\n"


def _node(lines: list[str], indent: str, classes: list[type[Settings]]) -> Iterator[str]:
    """Yield the `lines` of a node after its marker, with the keys of `classes` as they are now."""
    keys = {name: rules for cls in classes for name, rules in keys_of(cls).items()}
    required = [name for cls in classes for name in _required(cls)]
    head, _, listed = "\n".join(lines).partition(f"{indent}properties:")
    before = re.search(r"required: \[(.*)\]", head)
    names_before = before[1].split(", ") if before else []
    kept = [name for name in names_before if name in required or name not in keys]
    yield from (line for line in head.splitlines() if not line.startswith(f"{indent}required:"))
    if required := list(dict.fromkeys(kept + required)):
        yield f"{indent}required: [{', '.join(required)}]"
    yield f"{indent}properties:"
    for block in filter(None, re.split(rf"\n(?={indent}  \S)", listed.strip("\n"))):
        name = block.split(":")[0].strip()  # a key that was there keeps its place: the order is that of the config
        yield f"{indent}  {name}: {_flow(keys.pop(name))}" if name in keys else generated(block).rstrip("\n")
    for name, rules in keys.items():
        yield f"{indent}  {name}: {_flow(rules)}"


def _flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w-]*", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def main(arguments: list[str]) -> int:
    """Rewrite the schemas named; return 1 if one was not what the settings say, else 0."""
    status = 0
    for path in map(Path, arguments):
        text = path.read_text(encoding="utf-8")
        if text != (wanted := generated(text)):
            write_text(path, wanted)
            print(f"{path}: generated anew from src/robustlaws/settings", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
