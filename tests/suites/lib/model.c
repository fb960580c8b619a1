/* SPDX-License-Identifier: GPL-2.0-only */
#include "model.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>

#include "random.h"

#define WORDS (PAGE / sizeof(uint64_t))

static void abort_test(const char *condition, const char *message)
{
	ck_abort_msg("%s: %s", condition, message);
}

void (*model_failed)(const char *condition, const char *message) = abort_test;

void model_fails(const char *condition, const char *format, ...)
{
	char message[500];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	model_failed(condition, message);
	abort();
}

bool has_data(const struct cell *cell)
{
	return cell->tag || cell->word_tag;
}

static bool holds_words(const uint64_t *words, const struct cell *cell)
{
	size_t i;

	for (i = 0; i < WORDS; i++) {
		uint64_t tag = i == cell->word ? cell->word_tag : cell->tag;

		if (words[i] != tag_word(tag, i))
			return false;
	}
	return true;
}

bool holds_cell(const void *page, const struct cell *cell)
{
	if (cell->word_tag)
		return holds_words(page, cell);
	return holds(page, 1, cell->tag);
}

const struct place *place_at(const struct arena *arena, size_t page)
{
	static const struct place usual = {
		.prot = PROT_READ | PROT_WRITE,
	};
	static const struct place usual_large = {
		.prot = PROT_READ | PROT_WRITE,
		.large = true,
	};

	if (arena->places)
		return &arena->places[page];
	return arena->large ? &usual_large : &usual;
}

/* Memory against model */

/*
 * A page, or a copy of one that its protection keeps from being read; NULL
 * where the kernel does not give that out.
 */
static const char *look_at(const struct arena *arena, size_t page)
{
	static char copy[PAGE];
	char *at = page_at(arena->base, page);
	ssize_t got;
	int fd;

	if (place_at(arena, page)->prot & PROT_READ)
		return at;
	fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	got = pread(fd, copy, PAGE, (uintptr_t)at);
	close(fd);
	return got == (ssize_t)PAGE ? copy : NULL;
}

static bool has_soft_dirty(void)
{
	static struct vmremap_query query;

	if (!query.size)
		ck_assert_int_eq(vmremap_query(dev, &query), 0);
	return !(query.lacks & VMREMAP_LACKS_SOFT_DIRTY);
}

static void compare_bits(const struct arena *arena, size_t page, uint64_t entry)
{
	struct cell *cell = &arena->cells[page];
	bool protected = entry & PM_UFFD_WP;

	if (cell->moved && has_data(cell))
		ck_model(entry & PM_SOFT_DIRTY || !has_soft_dirty(),
			 "%s page %zu has moved and is not soft-dirty",
			 arena->name, page);
	cell->moved = false;
	ck_model(protected == cell->write_protected || cell->lazy,
		 "%s page %zu: write-protected %d, expected %d", arena->name,
		 page, protected, cell->write_protected);
}

static void compare_page(const struct arena *arena, size_t page, uint64_t entry)
{
	struct cell *cell = &arena->cells[page];
	bool hole = !(entry & (PM_PRESENT | PM_SWAPPED));
	const char *at;

	if (place_at(arena, page)->mapping == MAPPED_OTHERWISE) {
		ck_model(holds_cell(page_at(arena->base, page), cell),
			 "%s page %zu does not hold tag %lu", arena->name, page,
			 cell->tag);
		return;
	}
	if (hole && cell->lazy)
		*cell = (struct cell){ .hole = true };
	ck_model(hole == cell->hole, "%s page %zu: %s, expected %s",
		 arena->name, page, hole ? "a hole" : "a page",
		 cell->hole ? "a hole" : "a page");
	if (hole || cell->guard)
		return;
	compare_bits(arena, page, entry);
	at = look_at(arena, page);
	if (!at || (cell->lazy && first_not_zero(at, 1) < 0))
		return;
	ck_model(holds_cell(at, cell), "%s page %zu does not hold tag %lu",
		 arena->name, page, cell->tag);
}

static uint64_t *entries_of(const struct arena *arena, size_t first,
			    size_t pages)
{
	uint64_t *entries = calloc(pages, sizeof(*entries));

	ck_assert_ptr_nonnull(entries);
	read_pagemap(page_at(arena->base, first), pages, entries);
	return entries;
}

void compare_cells(struct arena *arena, size_t first, size_t pages)
{
	uint64_t *entries = entries_of(arena, first, pages);
	size_t i;

	for (i = 0; i < pages; i++)
		compare_page(arena, first + i, entries[i]);
	free(entries);
}

void compare_arena(struct arena *arena)
{
	compare_cells(arena, 0, arena->pages);
}

static bool brings_others(const struct arena *arena, size_t page)
{
	const struct place *place = place_at(arena, page);

	return place->large && place->mapping == PRIVATE_ANONYMOUS;
}

