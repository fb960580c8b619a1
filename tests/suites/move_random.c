// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random moves and other operations, against a model in plain memory.
 *
 * The model knows of each page what it holds, whether it is a hole, and whether
 * it may be shared. From that follows where a move may end, and with which
 * error; how far it says it came is then played back in the model, and memory
 * and model must agree. VMREMAP_SEED repeats a run, VMREMAP_RANDOM_SECONDS says
 * for how long all tests together go on.
 */
#include <time.h>

#include "lib/child.h"
#include "lib/model.h"
#include "lib/random.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define MAX_RANGES 40
#define LOOSE_RANGES 12
#define WOVEN_BLOCKS 4
#define WOVEN_PAGES (WOVEN_BLOCKS * BLOCK_PAGES)
#define COMPARE_EVERY 40

#define MAX_ARENAS 6
static struct arena arenas[MAX_ARENAS];
static size_t nr_arenas;

static uint64_t seed, state, next_tag = 1;
static size_t step, moves, failures[140];
static char doing[200];
static struct picked current[MAX_RANGES];
static size_t nr_current;
static struct child held;
static bool is_held;

static void tell_current_ranges(void)
{
	size_t r;

	for (r = 0; r < nr_current; r++) {
		const struct picked *p = &current[r];

		fprintf(stderr, "range %zu: %zu pages, %s %zu to %s %zu\n", r,
			p->pages, p->from->name, p->src, p->to->name, p->dst);
	}
}

static void fail_step(const char *condition, const char *message)
{
	fprintf(stderr, "%s\n", message);
	tell_current_ranges();
	ck_abort_msg("seed %lu, step %zu, %s: %s", seed, step, doing,
		     condition);
}

static uint64_t below(uint64_t bound)
{
	return random_below(&state, bound);
}

static bool percent(unsigned int chance)
{
	return random_percent(&state, chance);
}

/* Arenas */

static struct arena *add_arena(const char *name, char *base, size_t pages,
			       bool large)
{
	struct arena *arena = &arenas[nr_arenas++];
	size_t i;

	arena->name = name;
	arena->base = base;
	arena->pages = pages;
	arena->large = large;
	arena->cells = calloc(pages, sizeof(*arena->cells));
	ck_assert_ptr_nonnull(arena->cells);
	for (i = 0; i < pages; i++)
		arena->cells[i].hole = true;
	return arena;
}

static void add_small_arenas(void)
{
	struct arena *arena;

	arena = add_arena("small", map_pages(2048, 0, SMALL), 2048, false);
	ck_sys(madvise(arena->base, 2048 * PAGE, MADV_NOHUGEPAGE));
	arena = add_arena("small in many VMAs", map_pages(1500, 100, SMALL),
			  1500, false);
	ck_sys(madvise(arena->base, 1500 * PAGE, MADV_NOHUGEPAGE));
	cut_in_vmas(arena->base, 1500, 300);
}

static void add_large_arenas(void)
{
	struct arena *arena;

	add_arena("huge", map_pages(2048, 0, HUGE), 2048, true);
	arena = add_arena("huge in many VMAs", map_pages(1800, 200, HUGE), 1800,
			  true);
	cut_in_vmas(arena->base, 1800, 700);
	/* Where the kernel has none, these are small pages as well. */
	write_knob(THP_DIR "hugepages-64kB/enabled", "always");
	add_arena("64 KiB folios", map_pages(1000, 7, SMALL), 1000, true);
}

/* For vectors that come back to the same few blocks again and again. */
static void add_woven_arenas(void)
{
	struct arena *arena;

	arena = add_arena("woven", map_pages(WOVEN_PAGES, 0, SMALL),
			  WOVEN_PAGES, false);
	ck_sys(madvise(arena->base, WOVEN_PAGES * PAGE, MADV_NOHUGEPAGE));
	arena = add_arena("woven in two VMAs", map_pages(WOVEN_PAGES, 0, SMALL),
			  WOVEN_PAGES, false);
	ck_sys(madvise(arena->base, WOVEN_PAGES * PAGE, MADV_NOHUGEPAGE));
	cut_in_vmas(arena->base, WOVEN_PAGES, WOVEN_PAGES / 2);
	add_arena("woven huge", map_pages(WOVEN_PAGES, 0, HUGE), WOVEN_PAGES,
		  true);
}

/* Memory against model */

