"""The commands of the web application: to serve it, to make codes, to export answers."""

import re
import shutil
import signal
import ssl
import subprocess

import pytest

from robustlaws import cli
from robustlaws.humans.stimuli import bundle
from robustlaws.storage import human_tables, tables
from tests.support import stimuli_studies
from tests.support.stimuli_choices import check_exported, choice
from tests.support.web_server import Participant, Server, client, codes, fields, until


def test_codes_are_made_and_revoked_while_the_server_runs(study, serve, capsys):
    server = serve(study)
    assert cli.main(["participants", str(study), "--add", "2", "--names", "ada,p2"]) == 0
    made = dict(re.findall(r"^(\S+) +(\w{5}-\w{5}-\w{5})$", capsys.readouterr().out, re.MULTILINE))
    assert list(made) == ["ada", "p2", "p1", "p3"]
    with client(server) as http:
        item = Participant(http, made["p1"])
        item.enter()
        item.consent()
        item.answer(fields(item.page().text)[0], 1)
        assert cli.main(["participants", str(study), "--revoke", "p1"]) == 0
        assert http.get("/work").headers["location"] == "/"
        assert http.post("/undo", data={"csrf": ""}).status_code == 401
        assert item.enter().status_code == 403
        assert item.http.post("/enter", data={"code": server.organiser}).headers["location"] == "/organiser"
        assert cli.main(["participants", str(study), "--organiser"]) == 0
        assert http.get("/organiser").headers["location"] == "/"
    capsys.readouterr()
    assert cli.main(["participants", str(study)]) == 0
    settings = capsys.readouterr().out
    assert re.search(r"^p1 +person +1 of 16 images  at work, code revoked$", settings, re.MULTILINE)
    for code in made.values():
        assert code not in settings
    assert cli.main(["participants", str(study), "--renew", "p1"]) == 0
    renewed = re.fullmatch(r"the new code of p1, shown only now: (\w{5}-\w{5}-\w{5})\n", capsys.readouterr().out)[1]
    with client(server) as http:
        assert Participant(http, made["p1"]).enter().status_code == 403
        item = Participant(http, renewed)
        assert item.enter().status_code == 200
        assert item.post("/undo").json()["answered"] == 0  # the same participant, where they were
    assert cli.main(["participants", str(study), "--renew", "nobody"]) == 2
    assert "'nobody': there is none" in capsys.readouterr().err
    assert cli.main(["participants", str(study), "--names", "ada"]) == 2
    assert "'ada': there is one already" in capsys.readouterr().err


def refusal(study):
    """Return the one line with which a server of a study ends at once."""
    with pytest.raises(RuntimeError) as settings:
        Server(study).kill()
    lines = str(settings.value).splitlines()
    assert len(lines) == 1
    return lines[0]


def test_what_cannot_be_served_is_told_in_a_line(tmp_path, study, serve, capsys):
    for arguments, settings in (
        (["serve", "nowhere"], "nowhere: no such folder; give the one of a study"),
        (["serve", str(tmp_path)], "stimuli.parquet: not there; set up `humans`"),
        (["serve", str(study), "--bundle", "train"], "stimuli.parquet: not there"),
        (["serve", str(study), "--bundle", "a"], "--bundle: unknown 'a'; known: test, train"),
        (["serve", str(study), "--key", "k.pem"], "--certificate and --key go together"),
        (["serve", str(study), "--certificate", "c.pem", "--key", "k.pem"], "--certificate c.pem, --key k.pem: "),
        (["serve", str(study), "--port", "99999"], "--port: 99999 is not within"),
        (["serve", str(study), "--host", "nowhere.invalid"], "--host nowhere.invalid: no address"),
        (["answers", str(study), "--output", "a.txt"], "ends in neither .parquet nor .csv"),
        (["participants", str(study), "--add", "-1"], "--add: -1 is not within"),
    ):
        assert cli.main(arguments) == 2
        output = capsys.readouterr().err.splitlines()
        assert len(output) == 1
        assert settings in output[0]
    other = stimuli_studies.folder(tmp_path / "other")
    server = serve(study)
    assert cli.main(["serve", str(other), "--port", str(server.port)]) == 2
    assert f"--port {server.port}: is in use" in capsys.readouterr().err
    assert "another server is at work on these images" in refusal(study)
    server.stop()
    stimuli_studies.folder(study, seed=1)
    assert "begun with other images or classes" in refusal(study)


def test_it_ends_well_when_the_machine_is_shut_down(study, serve):
    server = serve(study)
    assert server.stop(signal.SIGTERM) == 0
    paths = bundle.locate(study)
    assert tables.read(paths.table, human_tables.ANSWERS).empty
    assert not list(paths.folder.glob("study.sqlite-*"))  # all is in one file, to be copied


def test_answers_are_taken_while_they_cannot_be_exported(study, serve):
    made, paths = codes(study, "p1"), bundle.locate(study)
    paths.table.mkdir()
    server = serve(study)
    with client(server) as http:
        item = Participant(http, made["p1"])
        item.enter()
        item.finish(choice)
        until(lambda: "no export" in (paths.folder / "server.log").read_text())
        assert "Thank you" in item.page().text
    assert server.stop() == 0
    assert "all answers are in" not in server.output
    paths.table.rmdir()
    assert cli.main(["answers", str(study)]) == 0
    check_exported(study, ["p1"])


def test_the_answers_of_nobody_are_a_table_too(study, inside, capsys):
    assert cli.main(["answers", str(study)]) == 2
    assert "nobody has answered; `robustlaws serve` begins it" in capsys.readouterr().err
    inside(study)
    assert cli.main(["answers", str(study)]) == 0
    assert tables.read(bundle.locate(study).table, human_tables.ANSWERS).empty


def test_an_encrypted_connection_has_a_cookie_for_such_only(study, serve, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    code = codes(study, "p1")["p1"]
    server = serve(study, "--certificate", str(certificate), "--key", str(key))
    assert server.address.startswith("https://")
    with client(server, verify=ssl.create_default_context(cafile=certificate)) as http:
        assert "Secure" in http.post("/enter", data={"code": code}).headers["set-cookie"]
        assert http.get("/work").status_code == 200


def test_only_the_word_of_a_proxy_that_was_named_counts(study, serve):
    code = codes(study, "p1")["p1"]
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7"}
    for options, secure, address in ((["--proxy", "127.0.0.1"], True, "203.0.113.7"), ([], False, "127.0.0.1")):
        server = serve(study, *options)
        with client(server) as http:
            http.get("/nowhere", headers=forwarded)
            cookie = http.post("/enter", data={"code": code}, headers=forwarded).headers["set-cookie"]
        assert ("Secure" in cookie) is secure
        server.stop()
        log = (bundle.locate(study).folder / "server.log").read_text().splitlines()
        assert f"404 GET an unknown path from {address}, nobody" in log[-1]
