// What a cell's init and the launcher say to each other, over a socket of the cell's own.
#pragma once

#include "birth.h"

enum report_kind { REPORT_FAILED = 1, REPORT_READY, REPORT_STARTED, REPORT_REFUSED, REPORT_DENIED, REPORT_EXITED, REPORT_LOCKED, REPORT_WORKER, REPORT_EMPTY };

/// Launcher to init, over `status`, once the worker runs: the lock is on. Any other message ends the cell.
struct order {
    uint32_t kind;
};
#define ORDER_LOCK 0x4c4f434bu
/// Launcher to init, that has reported that nobody else is left: another worker of the same version shall wait here.
#define ORDER_AGAIN 0x4147414eu

/// init to launcher, over `status`.
struct report {
    uint32_t kind;
    uint32_t stage;
    int32_t error;
    int32_t status;  // as from wait(2)
    uint32_t arch;
    int64_t syscall;
    uint64_t args[6];
    uint64_t cpu_ns;       // of the worker's process and those it reaped
    uint64_t max_rss;      // bytes
};

void send_report(int status, const struct report *report);

/// Reports that the cell could not be made, and ends.
_Noreturn void cell_fail(const struct birth *birth, uint32_t stage, int error);
