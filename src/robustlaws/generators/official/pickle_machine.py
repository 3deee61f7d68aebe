"""A restricted pickle interpreter: allow-listed opcodes and globals.

Python's own unpickler calls any function that a file names. This one accepts the opcodes of official checkpoints
(protocols 2 to 5) and the functions of a given table, and refuses all else. So it returns plain values and the results
of these functions, within a :class:`Budget` of work and memory.

Not a `pickle.Unpickler` with a `find_class` of its own, which never sees the costly opcodes. Hashing one key of nested
tuples takes twice as long for each 5 bytes more (1 s at 26 levels). 8 bytes that memoise a value at a high index take
2.1 GB (Python 3.11).

Source: spec/generators.md 10.2 and 10.5; the meaning of each opcode: Python's `pickletools`.
"""

import pickletools
import re
from abc import ABC, abstractmethod
from typing import NamedTuple

STEPS = 2_000_000  # instructions of a file: an order of magnitude more than the official ones


class Refused(ValueError):
    """One line about the file, without its name."""


class Budget:
    """The work and memory that a file of `size` bytes may still cost, however often it repeats itself."""

    def __init__(self, size):
        self.steps, self.bytes = STEPS, 2 * size  # protocol 2 has each byte twice, as text and as itself

    def step(self, count=1):
        """Count `count` steps."""
        self.steps -= count
        if self.steps < 0:
            raise Refused(f"takes more than {STEPS:,} steps to read; no such checkpoint does")

    def copy(self, count):
        """Count `count` bytes made of bytes of the file."""
        self.bytes -= count
        if self.bytes < 0:
            raise Refused("would become much larger than it is")


class Name(NamedTuple):
    """A global of the table, by name only."""

    module: str
    name: str


class Buildable(ABC):
    """Base of the objects whose state a file may set by the opcode BUILD."""

    @abstractmethod
    def set_state(self, state):
        """Take `state`; raise :class:`Refused` if it is not of the right kind."""


def asking(name):
    """Return the line for a file that names something outside the table."""
    return f"refused, it asks for {plain(name)}; only tensors and plain values are read, no code is run"


def plain(value):
    """Return `value` of a file as short text on one line, for an error."""
    if isinstance(value, str):
        bare = value[:81] if re.fullmatch(r"[\w.\- ]{1,81}", value[:81], re.ASCII) else ascii(value[:81])
        return bare if len(value) <= 80 else bare[:80] + "..."
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 1 << 64):
        return repr(value)
    if type(value) in (list, tuple) and len(value) <= 16 and all(isinstance(item, (int, float)) for item in value):
        return f"[{', '.join(map(plain, value))}]"
    return f"a value of type {type(value).__name__}"


