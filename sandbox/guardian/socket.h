#pragma once

#include <stdbool.h>

#define LISTENING 3  // the listening socket's descriptor, here and in the supervisor: SD_LISTEN_FDS_START

/// Whether whoever started us left a socket for this very process. More than one is refused: exits with 2.
bool socket_is_inherited(void);

/// Exits with 2 when what was inherited is no listening TCP socket.
void socket_check(int backlog);

/// Listens on `HOST:PORT` as descriptor LISTENING, or says why that cannot be and exits: 2 for a wrong address, else 3.
void socket_listen(const char *address, int backlog);

/// Makes the queue as long as was asked for: a supervisor that takes the socket over may have called listen(2) with less.
void socket_renew_queue(void);

/// Lets go of the socket: once the supervisor does so too, clients are refused.
void socket_close(void);
