/* SPDX-License-Identifier: GPL-2.0-only */
#include "pagestate.h"

#include <fcntl.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static void read_at(const char *path, void *to, size_t length, off_t offset)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	while (got < length) {
		ssize_t n =
			pread(fd, (char *)to + got, length - got, offset + got);

		ck_assert_msg(n > 0, "%s: short read", path);
		got += n;
	}
	close(fd);
}

void read_pagemap(const void *base, size_t pages, uint64_t *entries)
{
	read_at("/proc/self/pagemap", entries, pages * sizeof(*entries),
		(uintptr_t)base / PAGE * sizeof(*entries));
}

uint64_t pagemap_of(const void *page)
{
	uint64_t entry;

	read_pagemap(page, 1, &entry);
	return entry;
}

uint64_t frame_of(const void *page)
{
	uint64_t entry = pagemap_of(page);

	return entry & PM_PRESENT ? entry & PM_FRAME : 0;
}

static uint64_t kpageflags(uint64_t entry)
{
	uint64_t flags;

	if (!(entry & PM_PRESENT))
		return 0;
	read_at("/proc/kpageflags", &flags, sizeof(flags),
		(entry & PM_FRAME) * sizeof(flags));
	return flags;
}

uint64_t kpageflags_of(const void *page)
{
	return kpageflags(pagemap_of(page));
}

/* Counts the pages of which (entry & mask) == want. */
static size_t count_entries(const void *base, size_t pages, uint64_t mask,
			    uint64_t want)
{
	uint64_t *entries = calloc(pages, sizeof(*entries));
	size_t i, count = 0;

	ck_assert_ptr_nonnull(entries);
	read_pagemap(base, pages, entries);
	for (i = 0; i < pages; i++)
		count += (entries[i] & mask) == want;
	free(entries);
	return count;
}

size_t count_present(const void *base, size_t pages)
{
	return count_entries(base, pages, PM_PRESENT, PM_PRESENT);
}

size_t count_swapped(const void *base, size_t pages)
{
	return count_entries(base, pages, PM_SWAPPED, PM_SWAPPED);
}

size_t count_soft_dirty(const void *base, size_t pages)
{
	return count_entries(base, pages, PM_SOFT_DIRTY, PM_SOFT_DIRTY);
}

size_t count_write_protected(const void *base, size_t pages)
{
	return count_entries(base, pages, PM_UFFD_WP, PM_UFFD_WP);
}

size_t count_holes(const void *base, size_t pages)
{
	return count_entries(base, pages, PM_PRESENT | PM_SWAPPED, 0);
}

size_t count_flagged(const void *base, size_t pages, uint64_t flag)
{
	uint64_t *entries = calloc(pages, sizeof(*entries));
	size_t i, count = 0;

	ck_assert_ptr_nonnull(entries);
	read_pagemap(base, pages, entries);
	for (i = 0; i < pages; i++)
		count += !!(kpageflags(entries[i]) & flag);
	free(entries);
	return count;
}

size_t count_large(const void *base, size_t pages)
{
	return count_flagged(base, pages,
			     KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL);
}

uint64_t *frames_of(const void *base, size_t pages)
{
	uint64_t *frames = calloc(pages, sizeof(*frames));
	size_t i;

	ck_assert_ptr_nonnull(frames);
	read_pagemap(base, pages, frames);
	for (i = 0; i < pages; i++)
		frames[i] = frames[i] & PM_PRESENT ? frames[i] & PM_FRAME : 0;
	return frames;
}

bool same_frames(const uint64_t *frames, const void *base, size_t pages)
{
	uint64_t *found = frames_of(base, pages);
	bool same = !memcmp(frames, found, pages * sizeof(*found));

	free(found);
	return same;
}

/* "Field:   123 kB" */
static bool is_field(const char *line, const char *field, long *value)
{
	size_t length = strlen(field);

	if (strncmp(line, field, length) || line[length] != ':')
		return false;
	*value = strtol(line + length + 1, NULL, 10);
	return true;
}

