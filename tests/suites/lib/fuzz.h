/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process that fuzzes: its threads, what it has open, and how it fails. It
 * may lose memory of its own on the way, so all that it needs is in private
 * memory of a file, which no operation takes, and what has to outlive it is on
 * a board that it shares with the suite.
 *
 * No function that runs in such a process may use ck_*, or allocate.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <setjmp.h>
#include <signal.h>

#include "random.h"
#include "suite.h"

#define FUZZERS 4
#define MAX_KINDS 16
#define MAX_DEEDS 40
#define MAX_ERROR 134
#define SIGNAL_STACK (64UL << 10)

/* In memory that is always of a file, unlike what begins as zeros. */
#define UNMOVABLE __attribute__((section(".data")))

struct tally {
	uint64_t done;
	uint64_t succeeded;
};

struct board {
	int file;
	/* All fuzzers of the worker take turns in one thread. */
	bool single_threaded;
	unsigned int steps;
	uint64_t worker_seed;
	double worker_seconds;
	/* Set by the worker, once it is ready. */
	double worker_ends;
	/* How often the worker has named memory that it cannot do without. */
	int dared;
	/* What each thread is at, for when one of them does not come back. */
	const char *doing[FUZZERS + 1];
	struct tally calls;
	uint64_t by_error[MAX_ERROR];
	struct tally by_kind[MAX_KINDS];
	uint64_t deeds[MAX_DEEDS];
	int failed;
	char failure[800];
};

struct desk;

/* One thread, or the child that it has forked. All it does follows from state. */
struct fuzzer {
	uint64_t state;
	unsigned int number;
	unsigned int step;
	const char *doing;
	bool is_child;
	volatile bool armed;
	sigjmp_buf escape;
	pid_t tid;
	pid_t children[2];
	struct desk *desk;
	void *signal_stack;
	unsigned int steps_since_dare;
};

/* What the threads of a worker share. */
struct worker {
	/* Requests may lie in memory that moves, and say anything. */
	bool loose;
	bool has_32bit_calls;
	volatile bool stop;
	volatile bool examined_in_vain;
	struct fuzzer fuzzers[FUZZERS];
	struct fuzzer fault_server;
	/* This one stays open; the others come and go. */
	int device;
	int public_devices[3];
	int uffd;
	int ring;
	int key;
	int content;
	int socket[2];
};

extern struct board *board;
extern struct worker *worker;
extern __thread struct fuzzer *self;

/* From the one place for it; never given back. */
void *own_memory(size_t size);
bool is_own_memory(uint64_t address, uint64_t length);
bool make_own_memory(size_t size);

/* Faults of a thread that is not touching() end the process. */
bool handle_faults(void);
/* Signals that only interrupt; before their handler is there they would kill. */
void take_nudges(bool take);
bool use_signal_stack_of(struct fuzzer *f);

/* Runs a part that touches memory, up to the first access that faults. */
typedef void (*touching_part)(void *argument);
bool touching(struct fuzzer *f, touching_part part, void *argument);

/*
 * Says what is wrong and ends the process; says nothing if it may just be that
 * memory of its own went away.
 */
void fuzz_fail(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

enum worker_end {
	WORKER_FAILED = 101,
	WORKER_LOST_MEMORY,
};

/* Around a call that names memory which the process cannot do without. */
void dare(void);
void dare_was_refused(void);
bool has_dared(void);
void forget_dares(bool is_child);

void count(uint64_t *counter);

/* Says what a thread is at. */
void begin_doing(struct fuzzer *f, const char *what);

static inline uint64_t below(struct fuzzer *f, uint64_t bound)
{
	return random_below(&f->state, bound);
}

static inline bool percent(struct fuzzer *f, unsigned int chance)
{
	return random_percent(&f->state, chance);
}

/* A row of a table whose rows begin with their weight. */
size_t pick_row(struct fuzzer *f, const void *table, size_t rows, size_t size);
#define PICK(f, table) \
	(&(table)[pick_row(f, table, ARRAY_SIZE(table), sizeof((table)[0]))])

#endif
