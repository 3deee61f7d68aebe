"""Which keys of the schema the table's rows change."""

from pathlib import Path

from robustlaws.study import validate
from tests.support.checkouts import ROOT
from tests.workflow.staleness.studies import config
from tests.workflow.staleness.trying import changed

SCHEMA = validate.read_schema(Path(ROOT, "workflow/schemas/config.yaml"))


def keys(node=SCHEMA, place=""):
    """Return the settings that the schema knows, each as block.key.

    The names that a study gives are `*`; blocks of one definition are one block, called after it. A setting with one
    possible value cannot be changed and is left out.
    """
    place, node = _followed(place, node)
    if "allOf" in node:
        return set().union(*(keys(choice["then"], place) for choice in node["allOf"]))
    if "properties" in node:
        return set().union(*(keys(part, _below(place, name)) for name, part in node["properties"].items()))
    for inner in ("additionalProperties", "items"):
        if _is_block(node.get(inner)):
            return keys(node[inner], f"{place}.*")
    return set() if len(node.get("enum", ())) == 1 else {place}


def _is_block(node):
    if not isinstance(node, dict):
        return False
    node = _followed("", node)[1]
    return "properties" in node or "allOf" in node


def _below(place, name):
    # kind chooses between definitions that all have it
    return "generator.kind" if name == "kind" else f"{place}.{name}".lstrip(".")


def _followed(place, node):
    """Return the place and the node that a reference leads to; a block counts from its definition on."""
    while "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        node = SCHEMA["$defs"][name]
        place = name if "properties" in node else place
    return place, node


def changed_keys(row, change):
    """Return the settings, as :func:`keys` names them, that a change of a row makes others."""
    before = config(row.study)
    return _differing(before, changed(before, change), SCHEMA, "")


def _differing(before, after, node, place):
    place, node = _followed(place, node)
    if before == after:
        return set()
    if "allOf" in node:
        kind = (after or before)["kind"]
        chosen = next(each["then"] for each in node["allOf"] if each["if"]["properties"]["kind"]["const"] == kind)
        return _differing(before, after, chosen, place)
    if _is_block(node.get("items")):
        pairs = zip(before or [], after or [], strict=False)
        return set().union(*(_differing(*pair, node["items"], f"{place}.*") for pair in pairs))
    if "properties" not in node and not _is_block(node.get("additionalProperties")):
        return {place}
    # a block that comes whole tells nothing of its keys, but of an only one
    if not before and len(after) > 1:
        return set()
    before, after, result = before or {}, after or {}, set()
    for name in before.keys() | after.keys():
        if name in node.get("properties", {}):
            result |= _differing(before.get(name), after.get(name), node["properties"][name], _below(place, name))
        elif node.get("additionalProperties"):  # what another kind of generator had is no key of this one
            result |= _differing(before.get(name), after.get(name), node["additionalProperties"], f"{place}.*")
    return result