void learn_filled_holes(struct arena *arena)
{
	uint64_t *entries;
	size_t i;

	if (!arena->large && !arena->places)
		return;
	entries = entries_of(arena, 0, arena->pages);
	for (i = 0; i < arena->pages; i++) {
		struct cell *cell = &arena->cells[i];

		if (cell->hole && brings_others(arena, i) &&
		    entries[i] & (PM_PRESENT | PM_SWAPPED))
			*cell = (struct cell){ 0 };
	}
	free(entries);
}

/* Ranges */

static size_t pick_length(uint64_t *state)
{
	switch (random_below(state, 10)) {
	case 0:
		return 512 + random_below(state, 1000);
	case 1:
		return 512;
	case 2:
	case 3:
		return 1 + random_below(state, 200);
	default:
		return 1 + random_below(state, 24);
	}
}

size_t congruent_dst(const struct picked *p, size_t dst)
{
	uintptr_t from = (uintptr_t)page_at(p->from->base, p->src);
	uintptr_t to = (uintptr_t)page_at(p->to->base, dst);
	size_t ahead = (from - to) % BLOCK / PAGE;

	if (dst + ahead + p->pages <= p->to->pages)
		return dst + ahead;
	return dst;
}

struct picked pick_range(uint64_t *state, struct arena *arenas,
			 size_t nr_arenas)
{
	struct picked p = { 0 };

	p.to = &arenas[random_below(state, nr_arenas)];
	p.from = &arenas[random_below(state, nr_arenas)];
	p.pages = pick_length(state);
	if (p.pages > p.from->pages)
		p.pages = p.from->pages;
	if (p.pages > p.to->pages)
		p.pages = p.to->pages;
	p.src = random_below(state, p.from->pages - p.pages + 1);
	p.dst = random_below(state, p.to->pages - p.pages + 1);
	if (random_percent(state, 50))
		p.dst = congruent_dst(&p, p.dst);
	return p;
}

bool overlaps(const struct picked *p)
{
	return p->to == p->from && p->dst < p->src + p->pages &&
	       p->src < p->dst + p->pages;
}

struct cell *dst_cell(const struct picked *p, size_t page)
{
	return &p->to->cells[p->dst + page];
}

struct cell *src_cell(const struct picked *p, size_t page)
{
	return &p->from->cells[p->src + page];
}

/* Refusals */

static bool is_fit(const struct place *place)
{
	return place->mapping == PRIVATE_ANONYMOUS &&
	       place->prot == (PROT_READ | PROT_WRITE);
}

static bool is_mapped(const struct place *place)
{
	return place->mapping != NOT_MAPPED;
}

static bool refuses_invalid(const struct place *src, const struct place *dst,
			    unsigned int flags)
{
	if (!is_mapped(src) || !is_mapped(dst))
		return (is_mapped(src) && !is_fit(src)) ||
		       (is_mapped(dst) && !is_fit(dst));
	return !is_fit(src) || !is_fit(dst) || src->locked != dst->locked ||
	       (dst->watched && !(flags & WAKE_LATER));
}

/* Which errors the mappings of a page's two places call for. */
struct refusal {
	bool invalid, not_mapped;
};

static struct refusal refusal_at(const struct picked *p, size_t page,
				 unsigned int flags)
{
	const struct place *src = place_at(p->from, p->src + page);
	const struct place *dst = place_at(p->to, p->dst + page);

	return (struct refusal){
		.invalid = refuses_invalid(src, dst, flags),
		.not_mapped = !is_mapped(src) || !is_mapped(dst),
	};
}

bool is_refused_at(const struct picked *p, size_t page, unsigned int flags)
{
	struct refusal refusal = refusal_at(p, page, flags);

	return refusal.invalid || refusal.not_mapped;
}

static struct refusal refusal_of(const struct picked *picked, size_t nr,
				 unsigned int flags)
{
	struct refusal all = { 0 };
	size_t r, page;

	for (r = 0; r < nr; r++) {
		const struct picked *p = &picked[r];

		all.invalid |= overlaps(p);
		for (page = 0; page < p->pages; page++) {
			struct refusal one = refusal_at(p, page, flags);

			all.invalid |= one.invalid;
			all.not_mapped |= one.not_mapped;
		}
	}
	return all;
}

/* Pages */

/*
 * A large folio that is shared in part may end a move at its first page of the
 * range: whether it can move is found for all of it.
 */
static size_t same_folio_end(const struct picked *p, size_t page)
{
	uintptr_t at = (uintptr_t)page_at(p->from->base, p->src + page);
	size_t left = (BLOCK - at % BLOCK) / PAGE;

	if (!place_at(p->from, p->src + page)->large)
		return page + 1;
	return page + left < p->pages ? page + left : p->pages;
}

