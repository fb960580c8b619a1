/* SPDX-License-Identifier: GPL-2.0-only */
/* A forked process that does one thing after another, as it is told. */
#ifndef SERVANT_H
#define SERVANT_H

#include "suite.h"

struct order {
	uint64_t what;
	uint64_t seed;
};

struct servant {
	pid_t pid;
	int socket;
	/* How it ended, if it has. */
	int status;
};

/* It begins, and then obeys until its parent has gone or lets it go. */
struct servant servant_starts(void (*begin)(void *argument),
			      void (*obey)(struct order order), void *argument);

enum service {
	SERVICE_DONE,
	SERVICE_NEVER_ENDS,
	SERVANT_DIED,
};

/* Waits until it has obeyed. */
enum service servant_obeys(struct servant *servant, struct order order,
			   double seconds);

/* False if it does not end well. */
bool servant_leaves(struct servant *servant);

#endif
