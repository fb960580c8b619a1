/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pieces of work that move memory, done by vmremap and by its peers, each in
 * memory of its own, and timed in turns. Used by the benchmark and the demo.
 */
#ifndef WORK_H
#define WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "libvmremap.h"

#define PAGE 4096UL
#define HUGE_PAGE (2UL << 20)

enum {
	BY_VMREMAP,
	BY_UFFDIO_MOVE,
	BY_MEMCPY,
	METHODS
};
extern const char *const method_names[METHODS];

/* How pages are picked. */
enum pattern {
	ONE_RANGE, /* all of it, as one range */
	STRIDED,   /* every fourth page, to every fourth page, in order */
	SHUFFLED,  /* every page, to a random one of an arena twice as large */
};

/**
 * struct work - pages that go from one arena to another
 * @op: what the benchmark calls it
 * @bytes: how much moves
 * @shift: the destination's distance from being 2 MiB-congruent
 * @advice: for madvise on both arenas
 * @pattern: which pages
 */
struct work {
	const char *op;
	size_t bytes;
	size_t shift;
	int advice;
	enum pattern pattern;
};

/**
 * struct job - one method's share of a work
 * @ranges: what moves, or moves back
 * @nr: how many ranges; 0 where the method cannot do the work here
 * @times: of each round, there and back, in nanoseconds
 */
struct job {
	struct vmremap_range *ranges;
	size_t nr;
	double *times[2];
	char *arenas[2];
	size_t lengths[2];
};

/* Opens what the methods need; ends the program if vmremap cannot be used. */
void work_open(void);
bool work_has_method(int method);

void die(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
double nanoseconds(void);
char *map_arena(size_t length, size_t shift, int advice);

void job_set_up(struct job *job, const struct work *work, int method,
		int rounds);
void job_tear_down(struct job *job);
void job_move(const struct job *job, int method);
void job_turn_around(struct job *job);

/* All methods, in turns, so that what disturbs one disturbs all. */
void work_measure(struct job jobs[METHODS], int rounds);

double median_of(double *values, int nr);
/* Half the distance between the quartiles. */
double spread_of(double *values, int nr);

#endif
