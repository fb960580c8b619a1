/* SPDX-License-Identifier: GPL-2.0-only */
#include "model_process.h"

#include <stdarg.h>

struct ledger *ledger;
struct process *me;
uint64_t choices;

/* Trace and failure */

char *trace_line(void)
{
	return ledger->trace[ledger->step % TRACE];
}

void note(const char *format, ...)
{
	size_t length = strlen(trace_line());
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(trace_line() + length, sizeof(ledger->trace[0]) - length,
		  format, arguments);
	va_end(arguments);
}

void fail_run(const char *condition, const char *message)
{
	if (!ledger->failure[0])
		snprintf(ledger->failure, sizeof(ledger->failure),
			 "process %u%s: %s (%s)", me->number,
			 me->is_child ? "'s child" : "", message, condition);
	_exit(3);
}

void tell_trace(void)
{
	uint64_t at = ledger->step < TRACE ? 0 : ledger->step + 1 - TRACE;

	for (; at <= ledger->step; at++)
		fprintf(stderr, "%s\n", ledger->trace[at % TRACE]);
}

/* Pieces: neighbouring pages of an arena that are fit for something */

bool is_anything(const struct cell *cell, const struct place *place)
{
	(void)cell;
	(void)place;
	return true;
}

bool is_mapped(const struct cell *cell, const struct place *place)
{
	(void)cell;
	return place->mapping != NOT_MAPPED;
}

bool is_private(const struct cell *cell, const struct place *place)
{
	(void)cell;
	return place->mapping == PRIVATE_ANONYMOUS;
}

bool is_unlocked(const struct cell *cell, const struct place *place)
{
	return is_private(cell, place) && !place->locked;
}

bool is_unwatched(const struct cell *cell, const struct place *place)
{
	return is_private(cell, place) && !place->watched;
}

bool is_readable(const struct cell *cell, const struct place *place)
{
	return is_mapped(cell, place) && place->prot & READABLE &&
	       !cell->guard && !(place->watched && (cell->hole || cell->lazy));
}

bool is_writable(const struct cell *cell, const struct place *place)
{
	return is_private(cell, place) && place->prot == OPEN &&
	       is_readable(cell, place) && !cell->write_protected;
}

bool is_readable_page(const struct cell *cell, const struct place *place)
{
	return is_readable(cell, place) && !cell->hole && !cell->lazy;
}

bool is_writable_page(const struct cell *cell, const struct place *place)
{
	return is_writable(cell, place) && !cell->hole && !cell->lazy;
}

bool is_fillable(const struct cell *cell, const struct place *place)
{
	return is_private(cell, place) && place->prot == OPEN &&
	       !place->watched && !cell->guard;
}

static bool fits(struct piece piece, size_t page, fitness is_fit)
{
	return page < piece.arena->pages &&
	       is_fit(&piece.arena->cells[page], &piece.arena->places[page]);
}

/* The next page that is fit, from a random one on; false if none is. */
static bool find_fit_page(struct process *process, struct piece *piece,
			  fitness is_fit)
{
	size_t i, arena = below(process->nr_arenas);

	piece->arena = &process->arenas[arena];
	piece->first = below(piece->arena->pages);
	for (i = 0; i <= process->nr_arenas; i++) {
		for (; piece->first < piece->arena->pages; piece->first++) {
			if (fits(*piece, piece->first, is_fit))
				return true;
		}
		arena = (arena + 1) % process->nr_arenas;
		piece->arena = &process->arenas[arena];
		piece->first = 0;
	}
	return false;
}

bool find_piece_of(struct process *process, struct piece *piece, size_t most,
		   fitness is_fit)
{
	size_t pages = 1 + below(most);

	if (!find_fit_page(process, piece, is_fit))
		return false;
	piece->pages = 1;
	while (piece->pages < pages &&
	       fits(*piece, piece->first + piece->pages, is_fit))
		piece->pages++;
	return true;
}

bool find_piece(struct piece *piece, size_t most, fitness is_fit)
{
	if (!find_piece_of(me, piece, most, is_fit)) {
		note(" nothing");
		return false;
	}
	note(" %s %zu, %zu pages", piece->arena->name, piece->first,
	     piece->pages);
	return true;
}

void unsure_of_sharing(struct piece piece)
{
	size_t i;

	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];

		if (cell->shared)
			cell->shared = MAYBE_SHARED;
	}
}

void unsure_of_all_sharing(void)
{
	size_t i;

	for (i = 0; i < me->nr_arenas; i++)
		unsure_of_sharing((struct piece){
			.arena = &me->arenas[i],
			.pages = me->arenas[i].pages,
		});
}

void make_holes(struct piece piece)
{
	size_t i;

	for (i = 0; i < piece.pages; i++)
		cells_of(piece)[i] = (struct cell){ .hole = true };
}

void make_own(struct piece piece)
{
	size_t i;

	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];

		cell->hole = false;
		cell->shared = NOT_SHARED;
	}
	learn_filled_holes(piece.arena);
}

uint64_t new_tag(void)
{
	return ledger->next_tag++;
}

void write_piece(struct piece piece, char *at, uint64_t twins)
{
	size_t i;

	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];

		/* A pin stays, whatever the page holds. */
		*cell = (struct cell){
			.tag = twins ?: new_tag(),
			.pinned = cell->pinned,
		};
		fill(page_at(at, i), 1, cell->tag);
	}
}

