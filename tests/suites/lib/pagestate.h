/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel says of a page: pagemap, kpageflags, smaps, counters. */
#ifndef PAGESTATE_H
#define PAGESTATE_H

#include "memory.h"

#define PM_PRESENT (1ULL << 63)
#define PM_SWAPPED (1ULL << 62)
#define PM_EXCLUSIVE (1ULL << 56)
#define PM_UFFD_WP (1ULL << 57)
#define PM_SOFT_DIRTY (1ULL << 55)
#define PM_FRAME ((1ULL << 55) - 1)

/* From the kernel's own list of /proc/kpageflags bits. */
#define KPF_LOCKED (1ULL << 0)
#define KPF_COMPOUND_HEAD (1ULL << 15)
#define KPF_COMPOUND_TAIL (1ULL << 16)
#define KPF_THP (1ULL << 22)
#define KPF_ZERO_PAGE (1ULL << 24)

/* One pagemap entry a page; none of these touches the pages. */
void read_pagemap(const void *base, size_t pages, uint64_t *entries);
uint64_t pagemap_of(const void *page);
uint64_t frame_of(const void *page);
uint64_t kpageflags_of(const void *page);

size_t count_present(const void *base, size_t pages);
size_t count_swapped(const void *base, size_t pages);
size_t count_soft_dirty(const void *base, size_t pages);
size_t count_write_protected(const void *base, size_t pages);
size_t count_flagged(const void *base, size_t pages, uint64_t flag);

/* Neither in memory nor swapped out: a hole. */
size_t count_holes(const void *base, size_t pages);

/* Frame numbers, to be compared with those found elsewhere later. */
uint64_t *frames_of(const void *base, size_t pages);
bool same_frames(const uint64_t *frames, const void *base, size_t pages);

/* A field of the mapping at `address`, of all mappings, in KiB. */
long smaps_kb(const void *address, const char *field);
long rollup_kb(const char *field);
long status_kb(const char *field);
long meminfo_kb(const char *field);

/* 2 MiB pages mapped as such between the two bounds of a mapping. */
size_t count_huge(const void *address);

size_t count_vmas(const void *base, size_t pages);

/*
 * Brings pages into a state; false if the kernel would not. For KSM they must
 * have twins, be in memory, and not be shared already.
 */
bool page_out(void *base, size_t pages);
bool merge_by_ksm(void *base, size_t pages);

/* Filled HUGE memory that is really of 2 MiB pages; all of it, or it fails. */
char *map_thp(size_t blocks, size_t phase, uint64_t first);

/* Filled memory of 64 KiB folios, or NULL if the kernel has none. */
#define MTHP_PAGES 16
char *map_mthp(size_t pages, size_t phase, uint64_t first);

/* Pages of large folios among these. */
size_t count_large(const void *base, size_t pages);

#define ck_holes(base, pages)                                                  \
	do {                                                                   \
		size_t holes_ = count_holes(base, pages);                      \
		ck_assert_msg(holes_ == (size_t)(pages),                       \
			      "%s: %zu of %zu pages are holes", #base, holes_, \
			      (size_t)(pages));                                \
	} while (0)

#endif
