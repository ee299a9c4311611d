// Network namespaces with nothing but loopback, for cells whose policy grants sockets: each serves one cell, once.
//
// One is slow to make (two thirds of a millisecond, under a lock of the whole machine), so that a few are kept ready. A socket
// belongs to the namespace that it was made in, whoever holds it: listeners and connections are made here, on the worker's side,
// and handed out. No relay runs in a cell, and a descriptor says by itself which cell it leads to.
#pragma once

#include "sys.h"

/// Remembers where the launcher itself is. Call once, there. Returns 0, or an errno.
int networks_open(void);

/// Takes a namespace that nobody has used, its loopback up. Returns 0, or an errno.
int network_take(int *network);

/// From here on this process makes children and sockets in `network`; until `network_leave`, which ends the launcher where it
/// does not work: what it did next would be done in a tenant's network. Returns 0, or an errno.
int network_enter(int network);
void network_leave(void);

/// A socket that listens on 127.0.0.1, or that is connected to it (or on its way: see connect(2), EINPROGRESS). Does not block.
/// Returns 0, or an errno.
int network_listen(int network, uint16_t port, int *socket);
int network_connect(int network, uint16_t port, int *socket);

/// Whether another one is to be made ready, and makes it.
bool networks_lack(void);
void networks_keep(void);
