// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "work.h"

/* Newer than the libc headers that this may be built with. */
#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst, src, len, mode;
	__s64 move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move)
#endif

const char *const method_names[METHODS] = { "vmremap", "UFFDIO_MOVE",
					    "memcpy" };

static int device = -1, userfault = -1;

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	exit(1);
}

double nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static void open_userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct vmremap_query query;

	if (vmremap_query(device, &query) ||
	    query.lacks & VMREMAP_LACKS_UFFDIO_MOVE)
		return;
	userfault = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (userfault < 0 || ioctl(userfault, UFFDIO_API, &api))
		die("userfaultfd: %s", strerror(errno));
}

void work_open(void)
{
	const char *why;

	if (vmremap_available(&why))
		die("vmremap cannot be used: %s", why);
	device = vmremap_open();
	open_userfaultfd();
}

bool work_has_method(int method)
{
	return method != BY_UFFDIO_MOVE || userfault >= 0;
}

/* Private anonymous memory that begins some bytes behind a 2 MiB boundary. */
char *map_arena(size_t length, size_t shift, int advice)
{
	size_t room = length + shift + HUGE_PAGE;
	char *raw = mmap(NULL, room, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start;

	if (raw == MAP_FAILED)
		die("no memory for an arena of %zu bytes", length);
	start = (char *)(((uintptr_t)raw + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	start += shift;
	munmap(raw, start - raw);
	munmap(start + length, raw + room - (start + length));
	if (madvise(start, length, advice))
		die("madvise: %s", strerror(errno));
	return start;
}

static void watch(char *memory, size_t length)
{
	struct uffdio_register all = {
		.range = { (uintptr_t)memory, length },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(userfault, UFFDIO_REGISTER, &all))
		die("UFFDIO_REGISTER: %s", strerror(errno));
}

static void move_by_vmremap(const struct vmremap_range *ranges, size_t nr)
{
	size_t done;
	int error = vmremap_movev(device, ranges, nr, 0, NULL, &done);

	if (error)
		die("vmremap_movev: range %zu: %s", done, strerror(-error));
}

static void move_by_uffdio_move(const struct vmremap_range *ranges, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct uffdio_move move = {
			.dst = ranges[i].dst,
			.src = ranges[i].src,
			.len = ranges[i].len,
		};

		while (ioctl(userfault, UFFDIO_MOVE, &move)) {
			if (errno != EAGAIN)
				die("UFFDIO_MOVE: %s", strerror(errno));
			if (move.move > 0) {
				move.dst += move.move;
				move.src += move.move;
				move.len -= move.move;
			}
		}
	}
}

/* A copy leaves the source as a move does: empty. */
static void move_by_memcpy(const struct vmremap_range *ranges, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		void *src = (void *)(uintptr_t)ranges[i].src;

		memcpy((void *)(uintptr_t)ranges[i].dst, src, ranges[i].len);
		madvise(src, ranges[i].len, MADV_DONTNEED);
	}
}

void job_move(const struct job *job, int method)
{
	static void (*const move[METHODS])(const struct vmremap_range *,
					   size_t) = {
		[BY_VMREMAP] = move_by_vmremap,
		[BY_UFFDIO_MOVE] = move_by_uffdio_move,
		[BY_MEMCPY] = move_by_memcpy,
	};

	move[method](job->ranges, job->nr);
}

static void pick_strided(struct job *job)
{
	for (size_t i = 0; i < job->nr; i++) {
		job->ranges[i].src = (uintptr_t)job->arenas[0] + i * 4 * PAGE;
		job->ranges[i].dst = (uintptr_t)job->arenas[1] + i * 4 * PAGE;
		job->ranges[i].len = PAGE;
	}
}

static void pick_shuffled(struct job *job)
{
	size_t *slots = calloc(2 * job->nr, sizeof(*slots));

	if (!slots)
		die("out of memory");
	for (size_t i = 0; i < 2 * job->nr; i++)
		slots[i] = i;
	for (size_t i = 0; i < job->nr; i++) {
		size_t other = i + random() % (2 * job->nr - i);
		size_t slot = slots[other];

		slots[other] = slots[i];
		job->ranges[i].src = (uintptr_t)job->arenas[0] + i * PAGE;
		job->ranges[i].dst = (uintptr_t)job->arenas[1] + slot * PAGE;
		job->ranges[i].len = PAGE;
	}
	free(slots);
}

static void pick_ranges(struct job *job, const struct work *work)
{
	job->nr = work->pattern == ONE_RANGE ? 1 : work->bytes / PAGE;
	job->ranges = calloc(job->nr, sizeof(*job->ranges));
	if (!job->ranges)
		die("out of memory");
	switch (work->pattern) {
	case ONE_RANGE:
		job->ranges->src = (uintptr_t)job->arenas[0];
		job->ranges->dst = (uintptr_t)job->arenas[1];
		job->ranges->len = work->bytes;
		break;
	case STRIDED:
		pick_strided(job);
		break;
	case SHUFFLED:
		pick_shuffled(job);
		break;
	}
}

void job_set_up(struct job *job, const struct work *work, int method,
		int rounds)
{
	static const size_t room[][2] = {
		[ONE_RANGE] = { 1, 1 },
		[STRIDED] = { 4, 4 },
		[SHUFFLED] = { 1, 2 },
	};

	memset(job, 0, sizeof(*job));
	for (int side = 0; side < 2; side++) {
		job->times[side] = calloc(rounds, sizeof(double));
		job->lengths[side] = work->bytes * room[work->pattern][side];
		job->arenas[side] = map_arena(job->lengths[side],
					      side ? work->shift : 0,
					      work->advice);
		if (!job->times[side])
			die("out of memory");
	}
	memset(job->arenas[0], 0x5a, job->lengths[0]);
	/* From here on a fault there would wait for a handler. */
	for (int side = 0; side < 2 && method == BY_UFFDIO_MOVE; side++)
		watch(job->arenas[side], job->lengths[side]);
	pick_ranges(job, work);
}

void job_tear_down(struct job *job)
{
	for (int side = 0; side < 2; side++) {
		munmap(job->arenas[side], job->lengths[side]);
		free(job->times[side]);
	}
	free(job->ranges);
}

void job_turn_around(struct job *job)
{
	for (size_t i = 0; i < job->nr; i++) {
		__u64 source = job->ranges[i].src;

		job->ranges[i].src = job->ranges[i].dst;
		job->ranges[i].dst = source;
	}
}

void work_measure(struct job jobs[METHODS], int rounds)
{
	/* The first round warms up, and is measured over. */
	for (int round = -1; round < rounds; round++) {
		for (int m = 0; m < METHODS; m++) {
			for (int way = 0; jobs[m].nr && way < 2; way++) {
				double start = nanoseconds();

				job_move(&jobs[m], m);
				jobs[m].times[way][round < 0 ? 0 : round] =
					nanoseconds() - start;
				job_turn_around(&jobs[m]);
			}
		}
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median_of(double *values, int nr)
{
	qsort(values, nr, sizeof(*values), by_value);
	return values[nr / 2];
}

double spread_of(double *values, int nr)
{
	qsort(values, nr, sizeof(*values), by_value);
	return (values[nr * 3 / 4] - values[nr / 4]) / 2;
}
