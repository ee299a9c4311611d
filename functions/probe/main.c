// A worker's own view of its cell, as one JSON object. A failed question is answered by the errno's name.
//
// There may be no /proc, so everything is asked of the kernel directly; and only calls that an honest program could
// make, since a call that no honest program makes ends the worker.
#include <stdio.h>

#include "json.h"
#include "probe.h"

int main(void) {
    remember_descriptors();
    json_open(NULL, '{');
    report_process();
    report_surroundings();
    json_close('}');
    putchar('\n');
    return fflush(stdout) == 0 ? 0 : 1;
}
