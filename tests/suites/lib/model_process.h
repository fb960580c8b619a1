/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes of a run of the model-based fuzzer: their memory's model, which all
 * of them can see, what they trace and how they fail.
 */
#ifndef MODEL_PROCESS_H
#define MODEL_PROCESS_H

#include "model.h"
#include "random.h"

#define PROCESSES 3

#define LOW_PAGES 600
#define HIGH_PAGES 936
#define CUT_LOW_PAGES 300
#define CUT_HIGH_PAGES 400
#define WHOLE_PAGES 1536
#define FOLIO_PAGES 500
#define ARENAS 6
#define WINDOW_PAGES 64
#define WINDOWS 2
#define MODEL_PAGES                                                \
	(LOW_PAGES + HIGH_PAGES + CUT_LOW_PAGES + CUT_HIGH_PAGES + \
	 WHOLE_PAGES + FOLIO_PAGES + WINDOWS * WINDOW_PAGES)

struct process {
	pid_t pid;
	unsigned int number;
	bool is_child;
	struct arena arenas[ARENAS];
	/*
	 * Between two arenas, in the same page tables. A thread increments
	 * words of theirs; how many increments there are is all that is known
	 * of them.
	 */
	struct arena windows[WINDOWS];
	uint64_t increments;
	/* In pages that have been discarded since. */
	uint64_t harvested;
	bool has_pin;
	size_t nr_arenas, nr_windows, nr_cells;
	struct cell cells[MODEL_PAGES];
	struct place places[MODEL_PAGES];
};

#define TRACE 20
#define MAX_ERROR 140

/* What all processes of a run share; one at a time does something. */
struct ledger {
	uint64_t seed, step, next_tag;
	size_t moves, pages_moved, children, faults_served, comparisons;
	size_t by_error[MAX_ERROR];
	char trace[TRACE][700];
	char failure[900];
	struct process processes[PROCESSES];
};

extern struct ledger *ledger;
/* The process that runs this, and its choices. */
extern struct process *me;
extern uint64_t choices;

/* The longest that anything may take: emulated, with checkers, on a busy host. */
#define STEP_SECONDS 200

static inline uint64_t below(uint64_t bound)
{
	return random_below(&choices, bound);
}

static inline bool percent(unsigned int chance)
{
	return random_percent(&choices, chance);
}

static inline size_t sometimes_many(size_t many, size_t few)
{
	return percent(12) ? many : few;
}

/* For model_failed: the first process that fails is heard by their parent. */
void fail_run(const char *condition, const char *message);

/* Adds to the line of this step. */
char *trace_line(void);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tell_trace(void);

/* Maps the arenas of a new process, and sets up its model. */
void map_arenas(void);

/* All memory of this process. */
void compare_process(void);
void compare_increments(void);

/* The word that is incremented in a page of a window. */
#define COUNTER 5

/* Increments that are in a window, and that nothing else is in it. */
uint64_t count_increments(const struct arena *window);

/* Protections */
#define READABLE PROT_READ
#define OPEN (PROT_READ | PROT_WRITE)

/* Neighbouring pages of an arena. */
struct piece {
	struct arena *arena;
	size_t first, pages;
};

static inline struct cell *cells_of(struct piece piece)
{
	return &piece.arena->cells[piece.first];
}

static inline struct place *places_of(struct piece piece)
{
	return &piece.arena->places[piece.first];
}

static inline char *start_of(struct piece piece)
{
	return page_at(piece.arena->base, piece.first);
}

static inline size_t length_of(struct piece piece)
{
	return piece.pages * PAGE;
}

typedef bool (*fitness)(const struct cell *cell, const struct place *place);

/*
 * A random piece of up to so many pages that are all fit for something; false
 * if there is none. Of this process, and traced; or of any.
 */
bool find_piece(struct piece *piece, size_t most, fitness is_fit);
bool find_piece_of(struct process *process, struct piece *piece, size_t most,
		   fitness is_fit);

bool is_anything(const struct cell *cell, const struct place *place);
bool is_mapped(const struct cell *cell, const struct place *place);
bool is_private(const struct cell *cell, const struct place *place);
bool is_unlocked(const struct cell *cell, const struct place *place);
bool is_unwatched(const struct cell *cell, const struct place *place);

/* Whoever touches these does not wait for a userfaultfd's handler. */
bool is_readable(const struct cell *cell, const struct place *place);
bool is_writable(const struct cell *cell, const struct place *place);
/* And the cell knows what is there. */
bool is_readable_page(const struct cell *cell, const struct place *place);
bool is_writable_page(const struct cell *cell, const struct place *place);
/* The kernel can bring them all in. */
bool is_fillable(const struct cell *cell, const struct place *place);

uint64_t new_tag(void);

/* Gives pages new tags, or all the same, and writes what they stand for to `at`. */
void write_piece(struct piece piece, char *at, uint64_t twins);

void make_holes(struct piece piece);

/* Holes have become pages of zeros, and all have been written to. */
void make_own(struct piece piece);

/* Something has been done that may have ended the sharing. */
void unsure_of_sharing(struct piece piece);
void unsure_of_all_sharing(void);

void advise(struct piece piece, int advice);
void advise_surely(struct piece piece, int advice);

#endif
