"""What a host's memory is, counted twice: process by process, and as what the whole machine has less.

The first misses what no process owns (dentries, mounts, cgroups' own structures where the kernel does not tell), the
second takes in whatever else happens on the machine. An honest figure is one on which both nearly agree.
"""

from pathlib import Path

from processes import cgroups, family, status


def _meminfo():
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {key: int(value.split()[0]) for key, _, value in (line.partition(":") for line in lines)}


def _pss(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _charged_kernel_kib():
    """Kernel memory (stacks, page tables, slab) charged to Bulkhead's cgroups; None where the kernel does not tell."""
    found = None
    for folder in cgroups():
        v1, v2 = folder / "memory.kmem.usage_in_bytes", folder / "memory.stat"
        try:
            if v1.exists():
                found = (found or 0) + int(v1.read_text())
            elif v2.exists() and (kernel := _kernel_of(v2.read_text())) is not None:
                found = (found or 0) + kernel
        except OSError:  # removed while we looked, or accounting is off
            continue
    return None if found is None else found / 1024


def _kernel_of(text):
    fields = dict(line.split() for line in text.splitlines())
    return int(fields["kernel"]) if "kernel" in fields else None


def by_process(root):
    """KiB of a host's family, in parts. `total` takes page tables and stacks once, from where they are told best."""
    pss = tables = threads = count = 0
    for process in family(root):
        try:
            numbers = status(process.pid)
            pss += _pss(process.pid)
        except OSError:  # ended while we looked
            continue
        count += 1
        tables += numbers.get("VmPTE", 0)
        threads += numbers.get("Threads", 0)
    kernel = _charged_kernel_kib()
    stacks = 16 * threads
    # What is charged holds the tables and stacks of cells, but not those of the host's own processes: a few, always
    # the same, and so gone from a difference.
    total = pss + (tables + stacks if kernel is None else max(kernel, tables + stacks))
    return {"processes": count, "pss": pss, "page_tables": tables, "kernel_stacks": stacks,
            "charged_kernel": kernel, "total": total}


def of_machine():
    """KiB in use on the whole machine, page cache aside: it holds files, not workers."""
    info = _meminfo()
    kinds = {
        "anonymous": info["AnonPages"], "shared": info["Shmem"], "slab": info["Slab"],
        "kernel_stacks": info["KernelStack"], "page_tables": info["PageTables"], "per_cpu": info.get("Percpu", 0),
    }
    cache = info["Cached"] - info["Shmem"] + info["Buffers"]
    return kinds | {
        "by_kind": sum(kinds.values()),  # what the kernel can name
        "by_free": info["MemTotal"] - info["MemFree"] - cache,  # with the rest, but also with what it keeps at hand
        "unavailable": info["MemTotal"] - info["MemAvailable"],  # without the caches that the kernel could drop
    }


def difference(before, after, divisor):
    """What there is more of, part by part, for each of `divisor`; parts that the kernel does not tell stay None."""
    return {key: None if after[key] is None or before[key] is None else round((after[key] - before[key]) / divisor, 2)
            for key in before}
