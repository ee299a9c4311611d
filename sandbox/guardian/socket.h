#pragma once

#include <stdbool.h>

#define LISTENING 3    // the first listening socket's descriptor, here and in the supervisor: SD_LISTEN_FDS_START
#define MAX_SOCKETS 2  // one for all, and one for whoever runs the host

/// Whether whoever started us left a socket for this very process. More than one is refused: exits with 2.
bool socket_is_inherited(void);

/// Exits with 2 when what was inherited is no listening TCP socket.
void socket_check(int backlog);

/// Listens on `HOST:PORT` or `unix:PATH` as the next descriptor from LISTENING on, or says why that cannot be and exits: 2 for a
/// wrong address, else 3.
void socket_listen(const char *address, int backlog);

/// How many there are.
int socket_count(void);

/// Makes the queue as long as was asked for: a supervisor that takes the socket over may have called listen(2) with less.
void socket_renew_queue(void);

/// Lets go of the sockets: once the supervisor does so too, clients are refused.
void socket_close(void);
