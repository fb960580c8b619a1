/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_faults.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "fuzz_arena.h"
#include "uffd.h"

static struct uffdio_range range_of_piece(struct piece piece)
{
	return (struct uffdio_range){
		.start = (uintptr_t)piece.at,
		.len = piece.pages * PAGE,
	};
}

static void unwatch(struct piece piece)
{
	struct uffdio_range range = range_of_piece(piece);

	ioctl(worker->uffd, UFFDIO_UNREGISTER, &range);
}

static void protect(struct piece piece, uint64_t watched_for)
{
	struct uffdio_writeprotect write = {
		.range = range_of_piece(piece),
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	struct rwprotect_request all = {
		.range = range_of_piece(piece),
		.mode = RWPROTECT_MODE_RWP,
	};

	if (watched_for & UFFDIO_REGISTER_MODE_WP)
		ioctl(worker->uffd, UFFDIO_WRITEPROTECT, &write);
	if (watched_for & MODE_RWP)
		ioctl(worker->uffd, IOC_RWPROTECT, &all);
}

/* A kernel that does not know a mode does not watch. */
void do_watch(struct fuzzer *f)
{
	static const uint64_t modes[] = {
		UFFDIO_REGISTER_MODE_MISSING,
		UFFDIO_REGISTER_MODE_WP,
		UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
		MODE_RWP,
		MODE_RWP | UFFDIO_REGISTER_MODE_MISSING,
	};
	struct piece piece = pick_piece(f, ANY);
	struct uffdio_register request = {
		.range = range_of_piece(piece),
		.mode = modes[below(f, ARRAY_SIZE(modes))],
	};
	bool protects = percent(f, 70), back = percent(f, 60);

	if (!ioctl(worker->uffd, UFFDIO_REGISTER, &request) && protects)
		protect(piece, request.mode);
	if (back)
		unwatch(piece);
}

void do_unwatch(struct fuzzer *f)
{
	unwatch(percent(f, 60) ? pick_tract(f, ANY) : pick_piece(f, ANY));
}

static void wake(uint64_t page)
{
	struct uffdio_range range = { .start = page, .len = PAGE };

	ioctl(worker->uffd, UFFDIO_WAKE, &range);
}

static bool give_zeros(uint64_t page)
{
	struct uffdio_zeropage request = { .range = { page, PAGE } };

	return !ioctl(worker->uffd, UFFDIO_ZEROPAGE, &request) ||
	       errno == EEXIST;
}

static bool give_copy(uint64_t page)
{
	struct uffdio_copy request = {
		.dst = page,
		.src = (uintptr_t)worker & ~(PAGE - 1),
		.len = PAGE,
	};

	return !ioctl(worker->uffd, UFFDIO_COPY, &request) || errno == EEXIST;
}

/* The module serves the fault; or not, and then the thread comes back. */
static bool give_moved(struct fuzzer *f, uint64_t page)
{
	struct vmremap_move move = {
		.size = sizeof(move),
		.flags = VMREMAP_MOVE_WAKE_LATER | VMREMAP_MOVE_UNSHARE,
		.range = {
			.dst = page,
			.src = (uintptr_t)pick_piece(f, PLAIN).at,
			.len = PAGE,
		},
	};

	begin_doing(f, "serving a fault by a move");
	ioctl(worker->device, VMREMAP_IOC_MOVE, &move);
	begin_doing(f, "serving faults");
	return true;
}

/* No memory can stay watched that nothing is found for. */
static void unwatch_around(uint64_t page)
{
	struct piece alone = { (char *)page, 1 };
	struct piece block = { (char *)(page & ~(BLOCK - 1)), BLOCK_PAGES };

	unwatch(alone);
	unwatch(block);
}

static bool give_something(struct fuzzer *f, uint64_t page)
{
	switch (below(f, 8)) {
	case 0:
	case 1:
		return give_moved(f, page);
	case 2:
		return give_copy(page);
	case 3:
		return false;
	default:
		return give_zeros(page);
	}
}

static void answer(struct fuzzer *f, const struct uffd_msg *msg)
{
	uint64_t page = msg->arg.pagefault.address & ~(PAGE - 1);
	struct uffdio_writeprotect write = { .range = { page, PAGE } };
	struct rwprotect_request all = { .range = { page, PAGE } };
	bool served;

	begin_doing(f, "serving faults");
	if (percent(f, 20))
		usleep(below(f, 20000));
	ioctl(worker->uffd, IOC_RWPROTECT, &all);
	if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
		served = !ioctl(worker->uffd, UFFDIO_WRITEPROTECT, &write);
	else
		served = give_something(f, page);
	if (!served)
		unwatch_around(page);
	wake(page);
}

void *serve_faults(void *unused)
{
	struct pollfd ready = { .fd = worker->uffd, .events = POLLIN };
	struct uffd_msg msg;

	self = &worker->fault_server;
	use_signal_stack_of(self);
	while (!worker->stop) {
		begin_doing(self, "waiting for faults");
		if (poll(&ready, 1, 20) == 1 &&
		    read(worker->uffd, &msg, sizeof(msg)) == sizeof(msg) &&
		    msg.event == UFFD_EVENT_PAGEFAULT)
			answer(self, &msg);
	}
	return unused;
}

static int open_uffd(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -1;
	}
	return uffd;
}

void open_userfaultfd(struct fuzzer *f)
{
	uint64_t features = percent(f, 25) ? UFFD_FEATURE_SIGBUS : 0;

	worker->uffd =
		open_uffd(features | FEATURE_WP_UNPOPULATED | FEATURE_RWP);
	if (worker->uffd < 0)
		worker->uffd = open_uffd(features | FEATURE_WP_UNPOPULATED);
	if (worker->uffd < 0)
		worker->uffd = open_uffd(features);
}
