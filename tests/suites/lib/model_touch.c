/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages are written, read, discarded, guarded. */
#include "model_calls.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define MADV_GUARD_INSTALL_ 102
#define MADV_GUARD_REMOVE_ 103

static bool has_guards;

void begin_touching(void)
{
	char *page = map_pages(1, 0, SMALL);

	has_guards = !madvise(page, PAGE, MADV_GUARD_INSTALL_);
	unmap_pages(page, 1);
}

void write_pages(void)
{
	uint64_t twins = percent(8) ? new_tag() : 0;
	struct piece piece;

	if (!find_piece(&piece, sometimes_many(700, 40), is_writable))
		return;
	write_piece(piece, start_of(piece), twins);
	learn_filled_holes(piece.arena);
}

static bool is_lasting(const struct cell *cell, const struct place *place)
{
	return is_writable(cell, place) && !cell->lazy;
}

void write_words(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 10, is_lasting))
		return;
	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];
		uint64_t *words = (uint64_t *)page_at(start_of(piece), i);

		/* One other word is all that a cell can tell. */
		if (!cell->word_tag)
			cell->word = below(PAGE / sizeof(*words));
		cell->word_tag = new_tag();
		cell->hole = false;
		cell->shared = NOT_SHARED;
		words[cell->word] = tag_word(cell->word_tag, cell->word);
	}
	learn_filled_holes(piece.arena);
}

void read_pages(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 40, is_readable))
		return;
	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];
		const char *at = page_at(start_of(piece), i);

		cell->hole = false;
		if (cell->lazy && first_not_zero(at, 1) < 0)
			continue;
		ck_model(holds_cell(at, cell), "%s page %zu", piece.arena->name,
			 piece.first + i);
	}
	learn_filled_holes(piece.arena);
}

void discard_pages(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, sometimes_many(1200, 60), is_unlocked))
		return;
	advise_surely(piece, MADV_DONTNEED);
	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];

		if (!cell->guard)
			*cell = (struct cell){ .hole = true };
	}
}

void free_lazily(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, sometimes_many(600, 30), is_unlocked))
		return;
	advise(piece, MADV_FREE);
	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];

		cell->lazy |= !cell->hole && !cell->guard;
	}
}

void page_out_pages(void)
{
	struct piece piece;

	if (!find_piece(&piece, sometimes_many(1200, 100), is_unlocked))
		return;
	advise(piece, MADV_PAGEOUT);
	unsure_of_sharing(piece);
}

void cool_pages(void)
{
	struct piece piece;

	if (find_piece(&piece, 300, is_unlocked))
		advise(piece, MADV_COLD);
}

void collapse_pages(void)
{
	struct piece piece;

	if (!find_piece(&piece, 1500, is_private))
		return;
	advise(piece, MADV_COLLAPSE);
	unsure_of_sharing(piece);
	learn_filled_holes(piece.arena);
}

void populate_pages(void)
{
	struct piece piece;

	if (!find_piece(&piece, sometimes_many(600, 30), is_fillable))
		return;
	advise_surely(piece, MADV_POPULATE_WRITE);
	make_own(piece);
}

static bool is_guardable(const struct cell *cell, const struct place *place)
{
	return is_fillable(cell, place) && !place->locked;
}

void install_guards(void)
{
	struct piece piece;
	size_t i;

	if (!has_guards || !find_piece(&piece, 4, is_guardable))
		return;
	advise_surely(piece, MADV_GUARD_INSTALL_);
	for (i = 0; i < piece.pages; i++)
		cells_of(piece)[i] = (struct cell){ .guard = true };
}

static bool is_guard(const struct cell *cell, const struct place *place)
{
	(void)place;
	return cell->guard;
}

void remove_guards(void)
{
	struct piece piece;

	if (!has_guards || !find_piece(&piece, 40, is_guard))
		return;
	advise_surely(piece, MADV_GUARD_REMOVE_);
	make_holes(piece);
}
