/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_arena.h"

/* Canary pages on either side of a tract. */
#define CANARIES 4
#define CANARY_TAG 7000000

/*
 * A tract begins `phase` pages after a multiple of 2 MiB, and `lead` canary
 * pages before that, so that canaries are also parts of its huge pages.
 */
struct tract {
	enum tracts kind;
	size_t pages, phase, lead;
	bool huge;
	char *base;
};

static struct tract tracts[] UNMOVABLE = {
	{ PLAIN, 40, 3, CANARIES, false, NULL },
	{ PLAIN, 600, 100, CANARIES, false, NULL },
	{ PLAIN, 4 * BLOCK_PAGES, 0, CANARIES, false, NULL },
	{ PLAIN, 4 * BLOCK_PAGES, 0, BLOCK_PAGES, true, NULL },
	{ PLAIN, 2 * BLOCK_PAGES, 7, 7, true, NULL },
	{ QUILT, 2 * BLOCK_PAGES, 0, CANARIES, false, NULL },
	{ QUILT, 300, 200, CANARIES, false, NULL },
	{ PLAIN, 1, 50, CANARIES, false, NULL },
	{ OF_FILE, 40, 60, CANARIES, false, NULL },
	{ OF_SHARED, 40, 60, CANARIES, false, NULL },
	{ READ_ONLY, 40, 60, CANARIES, false, NULL },
};

static char *canaries_from(const struct tract *tract)
{
	return tract->base - tract->lead * PAGE;
}

static char *end_of(const struct tract *tract)
{
	return page_at(tract->base, tract->pages);
}

static uint64_t tag_of(const struct tract *tract)
{
	return CANARY_TAG + (tract - tracts) * 2000;
}

static bool fill_refused(const struct tract *tract)
{
	size_t size = tract->pages * PAGE;
	int flags = MAP_ANONYMOUS | MAP_SHARED;

	if (tract->kind == OF_FILE)
		flags = MAP_PRIVATE;
	if (tract->kind != READ_ONLY &&
	    mmap(tract->base, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
		 tract->kind == OF_FILE ? worker->content : -1,
		 0) != tract->base)
		return false;
	fill(tract->base, tract->pages, tag_of(tract) + 1000);
	return tract->kind != READ_ONLY ||
	       !mprotect(tract->base, size, PROT_READ);
}

static bool map_tract(struct tract *tract, char *from)
{
	size_t pages = tract->lead + tract->pages + CANARIES;
	uintptr_t first = (uintptr_t)page_at(from, tract->lead);
	char *want;

	first = (first + BLOCK - 1) & ~(BLOCK - 1);
	tract->base = (char *)first + tract->phase * PAGE;
	want = canaries_from(tract);
	if (mmap(want, pages * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) != want)
		return false;
	if (tract->huge)
		madvise(want, pages * PAGE, MADV_HUGEPAGE);
	fill(want, tract->lead, tag_of(tract));
	fill(end_of(tract), CANARIES, tag_of(tract) + tract->lead);
	return !(tract->kind & REFUSED) || fill_refused(tract);
}

bool arena_map(void)
{
	char *from = (char *)ARENA_BASE;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tracts); i++) {
		if (!map_tract(&tracts[i], from))
			return false;
		from = page_at(end_of(&tracts[i]), CANARIES + 1);
	}
	return from < (char *)ARENA_BASE + ARENA_SIZE;
}

static struct tract *tract_of(struct fuzzer *f, enum tracts kinds)
{
	struct tract *fitting[ARRAY_SIZE(tracts)] = { NULL };
	size_t i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(tracts); i++) {
		if (tracts[i].kind & kinds)
			fitting[nr++] = &tracts[i];
	}
	return fitting[below(f, nr)];
}

static size_t pick_length(struct fuzzer *f)
{
	uint64_t at = below(f, 200);

	if (at == 0)
		return 1 + below(f, 3 * BLOCK_PAGES);
	if (at < 4)
		return BLOCK_PAGES;
	if (at < 20)
		return 1 + below(f, 100);
	if (at < 90)
		return 1;
	return 1 + below(f, 10);
}

struct piece pick_piece_of(struct fuzzer *f, enum tracts kinds, size_t pages)
{
	struct tract *tract = tract_of(f, kinds);
	size_t first, most = tract->pages < pages ? tract->pages : pages;

	first = below(f, tract->pages - most + 1);
	/* Whole blocks and page tables move as they are only from their start. */
	if (percent(f, pages >= BLOCK_PAGES ? 70 : 20) && tract->phase == 0)
		first -= first % BLOCK_PAGES;
	return (struct piece){ page_at(tract->base, first), most };
}

struct piece pick_piece(struct fuzzer *f, enum tracts kinds)
{
	return pick_piece_of(f, kinds, pick_length(f));
}

struct piece pick_tract(struct fuzzer *f, enum tracts kinds)
{
	struct tract *tract = tract_of(f, kinds);

	return (struct piece){ tract->base, tract->pages };
}

bool arena_has(uint64_t address, uint64_t length)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tracts); i++) {
		uint64_t start = (uintptr_t)tracts[i].base;
		uint64_t size = tracts[i].pages * PAGE;

		if (address >= start && address - start <= size &&
		    length <= size - (address - start))
			return true;
	}
	return false;
}

static bool meet(uint64_t address, uint64_t length, const char *start,
		 const char *end)
{
	uint64_t last = address + length - 1;

	if (last < address)
		last = UINT64_MAX;
	return length && address < (uintptr_t)end && last >= (uintptr_t)start;
}

bool arena_names_canary(uint64_t address, uint64_t length)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tracts); i++) {
		const struct tract *t = &tracts[i];

		if (meet(address, length, canaries_from(t), t->base) ||
		    meet(address, length, end_of(t),
			 page_at(end_of(t), CANARIES)))
			return true;
	}
	return false;
}

bool arena_refuses(uint64_t address, uint64_t length)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tracts); i++) {
		if (tracts[i].kind & REFUSED &&
		    meet(address, length, tracts[i].base, end_of(&tracts[i])))
			return true;
	}
	return false;
}

static void look_at(const struct tract *tract, size_t nr)
{
	char *page = nr < tract->lead
			     ? page_at(canaries_from(tract), nr)
			     : page_at(end_of(tract), nr - tract->lead);

	if (!holds(page, 1, tag_of(tract) + nr))
		fuzz_fail("a page that no call names has changed: %p", page);
}

/* In a loose worker requests may end up in any words. */
void look_at_canary(struct fuzzer *f)
{
	const struct tract *tract = tract_of(f, ANY | REFUSED);
	size_t nr = below(f, tract->lead + CANARIES);

	if (!worker->loose)
		look_at(tract, nr);
}

void look_at_all_canaries(void)
{
	size_t i, nr;

	for (i = 0; i < ARRAY_SIZE(tracts) && !worker->loose; i++) {
		for (nr = 0; nr < tracts[i].lead + CANARIES; nr++)
			look_at(&tracts[i], nr);
		if (tracts[i].kind & REFUSED &&
		    !holds(tracts[i].base, tracts[i].pages,
			   tag_of(&tracts[i]) + 1000))
			fuzz_fail("memory that is not to be moved has changed");
	}
}
