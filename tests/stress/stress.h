/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many processes and threads that move memory at once, in a machine that is
 * short of it and never at rest; see tests/stress/run.
 */
#ifndef STRESS_H
#define STRESS_H

#include "moves.h"
#include "random.h"
#include "work.h"

#define MAX_WORKERS 8
#define MAX_ERRNO 134

/* In memory that all processes share, and count in. */
struct tally {
	bool over;
	size_t wrong;
	pid_t workers[MAX_WORKERS];

	size_t moves, vectors, pages;
	size_t ended_by[MAX_ERRNO];
	size_t verified;
	size_t forks, kills;
	size_t faults, collections;
	size_t flips;
};

extern struct tally *tally;

#define count(field, number) \
	__atomic_fetch_add(&tally->field, number, __ATOMIC_RELAXED)

/* One operation's end; false if that end should never be seen. */
bool count_end(int rc, unsigned int flags);

/* Something is lost, or a call has said what it should not; ends the run. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Pages with these tags, or 0 for zeros; complains of the first that differs. */
void expect_pages(const char *where, void *base, const uint64_t *tags,
		  size_t pages);

/* What the processes do until it is over. */
void mover(uint64_t seed);
void collector(uint64_t seed);
void killer(uint64_t seed);
void shaker(uint64_t seed);

/* What the kernel counts. */
struct kernel_counts {
	long swapped_kb, merged;
	long swap_outs, migrations, collapses, hints, compactions;
};

struct kernel_counts read_kernel_counts(void);

/* The cgroup that all of it runs in. */
extern const char *cgroup;

#endif
