# SPDX-License-Identifier: Apache-2.0
"""Every record of the log of one real session, in which every kind of event occurs, by the OCSF schema's own JSON files."""
import json
import re
import subprocess

import pytest

import conftest
import event_session
from ocsf_schema import OURS, SCHEMA, Schema

TARGET = conftest.BIN / "tests/log_target"


@pytest.fixture(scope="module")
def table():
    """The kinds, each with the attributes that every event of it must have."""
    text = subprocess.run([str(TARGET), "table"], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|.*\|([^|]*)\|$", text, re.MULTILINE)
    return {kind: re.findall(r"`(\w+)`", required) for kind, required in rows}


@pytest.fixture(scope="module")
def session(tmp_path_factory, functions):
    return event_session.run(tmp_path_factory.mktemp("events"), functions)


@pytest.fixture(scope="module")
def records(session):
    return session.records


@pytest.fixture(scope="module")
def schema():
    if not SCHEMA.is_dir():
        pytest.skip("the OCSF schema is not beside this checkout")
    return Schema()


def of_kind(records, kind):
    return [record for record in records if record["unmapped"]["kind"] == kind]


# No model that the product serves streams its answer yet; tests/attacks/test_streams.py sees the event.
OF_STREAMS = {"inference.started"}


def test_every_kind_in_the_table_occurs(records, table):
    assert len(table) >= 45
    assert {record["unmapped"]["kind"] for record in records} == set(table) - OF_STREAMS


def test_every_event_says_what_its_kind_must_say(records, table):
    for record in records:
        missing = set(table[record["unmapped"]["kind"]]) - set(record["unmapped"])
        assert not missing, (record["unmapped"], missing)


def test_every_record_is_valid(schema, records):
    for record in records:
        kind = record["unmapped"]["kind"]
        name, category = schema.find_class(record["class_uid"])
        assert record["category_uid"] == category, kind
        assert record["type_uid"] == record["class_uid"] * 100 + record["activity_id"], kind
        attributes = schema.attributes(schema.classes, name)
        assert str(record["activity_id"]) in attributes["activity_id"]["enum"], kind
        assert record["activity_id"] != 99 or record["activity_name"], kind
        profiles = set(record["metadata"].get("profiles", []))
        assert profiles <= OURS
        assert ("ai_model" in record) == ("ai_operation" in profiles), kind
        assert record["metadata"]["version"] == "1.8.0"
        schema.check(record, attributes, schema.constraints(schema.classes, name), profiles, kind)


def test_nothing_is_unknown_that_is_known(records):
    """A value that says `unknown` would hide a fact that the product has."""
    for record in records:
        outside = {key: value for key, value in record.items() if key not in ("unmapped", "message")}
        assert '"unknown"' not in json.dumps(outside), record
        assert not any(re.fullmatch(r"field_\d+", name) for name in record["unmapped"]), record


def test_an_inference_names_client_key_and_model(session, records):
    done = [record for record in of_kind(records, "inference.completed") if "client_ip" in record["unmapped"]]
    assert done
    for record in done:
        assert record["src_endpoint"]["ip"] == "127.0.0.1" and 0 < record["src_endpoint"]["port"] < 65536
        assert record["actor"]["user"]["name"] == "default"
        assert record["ai_model"]["uid"] == session.root_digest
        assert record["http_response"]["code"] == 200 and record["http_request"]["uid"]
    assert session.client_port in [record["src_endpoint"]["port"] for record in done]


def test_a_failed_authentication_names_the_client_and_a_keyed_hash(session, records):
    failed = [record for record in of_kind(records, "auth.failed") if record["unmapped"].get("route")]
    assert all(record["src_endpoint"]["ip"] == "127.0.0.1" and record["src_endpoint"]["port"] for record in failed)
    nothing, first, again, other = failed[:4]
    assert nothing["user"] == {"name": "anonymous"}
    assert first["user"]["uid"].startswith("hmac-sha256:")
    assert first["user"] == again["user"] != other["user"]
    text = json.dumps(records)
    assert all(key not in text for key in session.wrong_keys)


def test_a_process_that_ended_is_named_and_the_supervisor_saw_it(session, records):
    died = of_kind(records, "worker.died")
    processes = {(record["process"]["name"], record["process"]["pid"]) for record in died}
    assert ("gateway", session.gateway_pid) in processes and ("worker", session.worker_pid) in processes
    for record in died + of_kind(records, "worker.started") + of_kind(records, "worker.restarted"):
        assert record["actor"]["process"]["name"] == "mlxguard-supervisor"
        assert record["actor"]["process"]["pid"] != record["process"]["pid"]


def test_the_checker_finds_what_is_wrong(schema, records):
    """A checker that accepts anything would prove nothing."""
    record = next(r for r in records if r["unmapped"]["kind"] == "model.refused")
    name, _ = schema.find_class(record["class_uid"])
    attributes = schema.attributes(schema.classes, name)
    constraints = schema.constraints(schema.classes, name)

    def refused(change):
        bad = json.loads(json.dumps(record))
        change(bad)
        with pytest.raises(AssertionError):
            schema.check(bad, attributes, constraints, {"ai_operation"}, "model.refused")

    refused(lambda r: r.pop("file"))
    refused(lambda r: r.pop("device"))
    refused(lambda r: r["file"].pop("type_id"))
    refused(lambda r: r["file"].update(type_id=55))
    refused(lambda r: r["ai_model"].pop("ai_provider"))
    refused(lambda r: r.update(activity_id=77))
    refused(lambda r: r.update(time="now"))
    refused(lambda r: r.update(no_such_attribute=1))
    refused(lambda r: r["actor"].pop("process"))