class Machine:
    """One run of a pickle.

    Parameters
    ----------
    file : binary file
        At the first instruction; :meth:`run` leaves it after the last.
    names : dict of (module, name) to (instruction, function)
        Allowed globals, and the allowed opcode of each: "REDUCE" or "NEWOBJ", or "" for none.
        The function gets the budget and the arguments of the file.
    budget : Budget
    persistent : function, optional
        Gives what a key outside the pickle (BINPERSID) stands for.
    """

    def __init__(self, file, names, budget, persistent=None):
        self.file, self.names, self.budget, self.persistent = file, names, budget, persistent
        self.stack, self.below, self.memo = [], [], {}

    def run(self):
        """Return the value that the pickle makes.

        Raises
        ------
        Refused
            If it uses a name or an instruction that it should not.
        Exception
            Of any kind, if it is damaged.
        """
        for code, argument, _ in pickletools.genops(self.file):
            self.budget.step()
            if code.name in LITERALS:
                self.stack.append(argument)
            elif code.name in FRESH:
                self.stack.append(FRESH[code.name]())
            elif code.name in INSTRUCTIONS:
                INSTRUCTIONS[code.name](self, argument)
            elif code.name == "STOP":
                (content,) = self.stack
                return content
            elif code.name == "INST":
                raise Refused(asking(argument.replace(" ", ".")))
            elif code.name.startswith("EXT"):
                raise Refused(asking(f"the extension {argument}"))
            else:
                raise Refused(f"refused, it uses the pickle instruction {code.name}, which no such checkpoint does")
        raise Refused("damaged, its pickle has no end")

    def pop(self, count):
        """Take the last `count` values."""
        if len(self.stack) < count:
            raise Refused("damaged, its pickle takes a value that is not there")
        taken = tuple(self.stack[-count:])
        del self.stack[-count:]
        return taken

    def marked(self):
        """Take all values since the last mark."""
        taken, self.stack = self.stack, self.below.pop()
        return taken

    def mark(self, _):
        """Begin a new stack above a mark."""
        self.below.append(self.stack)
        self.stack = []

    def tuple(self, _):
        """Push the values since the mark as a tuple."""
        items = self.marked()  # first: it changes which stack there is
        self.stack.append(tuple(items))

    def protocol(self, number):
        """Refuse protocols other than 2 to 5."""
        if not 2 <= number <= 5:
            raise Refused(f"a pickle of protocol {number}; known: 2 to 5")

    def put(self, index):
        """Memoise the value on top of the stack."""
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def get(self, index):
        """Push a memoised value."""
        if index not in self.memo:
            raise Refused("damaged, its pickle takes a value that is not there")
        self.stack.append(self.memo[index])

    def name(self, argument):
        """Push the global of the opcode's argument."""
        module, _, name = argument.partition(" ")
        self.push_name(module, name)

    def name_of_stack(self, _):
        """Push the global that the two values on top name."""
        self.push_name(*self.pop(2))

    def push_name(self, module, name):
        """Push a global of the table; refuse any other."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused("damaged, its pickle names no function where it should")
        if (module, name) not in self.names:
            raise Refused(asking(f"{module[:80]}.{name[:80]}"))
        self.stack.append(Name(module, name))

    def make(self, instruction):
        """Push the result of an allowed function for its arguments."""
        function, arguments = self.pop(2)
        known, maker = self.names[function] if isinstance(function, Name) else ("", None)
        if known != instruction or type(arguments) is not tuple:
            raise Refused(f"refused, it calls {_described(function)} in a way that no such checkpoint does")
        self.stack.append(maker(self.budget, *arguments))

    def build(self, _):
        """Set the state of the object on top."""
        thing, state = self.pop(2)
        self.stack.append(thing)
        if isinstance(thing, Buildable):
            thing.set_state(state)
        elif type(thing) is not dict:  # attributes of an OrderedDict: not needed
            raise Refused(f"refused, it sets the state of {_described(thing)}, which no such checkpoint does")

    def container(self, kind, keys=()):
        """Return the container of type `kind` that is to be filled."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise Refused(f"damaged, its pickle fills no {kind.__name__} where it should")
        if not all(isinstance(key, KEYS) for key in keys):
            raise Refused(f"no checkpoint of this kind, it has a {kind.__name__} whose keys are no plain values")
        return self.stack[-1]

    def append(self, _):
        """Append a value to the list on top."""
        (item,) = self.pop(1)
        self.container(list).append(item)

    def extend(self, _):
        """Append the values since the mark to the list on top."""
        items = self.marked()
        self.container(list).extend(items)

    def add(self, _):
        """Add the values since the mark to the set on top."""
        items = self.marked()
        self.container(set, items).update(items)

    def set_item(self, _):
        """Set one item of the dict on top."""
        self.set_pairs(self.pop(2))

    def set_items(self, _):
        """Set the items since the mark in the dict on top."""
        self.set_pairs(self.marked())

    def set_pairs(self, items):
        """Set alternating keys and values in the dict on top."""
        keys, values = items[::2], items[1::2]
        self.container(dict, keys).update(zip(keys, values, strict=True))

    def elsewhere(self, _):
        """Push the object of a persistent id."""
        (key,) = self.pop(1)
        if self.persistent is None:
            raise Refused("damaged, its pickle refers to a storage outside, and there is none")
        self.stack.append(self.persistent(key))


def _described(thing):
    return plain(f"{thing.module}.{thing.name}") if isinstance(thing, Name) else plain(thing)


KEYS = (str, int, float, type(None))  # of dicts and sets; a nested tuple could take ages to hash
LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
FRESH = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
INSTRUCTIONS = {
    "PROTO": Machine.protocol,
    "FRAME": lambda machine, length: None,
    "MARK": Machine.mark,
    "POP": lambda machine, _: machine.pop(1),
    "POP_MARK": lambda machine, _: machine.marked(),
    "TUPLE": Machine.tuple,
    "TUPLE1": lambda machine, _: machine.stack.append(machine.pop(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.pop(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.pop(3)),
    "APPEND": Machine.append,
    "APPENDS": Machine.extend,
    "ADDITEMS": Machine.add,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "BINPUT": Machine.put,
    "LONG_BINPUT": Machine.put,
    "MEMOIZE": Machine.put,
    "BINGET": Machine.get,
    "LONG_BINGET": Machine.get,
    "GLOBAL": Machine.name,
    "STACK_GLOBAL": Machine.name_of_stack,
    "REDUCE": lambda machine, _: machine.make("REDUCE"),
    "NEWOBJ": lambda machine, _: machine.make("NEWOBJ"),
    "BUILD": Machine.build,
    "BINPERSID": Machine.elsewhere,
}