static long field_of(const char *path, const char *field)
{
	FILE *file = fopen(path, "re");
	long value = -1;
	char line[512];

	ck_assert_msg(file, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (is_field(line, field, &value))
			break;
	}
	fclose(file);
	ck_assert_msg(value >= 0, "%s has no %s", path, field);
	return value;
}

long rollup_kb(const char *field)
{
	return field_of("/proc/self/smaps_rollup", field);
}

long status_kb(const char *field)
{
	return field_of("/proc/self/status", field);
}

long meminfo_kb(const char *field)
{
	return field_of("/proc/meminfo", field);
}

static bool is_vma(const char *line, uintptr_t *start, uintptr_t *end)
{
	return sscanf(line, "%lx-%lx ", start, end) == 2;
}

long smaps_kb(const void *address, const char *field)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	uintptr_t start = 0, end = 0, want = (uintptr_t)address;
	long value = -1;
	char line[512];

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (is_vma(line, &start, &end))
			continue;
		if (start <= want && want < end &&
		    is_field(line, field, &value))
			break;
	}
	fclose(file);
	ck_assert_msg(value >= 0, "no %s of the mapping at %p", field, address);
	return value;
}

size_t count_huge(const void *address)
{
	return smaps_kb(address, "AnonHugePages") / (BLOCK / 1024);
}

size_t count_vmas(const void *base, size_t pages)
{
	FILE *file = fopen("/proc/self/maps", "re");
	uintptr_t start, end, from = (uintptr_t)base;
	size_t count = 0;
	char line[512];

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (is_vma(line, &start, &end))
			count += start < from + pages * PAGE && end > from;
	}
	fclose(file);
	return count;
}

/*
 * Pages that wait in another CPU's batch for the LRU cannot be reclaimed until
 * it is drained, which compaction does.
 */
bool page_out(void *base, size_t pages)
{
	int tries;

	for (tries = 0; tries < 20; tries++) {
		ck_sys(madvise(base, pages * PAGE, MADV_PAGEOUT));
		if (count_present(base, pages) == 0)
			return true;
		if (tries > 1)
			write_knob("/proc/sys/vm/compact_memory", "1");
	}
	return false;
}

/*
 * Some kernels flag every anonymous page as one of KSM's, so that alone says
 * nothing; these are pages that nothing but KSM makes shared.
 */
static size_t count_merged(void *base, size_t pages)
{
	return pages - count_entries(base, pages, PM_PRESENT | PM_EXCLUSIVE,
				     PM_PRESENT | PM_EXCLUSIVE);
}

bool merge_by_ksm(void *base, size_t pages)
{
	double deadline = now() + 30;

	if (madvise(base, pages * PAGE, MADV_MERGEABLE))
		return false;
	write_knob(KSM_DIR "smart_scan", "0");
	write_knob(KSM_DIR "pages_to_scan", "4096");
	write_knob(KSM_DIR "sleep_millisecs", "5");
	write_knob(KSM_DIR "run", "1");
	while (count_merged(base, pages) < pages) {
		if (now() > deadline)
			return false;
		usleep(20000);
	}
	write_knob(KSM_DIR "run", "0");
	return true;
}

char *map_thp(size_t blocks, size_t phase, uint64_t first)
{
	size_t pages = blocks * BLOCK_PAGES;
	char *base = map_pages(pages, phase, HUGE);
	size_t whole = phase ? blocks - 1 : blocks;

	fill(base, pages, first);
	if (count_huge(base) < whole)
		madvise(base, pages * PAGE, MADV_COLLAPSE);
	ck_assert_msg(count_huge(base) >= whole, "only %zu of %zu huge pages",
		      count_huge(base), whole);
	return base;
}

char *map_mthp(size_t pages, size_t phase, uint64_t first)
{
	char *base;

	if (!write_knob(THP_DIR "hugepages-64kB/enabled", "always"))
		return NULL;
	base = map_pages(pages, phase, SMALL);
	fill(base, pages, first);
	write_knob(THP_DIR "hugepages-64kB/enabled", "never");
	ck_assert_msg(count_large(base, pages) == pages,
		      "only %zu of %zu pages are in large folios",
		      count_large(base, pages), pages);
	return base;
}
