// SPDX-License-Identifier: GPL-2.0-only
/*
 * What keeps the machine from coming to rest: reclaim, compaction, migration,
 * processors that come and go, KSM taking back what it has merged, and readers
 * of everything that /proc tells of the processes.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "child.h"
#include "stress.h"

static void reclaim(uint64_t *seed)
{
	char path[200], amount[20];

	snprintf(path, sizeof(path), "%s/memory.reclaim", cgroup);
	snprintf(amount, sizeof(amount), "%luM", 1 + random_below(seed, 24));
	write_knob(path, amount);
}

static void compact(uint64_t *seed)
{
	(void)seed;
	write_knob("/proc/sys/vm/compact_memory", "1");
}

/* Caches and slabs, without a line for each in the kernel's log. */
static void drop_caches(uint64_t *seed)
{
	(void)seed;
	write_knob("/proc/sys/vm/drop_caches", "7");
}

static void flip_a_processor(uint64_t *seed)
{
	size_t nr = sysconf(_SC_NPROCESSORS_CONF);
	char path[100];

	if (nr < 2)
		return;
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%lu/online",
		 1 + random_below(seed, nr - 1));
	if (write_knob(path, "0"))
		count(flips, 1);
	usleep(random_below(seed, 300000));
	write_knob(path, "1");
}

static pid_t any_worker(uint64_t *seed)
{
	return tally->workers[random_below(seed, MAX_WORKERS)];
}

/* All of a process, to the other node and back. */
static void migrate_a_process(uint64_t *seed)
{
	unsigned long nodes[2] = { 1, 2 };
	size_t from = random_below(seed, 2);
	pid_t pid = any_worker(seed);

	if (pid)
		syscall(SYS_migrate_pages, pid, 3, &nodes[from],
			&nodes[1 - from]);
}

static void look_at_a_process(uint64_t *seed)
{
	static const char *const files[] = { "smaps", "numa_maps",
					     "smaps_rollup", "maps" };
	pid_t pid = any_worker(seed);
	char path[60];

	if (!pid)
		return;
	snprintf(path, sizeof(path), "/proc/%d/%s", pid,
		 files[random_below(seed, ARRAY_SIZE(files))]);
	read_whole(path);
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
	write_knob(path, random_percent(seed, 50) ? "1" : "4");
}

static void unmerge(uint64_t *seed)
{
	(void)seed;
	write_knob(KSM_DIR "run", "2");
	write_knob(KSM_DIR "run", "1");
}

static const struct habit {
	void (*act)(uint64_t *seed);
	unsigned int pause_ms;
} habits[] = {
	{ reclaim, 150 },	    { compact, 300 },
	{ drop_caches, 1000 },	    { flip_a_processor, 500 },
	{ migrate_a_process, 300 }, { look_at_a_process, 200 },
	{ unmerge, 15000 },
};

static void *follow_habit(void *argument)
{
	const struct habit *habit = argument;
	uint64_t seed = habit - habits;

	while (!tally->over) {
		habit->act(&seed);
		usleep(1000 * random_below(&seed, 2 * habit->pause_ms));
	}
	return NULL;
}

void shaker(uint64_t seed)
{
	pthread_t threads[ARRAY_SIZE(habits)];
	size_t i;

	(void)seed;
	for (i = 0; i < ARRAY_SIZE(habits); i++)
		pthread_create(&threads[i], NULL, follow_habit,
			       (void *)&habits[i]);
	for (i = 0; i < ARRAY_SIZE(habits); i++)
		pthread_join(threads[i], NULL);
}

/* Processes that are killed in the middle of a move. */

#define VICTIM_PAGES (8 * MIB_PAGES)

static void move_for_ever(uint64_t seed)
{
	char *a = map_arena(VICTIM_PAGES * PAGE, 0,
			    seed % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	char *b =
		map_arena(VICTIM_PAGES * PAGE, seed % 3 * PAGE, MADV_HUGEPAGE);
	const unsigned int flags = HOLES | REPLACE | UNSHARE;

	fill(a, VICTIM_PAGES, 1);
	for (;;) {
		vmremap_move(dev, b, a, VICTIM_PAGES * PAGE, flags, NULL);
		vmremap_move(dev, a, b, VICTIM_PAGES * PAGE, flags, NULL);
	}
}

void killer(uint64_t seed)
{
	while (!tally->over) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			move_for_ever(random_next(&seed));
		usleep(50000 + random_below(&seed, 900000));
		random_next(&seed);
		if (pid < 0)
			continue;
		kill(pid, SIGKILL);
		if (!ends_within(pid, 120, &status))
			complain("a killed process does not end");
		count(kills, 1);
	}
}
