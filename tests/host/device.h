/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stand-in for the device. The library's open, close and ioctl come here; what
 * is asked is kept, and answered as a test wants it.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmremap.h"

union request {
	struct vmremap_query query;
	struct vmremap_move move;
	struct vmremap_movev movev;
};

/* One ioctl: its number, and its struct as the library passed it. */
struct call {
	int fd;
	unsigned long operation;
	union request request;
};

#define MAX_CALLS 64

/* Does an operation, or a part of it; returns 0 or an errno. */
typedef int (*device_answer)(union request *request);

/* How it answers; all zeros is a machine without the device. */
struct behaviour {
	bool exists;	 /* otherwise the machine's own open answers */
	bool is_foreign; /* the node belongs to a device without our ioctls */
	int open_error;	 /* errno of every open */
	int close_error; /* and of every close, which closes all the same */
	int query_error; /* and of every query */
	int result;	 /* what ioctl returns where all is well */
	unsigned int abi_version;
	unsigned int max_ranges;
	device_answer move; /* NULL: all of it moves */
	device_answer movev;
};

extern struct behaviour device;

/* What it was asked; calls past MAX_CALLS are only counted. */
struct record {
	size_t opened;
	size_t closed;
	char path[64];
	int open_flags;
	size_t nr_calls;
	struct call calls[MAX_CALLS];
};

extern struct record asked;

/* A device that does all that the contract says, with nothing asked yet. */
void device_reset(void);

#endif
