/* SPDX-License-Identifier: GPL-2.0-only */
/* Mappings at chosen places, and pages whose content tells who they are. */
#ifndef MEMORY_H
#define MEMORY_H

#include "suite.h"

enum page_kind {
	SMALL, /* 4 KiB pages */
	HUGE,  /* asks for 2 MiB pages */
};

/*
 * Private anonymous memory, readable and writable, that begins `phase` pages
 * after a multiple of 2 MiB. Inaccessible memory on both sides keeps it in a
 * mapping of its own, and its page tables too.
 */
char *map_pages(size_t pages, size_t phase, enum page_kind kind);

/* The same, with other protection or flags of mmap. */
char *map_with(size_t pages, size_t phase, int prot, int flags);

void unmap_pages(void *base, size_t pages);

/* Cuts a mapping in VMAs of `each` pages, by a flag that no operation minds. */
void cut_in_vmas(void *base, size_t pages, size_t each);

/* Word `i` of the page with that tag. A page with tag 0 is all zeros. */
uint64_t tag_word(uint64_t tag, size_t i);

/* Page `i` gets (or is looked at for) the tag first + i. */
void fill(void *base, size_t pages, uint64_t first);
long first_wrong(const void *base, size_t pages, uint64_t first);
bool holds(const void *base, size_t pages, uint64_t first);

/* First page that is not all zeros, or -1. */
long first_not_zero(const void *base, size_t pages);

/* Both are at the place of the call, so that Check shows that line. */
#define ck_holds(base, pages, first)                                           \
	do {                                                                   \
		long wrong_ = first_wrong(base, pages, first);                 \
		ck_assert_msg(wrong_ < 0,                                      \
			      "page %ld of %s does not hold its data", wrong_, \
			      #base);                                          \
	} while (0)

#define ck_zero(base, pages)                                            \
	do {                                                            \
		long wrong_ = first_not_zero(base, pages);              \
		ck_assert_msg(wrong_ < 0, "page %ld of %s is not zero", \
			      wrong_, #base);                           \
	} while (0)

#define ck_sys(call) \
	ck_assert_msg((call) != -1, "%s: %s", #call, strerror(errno))

static inline char *page_at(void *base, size_t page)
{
	return (char *)base + page * PAGE;
}

#endif
