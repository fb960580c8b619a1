/* SPDX-License-Identifier: GPL-2.0-only */
#include "uffd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

struct poison_request {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};
#define IOC_POISON _IOWR(UFFDIO, 0x08, struct poison_request)

int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	ck_assert_msg(uffd >= 0, "userfaultfd: %s", strerror(errno));
	if (ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -1;
	}
	return uffd;
}

static struct uffdio_range span(void *base, size_t pages)
{
	return (struct uffdio_range){
		.start = (uintptr_t)base,
		.len = pages * PAGE,
	};
}

void uffd_watch(int uffd, void *base, size_t pages, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = span(base, pages),
		.mode = mode,
	};

	ck_sys(ioctl(uffd, UFFDIO_REGISTER, &reg));
}

void uffd_unwatch(int uffd, void *base, size_t pages)
{
	struct uffdio_range range = span(base, pages);

	ck_sys(ioctl(uffd, UFFDIO_UNREGISTER, &range));
}

void uffd_wake(int uffd, void *base, size_t pages)
{
	struct uffdio_range range = span(base, pages);

	ck_sys(ioctl(uffd, UFFDIO_WAKE, &range));
}

void uffd_protect(int uffd, void *base, size_t pages, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = span(base, pages),
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	ck_sys(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
}

void uffd_rwprotect(int uffd, void *base, size_t pages, bool protect)
{
	struct rwprotect_request request = {
		.range = span(base, pages),
		.mode = protect ? RWPROTECT_MODE_RWP : 0,
	};

	ck_sys(ioctl(uffd, IOC_RWPROTECT, &request));
}

int uffd_poison(int uffd, void *base, size_t pages)
{
	struct poison_request request = { .range = span(base, pages) };

	return ioctl(uffd, IOC_POISON, &request);
}

int uffd_zeropage(int uffd, void *base, size_t pages)
{
	struct uffdio_zeropage request = { .range = span(base, pages) };

	return ioctl(uffd, UFFDIO_ZEROPAGE, &request);
}

char *uffd_next_fault(int uffd, int milliseconds)
{
	struct pollfd ready = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&ready, 1, milliseconds) != 1)
		return NULL;
	if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		return NULL;
	ck_assert_int_eq(msg.event, UFFD_EVENT_PAGEFAULT);
	return (char *)(uintptr_t)(msg.arg.pagefault.address & ~(PAGE - 1));
}
