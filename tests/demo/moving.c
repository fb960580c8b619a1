// SPDX-License-Identifier: GPL-2.0-only
/*
 * The demo of move: a real file is read into memory, its pages are scattered
 * over a larger arena and gathered again, never copied, and the file's SHA-256
 * is taken before and after. Then the same work is done by what a program has
 * without the module: UFFDIO_MOVE, a call per page, and memcpy.
 *
 * Usage: moving FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libvmremap.h"

/* Newer than the libc headers that this may be built with. */
#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst, src, len, mode;
	__s64 move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move)
#endif

#define HUGE_PAGE (2UL << 20)
#define ROUNDS 5

static size_t page_size;
static int device;

static void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	exit(1);
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* Private anonymous memory that begins some bytes behind a 2 MiB boundary. */
static char *arena(size_t length, size_t offset, int advice)
{
	char *raw = mmap(NULL, length + 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start;

	if (raw == MAP_FAILED)
		die("no memory for an arena of %zu bytes", length);
	start = (char *)(((uintptr_t)raw + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	start += offset;
	if (madvise(start, length, advice))
		die("madvise: %s", strerror(errno));
	return start;
}

static void sha256_of(const char *memory, size_t length, char digest[65])
{
	char name[] = "/tmp/demo-digest-XXXXXX", command[64];
	int fd = mkstemp(name);
	FILE *pipe;

	snprintf(command, sizeof(command), "sha256sum > %s", name);
	pipe = popen(command, "w");
	if (fd < 0 || !pipe || fwrite(memory, 1, length, pipe) != length)
		die("sha256sum does not work");
	if (pclose(pipe) || read(fd, digest, 64) != 64)
		die("sha256sum failed");
	digest[64] = '\0';
	close(fd);
	unlink(name);
}

static size_t read_file(const char *path, char **memory)
{
	int fd = open(path, O_RDONLY);
	struct stat status;
	size_t done = 0;
	ssize_t got;

	if (fd < 0 || fstat(fd, &status))
		die("%s: %s", path, strerror(errno));
	*memory = arena(status.st_size, 0, MADV_NOHUGEPAGE);
	while ((got = read(fd, *memory + done, status.st_size - done)) > 0)
		done += got;
	close(fd);
	return done;
}

/* What one method needs, and how it moves ranges. */
struct method {
	const char *name;
	bool needs_userfault;
	void (*move)(const struct vmremap_range *ranges, size_t nr);
};

static void by_vmremap(const struct vmremap_range *ranges, size_t nr)
{
	size_t done;
	int error = vmremap_movev(device, ranges, nr, 0, NULL, &done);

	if (error)
		die("vmremap_movev: range %zu: %s", done, strerror(-error));
}

static int userfault = -1;

static void by_uffdio_move(const struct vmremap_range *ranges, size_t nr)
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
static void by_memcpy(const struct vmremap_range *ranges, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		void *src = (void *)(uintptr_t)ranges[i].src;

		memcpy((void *)(uintptr_t)ranges[i].dst, src, ranges[i].len);
		madvise(src, ranges[i].len, MADV_DONTNEED);
	}
}

static const struct method methods[] = {
	{ "vmremap", false, by_vmremap },
	{ "UFFDIO_MOVE", true, by_uffdio_move },
	{ "memcpy", false, by_memcpy },
};

#define METHODS (sizeof(methods) / sizeof(methods[0]))

static void open_userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct vmremap_query query;

	if (vmremap_query(device, &query) ||
	    query.lacks & VMREMAP_LACKS_UFFDIO_MOVE) {
		puts("This kernel has no UFFDIO_MOVE to compare with.\n");
		return;
	}
	userfault = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (userfault < 0 || ioctl(userfault, UFFDIO_API, &api))
		die("userfaultfd: %s", strerror(errno));
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

/*
 * A piece of work: pages that move from one arena to another and back. Each
 * method does it in arenas of its own.
 */
struct work {
	const char *there;
	const char *back;
	size_t length;
	size_t from_offset;
	size_t to_offset;
	int advice;
	bool single_pages;
};

static const struct work works[] = {
	{ "scatter pages at random", "gather them again", 64 << 20, 0, 0,
	  MADV_NOHUGEPAGE, true },
	{ "64 MiB, 2 MiB-congruent", NULL, 64 << 20, 0, 0, MADV_NOHUGEPAGE,
	  false },
	{ "64 MiB, not congruent", NULL, 64 << 20, 0, 3 * 4096,
	  MADV_NOHUGEPAGE, false },
	{ "64 MiB of huge pages", NULL, 64 << 20, 0, 0, MADV_HUGEPAGE, false },
};

struct job {
	struct vmremap_range *ranges;
	size_t nr;
	double times[2][ROUNDS];
};

/* Every page of the source goes to a random page of an arena twice as large. */
static void plan_scatter(struct job *job, char *from, char *to, size_t length)
{
	size_t pages = length / page_size;
	size_t *slots = calloc(2 * pages, sizeof(*slots));

	job->nr = pages;
	job->ranges = calloc(pages, sizeof(*job->ranges));
	if (!job->ranges || !slots)
		die("out of memory");
	for (size_t i = 0; i < 2 * pages; i++)
		slots[i] = i;
	for (size_t i = 0; i < pages; i++) {
		size_t other = i + random() % (2 * pages - i);
		size_t slot = slots[other];

		slots[other] = slots[i];
		job->ranges[i].src = (uintptr_t)from + i * page_size;
		job->ranges[i].dst = (uintptr_t)to + slot * page_size;
		job->ranges[i].len = page_size;
	}
	free(slots);
}

static void plan_range(struct job *job, char *from, char *to, size_t length)
{
	job->nr = 1;
	job->ranges = calloc(1, sizeof(*job->ranges));
	if (!job->ranges)
		die("out of memory");
	job->ranges->src = (uintptr_t)from;
	job->ranges->dst = (uintptr_t)to;
	job->ranges->len = length;
}

static void turn_around(struct job *job)
{
	for (size_t i = 0; i < job->nr; i++) {
		__u64 source = job->ranges[i].src;

		job->ranges[i].src = job->ranges[i].dst;
		job->ranges[i].dst = source;
	}
}

static void set_up(struct job *job, const struct work *work,
		   const struct method *method)
{
	size_t to_length = work->length * (work->single_pages ? 2 : 1);
	char *from = arena(work->length, work->from_offset, work->advice);
	char *to = arena(to_length, work->to_offset, work->advice);

	memset(from, 0x5a, work->length);
	if (method->needs_userfault) {
		watch(from, work->length);
		watch(to, to_length);
	}
	if (work->single_pages)
		plan_scatter(job, from, to, work->length);
	else
		plan_range(job, from, to, work->length);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

static void print_rows(const char *what, const struct work *work,
		       struct job *jobs, int way)
{
	size_t pages = work->length / page_size;
	double ours = 0;

	for (size_t m = 0; m < METHODS; m++) {
		double time;

		if (!jobs[m].nr)
			continue;
		time = median(jobs[m].times[way]);
		if (!m)
			ours = time;
		printf("  %-26s %-12s %9.2f ms %7.0f ns a page", what,
		       methods[m].name, time, time * 1e6 / pages);
		if (m)
			printf("   vmremap is %.1fx as fast", time / ours);
		putchar('\n');
		what = "";
	}
	fflush(stdout);
}

static void compare(const struct work *work)
{
	struct job jobs[METHODS] = { 0 };

	for (size_t m = 0; m < METHODS; m++)
		if (!methods[m].needs_userfault || userfault >= 0)
			set_up(&jobs[m], work, &methods[m]);

	/* One round to warm up, and then in turns, so that noise hits all. */
	for (int round = -1; round < ROUNDS; round++) {
		for (size_t m = 0; m < METHODS; m++) {
			for (int way = 0; jobs[m].nr && way < 2; way++) {
				double start = milliseconds();

				methods[m].move(jobs[m].ranges, jobs[m].nr);
				jobs[m].times[way][round < 0 ? 0 : round] =
					milliseconds() - start;
				turn_around(&jobs[m]);
			}
		}
	}
	print_rows(work->there, work, jobs, 0);
	if (work->back)
		print_rows(work->back, work, jobs, 1);
	for (size_t m = 0; m < METHODS; m++) {
		if (!jobs[m].nr)
			continue;
		munmap((void *)(uintptr_t)jobs[m].ranges->src, work->length);
		free(jobs[m].ranges);
	}
}

static double move_timed(const struct job *job)
{
	double start = milliseconds();

	by_vmremap(job->ranges, job->nr);
	return milliseconds() - start;
}

/* The main job: a file's pages go out and come back, and it is still itself. */
static void scatter_and_gather(const char *path)
{
	char before[65], after[65];
	double scatter, gather;
	struct job job = { 0 };
	size_t length, pages;
	char *file, *wide;

	length = read_file(path, &file);
	length -= length % page_size;
	pages = length / page_size;
	sha256_of(file, length, before);
	printf("Read %zu MiB of kernel and modules: %zu pages.\n"
	       "  SHA-256 before  %s\n",
	       length >> 20, pages, before);

	wide = arena(2 * length, 0, MADV_NOHUGEPAGE);
	plan_scatter(&job, file, wide, length);
	scatter = move_timed(&job);
	if (*file || memcmp(file, file + 1, length - 1))
		die("the source is not empty after the move");
	/* The look at the source has filled it again. */
	madvise(file, length, MADV_DONTNEED);
	turn_around(&job);
	gather = move_timed(&job);
	sha256_of(file, length, after);
	printf("  SHA-256 after   %s\n", after);
	if (strcmp(before, after))
		die("the file has changed");
	printf("%zu pages scattered over %zu MiB in %.1f ms, gathered in %.1f ms; "
	       "none was copied.\n\n",
	       pages, length >> 19, scatter, gather);
	munmap(wide, 2 * length);
	munmap(file, length);
	free(job.ranges);
}

int main(int argc, char **argv)
{
	const char *why;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2)
		die("usage: moving FILE");
	page_size = sysconf(_SC_PAGESIZE);
	if (vmremap_available(&why))
		die("vmremap cannot be used: %s", why);
	device = vmremap_open();

	scatter_and_gather(argv[1]);
	open_userfaultfd();
	printf("64 MiB each way, median of %d rounds:\n", ROUNDS);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		compare(&works[i]);
	return 0;
}
