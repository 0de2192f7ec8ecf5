# SPDX-License-Identifier: Apache-2.0
"""The OCSF schema's own JSON files as a checker of records."""
import glob
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT.parent / "shared/data/ocsf-schema"
# Profiles that no record of ours declares: what they require is not asked for.
OURS = {"ai_operation", "host"}


def load(path):
    return json.loads(pathlib.Path(path).read_text())


class Schema:
    """The schema's includes and inheritance, resolved."""

    def __init__(self):
        self.classes = {c["name"]: c for c in map(load, glob.glob(f"{SCHEMA}/events/**/*.json", recursive=True))}
        self.objects = {o["name"]: o for o in map(load, glob.glob(f"{SCHEMA}/objects/*.json"))}
        self.dictionary = load(SCHEMA / "dictionary.json")
        self.categories = load(SCHEMA / "categories.json")["attributes"]

    def included(self, attributes):
        out = {}
        for name, value in attributes.items():
            if name != "$include":
                out[name] = {**out.get(name, {}), **value}
                continue
            for file in value if isinstance(value, list) else [value]:
                part = load(SCHEMA / file)
                profile = part["name"] if file.startswith("profiles/") else None
                for key, attribute in self.included(part["attributes"]).items():
                    out[key] = {"profile": profile, **attribute, **out.get(key, {})}
        return out

    def attributes(self, table, name):
        entry = table[name]
        out = self.attributes(table, entry["extends"]) if entry.get("extends") else {}
        for key, value in self.included(entry.get("attributes", {})).items():
            merged = {**out.get(key, {}), **value}
            if "enum" in value and "enum" in out.get(key, {}):
                merged["enum"] = {**out[key]["enum"], **value["enum"]}
            out[key] = merged
        return out

    def category_of(self, name):
        while name:
            if self.classes[name].get("category"):
                return self.classes[name]["category"]
            name = self.classes[name].get("extends")

    def constraints(self, table, name):
        while name:
            if "constraints" in table[name]:
                return table[name]["constraints"]
            name = table[name].get("extends")
        return {}

    def find_class(self, uid):
        for name, entry in self.classes.items():
            category = self.category_of(name)
            if "uid" in entry and category in self.categories:
                if self.categories[category]["uid"] * 1000 + entry["uid"] == uid:
                    return name, self.categories[category]["uid"]
        raise AssertionError(f"no OCSF class {uid}")

    def check(self, value, attributes, constraints, profiles, where):
        for name, attribute in attributes.items():
            profile = attribute.get("profile")
            if attribute.get("requirement") == "required" and (profile is None or profile in profiles):
                assert name in value, f"{where}: {name} is required"
        for group in constraints.get("at_least_one", []) and [constraints["at_least_one"]]:
            assert any(name in value for name in group), f"{where}: one of {group} is required"
        for name, item in value.items():
            assert name in attributes, f"{where}: no attribute {name}"
            attribute = attributes[name]
            profile = attribute.get("profile")
            assert profile is None or profile in profiles, f"{where}: {name} needs the profile {profile}"
            self.check_value(item, name, attribute, profiles, f"{where}.{name}")

    def check_value(self, item, name, attribute, profiles, where):
        entry = self.dictionary["attributes"][name]
        if entry.get("is_array"):
            assert isinstance(item, list), where
            return
        kind = attribute.get("type", entry["type"])
        enum = {**entry.get("enum", {}), **attribute.get("enum", {})}
        if enum and name.endswith("_id"):
            assert str(item) in enum, f"{where}: {item} is not in its enum"
        if kind == "object":  # free form: `unmapped`
            assert isinstance(item, dict), where
            return
        if kind in self.objects:
            self.check(item, self.attributes(self.objects, kind), self.constraints(self.objects, kind), profiles,
                       where)
            return
        basic = self.dictionary["types"]["attributes"].get(kind, {}).get("type", kind)
        python = {"string_t": str, "integer_t": int, "long_t": int, "boolean_t": bool}[basic]
        assert isinstance(item, python), f"{where}: {item!r} is no {kind}"
        pattern = self.dictionary["types"]["attributes"].get(kind, {}).get("regex")
        if pattern and isinstance(item, str):
            assert re.search(pattern, item), f"{where}: {item!r} is no {kind}"
