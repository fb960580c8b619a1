/* SPDX-License-Identifier: GPL-2.0-only */
#include "memory.h"

#define WORDS (PAGE / sizeof(uint64_t))

static char *reserve(size_t pages, size_t phase)
{
	size_t length = pages * PAGE + 4 * BLOCK;
	char *base = mmap(NULL, length, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t first;

	ck_assert_msg(base != MAP_FAILED, "no room for %zu pages", pages);
	first = ((uintptr_t)base + 2 * BLOCK - 1) & ~(BLOCK - 1);
	return (char *)first + phase * PAGE;
}

char *map_with(size_t pages, size_t phase, int prot, int flags)
{
	char *want = reserve(pages, phase);
	char *base = mmap(want, pages * PAGE, prot,
			  flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return base == MAP_FAILED ? NULL : base;
}

char *map_pages(size_t pages, size_t phase, enum page_kind kind)
{
	char *base =
		map_with(pages, phase, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	ck_assert_ptr_nonnull(base);
	if (kind == HUGE)
		ck_sys(madvise(base, pages * PAGE, MADV_HUGEPAGE));
	return base;
}

void unmap_pages(void *base, size_t pages)
{
	ck_sys(munmap(base, pages * PAGE));
}

void cut_in_vmas(void *base, size_t pages, size_t each)
{
	size_t at;

	for (at = each; at < pages; at += 2 * each) {
		size_t length = pages - at < each ? pages - at : each;

		ck_sys(madvise(page_at(base, at), length * PAGE,
			       MADV_DONTDUMP));
	}
}

uint64_t tag_word(uint64_t tag, size_t i)
{
	return tag ? tag * 0x9e3779b97f4a7c15ULL + i : 0;
}

static void fill_page(uint64_t *page, uint64_t tag)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		page[i] = tag_word(tag, i);
}

static bool page_holds(const uint64_t *page, uint64_t tag)
{
	size_t i;

	for (i = 0; i < WORDS; i++) {
		if (page[i] != tag_word(tag, i))
			return false;
	}
	return true;
}

void fill(void *base, size_t pages, uint64_t first)
{
	size_t i;

	for (i = 0; i < pages; i++)
		fill_page((uint64_t *)page_at(base, i), first + i);
}

long first_wrong(const void *base, size_t pages, uint64_t first)
{
	const char *page = base;
	size_t i;

	for (i = 0; i < pages; i++) {
		if (!page_holds((const uint64_t *)(page + i * PAGE), first + i))
			return i;
	}
	return -1;
}

bool holds(const void *base, size_t pages, uint64_t first)
{
	return first_wrong(base, pages, first) < 0;
}

long first_not_zero(const void *base, size_t pages)
{
	const char *page = base;
	size_t i;

	for (i = 0; i < pages; i++) {
		if (!page_holds((const uint64_t *)(page + i * PAGE), 0))
			return i;
	}
	return -1;
}
