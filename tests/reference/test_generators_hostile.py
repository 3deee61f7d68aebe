"""Files that would run something, or are damaged: refused in one line, and nothing of them runs."""

import collections
import copyreg
import io
import pickle
import struct
import tracemalloc
import warnings
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from robustlaws.generators.official import pickle_machine, torch_files
from tests.support import official_checkpoints
from tests.support.official_checkpoints import Payload, text

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(min_size=1),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(st.text())
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.dictionaries(st.text(), inner).map(collections.OrderedDict)
    ),
)


@given(value=values, protocol=st.integers(2, 5))
@hypothesis_settings(max_examples=60, deadline=None)
def test_plain_values_are_those_that_python_reads(value, protocol):
    written = pickle.dumps([value, value], protocol)
    budget = pickle_machine.Budget(len(written))
    assert pickle_machine.Machine(io.BytesIO(written), torch_files.GLOBALS, budget).run() == pickle.loads(written)


@pytest.mark.parametrize("how", ["zip", "before 1.6", "pickle 2", "pickle 4"])
def test_tensors_are_those_that_torch_reads(how, tmp_path):
    row = torch.arange(24.0)
    state = {"a": row, "b": row[4:10].view(2, 3), "c": row.view(4, 6).T, "d": torch.nn.Parameter(row[1:2, None])}
    official_checkpoints.write(tmp_path / "a.pt", collections.OrderedDict(state), how)
    with torch_files.opened(tmp_path / "a.pt") as content:
        read = {name: tensor.load() for name, tensor in content.items()}
    loaded = state if "pickle" in how else torch.load(tmp_path / "a.pt", weights_only=True)
    assert all(torch.equal(read[name], loaded[name]) and read[name].is_contiguous() for name in state)


# files that would run something: as bytes, instruction by instruction


def stacked(module, name):
    return text(module) + text(name) + b"\x93"


