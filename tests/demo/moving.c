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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "work.h"

#define ROUNDS 5

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
	*memory = map_arena(status.st_size, 0, MADV_NOHUGEPAGE);
	while ((got = read(fd, *memory + done, status.st_size - done)) > 0)
		done += got;
	close(fd);
	return done;
}

/* A line of the table, there and perhaps back, and the work it is about. */
static const struct {
	const char *there;
	const char *back;
	struct work work;
} lines[] = {
	{ "scatter pages at random",
	  "gather them again",
	  { "movev", 64 << 20, 0, MADV_NOHUGEPAGE, SHUFFLED } },
	{ "2 MiB-congruent",
	  NULL,
	  { "move", 64 << 20, 0, MADV_NOHUGEPAGE, ONE_RANGE } },
	{ "not congruent",
	  NULL,
	  { "move-shifted", 64 << 20, 3 * PAGE, MADV_NOHUGEPAGE, ONE_RANGE } },
	{ "huge pages",
	  NULL,
	  { "move", 64 << 20, 0, MADV_HUGEPAGE, ONE_RANGE } },
};

static void print_rows(const char *what, size_t bytes, struct job *jobs,
		       int way)
{
	double ours = 0;

	for (int m = 0; m < METHODS; m++) {
		double time;

		if (!jobs[m].nr)
			continue;
		time = median_of(jobs[m].times[way], ROUNDS);
		if (m == BY_VMREMAP)
			ours = time;
		printf("  %-24s %-12s %9.2f ms %7.0f ns a page", what,
		       method_names[m], time / 1e6, time * PAGE / bytes);
		if (m != BY_VMREMAP)
			printf("   vmremap is %.1fx as fast", time / ours);
		putchar('\n');
		what = "";
	}
}

static void compare(const char *there, const char *back,
		    const struct work *work)
{
	struct job jobs[METHODS] = { 0 };

	for (int m = 0; m < METHODS; m++)
		if (work_has_method(m))
			job_set_up(&jobs[m], work, m, ROUNDS);
	work_measure(jobs, ROUNDS);
	print_rows(there, work->bytes, jobs, 0);
	if (back)
		print_rows(back, work->bytes, jobs, 1);
	for (int m = 0; m < METHODS; m++)
		if (jobs[m].nr)
			job_tear_down(&jobs[m]);
}

static double move_timed(const struct job *job)
{
	double start = nanoseconds();

	job_move(job, BY_VMREMAP);
	return (nanoseconds() - start) / 1e6;
}

static void check_empty(char *memory, size_t length)
{
	if (*memory || memcmp(memory, memory + 1, length - 1))
		die("the source is not empty after the move");
	/* Looking at it has put the zero page there. */
	madvise(memory, length, MADV_DONTNEED);
}

/* The main job: a file's pages go out and come back, and it is still itself. */
static void scatter_and_gather(const char *path)
{
	struct work work = { "movev", 0, 0, MADV_NOHUGEPAGE, SHUFFLED };
	char before[65], after[65];
	double scatter, gather;
	size_t pages;
	struct job job;
	char *file;

	work.bytes = read_file(path, &file) & ~(PAGE - 1);
	pages = work.bytes / PAGE;
	sha256_of(file, work.bytes, before);
	printf("Read %zu MiB of kernel and modules: %zu pages.\n"
	       "  SHA-256 before  %s\n",
	       work.bytes >> 20, pages, before);

	job_set_up(&job, &work, BY_VMREMAP, 1);
	memcpy(job.arenas[0], file, work.bytes);
	munmap(file, work.bytes);

	scatter = move_timed(&job);
	check_empty(job.arenas[0], work.bytes);
	job_turn_around(&job);
	gather = move_timed(&job);

	sha256_of(job.arenas[0], work.bytes, after);
	printf("  SHA-256 after   %s\n", after);
	if (strcmp(before, after))
		die("the file has changed");
	printf("%zu pages scattered over %zu MiB in %.1f ms, and gathered in "
	       "%.1f ms; none was copied.\n\n",
	       pages, job.lengths[1] >> 20, scatter, gather);
	job_tear_down(&job);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2)
		die("usage: moving FILE");
	work_open();

	scatter_and_gather(argv[1]);
	if (!work_has_method(BY_UFFDIO_MOVE))
		puts("This kernel has no UFFDIO_MOVE to compare with.\n");
	printf("64 MiB each, median of %d rounds:\n", ROUNDS);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		compare(lines[i].there, lines[i].back, &lines[i].work);
	return 0;
}