static void compare_all(void)
{
	size_t i;

	for (i = 0; i < nr_arenas; i++)
		compare_arena(&arenas[i]);
}

/* One word of a page, not always the same: enough after every single call. */
static void glance_at(struct arena *arena)
{
	uint64_t *entries = calloc(arena->pages, sizeof(*entries));
	size_t page;

	ck_assert_ptr_nonnull(entries);
	read_pagemap(arena->base, arena->pages, entries);
	for (page = 0; page < arena->pages; page++) {
		const struct cell *cell = &arena->cells[page];
		bool hole = !(entries[page] & (PM_PRESENT | PM_SWAPPED));
		size_t i = (page * 7 + step) % (PAGE / sizeof(uint64_t));
		volatile uint64_t *words =
			(uint64_t *)page_at(arena->base, page);

		ck_model(hole == cell->hole, "%s page %zu: %s, expected %s",
			 arena->name, page, hole ? "a hole" : "a page",
			 cell->hole ? "a hole" : "a page");
		ck_model(hole || words[i] == tag_word(cell->tag, i),
			 "%s page %zu does not hold tag %lu", arena->name, page,
			 cell->tag);
	}
	free(entries);
}

static void glance_at_all(void)
{
	size_t i;

	for (i = 0; i < nr_arenas; i++)
		glance_at(&arenas[i]);
}

/* Operations beside moves */

struct piece {
	struct arena *arena;
	size_t first, pages;
};

static struct piece pick_piece(size_t most)
{
	struct piece piece = { .arena = &arenas[below(nr_arenas)] };

	if (most > piece.arena->pages)
		most = piece.arena->pages;
	piece.pages = 1 + below(most);
	piece.first = below(piece.arena->pages - piece.pages + 1);
	return piece;
}

static char *start_of(struct piece piece)
{
	return page_at(piece.arena->base, piece.first);
}

static void advise(struct piece piece, int advice)
{
	madvise(start_of(piece), piece.pages * PAGE, advice);
}

static void write_pages(void)
{
	struct piece piece = pick_piece(percent(20) ? 700 : 40);
	size_t i;

	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &piece.arena->cells[piece.first + i];

		*cell = (struct cell){ .tag = next_tag++ };
		fill(page_at(start_of(piece), i), 1, cell->tag);
	}
	learn_filled_holes(piece.arena);
}

static void read_pages(void)
{
	struct piece piece = pick_piece(40);
	size_t i;

	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &piece.arena->cells[piece.first + i];

		if (cell->hole)
			*cell = (struct cell){ 0 };
		ck_model(holds(page_at(start_of(piece), i), 1, cell->tag),
			 "page %zu of %s", piece.first + i, piece.arena->name);
	}
	learn_filled_holes(piece.arena);
}

static void discard_pages(void)
{
	struct piece piece = pick_piece(percent(10) ? 1200 : 60);
	size_t i;

	advise(piece, MADV_DONTNEED);
	for (i = 0; i < piece.pages; i++)
		piece.arena->cells[piece.first + i] =
			(struct cell){ .hole = true };
}

static void page_out_pages(void)
{
	advise(pick_piece(percent(10) ? 1200 : 100), MADV_PAGEOUT);
}

/*
 * Reclaim and compaction find every page by its reverse mapping; what was left
 * wrong or locked does not come through.
 */
static void walk_reverse_mappings(void)
{
	size_t i;

	for (i = 0; i < nr_arenas; i++)
		madvise(arenas[i].base, arenas[i].pages * PAGE, MADV_PAGEOUT);
	write_knob("/proc/sys/vm/compact_memory", "1");
	compare_all();
}

/* A whole block anew: a huge page where the mapping asks for them. */
static void renew_block(void)
{
	struct arena *arena = &arenas[below(nr_arenas)];
	size_t page, first = below(arena->pages / BLOCK_PAGES) * BLOCK_PAGES;

	ck_sys(madvise(page_at(arena->base, first), BLOCK, MADV_DONTNEED));
	for (page = first; page < first + BLOCK_PAGES; page++) {
		arena->cells[page] = (struct cell){ .tag = next_tag++ };
		fill(page_at(arena->base, page), 1, arena->cells[page].tag);
	}
}

