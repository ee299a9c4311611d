"""From the results to the table: each figure, what it is compared with, the bar it has to meet, and whether it does.

`report.py RESULTS.json` prints the table as Markdown and puts its rows into the file.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from watchdog import REFERENCE_RPS

PASS, MISSED, TOLD, ABSENT = "pass", "FAIL", "-", "absent"


class Absent(Exception):
    """A figure that is not there, and why."""


class NotRun(Exception):
    """A figure whose topic was not asked for."""


@dataclass
class Row:
    topic: str
    figure: str
    value: float | None
    unit: str
    ratio: str
    bar: str
    verdict: str
    command: str
    note: str = ""


class Results:
    def __init__(self, topics):
        self.topics = topics

    def at(self, *path):
        """What stands at a place; on the way there a reason why it does not may be found instead."""
        if path[0] not in self.topics:
            raise NotRun(path[0])
        found = self.topics
        for name in path:
            if not isinstance(found, dict) or name not in found:
                raise Absent(f"no {'.'.join(path)}")
            found = found[name]
            if isinstance(found, dict):
                for reason in ("failed", "missing"):
                    if reason in found:
                        raise Absent(found[reason])
        return found


class Table:
    """Collects rows. What cannot be computed makes a row too: with a bar it failed, else it is told as absent."""

    def __init__(self, results):
        self.results, self.rows = results, []

    def add(self, topic, figure, unit, compute, most=None, least=None):
        """`compute` returns value, what stands in the ratio's column, command, and perhaps a note. The bar is for the
        value itself; a ratio that has a bar is the value."""
        bar = f"≤ {most:g}" if most is not None else f"≥ {least:g}" if least is not None else ""
        try:
            value, ratio, command, *note = compute(self.results)
        except NotRun:
            return
        except Absent as reason:
            verdict = MISSED if bar else ABSENT
            self.rows.append(Row(topic, figure, None, unit, "", bar, verdict, "", " ".join(str(reason).split())))
            return
        met = (most is None or value <= most) and (least is None or value >= least)
        verdict = TOLD if not bar else PASS if met else MISSED
        self.rows.append(Row(topic, figure, value, unit, ratio, bar, verdict, command, *note))


# -- Rows by topic ----------------------------------------------------------------------------------------------------

CELLS = {"cold_nothing_ready": "cold start, nothing ready", "cold_known": "cold start, nothing ready, version known",
         "cold_ready": "cold start, cell ready",
         "renewed": "cold start, cell renewed for its version",
         "prewarmed": "prewarmed", "reused": "reused reactor", "snapshot": "fork of a 50 MB Python template",
         "python_cold": "the same Python, cold"}
PEERS = ("bwrap", "firejail", "crun", "runsc", "nsjail", "isolate")


def _start(*path):
    """A start's p50, with its ratio to the floor where there is one."""
    def compute(results):
        one = results.at(*path)
        try:
            ratio = f"{one['p50_us'] / results.at('starts', 'floor')['p50_us']:.2f} × floor"
        except (NotRun, Absent):
            ratio = ""
        return one["p50_us"], ratio, one["command"], f"p99 {one['p99_us']:.0f} µs"
    return compute


def _ratio(one, other):
    def compute(results):
        above, below = results.at(*one), results.at(*other)
        shown = f"{above['p50_us']:.0f} / {below['p50_us']:.0f} µs"
        return above["p50_us"] / below["p50_us"], shown, above["command"]
    return compute


def add_starts(table):
    table.add("starts", "floor: vfork, exec, first byte", "µs", _start("starts", "floor"))
    for peer in PEERS:
        table.add("starts", f"{peer}, same echo", "µs", _start("starts", "peers", peer))


def add_cells(table):
    for name, figure in CELLS.items():
        table.add("cells", figure, "µs", _start("cells", name))
    floor = ("starts", "floor")
    for name, bar in (("cold_ready", 1.5), ("renewed", 1.5), ("cold_nothing_ready", 2.5), ("cold_known", 2.5), ("prewarmed", 0.35)):
        table.add("cells", f"{CELLS[name]} / floor", "×", _ratio(("cells", name), floor), most=bar)
    table.add("cells", "fork of a Python template / Python cold", "×",
              _ratio(("cells", "snapshot"), ("cells", "python_cold")), most=0.1)