void advise(struct piece piece, int advice)
{
	madvise(start_of(piece), length_of(piece), advice);
}

void advise_surely(struct piece piece, int advice)
{
	int rc = madvise(start_of(piece), length_of(piece), advice);

	ck_model(rc == 0, "madvise %d: %s", advice, strerror(errno));
}

/* Comparing */

uint64_t count_increments(const struct arena *window)
{
	uint64_t entries[WINDOW_PAGES], sum = 0;
	size_t page;

	read_pagemap(window->base, window->pages, entries);
	for (page = 0; page < window->pages; page++) {
		uint64_t *words = (uint64_t *)page_at(window->base, page);
		size_t i;

		if (!(entries[page] & (PM_PRESENT | PM_SWAPPED)))
			continue;
		sum += words[COUNTER];
		for (i = 0; i < PAGE / sizeof(*words); i++)
			ck_model(i == COUNTER || !words[i],
				 "%s page %zu word %zu is %lx", window->name,
				 page, i, words[i]);
	}
	return sum;
}

void compare_increments(void)
{
	uint64_t there = 0;
	size_t i;

	for (i = 0; i < me->nr_windows; i++)
		there += count_increments(&me->windows[i]);
	ck_model(there + me->harvested == me->increments,
		 "%lu increments done, but %lu there and %lu discarded",
		 me->increments, there, me->harvested);
}

/* The kernel's counters are batched for each CPU and thread. */
#define COUNTER_SLACK_KB 2048

static void compare_counters(void)
{
	long anon = status_kb("RssAnon"), mapped = rollup_kb("Anonymous");
	long swap = status_kb("VmSwap"), swapped = rollup_kb("Swap");

	ck_model(labs(anon - mapped) <= COUNTER_SLACK_KB,
		 "RssAnon is %ld KiB, but %ld are mapped", anon, mapped);
	ck_model(labs(swap - swapped) <= COUNTER_SLACK_KB,
		 "VmSwap is %ld KiB, but %ld are swapped out", swap, swapped);
}

void compare_process(void)
{
	size_t i;

	for (i = 0; i < me->nr_arenas; i++)
		compare_arena(&me->arenas[i]);
	compare_increments();
	if (!me->is_child)
		compare_counters();
	__atomic_fetch_add(&ledger->comparisons, 1, __ATOMIC_RELAXED);
}

/* Arenas */

static struct arena new_arena(const char *name, char *base, size_t pages,
			      bool large)
{
	struct arena arena = {
		.name = name,
		.base = base,
		.pages = pages,
		.cells = &me->cells[me->nr_cells],
		.places = &me->places[me->nr_cells],
	};
	size_t i;

	ck_model(me->nr_cells + pages <= MODEL_PAGES, "too many pages");
	for (i = 0; i < pages; i++) {
		arena.cells[i] = (struct cell){ .hole = true };
		arena.places[i] =
			(struct place){ .prot = OPEN, .large = large };
	}
	me->nr_cells += pages;
	return arena;
}

static void add_arena(const char *name, char *base, size_t pages, bool large)
{
	me->arenas[me->nr_arenas++] = new_arena(name, base, pages, large);
}

/*
 * Far below where the kernel puts mappings of its own choice: they would get
 * into the gaps.
 */
#define FIRST_ARENA (1UL << 40)
#define BETWEEN_ARENAS (64UL << 20)

static char *map_far_below(size_t pages, size_t phase)
{
	uintptr_t start = FIRST_ARENA + me->nr_arenas * BETWEEN_ARENAS;
	char *at = (char *)start + phase * PAGE;
	char *base = mmap(at, pages * PAGE, OPEN,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			  0);

	ck_model(base == at, "mmap: %s", strerror(errno));
	return base;
}

/* An arena, a window and another arena. */
static char *add_divided(size_t phase, const char *low, size_t low_pages,
			 const char *window, const char *high,
			 size_t high_pages)
{
	size_t pages = low_pages + WINDOW_PAGES + high_pages;
	char *base = map_far_below(pages, phase);

	ck_sys(madvise(base, pages * PAGE, MADV_NOHUGEPAGE));
	add_arena(low, base, low_pages, false);
	me->windows[me->nr_windows++] = new_arena(
		window, page_at(base, low_pages), WINDOW_PAGES, false);
	add_arena(high, page_at(base, low_pages + WINDOW_PAGES), high_pages,
		  false);
	return base;
}

void map_arenas(void)
{
	char *base;

	add_divided(0, "low", LOW_PAGES, "window", "high", HIGH_PAGES);
	base = add_divided(100, "cut low", CUT_LOW_PAGES, "cut window",
			   "cut high", CUT_HIGH_PAGES);
	cut_in_vmas(base, CUT_LOW_PAGES, 90);
	cut_in_vmas(page_at(base, CUT_LOW_PAGES + WINDOW_PAGES), CUT_HIGH_PAGES,
		    170);
	base = map_far_below(WHOLE_PAGES, 0);
	ck_sys(madvise(base, WHOLE_PAGES * PAGE, MADV_HUGEPAGE));
	add_arena("huge", base, WHOLE_PAGES, true);
	/* Where the kernel has none, these are small pages as well. */
	base = map_far_below(FOLIO_PAGES, 7);
	add_arena("64 KiB folios", base, FOLIO_PAGES, true);
}
