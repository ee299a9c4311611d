#pragma once

/// One line of log, in the form of the host's own: swift-log's StreamLogHandler.
void report(const char *level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// The same, followed by the supervisor's last lines.
void report_with_last_lines(const char *level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// How a process ended, as in "SIGSEGV (signal 11)" or "exit status 3".
const char *ending(int status);