HTTP = {"static": "static route", "fresh": "fresh process per request", "prewarmed": "fresh process, prewarmed",
        "reused": "reused reactor", "nio_echo": "raw NIO echo", "watchdog_streaming": "of-watchdog, fork per request",
        "watchdog_http": "of-watchdog, http"}


def _throughput(name, connections):
    def compute(results):
        one = results.at("http", name, connections)
        if not one["rps"]:
            raise Absent("it took the connection and answered nothing")
        starts = ", ".join(f"{count} {start}" for start, count in one["starts"].items())
        note = f"p50 {one['p50_us']:.0f}, p99 {one['p99_us']:.0f} µs" + (f"; {starts}" if starts else "")
        return one["rps"], "", one["command"], note + (f"; errors: {one['errors_by']}" if one["errors"] else "")
    return compute


def _paced(name):
    """Seldom enough for every worker to be replaced in time; but the processor sleeps in between, and has to wake."""
    def compute(results):
        one, other = results.at("http", name, "paced"), results.at("http", "static", "paced")
        starts = ", ".join(f"{count} {start}" for start, count in one["starts"].items())
        return one["p50_us"], f"{one['p50_us'] - other['p50_us']:+.0f} µs to static", one["command"], starts
    return compute


def _against_watchdog(results):
    fresh = results.at("http", "fresh", "16")
    try:
        other, note = results.at("http", "watchdog_streaming", "16")["rps"], ""
    except Absent as reason:
        other, note = REFERENCE_RPS, f"{reason}: compared with the documented {REFERENCE_RPS} req/s"
    return fresh["rps"] / other, f"{fresh['rps']:.0f} / {other:.0f} req/s", fresh["command"], note


def _against_nio(results):
    one, other = results.at("http", "reused", "64"), results.at("http", "nio_echo", "64")
    return one["rps"] / other["rps"], f"{one['rps']:.0f} / {other['rps']:.0f} req/s", one["command"]


def _above_static(name):
    def compute(results):
        one, other = results.at("http", name, "1"), results.at("http", "static", "1")
        shown = f"{one['p50_us']:.0f} − {other['p50_us']:.0f} µs"
        starts, all_of_them = one["starts"].get(name, 0), sum(one["starts"].values())
        note = f"{100 * starts / max(1, all_of_them):.0f} % of the starts were {name}"
        return one["p50_us"] - other["p50_us"], shown, one["command"], note
    return compute


def _tail(results):
    one = results.at("http", "reused", "16")
    return one["p99_us"] / one["p50_us"], f"{one['p99_us']:.0f} / {one['p50_us']:.0f} µs", one["command"]


def _http_errors(results):
    runs = [run for name in ("static", "fresh", "prewarmed", "reused") for run in results.at("http", name).values()]
    return sum(run["errors"] for run in runs), f"of {sum(run['requests'] for run in runs)}", "all http runs of Bulkhead"


def add_http(table):
    for name, figure in HTTP.items():
        for connections in ("1", "16", "64"):
            table.add("http", f"{figure}, connections: {connections}", "req/s", _throughput(name, connections))
    for name in ("static", "fresh", "prewarmed", "reused"):
        table.add("http", f"{HTTP[name]}, paced: p50", "µs", _paced(name))
    table.add("http", "fresh process / of-watchdog fork, 16 connections", "×", _against_watchdog, least=1.0)
    table.add("http", "reused reactor / raw NIO echo, 64 connections", "×", _against_nio, least=0.4)
    table.add("http", "p50 prewarmed − static route, 1 connection", "µs", _above_static("prewarmed"), most=150)
    table.add("http", "p50 reused − static route, 1 connection", "µs", _above_static("reused"), most=150)
    table.add("http", "p99 / p50 reused, 16 connections", "×", _tail, most=5)
    table.add("http", "failed requests", "", _http_errors, most=0)


def _density(*path):
    def compute(results):
        found, value = results.at("density"), results.at("density", *path)
        parts = found[path[0]] if len(path) > 1 else {}
        shown = ", ".join(f"{name} {size:g}" for name, size in parts.items() if name != "total" and size)
        return value, "", found["command"], shown
    return compute


def add_density(table):
    table.add("density", "1000 prewarmed workers after", "s", _density("seconds"), most=5)
    for place, figure in (("by_process_kib", "by its processes"), ("of_machine_kib", "by the machine")):
        table.add("density", f"an idle prewarmed worker, {figure}", "KiB", _density(place, "total"), most=400)


