"""The command `robustlaws participants`: add participants and print their access codes."""

from robustlaws.humans import BUNDLES
from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web import progress
from robustlaws.humans.web.store import Store

_KINDS = {"person": "p", "simulated": "s"}  # and what their names begin with where none are given


def command(parser):
    """Give `parser` the arguments of `robustlaws participants`; return what carries it out."""
    parser.add_argument("folder", metavar="FOLDER", help="of a study, below results")
    parser.add_argument("--bundle", default=BUNDLES[0], help="which images: test (default) or train")
    parser.add_argument("--add", type=int, default=0, metavar="N", help="make codes for N more participants")
    parser.add_argument("--names", default="", metavar="A,B", help="make codes for participants of these names")
    parser.add_argument("--kind", choices=tuple(_KINDS), default="person", help="of those added; person unless a "
                        "program answers")  # fmt: skip
    parser.add_argument("--organiser", action="store_true", help="make a new code for the organiser's page")
    parser.add_argument("--revoke", metavar="NAME", help="let this participant's code open nothing; the answers stay")
    parser.add_argument("--renew", metavar="NAME", help="make a new code for this participant, whose former one opens "
                        "nothing any more; also after --revoke")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list all (what is done without another option)")
    return _run


def _run(arguments):
    if not 0 <= arguments.add <= 10_000:
        raise ValueError(f"--add: {arguments.add} is not within [0, 10000]")
    names = [name.strip() for name in arguments.names.split(",") if name.strip()]
    paths = bundle.locate(arguments.folder, arguments.bundle)
    store = Store(paths.database, bundle.read(paths))
    try:
        if arguments.revoke:
            store.revoke(arguments.revoke)
            print(f"{arguments.revoke}: the code opens nothing any more")
        if arguments.renew:
            print(f"the new code of {arguments.renew}, shown only now: {store.renew(arguments.renew)}")
        if arguments.organiser:
            print(f"the organiser's code, shown only now: {store.organiser(again=True)}")
        names += _free(store, _KINDS[arguments.kind], arguments.add, names)
        codes = store.add(names, arguments.kind)
        if codes:
            print("Codes, shown only now; each is for one participant:")
            for name, code in codes.items():
                print(f"{name:<16} {code}")
        if arguments.list or not (names or arguments.revoke or arguments.renew or arguments.organiser):
            _list(store)
    finally:
        store.close()
    return 0


def _free(store, start, count, taken):
    """Return `count` unused names: p1, p2, ..."""
    known = {row["name"] for row in store.database.rows("SELECT name FROM participants")} | set(taken)
    number, names = 1, []
    while len(names) < count:
        if f"{start}{number}" not in known:
            names.append(f"{start}{number}")
        number += 1
    return names


def _list(store):
    rows = store.database.rows("SELECT id, name, kind, revoked FROM participants ORDER BY id")
    if not rows:
        print("No participants yet; --add N makes codes for N")
    for row in rows:
        where = store.place(row["id"])
        state = progress.word(where) + (", code revoked" if row["revoked"] else "")
        print(f"{row['name']:<16} {row['kind']:<10} {where.answered:>6} of {len(store.bundle.ids)} images  {state}")