static bool may_be_shared(const struct picked *p, size_t page)
{
	size_t end = same_folio_end(p, page);

	for (; page < end; page++) {
		if (src_cell(p, page)->shared ||
		    place_at(p->from, p->src + page)->mergeable)
			return true;
	}
	return false;
}

/* The kernel's own word, where folios get apart over time. */
static bool is_of_large_folio(const struct picked *p, size_t page)
{
	return p->from->places &&
	       count_large(page_at(p->from->base, p->src + page), 1);
}

static bool may_be_busy(const struct picked *p, size_t page, unsigned int flags)
{
	const struct cell *cell = src_cell(p, page);

	if (cell->hole || cell->guard)
		return false;
	return cell->pinned || (!(flags & UNSHARE) && may_be_shared(p, page)) ||
	       is_of_large_folio(p, page);
}

static bool may_end_with(const struct picked *p, size_t page,
			 unsigned int flags, int error)
{
	const struct cell *from = src_cell(p, page), *to = dst_cell(p, page);

	switch (error) {
	case ENOENT:
		return (from->hole || from->lazy) && !(flags & HOLES);
	case EEXIST:
		return !(flags & REPLACE) && !to->hole &&
		       !(from->hole && flags & HOLES);
	case EBUSY:
		return may_be_busy(p, page, flags);
	case EFAULT:
		return from->guard || (flags & REPLACE && to->guard);
	case EAGAIN:
		return true;
	default:
		return false;
	}
}

bool may_pass(const struct picked *p, size_t page, unsigned int flags)
{
	const struct cell *from = src_cell(p, page), *to = dst_cell(p, page);

	if (from->hole)
		return flags & HOLES && !(flags & REPLACE && to->guard);
	if (from->guard || from->pinned || to->guard)
		return false;
	if (from->shared == SURELY_SHARED && !(flags & UNSHARE))
		return false;
	return to->hole || flags & REPLACE;
}

void play_page(const struct picked *p, size_t page, unsigned int flags)
{
	struct cell *from = src_cell(p, page), *to = dst_cell(p, page);

	if (from->hole && !(flags & REPLACE))
		return;
	*to = *from;
	to->shared = NOT_SHARED;
	to->write_protected = false;
	to->moved = !to->hole;
	*from = (struct cell){ .hole = true };
}

static const char *state_of(const struct cell *cell)
{
	static const char *const sharing[] = {
		[NOT_SHARED] = "a page",
		[MAYBE_SHARED] = "a page that may be shared",
		[SURELY_SHARED] = "a shared page",
	};

	if (cell->hole)
		return "a hole";
	if (cell->guard)
		return "a guard";
	if (cell->pinned)
		return "a pinned page";
	return sharing[cell->shared];
}

/* Plays what the call says it did, and judges where it says it ended. */
static void play(const struct picked *picked, size_t nr, unsigned int flags,
		 int error, size_t moved, size_t done)
{
	size_t r, page, whole = 0;

	for (r = 0; r < nr; r++) {
		const struct picked *p = &picked[r];

		for (page = 0; page < p->pages && moved; page++, moved--) {
			ck_model(may_pass(p, page, flags),
				 "range %zu page %zu cannot have moved: "
				 "%s to %s",
				 r, page, state_of(src_cell(p, page)),
				 state_of(dst_cell(p, page)));
			play_page(p, page, flags);
		}
		if (page < p->pages) {
			ck_model(error && may_end_with(p, page, flags, error),
				 "range %zu page %zu: %s, %s to %s", r, page,
				 strerror(error), state_of(src_cell(p, page)),
				 state_of(dst_cell(p, page)));
			break;
		}
		whole++;
	}
	ck_model(moved == 0, "%zu pages too many", moved);
	ck_model(r < nr || !error, "all moved, but %s", strerror(error));
	ck_model(whole == done, "%zu ranges whole, %zu told", whole, done);
}

void judge_move(const struct picked *picked, size_t nr, unsigned int flags,
		int rc, size_t moved, size_t done)
{
	struct refusal refusal = refusal_of(picked, nr, flags);

	ck_model(rc <= 0 && rc > -140, "returned %d", rc);
	ck_model(moved % PAGE == 0, "moved %zu bytes", moved);
	if (!refusal.invalid && !refusal.not_mapped) {
		play(picked, nr, flags, -rc, moved / PAGE, done);
		return;
	}
	ck_model((refusal.invalid && rc == -EINVAL) ||
			 (refusal.not_mapped && rc == -ENOENT),
		 "it should be refused: %s", strerror(-rc));
	ck_model(!moved && !done, "%s, but %zu bytes, %zu ranges",
		 strerror(-rc), moved, done);
}

void compare_ranges(const struct picked *picked, size_t nr)
{
	size_t r;

	for (r = 0; r < nr; r++) {
		compare_cells(picked[r].to, picked[r].dst, picked[r].pages);
		compare_cells(picked[r].from, picked[r].src, picked[r].pages);
	}
}