CODE = "__import__('os').mkdir({!r})"
FIRST = "instruction UNICODE|"  # in an archive, the first of protocol 0 that is refused
# each: the program, what the line says, and whether Python's own unpickler would make the trace
HOSTILE = {
    "a call, protocol 0": (lambda t: b"cos\nmkdir\n(V" + t.encode() + b"\ntR.", FIRST + r"asks for os\.mkdir;", True),
    "a call, protocol 2": (lambda t: b"\x80\x02cos\nsystem\n" + text("mkdir " + t) + b"\x85R.", r"os\.system", True),
    "a call, protocol 4": (
        lambda t: b"\x80\x04" + stacked("posix", "mkdir") + text(t) + b"\x85R.",
        "posix.mkdir",
        True,
    ),
    "a call, later": (lambda t: pickle.dumps({"ema": 1, "step": [Payload(t)]}, 4), r"asks for posix\.mkdir", True),
    "eval": (
        lambda t: b"\x80\x04" + stacked("builtins", "eval") + text(CODE.format(t)) + b"\x85R.",
        r"asks for builtins\.eval;",
        True,
    ),
    "eval, under the old name": (
        lambda t: b"\x80\x02c__builtin__\neval\n" + text(CODE.format(t)) + b"\x85R.",
        r"asks for __builtin__\.eval;",
        True,
    ),
    "a dotted name": (
        lambda t: b"\x80\x04" + stacked("collections", "_sys.modules.__class__") + b".",
        r"asks for collections\._sys\.modules\.__class__;",
        False,
    ),
    "a dotted name of a known one": (
        lambda t: b"\x80\x04" + stacked("torch._utils", "_rebuild_tensor_v2.__globals__") + b".",
        r"asks for torch\._utils\._rebuild_tensor_v2\.__globals__;",
        False,
    ),
    "getattr": (
        lambda t: b"\x80\x04" + stacked("builtins", "getattr") + stacked("collections", "OrderedDict") + b".",
        r"asks for builtins\.getattr;",
        False,
    ),
    "copyreg": (
        lambda t: b"\x80\x02ccopyreg\n_reconstructor\n(cbuiltins\nobject\nc__builtin__\nobject\nNtR.",
        r"asks for copyreg\._reconstructor;",
        False,
    ),
    "INST": (lambda t: b"\x80\x02(" + text(t) + b"ios\nmkdir\n.", r"asks for os\.mkdir;", True),
    "INST, protocol 0": (lambda t: b"(V" + t.encode() + b"\nios\nmkdir\n.", FIRST + r"asks for os\.mkdir;", True),
    "OBJ": (lambda t: b"\x80\x02(cos\nmkdir\n" + text(t) + b"o.", r"asks for os\.mkdir;", True),
    "OBJ of a known one": (
        lambda t: b"\x80\x02(ccollections\nOrderedDict\no.",
        "uses the pickle instruction OBJ",
        False,
    ),
    "an extension, 1 byte": (lambda t: b"\x80\x02\x82\xf0" + text(t) + b"\x85R.", "asks for the extension 240;", True),
    "an extension, 2 bytes": (lambda t: b"\x80\x02\x83\xf0\x00" + text(t) + b"\x85R.", "the extension 240;", True),
    "an extension, 4 bytes": (lambda t: b"\x80\x02\x84\xf0\x00\x00\x00" + text(t) + b"\x85R.", "extension 240;", True),
    "NEWOBJ of another class": (
        lambda t: b"\x80\x04" + stacked("subprocess", "Popen") + b")\x81.",
        r"asks for subprocess\.Popen;",
        False,
    ),
    "NEWOBJ_EX": (
        lambda t: b"\x80\x04" + stacked("collections", "OrderedDict") + b")}\x92.",
        "uses the pickle instruction NEWOBJ_EX",
        False,
    ),
    "a state for a known function": (
        lambda t: b"\x80\x04" + stacked("torch._utils", "_rebuild_parameter") + b"N}" + text("a") + b"K\x01s\x86b.",
        r"sets the state of torch\._utils\._rebuild_parameter",
        False,
    ),
    "a state for a known class": (
        lambda t: b"\x80\x02ccollections\nOrderedDict\n}" + text("__setstate__") + b"K\x01sb.",
        r"sets the state of collections\.OrderedDict",
        False,
    ),
    "a second state": (
        lambda t: b"\x80\x02ctorch.nn.modules.container\nModuleDict\n)\x81}b}b.",
        "sets the state of a torch.nn.modules.container.ModuleDict",
        False,
    ),
    "a call of a storage": (
        lambda t: b"\x80\x02ctorch\nFloatStorage\nJ\xff\xff\xff\x7f\x85R.",
        "calls torch.Float",
        False,
    ),
    "a call of a class to be made": (
        lambda t: b"\x80\x02ctorch.nn.modules.container\nModuleDict\n)R.",
        r"calls torch\.nn\.modules\.container\.ModuleDict in a way",
        False,
    ),
    "a call of a value": (lambda t: b"\x80\x02" + text("os.system") + b")R.", "calls os.system in a way", False),
    "an encoding that runs": (
        lambda t: b"\x80\x02c_codecs\nencode\n" + text("abc") + text("zlib_codec") + b"\x86R.",
        "asks for the encoding zlib_codec",
        False,
    ),
    "NumPy objects": (
        lambda t: b"\x80\x02cnumpy\ndtype\n" + text("O8") + b"\x89\x88\x87R.",
        "NumPy scalar of type 'O8'|NumPy scalar of type O8",
        False,
    ),
    "a module beside the known": (lambda t: b"\x80\x02ctorch_utils.persistence \nx\n.", "asks for ", False),
    "a line break in a name": (lambda t: b"\x80\x04" + stacked("os\nx", "y\r\u2028") + b".", r"os\\nx", False),
    "a storage outside": (lambda t: b"\x80\x02" + text("a") + b"Q.", "refers to", False),
}


def alone(path, program):
    path.write_bytes(program)


def in_archive(path, program):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", program)


def in_storage(path, program):
    name = b"\x80\x04" + stacked("torch.storage", "_load_from_bytes")
    path.write_bytes(name + b"B" + struct.pack("<I", len(program)) + program + b"\x85R.")


def in_key_of_storage(path, program):
    """Write a storage whose stream is right but for the persistent id, which is the program's value."""
    stream = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    in_storage(path, stream + program[:-1] + b"Q.")


PLACES = {"alone": alone, "in the zip": in_archive, "in a storage": in_storage, "in its key": in_key_of_storage}


@pytest.fixture
def extension():
    """Register the extension 240, so that Python's own unpickler would call it."""
    copyreg.add_extension("os", "mkdir", 240)
    yield
    copyreg.remove_extension("os", "mkdir", 240)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_file_is_refused_unrun(hostile, place, extension, tmp_path):
    program, says, runs = HOSTILE[hostile]
    (tmp_path / "files").mkdir()
    path, trace = tmp_path / "files" / "a.pkl", tmp_path / "trace"
    PLACES[place](path, program(str(trace)))
    # inside a storage the names that are known elsewhere are unknown
    official_checkpoints.refused(
        tmp_path / "files", says if runs or place in ("alone", "in the zip") else ".", trace=trace
    )
    if place == "alone" and runs:
        pickle.loads(path.read_bytes())
        assert trace.exists(), "the program is harmless, so the test shows nothing"