def _burst(results):
    burst = results.at("burst")
    note = f"worst of {len(burst['rounds'])}: p50 {burst['p50_us'] / 1000:.0f}, p99 {burst['p99_us'] / 1000:.0f} ms"
    return burst["max_us"] / 1000, "", burst["command"], f"{note}; all in {burst['seconds']:.3f} s"


def add_burst(table):
    table.add("burst", "200 requests at once from nothing: answered with 200", "",
              lambda results: (results.at("burst")["answered"], "", results.at("burst")["command"]), least=200)
    table.add("burst", "200 requests at once from nothing: the last one", "ms", _burst)


def _route(count):
    def compute(results):
        routes = results.at("routes")
        return routes["nanoseconds"][count] / 1000, "", routes["command"]
    return compute


def _checked(name):
    def compute(results):
        checks = results.at("routes")["checks"]
        median = checks["median"]
        return median[name] / median["open"], f"{median[name]:,.0f} and {median['open']:,.0f}/s", checks["command"]
    return compute


def add_routes(table):
    table.add("routes", "a request's route found among 10", "µs", _route("10"))
    table.add("routes", "… among 10,000", "µs", _route("10000"), most=2)
    table.add("routes", "a reused reactor behind a route with a rate, over one without", "", _checked("rate"), least=0.95)
    table.add("routes", "… behind one with JSON Web Tokens, over one that looks at none", "", _checked("jwt"), least=0.95)


def add_lambda(table):
    def compute(results):
        found = results.at("lambda")
        median = found["median"]
        return median["lambda"] / median["native"], f"{median['lambda']:,.0f} and {median['native']:,.0f}/s", found["command"]
    table.add("lambda", "a reused reactor by Lambda's Invoke, signed, over the host's own route", "", compute, least=0.6)

    def cold(results):
        found = results.at("lambda")["starts"]
        return (found["custom"] - found["command"]) / 1000, f"{found['custom']:,.0f} − {found['command']:,.0f} µs", found["command_line"]
    table.add("lambda", "a custom runtime's fresh process above a command's, at one connection", "ms", cold, most=3)


def add_queue(table):
    def rate(name):
        def compute(results):
            found = results.at("queue")
            return found[name], f"{found['count']:,} of an empty reactor", found["command"]
        return compute
    table.add("queue", "asynchronous invocations accepted, on the disk", "/s", rate("accepted_rps"))
    table.add("queue", "… accepted, run and acknowledged", "/s", rate("rps"), least=3000)


def _soak_growth(results):
    soak = results.at("soak")
    rss = soak["growth"].get("supervisor_rss_kib", {"first_third": 0, "last_third": 0})
    note = f"supervisor {rss['first_third']:.0f} → {rss['last_third']:.0f} KiB" + (
        "; grew: " + ", ".join(soak["grew"]) if soak["grew"] else "")
    return len(soak["grew"]), f"in {soak['minutes']:g} min", soak["command"], note


def add_soak(table):
    table.add("soak", "figures that grew", "", _soak_growth, most=0)
    table.add("soak", "requests that failed", "", lambda results: (
        results.at("soak")["errors"], f"of {results.at('soak')['requests']}", results.at("soak")["command"]), most=0)


def rows(topics):
    table = Table(Results(topics))
    for add in (add_starts, add_cells, add_http, add_routes, add_lambda, add_queue, add_density, add_burst, add_soak):
        add(table)
    return [asdict(row) for row in table.rows]


# -- Markdown ----------------------------------------------------------------------------------------------------------

def _number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")


def markdown(table):
    """The table, and below it the commands by number: within it they would be most of it."""
    commands = list(dict.fromkeys(row["command"] for row in table if row["command"]))
    columns = ["figure", "value", "unit", "ratio", "bar", "verdict", "note", "by"]
    lines = ["| " + " | ".join(columns) + " |", "| --- | ---: | --- | --- | --- | --- | --- | ---: |"]
    for row in table:
        shown = row | {"value": _number(row["value"]), "by": "", "command": ""}
        if row["command"]:
            shown["by"] = commands.index(row["command"]) + 1
        lines.append("| " + " | ".join(_cell(shown[column]) for column in columns) + " |")
    return "\n".join(lines + [""] + [f"{number}. `{command}`" for number, command in enumerate(commands, 1)])


def main():
    path = Path(sys.argv[1])
    results = json.loads(path.read_text())
    results["table"] = rows(results["topics"])
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(markdown(results["table"]))


if __name__ == "__main__":
    main()
