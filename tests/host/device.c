// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"

struct behaviour device;
struct record asked;

static pthread_mutex_t recording = PTHREAD_MUTEX_INITIALIZER;

/* What the library calls for open, close and ioctl. */
int device_open(const char *path, int flags, ...);
int device_close(int fd);
int device_ioctl(int fd, unsigned long operation, void *argument);

void device_reset(void)
{
	memset(&asked, 0, sizeof(asked));
	device = (struct behaviour){
		.exists = true,
		.abi_version = VMREMAP_ABI_VERSION,
		.max_ranges = 65536,
	};
}

int device_open(const char *path, int flags, ...)
{
	asked.opened++;
	snprintf(asked.path, sizeof(asked.path), "%s", path);
	asked.open_flags = flags;
	if (!device.exists)
		return open(path, flags);
	if (device.open_error) {
		errno = device.open_error;
		return -1;
	}
	/* A descriptor of something, with the flags that were asked for. */
	return open("/dev/null", flags);
}

int device_close(int fd)
{
	asked.closed++;
	if (close(fd))
		return -1;
	errno = device.close_error;
	return device.close_error ? -1 : 0;
}

static size_t size_of(unsigned long operation)
{
	switch (operation) {
	case VMREMAP_IOC_QUERY:
		return sizeof(struct vmremap_query);
	case VMREMAP_IOC_MOVE:
		return sizeof(struct vmremap_move);
	case VMREMAP_IOC_MOVEV:
		return sizeof(struct vmremap_movev);
	default:
		return 0;
	}
}

static void record(int fd, unsigned long operation, const void *argument)
{
	struct call *call;

	pthread_mutex_lock(&recording);
	if (asked.nr_calls < MAX_CALLS) {
		call = &asked.calls[asked.nr_calls];
		call->fd = fd;
		call->operation = operation;
		memcpy(&call->request, argument, size_of(operation));
	}
	asked.nr_calls++;
	pthread_mutex_unlock(&recording);
}

static int query(struct vmremap_query *query)
{
	if (device.query_error)
		return device.query_error;
	query->abi_version = device.abi_version;
	query->max_ranges = device.max_ranges;
	query->ops = 1ULL << VMREMAP_OP_QUERY | 1ULL << VMREMAP_OP_MOVE |
		     1ULL << VMREMAP_OP_MOVEV;
	query->op_flags[VMREMAP_OP_MOVE] = VMREMAP_MOVE_FLAGS;
	query->op_flags[VMREMAP_OP_MOVEV] = VMREMAP_MOVE_FLAGS;
	snprintf(query->version, sizeof(query->version), "stand-in");
	return 0;
}

static int move(union request *request)
{
	if (device.move)
		return device.move(request);
	request->move.moved = request->move.range.len;
	return 0;
}

static int movev(union request *request)
{
	const struct vmremap_movev *asks = &request->movev;

	if (!asks->nr_ranges || asks->nr_ranges > device.max_ranges)
		return EINVAL;
	if (device.movev)
		return device.movev(request);
	request->movev.done = asks->nr_ranges;
	/* A page each: the ranges need not be there. */
	request->movev.moved = asks->nr_ranges * 4096ULL;
	return 0;
}

static int answer(unsigned long operation, union request *request)
{
	switch (operation) {
	case VMREMAP_IOC_QUERY:
		return query(&request->query);
	case VMREMAP_IOC_MOVE:
		return move(request);
	case VMREMAP_IOC_MOVEV:
		return movev(request);
	default:
		return ENOTTY;
	}
}

int device_ioctl(int fd, unsigned long operation, void *argument)
{
	union request request;
	int error;

	record(fd, operation, argument);
	if (device.is_foreign || fcntl(fd, F_GETFD) < 0)
		return ioctl(fd, operation, argument);
	memcpy(&request, argument, size_of(operation));
	error = answer(operation, &request);
	memcpy(argument, &request, size_of(operation));
	if (error) {
		errno = error;
		return -1;
	}
	return device.result;
}
