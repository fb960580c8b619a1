// SPDX-License-Identifier: GPL-2.0-only
/* Usage: stress SECONDS CGROUP, in a process of that cgroup. */
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "child.h"
#include "stress.h"

struct tally *tally;
const char *cgroup;

static const struct worker {
	const char *name;
	void (*work)(uint64_t seed);
} workers[] = {
	{ "mover", mover },	    { "second mover", mover },
	{ "collector", collector }, { "killer", killer },
	{ "shaker", shaker },
};

void complain(const char *format, ...)
{
	char line[300] = "WRONG: ";
	va_list arguments;
	size_t length;

	/* One is enough; what follows from it would only bury it. */
	if (count(wrong, 1) == 0) {
		va_start(arguments, format);
		vsnprintf(line + 7, sizeof(line) - 8, format, arguments);
		va_end(arguments);
		length = strlen(line);
		line[length++] = '\n';
		if (write(STDOUT_FILENO, line, length) < 0)
			_exit(1);
	}
	tally->over = true;
}

bool count_end(int rc, unsigned int flags)
{
	if (rc <= 0 && rc > -MAX_ERRNO)
		count(ended_by[-rc], 1);
	switch (rc) {
	case -EBUSY:
		if (flags & UNSHARE)
			break;
		return true;
	case 0:
	case -EAGAIN:
	case -ENOMEM:
	case -ENOENT:
	case -EEXIST:
		return true;
	}
	complain("a call with flags %#x ended with: %s", flags, strerror(-rc));
	return false;
}

static long first_unexpected(void *base, const uint64_t *tags, size_t pages)
{
	size_t i;

	for (i = 0; i < pages; i++) {
		if (tags[i] ? !holds(page_at(base, i), 1, tags[i])
			    : first_not_zero(page_at(base, i), 1) >= 0)
			return i;
	}
	return -1;
}

void expect_pages(const char *where, void *base, const uint64_t *tags,
		  size_t pages)
{
	long page = first_unexpected(base, tags, pages);
	uint64_t *words;

	count(verified, pages);
	if (page < 0)
		return;
	words = (uint64_t *)page_at(base, page);
	complain(
		"%s: the page at %p should have tag %lu and begins with %#lx %#lx, %#lx expected",
		where, (void *)words, tags[page], words[0], words[1],
		tag_word(tags[page], 0));
}

static long number_after(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	char line[200];
	long value = 0;
	size_t length = strlen(name);

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, length) && line[length] == ' ')
			value = strtol(line + length, NULL, 10);
	}
	if (file)
		fclose(file);
	return value;
}

static long vmstat(const char *name)
{
	return number_after("/proc/vmstat", name);
}

struct kernel_counts read_kernel_counts(void)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/memory.swap.current", cgroup);
	return (struct kernel_counts){
		.swapped_kb = read_knob(path) / 1024,
		.merged = read_knob(KSM_DIR "pages_sharing"),
		.swap_outs = vmstat("pswpout"),
		.migrations = vmstat("pgmigrate_success"),
		.collapses = vmstat("thp_collapse_alloc"),
		.hints = vmstat("numa_hint_faults"),
		.compactions = vmstat("compact_isolated"),
	};
}

static void start_workers(uint64_t seed)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		uint64_t own = random_next(&seed);
		pid_t pid = fork();

		if (pid < 0) {
			complain("fork: %s", strerror(errno));
			return;
		}
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			workers[i].work(own);
			_exit(0);
		}
		tally->workers[i] = pid;
	}
}

static void check_workers(void)
{
	size_t i;
	int status;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		if (!tally->workers[i] ||
		    waitpid(tally->workers[i], &status, WNOHANG) <= 0)
			continue;
		tally->workers[i] = 0;
		if (status || !tally->over)
			complain("the %s ended with status %#x",
				 workers[i].name, status);
	}
}

/* What they count until they stop is verified once more before they end. */
static void end_workers(void)
{
	double deadline = now() + 300;
	size_t i, left;

	tally->over = true;
	do {
		usleep(20000);
		check_workers();
		for (i = 0, left = 0; i < ARRAY_SIZE(workers); i++)
			left += tally->workers[i] != 0;
	} while (left && now() < deadline && !tally->wrong);
	if (left && !tally->wrong)
		complain("%zu processes do not come to an end", left);
}

