// The report's two halves.
#pragma once

#include <stdbool.h>

#define FDS_MAX 1024

/// Which descriptors were open when the process began: taken before anything here opens one.
void remember_descriptors(void);

void report_process(void);       // what the process is: ids, capabilities, flags, limits, environment
void report_surroundings(void);  // what it can reach: files, sockets