@pytest.mark.parametrize("how", official_checkpoints.CONTAINERS)
@pytest.mark.parametrize("where", ["beside", "an attribute", "a tensor"])
def test_a_payload_in_a_real_checkpoint_is_refused(where, how, tmp_path):
    (tmp_path / "files").mkdir()
    trace, checkpoint = tmp_path / "trace", official_checkpoints.small()
    with official_checkpoints.registered():
        content = checkpoint.content(**({"scale": Payload(trace)} if where == "an attribute" else {}))
        if where == "a tensor":
            official_checkpoints.model(content)["_buffers"]["x"] = Payload(trace)
        content |= {"step": Payload(trace)} if where == "beside" else {}
        official_checkpoints.write(tmp_path / "files" / "a.pkl", content, how)
    official_checkpoints.refused(tmp_path / "files", r"asks for (posix|os)\.mkdir", trace=trace)


@pytest.mark.parametrize("how", ["pickle 2", "pickle 4", "zip"])
def test_the_source_text_in_a_file_is_not_run_nor_kept(how, tmp_path):
    source = f"import os\nos.mkdir({str(tmp_path / 'trace')!r})  # a secret of the file\n"
    with official_checkpoints.registered():
        content = official_checkpoints.small().content(outer={"module_src": source}, model={"module_src": source})
        official_checkpoints.write(tmp_path / "a.pkl", content, how)
    official_checkpoints.convert(tmp_path)
    assert not (tmp_path / "trace").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pkl", "config.json", "w.safetensors"]
    config = (tmp_path / "config.json").read_text()
    assert "a secret" not in config + (tmp_path / "w.safetensors").read_text("latin1")
    assert f'"length": {len(source)}' in config
    exec(source)
    assert (tmp_path / "trace").exists(), "the source is harmless, so the test shows nothing"


# files that are damaged, or no checkpoints


def archive(members, compression=zipfile.ZIP_STORED, name="a"):
    def write(path, _):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a name twice
            with zipfile.ZipFile(path, "w", compression) as file:
                for member, content in members:
                    file.writestr(f"{name}/{member}", content)

    return write