static struct kernel_counts begin;
static long most_merged, most_swapped_kb;

static void show_progress(double seconds)
{
	struct kernel_counts k = read_kernel_counts();

	if (k.merged > most_merged)
		most_merged = k.merged;
	if (k.swapped_kb > most_swapped_kb)
		most_swapped_kb = k.swapped_kb;
	printf("%4.0f s: %zu moves, %zu vectors, %zu pages moved; %zu faults served, %zu collections, %zu forks, %zu kills; %ld MiB swapped, %ld pages merged, %zu CPU flips\n",
	       seconds, tally->moves, tally->vectors, tally->pages,
	       tally->faults, tally->collections, tally->forks, tally->kills,
	       k.swapped_kb / 1024, k.merged, tally->flips);
	fflush(stdout);
}

static void show_ends(void)
{
	size_t i;

	printf("ended by:");
	for (i = 0; i < MAX_ERRNO; i++) {
		if (tally->ended_by[i])
			printf(" %s %zu", i ? strerrorname_np(i) : "success",
			       tally->ended_by[i]);
	}
	printf("\n");
}

/* A run in which one of these did not happen has shown less than it should. */
static void must_have(long number, const char *what)
{
	printf("  %ld %s\n", number, what);
	if (number <= 0)
		complain("no %s", what);
}

static void show_totals(double seconds)
{
	struct kernel_counts end = read_kernel_counts();

	show_ends();
	printf("in %.0f s\n", seconds);
	must_have(tally->moves, "moves");
	must_have(tally->vectors, "vectors");
	must_have(tally->pages, "pages moved");
	must_have(tally->verified, "pages verified");
	must_have(tally->faults, "faults served by moves");
	must_have(tally->collections, "collections");
	must_have(tally->forks, "forks whose child verified its snapshot");
	must_have(tally->kills, "processes killed while they moved");
	must_have(tally->flips, "CPU flips");
	must_have(most_swapped_kb, "KiB swapped out at the most");
	must_have(end.swap_outs - begin.swap_outs, "pages swapped out");
	must_have(most_merged, "pages merged by KSM at the most");
	must_have(end.migrations - begin.migrations, "pages migrated");
	must_have(end.collapses - begin.collapses, "huge pages collapsed");
	must_have(end.hints - begin.hints, "NUMA hinting faults");
	must_have(end.compactions - begin.compactions,
		  "pages isolated by compaction");
}

/* Slow is not stuck: some page moves in three minutes anywhere. */
static void watch_workers(double start, double seconds)
{
	size_t seen = 0;
	double shown = start, moved = start;

	while (!tally->over && now() < start + seconds) {
		usleep(200000);
		check_workers();
		if (tally->pages != seen) {
			seen = tally->pages;
			moved = now();
		}
		if (now() > moved + 180)
			complain("nothing has moved for three minutes");
		if (now() >= shown + 10) {
			shown = now();
			show_progress(shown - start);
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t seed = seconds_from("VMREMAP_SEED", time(NULL));
	double start;

	if (argc != 3) {
		fprintf(stderr, "usage: stress SECONDS CGROUP\n");
		return 2;
	}
	cgroup = argv[2];
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	dev = vmremap_open();
	if (tally == MAP_FAILED || dev < 0) {
		printf("cannot start: %s\n", strerror(dev < 0 ? -dev : errno));
		return 1;
	}
	/* What runs beside it is to disturb, not to take all the time. */
	setpriority(PRIO_PROCESS, 0, -15);
	printf("seed %lu\n", seed);
	begin = read_kernel_counts();
	start = now();
	start_workers(seed);
	watch_workers(start, atof(argv[1]));
	show_progress(now() - start);
	end_workers();
	show_totals(now() - start);
	printf("%s\n", tally->wrong ? "FAILED" : "nothing was lost");
	return tally->wrong ? 1 : 0;
}
