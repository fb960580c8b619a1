// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark of move, in the guest: prints a line for each measurement,
 * "OP BYTES PAGES METHOD MEDIAN SPREAD", times in nanoseconds; where the clock
 * counts instructions, those.
 *
 * Usage: moves ROUNDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "work.h"

static void measure(const struct work *work, int rounds)
{
	const char *pages = work->advice == MADV_HUGEPAGE ? "thp" : "4k";
	struct job jobs[METHODS] = { 0 };

	for (int m = 0; m < METHODS; m++)
		if (work_has_method(m))
			job_set_up(&jobs[m], work, m, rounds);
	work_measure(jobs, rounds);
	for (int m = 0; m < METHODS; m++) {
		if (!jobs[m].nr)
			continue;
		printf("%s %zu %s %s %.0f %.0f\n", work->op, work->bytes, pages,
		       method_names[m], median_of(jobs[m].times[0], rounds),
		       spread_of(jobs[m].times[0], rounds));
		job_tear_down(&jobs[m]);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const struct work works[] = {
		{ "move", 0, 0, MADV_NOHUGEPAGE, ONE_RANGE },
		{ "move-shifted", 0, 3 * PAGE, MADV_NOHUGEPAGE, ONE_RANGE },
		{ "move", 0, 0, MADV_HUGEPAGE, ONE_RANGE },
	};
	static const struct work scattered = {
		"movev", 4096 * PAGE, 3 * PAGE, MADV_NOHUGEPAGE, STRIDED,
	};
	int rounds = argc > 1 ? atoi(argv[1]) : 9;

	work_open();
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		struct work work = works[i];

		for (work.bytes = PAGE; work.bytes <= 64UL << 20;
		     work.bytes *= 4)
			if (work.advice != MADV_HUGEPAGE ||
			    work.bytes >= HUGE_PAGE)
				measure(&work, rounds);
	}
	measure(&scattered, rounds);
	return 0;
}