/* Whole blocks of holes, so that there is room. */
static void empty_blocks(void)
{
	struct arena *arena = &arenas[below(nr_arenas)];
	size_t page, first = below(arena->pages / BLOCK_PAGES) * BLOCK_PAGES;

	ck_sys(madvise(page_at(arena->base, first), BLOCK, MADV_DONTNEED));
	for (page = first; page < first + BLOCK_PAGES; page++)
		arena->cells[page] = (struct cell){ .hole = true };
}

/* Huge pages stay, but are mapped by parts. */
static void map_by_parts(void)
{
	struct piece piece = pick_piece(2048);
	size_t page;

	for (page = 0; page < piece.pages; page += BLOCK_PAGES) {
		char *at = page_at(start_of(piece), page);

		ck_sys(mprotect(at, PAGE, PROT_READ));
		ck_sys(mprotect(at, PAGE, PROT_READ | PROT_WRITE));
	}
}

/* Few holes among pages, or few pages among holes. */
static void sprinkle(void)
{
	struct arena *arena = &arenas[below(nr_arenas)];
	unsigned int i, kind = below(3);

	for (i = 0; i < 8; i++) {
		size_t page = below(arena->pages);
		struct cell *cell = &arena->cells[page];
		char *at = page_at(arena->base, page);

		if (kind == 0) {
			ck_sys(madvise(at, PAGE, MADV_DONTNEED));
			*cell = (struct cell){ .hole = true };
		} else if (kind == 1 && cell->hole) {
			(void)*(volatile char *)at;
			*cell = (struct cell){ 0 };
		} else if (cell->hole) {
			*cell = (struct cell){ .tag = next_tag++ };
			fill(at, 1, cell->tag);
		}
	}
	learn_filled_holes(arena);
}

static void cool_pages(void)
{
	advise(pick_piece(300), MADV_COLD);
}

static void collapse_pages(void)
{
	struct piece piece = pick_piece(2048);

	if (!piece.arena->large)
		return;
	advise(piece, MADV_COLLAPSE);
	learn_filled_holes(piece.arena);
}

