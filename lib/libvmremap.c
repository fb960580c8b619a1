// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libvmremap.h"
#include "layout.h"

#define PUBLIC __attribute__((visibility("default")))

static int device_call(int fd, unsigned long operation, void *request)
{
	return ioctl(fd, operation, request) < 0 ? -errno : 0;
}

static void report(size_t *where, size_t value)
{
	if (where)
		*where = value;
}

PUBLIC int vmremap_open(void)
{
	int fd = open(VMREMAP_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

PUBLIC int vmremap_close(int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

/*
 * The size is this library's. When the struct grows, this needs a new symbol
 * version, or it would write past the end of an older program's struct.
 */
PUBLIC int vmremap_query(int fd, struct vmremap_query *query)
{
	memset(query, 0, sizeof(*query));
	query->size = sizeof(*query);
	return device_call(fd, VMREMAP_IOC_QUERY, query);
}

PUBLIC int vmremap_move(int fd, void *dst, void *src, size_t len,
			unsigned int flags, size_t *moved)
{
	struct vmremap_move request = {
		.size = sizeof(request),
		.flags = flags,
		.range.dst = (uintptr_t)dst,
		.range.src = (uintptr_t)src,
		.range.len = len,
	};
	int ret = device_call(fd, VMREMAP_IOC_MOVE, &request);

	report(moved, request.moved);
	return ret;
}

/* The most ranges in one call, or all there can be if the module won't say. */
static uint32_t most_ranges(int fd)
{
	struct vmremap_query query;

	if (vmremap_query(fd, &query) || !query.max_ranges)
		return UINT32_MAX;
	return query.max_ranges;
}

PUBLIC int vmremap_movev(int fd, const struct vmremap_range *ranges,
			 size_t nr_ranges, unsigned int flags, size_t *moved,
			 size_t *done)
{
	size_t all_moved = 0, all_done = 0;
	uint32_t most = UINT32_MAX;
	int ret;

	do {
		size_t left = nr_ranges - all_done;
		struct vmremap_movev request = {
			.size = sizeof(request),
			.flags = flags,
			.ranges = (uintptr_t)(ranges + all_done),
			.nr_ranges = (uint32_t)(left < most ? left : most),
		};

		ret = device_call(fd, VMREMAP_IOC_MOVEV, &request);
		all_moved += request.moved;
		all_done += ret ? request.done : request.nr_ranges;

		/*
		 * Asked only now that it may matter: most calls have few
		 * ranges, and need not pay for a query.
		 */
		if (ret == -EINVAL && most == UINT32_MAX) {
			most = most_ranges(fd);
			if (request.nr_ranges > most)
				ret = 0;
		}
	} while (!ret && all_done < nr_ranges);

	report(moved, all_moved);
	report(done, all_done);
	return ret;
}

static const char *why_not_opened(int err)
{
	switch (err) {
	case ENOENT:
		return "there is no /dev/vmremap: load the kernel module with "
		       "'modprobe vmremap'; in a container, pass the device in";
	case ENODEV:
	case ENXIO:
		return "/dev/vmremap has no module behind it: load the kernel "
		       "module with 'modprobe vmremap'";
	case EACCES:
		return "no permission to use /dev/vmremap: add the user to the "
		       "group vmremap and log in again, or run as root";
	case EPERM:
		return "a container or security policy forbids /dev/vmremap: "
		       "allow the device there";
	case EMFILE:
	case ENFILE:
		return "too many open files to open /dev/vmremap: close some, "
		       "or raise the limit";
	default:
		return "/dev/vmremap cannot be opened, for the reason that the "
		       "error number gives";
	}
}

static int check_abi(int fd, const char **why)
{
	struct vmremap_query query;
	int ret = vmremap_query(fd, &query);

	if (ret == -ENOTTY) {
		*why = "/dev/vmremap is not the vmremap module's device: "
		       "remove it, and load the module again";
		return ret;
	}
	if (ret) {
		*why = "/dev/vmremap does not answer a query, for the reason "
		       "that the error number gives";
		return ret;
	}
	if (query.abi_version < VMREMAP_ABI_VERSION) {
		*why = "the loaded vmremap module is too old for libvmremap: "
		       "update the module and load it again";
		return -EPROTO;
	}
	if (query.abi_version > VMREMAP_ABI_VERSION) {
		*why = "the loaded vmremap module is too new for libvmremap: "
		       "update the library";
		return -EPROTO;
	}
	*why = "vmremap is available";
	return 0;
}

PUBLIC int vmremap_available(const char **why)
{
	const char *unread;
	int fd = vmremap_open();
	int ret;

	if (!why)
		why = &unread;
	if (fd < 0) {
		*why = why_not_opened(-fd);
		return fd;
	}
	ret = check_abi(fd, why);
	vmremap_close(fd);
	return ret;
}

PUBLIC const char *vmremap_version(void)
{
	return VMREMAP_VERSION;
}
