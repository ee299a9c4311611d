#!/usr/bin/env python3
"""Makes OperationTable.swift, InputRules.swift, ReadingRules.swift and OPERATIONS.md from botocore's model of Lambda's API.

    pip download --no-deps botocore && Sources/LambdaAPI/generate.py botocore-*.whl && swift format -i Sources/LambdaAPI/*.swift

Which operations are served is said in `Operation.swift`, by their names; what each takes is taken from the model and not typed by hand.
"""
import gzip
import json
import re
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent
MODEL = "botocore/data/lambda/2015-03-31/service-2.json"
HEAD = "// Made by generate.py from botocore's model of Lambda's API; not to be edited.\n\n"
# Looked at by `FunctionARN`, which knows Bulkhead's names too.
NAMES = {"FunctionName", "Resource"}


def model(wheel):
    with zipfile.ZipFile(wheel) as file:
        name = next(one for one in file.namelist() if one.startswith(MODEL))
        data = file.read(name)
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


def quoted(text):
    return '#"' + text + '"#'


def rule(name, shape, required, member):
    words = [quoted(name), f'.{member.get("location", "body")}', "." + {"integer": "whole", "long": "whole", "boolean": "flag"}.get(
        shape["type"], shape["type"] if shape["type"] in ("string", "list", "map", "structure") else "other")]
    if "locationName" in member:
        words.append("sent: " + quoted(member["locationName"]))
    if required:
        words.append("isRequired: true")
    for key in ("min", "max"):
        if key in shape:
            words.append(f"{key}: {shape[key]}")
    if "pattern" in shape and name not in NAMES:
        words.append("pattern: " + quoted(shape["pattern"]))
    if "enum" in shape:
        words.append("words: [" + ", ".join(quoted(one) for one in shape["enum"]) + "]")
    return "        InputRule(" + ", ".join(words) + "),\n"


def main():
    service = model(sys.argv[1])
    served = set(re.findall(r'case \w+ = "(\w+)"', (FOLDER / "Operation.swift").read_text()))
    operations, changing, reading, table = [], [], [], []
    for name, operation in sorted(service["operations"].items()):
        http = operation["http"]
        operations.append(f'    ("{name}", "{http["method"]}", "{http["requestUri"]}", {http.get("responseCode", 200)}),\n')
        table.append(f'| {name} | {http["method"]} `{http["requestUri"]}` | {"served" if name in served else "501"} |\n')
        if name not in served:
            continue
        shape = service["shapes"][operation["input"]["shape"]]
        rules = reading if http["method"] == "GET" else changing
        rules.append(f'    "{name}": [\n')
        for member, reference in shape["members"].items():
            rules.append(rule(member, service["shapes"][reference["shape"]], member in shape.get("required", []), reference))
        rules.append("    ],\n")
    (FOLDER / "OperationTable.swift").write_text(
        HEAD + "/// All operations that Lambda has: name, method, path, and the status of what went well.\n"
        "let operationTable: [(name: String, method: String, path: String, status: Int)] = [\n" + "".join(operations) + "]\n")
    (FOLDER / "OPERATIONS.md").write_text(
        "# Lambda's operations\n\nMade by generate.py. What is not served answers 501 `NotImplementedException`, and says so.\n\n"
        f"{len(served)} of {len(table)} are served.\n\n| operation | request | |\n| --- | --- | --- |\n" + "".join(table))
    (FOLDER / "InputRules.swift").write_text(
        HEAD + "/// What the served operations take, by their names.\nlet inputRules = changingRules.merging(readingRules) { one, _ in one }\n\n"
        "private let changingRules: [String: [InputRule]] = [\n" + "".join(changing) + "]\n")
    (FOLDER / "ReadingRules.swift").write_text(
        HEAD + "/// What the served operations take that change nothing: a part of `inputRules`.\nlet readingRules: [String: [InputRule]] = [\n"
        + "".join(reading) + "]\n")


if __name__ == "__main__":
    main()