static void change_advice(void)
{
	struct piece piece = pick_piece(1024);

	if (piece.arena->large)
		advise(piece, percent(70) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static void mark_shared(void)
{
	size_t i, page;

	for (i = 0; i < nr_arenas; i++) {
		for (page = 0; page < arenas[i].pages; page++) {
			struct cell *cell = &arenas[i].cells[page];

			cell->shared = cell->hole ? NOT_SHARED : MAYBE_SHARED;
		}
	}
}

/* In a child: its memory and its copy of the model are as they were. */
static bool compare_in_child(void *unused)
{
	size_t i, page;

	(void)unused;
	for (i = 0; i < nr_arenas; i++) {
		for (page = 0; page < arenas[i].pages; page++) {
			struct cell *cell = &arenas[i].cells[page];

			if (!cell->hole &&
			    !holds(page_at(arenas[i].base, page), 1, cell->tag))
				return false;
		}
	}
	return true;
}

static void let_go(void)
{
	if (is_held)
		ck_model(child_ends(&held), "the child's memory changed");
	is_held = false;
}

static void fork_and_hold(void)
{
	let_go();
	held = child_waits(compare_in_child, NULL);
	is_held = true;
	mark_shared();
}

static void fork_and_exit(void)
{
	fork_and_hold();
	let_go();
}

/* Moves */

static unsigned int pick_flags(void)
{
	unsigned int flags = 0;

	flags |= percent(60) ? HOLES : 0;
	flags |= percent(60) ? REPLACE : 0;
	flags |= percent(60) ? UNSHARE : 0;
	flags |= percent(10) ? WAKE_LATER : 0;
	return flags;
}

static void judge(const struct picked *picked, size_t nr, unsigned int flags,
		  int rc, size_t moved, size_t done)
{
	judge_move(picked, nr, flags, rc, moved, done);
	moves++;
	failures[-rc]++;
}

static void move_one(void)
{
	struct picked p = pick_range(&state, arenas, nr_arenas);
	unsigned int flags = pick_flags();
	size_t moved = UNSET;
	int rc;

	snprintf(doing, sizeof(doing), "move, flags %x", flags);
	current[0] = p;
	nr_current = 1;
	rc = vmremap_move(dev, page_at(p.to->base, p.dst),
			  page_at(p.from->base, p.src), p.pages * PAGE, flags,
			  &moved);
	judge(&p, 1, flags, rc, moved, rc == 0);
	compare_ranges(&p, 1);
}

static void move_many(void)
{
	struct vmremap_range ranges[MAX_RANGES];
	struct picked *picked = current;
	size_t r, nr = 1 + below(LOOSE_RANGES), moved = UNSET, done = UNSET;
	unsigned int flags = pick_flags();
	int rc;

	snprintf(doing, sizeof(doing), "vector, flags %x", flags);
	nr_current = nr;
	for (r = 0; r < nr; r++) {
		do {
			picked[r] = pick_range(&state, arenas, nr_arenas);
		} while (overlaps(&picked[r]) && percent(98));
		ranges[r] =
			range_of(page_at(picked[r].to->base, picked[r].dst),
				 page_at(picked[r].from->base, picked[r].src),
				 picked[r].pages);
	}
	rc = vmremap_movev(dev, ranges, nr, flags, &moved, &done);
	judge(picked, nr, flags, rc, moved, done);
	compare_ranges(picked, nr);
}

/*
 * Woven vectors: whole blocks, single pages and odd ranges that come back to
 * each other's sources and destinations. While one is made up it is rehearsed
 * on a copy of the model, so that most ranges can move and calls come far.
 */

static void rehearse(struct cell **kept)
{
	size_t i;

	for (i = 0; i < nr_arenas; i++) {
		size_t size = arenas[i].pages * sizeof(struct cell);
		struct cell *copy = malloc(size);

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, arenas[i].cells, size);
		kept[i] = arenas[i].cells;
		arenas[i].cells = copy;
	}
}

static void end_rehearsal(struct cell **kept)
{
	size_t i;

	for (i = 0; i < nr_arenas; i++) {
		free(arenas[i].cells);
		arenas[i].cells = kept[i];
	}
}

/* A place of one of the ranges so far, or somewhere near it. */
static void pick_known_place(const struct picked *picked, size_t nr,
			     struct arena **arena, size_t *page)
{
	const struct picked *p = &picked[below(nr)];
	bool dst = percent(50);

	*arena = dst ? p->to : p->from;
	*page = dst ? p->dst : p->src;
	switch (below(4)) {
	case 0:
		*page += below(p->pages);
		break;
	case 1:
		*page = *page / BLOCK_PAGES * BLOCK_PAGES + below(BLOCK_PAGES);
		break;
	}
}

static void pick_place(const struct picked *picked, size_t nr, size_t pages,
		       struct arena **arena, size_t *page)
{
	if (nr && percent(45)) {
		pick_known_place(picked, nr, arena, page);
	} else {
		*arena = &arenas[below(nr_arenas)];
		*page = below((*arena)->pages);
	}
	if (pages == BLOCK_PAGES)
		*page = *page / BLOCK_PAGES * BLOCK_PAGES;
	if (*page + pages > (*arena)->pages)
		*page = (*arena)->pages - pages;
}

static size_t pick_woven_length(void)
{
	switch (below(10)) {
	case 0:
	case 1:
	case 2:
		return BLOCK_PAGES;
	case 3:
		return 1 + below(2 * BLOCK_PAGES);
	case 4:
	case 5:
		return 1 + below(20);
	default:
		return 1;
	}
}

static bool passes(const struct picked *p, unsigned int flags)
{
	size_t page;

	for (page = 0; page < p->pages; page++) {
		if (!may_pass(p, page, flags))
			return false;
		if (src_cell(p, page)->shared && !(flags & UNSHARE))
			return false;
	}
	return true;
}

static void weave_range(struct picked *picked, size_t nr, unsigned int flags)
{
	struct picked *p = &picked[nr];
	int tries = percent(4) ? 1 : 30;
	size_t page;

	do {
		p->pages = pick_woven_length();
		pick_place(picked, nr, p->pages, &p->from, &p->src);
		pick_place(picked, nr, p->pages, &p->to, &p->dst);
		if (percent(40))
			p->dst = congruent_dst(p, p->dst);
	} while (overlaps(p) || (!passes(p, flags) && --tries > 0));
	for (page = 0; page < p->pages && may_pass(p, page, flags); page++)
		play_page(p, page, flags);
}

static void move_woven(void)
{
	struct vmremap_range ranges[MAX_RANGES];
	struct picked *picked = current;
	size_t r, nr = 1 + below(MAX_RANGES), moved = UNSET, done = UNSET;
	unsigned int flags = pick_flags();
	struct cell *kept[MAX_ARENAS] = {};
	int rc;

	snprintf(doing, sizeof(doing), "woven vector, flags %x", flags);
	rehearse(kept);
	for (r = 0; r < nr; r++) {
		weave_range(picked, r, flags);
		ranges[r] =
			range_of(page_at(picked[r].to->base, picked[r].dst),
				 page_at(picked[r].from->base, picked[r].src),
				 picked[r].pages);
	}
	end_rehearsal(kept);
	nr_current = nr;
	rc = vmremap_movev(dev, ranges, nr, flags, &moved, &done);
	judge(picked, nr, flags, rc, moved, done);
	glance_at_all();
}

struct operation {
	/* How often it is done, of a thousand steps. */
	unsigned int weight;
	const char *name;
	void (*run)(void);
};

static const struct operation any_operation[] = {
	{ 420, "move", move_one },
	{ 150, "vector", move_many },
	{ 190, "write", write_pages },
	{ 40, "read", read_pages },
	{ 60, "discard", discard_pages },
	{ 50, "page out", page_out_pages },
	{ 20, "cool", cool_pages },
	{ 35, "collapse", collapse_pages },
	{ 15, "advice", change_advice },
	{ 10, "fork and exit", fork_and_exit },
	{ 5, "fork and hold", fork_and_hold },
	{ 5, "let go", let_go },
};

static const struct operation around_woven_vectors[] = {
	{ 500, "woven vector", move_woven },
	{ 120, "renew a block", renew_block },
	{ 110, "empty blocks", empty_blocks },
	{ 60, "sprinkle", sprinkle },
	{ 50, "map by parts", map_by_parts },
	{ 30, "write", write_pages },
	{ 50, "read", read_pages },
	{ 20, "page out", page_out_pages },
	{ 15, "collapse", collapse_pages },
	{ 15, "walk reverse mappings", walk_reverse_mappings },
	{ 15, "fork and exit", fork_and_exit },
	{ 5, "fork and hold", fork_and_hold },
	{ 10, "let go", let_go },
};

static void take_step(const struct operation *operations)
{
	unsigned int at = below(1000);
	size_t i;

	for (i = 0; at >= operations[i].weight; i++)
		at -= operations[i].weight;
	snprintf(doing, sizeof(doing), "%s", operations[i].name);
	nr_current = 0;
	operations[i].run();
	step++;
	if (step % COMPARE_EVERY == 0)
		compare_all();
}

static void report(void)
{
	int error;

	fprintf(stderr, "seed %lu: %zu steps, %zu moves:", seed, step, moves);
	for (error = 0; error < (int)ARRAY_SIZE(failures); error++) {
		if (failures[error])
			fprintf(stderr, " %zu %s", failures[error],
				error ? strerrorname_np(error) : "whole");
	}
	fprintf(stderr, "\n");
}

static void run_random(const struct operation *operations)
{
	const char *given = getenv("VMREMAP_SEED");
	double end = now() + seconds_from("VMREMAP_RANDOM_SECONDS", 20) / 3.0;

	seed = given && *given ? strtoull(given, NULL, 0)
			       : (uint64_t)time(NULL) << 16 ^ getpid();
	state = seed;
	model_failed = fail_step;
	fprintf(stderr, "VMREMAP_SEED=%lu repeats this\n", seed);
	while (now() < end)
		take_step(operations);
	snprintf(doing, sizeof(doing), "the end");
	compare_all();
	let_go();
	report();
	/* The kernel may keep a page busy now and then, not as a rule. */
	ck_assert_uint_le(failures[EAGAIN], moves / 20 + 1);
}

START_TEST(random_moves_of_small_pages_match_the_model)
{
	add_small_arenas();
	run_random(any_operation);
}
END_TEST

START_TEST(random_moves_of_all_pages_match_the_model)
{
	add_small_arenas();
	add_large_arenas();
	run_random(any_operation);
}
END_TEST

START_TEST(random_woven_vectors_match_the_model)
{
	add_woven_arenas();
	run_random(around_woven_vectors);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("move_random");
	TCase *c = add_case(s, "random");

	/* As long as someone asks for. */
	tcase_set_timeout(c,
			  120 + 2 * seconds_from("VMREMAP_RANDOM_SECONDS", 20));
	tcase_add_test(c, random_moves_of_small_pages_match_the_model);
	tcase_add_test(c, random_moves_of_all_pages_match_the_model);
	tcase_add_test(c, random_woven_vectors_match_the_model);
	return run_suite(s);
}
