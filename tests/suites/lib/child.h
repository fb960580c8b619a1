/* SPDX-License-Identifier: GPL-2.0-only */
/* A forked process that does its part when told to. */
#ifndef CHILD_H
#define CHILD_H

#include "suite.h"

struct child {
	pid_t pid;
	int go;
};

typedef bool (*child_part)(void *argument);

/* Forks now; the child runs its part in child_ends. */
struct child child_waits(child_part part, void *argument);

/* Lets it run to its end; false if its part said so, or it died. */
bool child_ends(struct child *child);

/* Forks, runs the part at once, and tells how it went. */
bool in_child(child_part part, void *argument);

/* Waits for a process that should end by itself or has been killed. */
bool ends_within(pid_t pid, double seconds, int *status);

#endif