TENSOR = pickle.dumps({"ema": 1}, 2)
# a long text, and a long list, each remembered and turned into another one again and again
TEXTS = b"\x80\x02]" + text("x" * 9999) + b"q\x000c_codecs\nencode\nq\x010("
TEXTS += (b"h\x01h\x00" + text("latin1") + b"\x86R") * 99 + b"e."
SETS = b"\x80\x02](" + text("x") * 30_000 + b"eq\x000cbuiltins\nset\nq\x010](" + b"h\x01h\x00\x85R" * 99 + b"e."
DAMAGED = {
    "empty": (lambda path, _: path.write_bytes(b""), "empty"),
    "a page": (
        lambda path, _: path.write_text("<!DOCTYPE html><html>"),
        "neither .* it begins with b'<!DOCTYPE html><'",
    ),
    "safetensors": (lambda path, _: path.write_bytes(b"\x10\0\0\0\0\0\0\0{}"), "neither a pickle of a network"),
    "one byte": (lambda path, _: path.write_bytes(b"\x80"), "damaged"),
    "protocol 1": (lambda path, _: path.write_bytes(b"\x80\x01N."), "a pickle of protocol 1; known: 2 to 5"),
    "protocol 9": (lambda path, _: path.write_bytes(b"\x80\x09N."), "a pickle of protocol 9; known: 2 to 5"),
    "no value": (lambda path, _: path.write_bytes(b"\x80\x02."), "damaged"),
    "no memory": (lambda path, _: path.write_bytes(b"\x80\x02h\x07."), "takes a value that is not there"),
    "an endless text": (lambda path, _: path.write_bytes(b"\x80\x04\x8d" + b"\xff" * 8 + b"."), "damaged"),
    "more after the end": (lambda path, whole: path.write_bytes(whole + b"abc"), "goes on for 3 bytes"),
    "half of it": (lambda path, whole: path.write_bytes(whole[: len(whole) // 2]), "damaged"),
    "all but the last": (lambda path, whole: path.write_bytes(whole[:-1]), "damaged"),
    "a folder": (lambda path, _: path.mkdir(), "not a readable file"),
    "no file": (lambda path, _: None, "not a readable file"),
    "an archive of nothing": (archive([]), "damaged|neither"),
    "an archive of images": (archive([("1.png", b"abc")]), "without one folder that holds data.pkl"),
    "a compressed archive": (archive([("data.pkl", TENSOR)], zipfile.ZIP_DEFLATED), "compressed or encrypted"),
    "a bomb": (archive([("data.pkl", TENSOR), ("data/0", bytes(1 << 22))], zipfile.ZIP_DEFLATED), "compressed"),
    "a member above": (archive([("data.pkl", TENSOR), ("../../x", b"")]), "member 'a/../../x' is none of torch"),
    "a member twice": (archive([("data.pkl", TENSOR), ("data.pkl", TENSOR)]), "or is there twice"),
    "a big-endian machine": (archive([("data.pkl", TENSOR), ("byteorder", b"big")]), "big-endian"),
    "a program": (archive([("code/a.py", b""), ("data.pkl", TENSOR)]), "ema is 1, not a network"),
    "keys that take ages": (
        lambda path, _: path.write_bytes(b"\x80\x02}" + b")" + b"2\x86" * 60 + b"Ns."),
        "uses the pickle instruction DUP",
    ),
    "keys that take ages, from memory": (
        lambda path, _: path.write_bytes(b"\x80\x02})q\x00" + b"h\x00\x86q\x00" * 60 + b"Ns."),
        "keys are no plain values",
    ),
    "texts that grow": (lambda path, _: path.write_bytes(TEXTS), "would become much larger than it is"),
    "sets that grow": (lambda path, _: path.write_bytes(SETS), "takes more than 2,000,000 steps"),
    "a tower": (lambda path, _: path.write_bytes(b"\x80\x02" + b"]" * 90_000 + b"a" * 89_999 + b"."), "holds a value"),
    "a tower of tuples": (lambda path, _: path.write_bytes(b"\x80\x02)" + b"\x85" * 90_000 + b"."), "holds a value"),
}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_file_gets_one_line(damaged, tmp_path):
    write, says = DAMAGED[damaged]
    with official_checkpoints.registered():
        official_checkpoints.write(tmp_path / "whole", official_checkpoints.small().content(), "pickle 4")
    write(tmp_path / "a.pkl", (tmp_path / "whole").read_bytes())
    official_checkpoints.refused(tmp_path, says)


def test_a_file_that_is_too_large_or_takes_too_long_is_refused(tmp_path, monkeypatch):
    with official_checkpoints.registered():
        official_checkpoints.write(tmp_path / "a.pkl", official_checkpoints.small().content(), "pickle 4")
    with monkeypatch.context() as patch:
        patch.setattr(torch_files, "FILE_BYTES", 1000)
        official_checkpoints.refused(tmp_path, r"0\.0 GB; checkpoints of these networks have less than 0\.0 GB")
    monkeypatch.setattr(pickle_machine, "STEPS", 100)
    official_checkpoints.refused(tmp_path, "takes more than 100 steps")


def test_a_network_that_contains_itself_is_refused(tmp_path):
    modules = {}
    with official_checkpoints.registered():
        content = official_checkpoints.small().content()
        inner = torch.nn.ModuleDict()
        inner._modules = modules
        modules["again"] = inner
        official_checkpoints.model(content)["_modules"]["loop"] = inner
        official_checkpoints.write(tmp_path / "a.pkl", content, "pickle 4")
    official_checkpoints.refused(tmp_path, "of too many in one another")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the bytes of a small checkpoint in each container."""
    folder, content = tmp_path_factory.mktemp("whole"), {}
    with official_checkpoints.registered():
        for how in official_checkpoints.CONTAINERS:
            official_checkpoints.write(folder / "a.pkl", official_checkpoints.small().content(), how)
            content[how] = (folder / "a.pkl").read_bytes()
    return content


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


@given(data=st.data(), how=st.sampled_from(["pickle 2", "pickle 4", "zip", "before 1.6"]))
@hypothesis_settings(max_examples=60, deadline=10_000)
def test_damage_anywhere_is_survived(data, how, whole, scratch):
    raw = bytearray(whole[how])
    for _ in range(data.draw(st.integers(0, 3), "flips")):
        raw[data.draw(st.integers(0, len(raw) - 1), "at")] = data.draw(st.integers(0, 255), "to")
    cut = data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))), "cut")
    (scratch / "a.pkl").write_bytes(raw[:cut])
    tracemalloc.start()
    try:
        official_checkpoints.convert(scratch)
    except ValueError as error:
        line = str(error)
        assert line.startswith(f"{scratch / 'a.pkl'}: ")
        assert "\n" not in line
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20 * len(raw) + (8 << 20)
