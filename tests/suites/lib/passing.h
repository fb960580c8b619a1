/* SPDX-License-Identifier: GPL-2.0-only */
/* Descriptors that pass over a socket. */
#ifndef PASSING_H
#define PASSING_H

#include <stdbool.h>

/* With flags of sendmsg; false if nothing was sent. */
bool send_descriptor(int socket, int fd, int flags);

/* With flags of recvmsg; -1 if no descriptor came. It is closed on exec. */
int receive_descriptor(int socket, int flags);

#endif
