#pragma once

/// Blocks what the loop reads itself. Returns the descriptor to read signals from, or exits with 3.
int guard_signals(void);

/// Keeps a supervisor running until it has ended for good. Returns the status to exit with.
int guard_run(int signals);
