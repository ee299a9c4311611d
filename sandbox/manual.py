#!/usr/bin/env python3
"""Writes the manual pages, bulkhead.1 and one for each subcommand, out of what the program says of itself.

    bulkhead --experimental-dump-help | sandbox/manual.py FOLDER VERSION

The pages are dated by SOURCE_DATE_EPOCH, so that the same program makes the same pages.
"""
import json
import os
import re
import sys
import textwrap
import time
from pathlib import Path

WIDTH = 78  # of the source: mandoc -T lint asks for less than 80
SECTION = 1


def escaped(text):
    """Signs as they are: roff makes other ones of some."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    text = "".join(sign if ord(sign) < 128 else f"\\[u{ord(sign):04X}]" for sign in text)
    # What stands in backquotes is typed.
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fP", text).replace("`", "\\(ga")


def guarded(line):
    """A line of text that begins with a dot would be a command."""
    return "\\&" + line if line.startswith(".") else line


def paragraphs(text):
    """Lines of text, wrapped; .PP between paragraphs."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if lines:
            lines.append(".PP")
        # A sentence begins a line: that is how roff knows where one ends.
        for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z`\"])", " ".join(paragraph.split())):
            lines += map(guarded, textwrap.wrap(escaped(sentence), WIDTH, break_long_words=False, break_on_hyphens=False))
    return lines


def shown(arguments):
    return [one for one in arguments if one.get("shouldDisplay", True)]


def value(argument):
    return f"\\fI{escaped(argument['valueName'])}\\fP"


def spelling(name):
    return escaped(("-" if name["kind"] != "long" else "--") + name["name"])


def usage(argument):
    """An argument as the synopsis has it."""
    more = " ...\\&" if argument["isRepeating"] else ""
    if argument["kind"] == "positional":
        text = value(argument)
    else:
        text = f"\\fB{spelling(argument['preferredName'])}\\fP"
        if argument["kind"] == "option":
            text += f"\\ {value(argument)}"
    return f"[{text}]{more}" if argument["isOptional"] else text + more


def described(argument):
    """An argument with what it does."""
    if argument["kind"] == "positional":
        head = value(argument)
    else:
        head = ", ".join(f"\\fB{spelling(name)}\\fP" for name in argument["names"])
        if argument["kind"] == "option":
            head += f" {value(argument)}"
    text = argument.get("abstract", "")
    if "defaultValue" in argument:
        text = f"{text} Default: {argument['defaultValue']}.".strip()
    # Without a text the next entry would be taken for it.
    return [".TP", head] + (paragraphs(text) or ["\\&"])


def synopsis(path, command):
    head = escaped(" ".join(path))
    if command.get("subcommands"):
        return [f"\\fB{head}\\fP \\fIsubcommand\\fP"]
    # Each argument is a line: they are set side by side, and broken between them alone.
    return [f"\\fB{head}\\fP"] + [usage(one) for one in ordered(command) if not is_general(one)]


def ordered(command):
    """Positional arguments first."""
    return sorted(shown(command.get("arguments", [])), key=lambda one: one["kind"] != "positional")


def is_general(argument):
    """What every command takes is not in the synopsis."""
    return argument["kind"] == "flag" and argument["valueName"] in ("version", "help")


def shared(command):
    """What all subcommands take, and is said once."""
    lists = [ordered(one) for one in shown(command.get("subcommands", []))]
    return [one for one in lists[0] if all(one in other for other in lists[1:])] if lists else []


def options(arguments):
    return [line for argument in arguments for line in described(argument)]


def subcommands(path, command, level):
    """Subcommands of a subcommand, each with its own options."""
    lines = []
    common = shared(command)
    for one in shown(command.get("subcommands", [])):
        inner = [*path, one["commandName"]]
        lines += [f"{level} {escaped(' '.join(inner[1:]))}"]
        lines += [*synopsis(inner, one), ".PP"]
        note = "What is done where no subcommand is given." if command.get("defaultSubcommand") == one["commandName"] else ""
        lines += paragraphs(" ".join(filter(None, (one.get("abstract"), note))))
        if one.get("discussion"):
            lines += [".PP", *paragraphs(one["discussion"])]
        lines += options(argument for argument in ordered(one) if argument not in common)
    return lines


def page(path, command, version, date, others):
    name = escaped("-".join(path))
    abstract = command["abstract"].rstrip(".")
    # Neither hyphens nor wide gaps: what stands here is copied into shells.
    lines = [f'.TH {name.upper()} {SECTION} "{date}" "bulkhead {escaped(version)}" "User commands"', ".nh", ".ad l",
             ".SH NAME", *textwrap.wrap(f"{name} \\- {escaped(abstract[0].lower() + abstract[1:])}", WIDTH, break_on_hyphens=False),
             ".SH SYNOPSIS", *synopsis(path, command),
             ".SH DESCRIPTION", *paragraphs(command["abstract"])]
    if command.get("discussion"):
        lines += [".PP", *paragraphs(command["discussion"])]
    if len(path) == 1:
        lines += [".SH SUBCOMMANDS", "Each has a page of its own."]
        for one in others:
            lines += [".TP", f"\\fB{escaped(one['commandName'])}\\fP", *paragraphs(one["abstract"])]
    elif command.get("subcommands"):
        lines += [".SH SUBCOMMANDS", *subcommands(path, command, ".SS")]
    common = shared(command) if len(path) > 1 else []
    arguments = common + [one for one in ordered(command) if one not in common]
    lines += [".SH OPTIONS", *(["All subcommands take these."] if common else []), *options(arguments), ".SH SEE ALSO"]
    near = others if len(path) == 1 else []
    seen = [f"bulkhead-{one['commandName']}" for one in near] or ["bulkhead"]
    lines += [f".BR {escaped(one)} ({SECTION}){',' if one != seen[-1] else ''}" for one in seen]
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: bulkhead --experimental-dump-help | sandbox/manual.py FOLDER VERSION")
    folder, version = Path(sys.argv[1]), sys.argv[2]
    try:
        told = json.load(sys.stdin)
        command = told["command"]
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"manual.py: stdin is not what `bulkhead --experimental-dump-help` prints: {error}")
    if told.get("serializationVersion") != 0:
        sys.exit("manual.py: the help's format has changed; look what is new in ArgumentParserToolInfo, and teach it to this program")
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    # ArgumentParser's own, which says what `--help` says.
    others = [one for one in shown(command["subcommands"]) if one["commandName"] != "help"]
    name = command["commandName"]
    pages = {name: page([name], command, version, date, others)}
    for one in others:
        path = [name, one["commandName"]]
        pages["-".join(path)] = page(path, one, version, date, others)
    folder.mkdir(parents=True, exist_ok=True)
    for page_name, text in pages.items():
        (folder / f"{page_name}.{SECTION}").write_text(text)


if __name__ == "__main__":
    main()
