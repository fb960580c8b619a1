// SPDX-License-Identifier: GPL-2.0-only
/* Many ranges in one call: order, progress, mappings. */
#include <sys/wait.h>

#include "lib/child.h"
#include "lib/moves.h"
#include "lib/pin.h"

#define TAG 1000
#define OLD 700000
#define MANY 4096

/* Each page to a place of its own; `multiplier` is odd, so all differ. */
static size_t scattered(size_t page, size_t multiplier)
{
	return (page * multiplier + 11) % MANY;
}

static struct vmremap_range *many_ranges(char *dst, char *src, bool ascending)
{
	struct vmremap_range *ranges = calloc(MANY, sizeof(*ranges));
	size_t i;

	ck_assert_ptr_nonnull(ranges);
	for (i = 0; i < MANY; i++) {
		size_t from = ascending ? i : scattered(i, 2039);

		ranges[i] = range_of(page_at(dst, scattered(from, 1237)),
				     page_at(src, from), 1);
	}
	return ranges;
}

static void scatters(bool ascending)
{
	char *src = map_pages(MANY, 0, SMALL);
	char *dst = map_pages(MANY, 0, SMALL);
	struct vmremap_range *ranges = many_ranges(dst, src, ascending);
	size_t i;

	fill(src, MANY, TAG);
	ck_movev_ends(ranges, MANY, 0, 0, MANY, MANY);
	ck_holes(src, MANY);
	for (i = 0; i < MANY; i++)
		ck_holds(page_at(dst, scattered(i, 1237)), 1, TAG + i);
}

START_TEST(one_range_is_a_move)
{
	char *src = map_pages(100, 0, SMALL);
	char *dst = map_pages(100, 7, SMALL);
	struct vmremap_range range = range_of(dst, src, 100);

	fill(src, 100, TAG);
	ck_movev_ends(&range, 1, 0, 0, 100, 1);
	ck_arrived(dst, src, 100, TAG);
}
END_TEST

START_TEST(thousands_of_pages_in_ascending_order)
{
	scatters(true);
}
END_TEST

START_TEST(thousands_of_pages_in_any_order)
{
	scatters(false);
}
END_TEST

START_TEST(ranges_of_different_sizes)
{
	const size_t sizes[] = { 1, 600, 3, 512, 17, 1, 1024, 2 };
	char *src = map_pages(3000, 0, SMALL);
	char *dst = map_pages(3000, 0, SMALL);
	struct vmremap_range ranges[ARRAY_SIZE(sizes)];
	size_t i, at = 0;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		/* The first goes to the end, the next before it, and so on. */
		ranges[i] = range_of(page_at(dst, 3000 - at - sizes[i]),
				     page_at(src, at), sizes[i]);
		at += sizes[i];
	}
	fill(src, at, TAG);
	ck_movev_ends(ranges, ARRAY_SIZE(sizes), 0, 0, at, ARRAY_SIZE(sizes));
	ck_holes(src, at);
	for (i = 0, at = 0; i < ARRAY_SIZE(sizes); at += sizes[i++])
		ck_holds(page_at(dst, 3000 - at - sizes[i]), sizes[i],
			 TAG + at);
}
END_TEST

/* Every third page is garbage; the others slide down over it. */
START_TEST(sliding_compaction)
{
	char *heap = map_pages(MANY, 0, SMALL);
	struct vmremap_range ranges[MANY];
	size_t i, live = 0;

	fill(heap, MANY, TAG);
	for (i = 0; i < MANY; i++) {
		if (i % 3 == 0)
			continue;
		ranges[live] =
			range_of(page_at(heap, live), page_at(heap, i), 1);
		live++;
	}
	ck_movev_ends(ranges, live, REPLACE, 0, live, live);
	for (i = 0, live = 0; i < MANY; i++) {
		if (i % 3)
			ck_holds(page_at(heap, live++), 1, TAG + i);
	}
}
END_TEST

START_TEST(destination_that_was_an_earlier_source)
{
	const size_t pages = 700;
	char *base = map_pages(pages, 0, SMALL);
	struct vmremap_range ranges[699];
	size_t i;

	fill(page_at(base, 1), pages - 1, TAG);
	for (i = 0; i < pages - 1; i++)
		ranges[i] = range_of(page_at(base, i), page_at(base, i + 1), 1);
	ck_movev_ends(ranges, pages - 1, 0, 0, pages - 1, pages - 1);
	ck_holds(base, pages - 1, TAG);
	ck_holes(page_at(base, pages - 1), 1);
}
END_TEST

static void moves_in_a_chain(size_t pages, size_t b_phase, size_t c_phase)
{
	char *a = map_pages(pages, 0, SMALL);
	char *b = map_pages(pages, b_phase, SMALL);
	char *c = map_pages(pages, c_phase, SMALL);
	struct vmremap_range ranges[2] = {
		range_of(b, a, pages),
		range_of(c, b, pages),
	};

	fill(a, pages, TAG);
	ck_movev_ends(ranges, 2, 0, 0, 2 * pages, 2);
	ck_holes(a, pages);
	ck_arrived(c, b, pages, TAG);
}

START_TEST(source_that_was_an_earlier_destination)
{
	moves_in_a_chain(1, 5, 9);
	moves_in_a_chain(300, 5, 9);
	moves_in_a_chain(2 * BLOCK_PAGES, 0, 0);
	moves_in_a_chain(2 * BLOCK_PAGES, 0, 3);
}
END_TEST

START_TEST(two_ranges_change_places_over_a_third)
{
	char *base = map_pages(900, 0, SMALL);
	char *a = base, *b = page_at(base, 300), *room = page_at(base, 600);
	struct vmremap_range ranges[3] = {
		range_of(room, a, 300),
		range_of(a, b, 300),
		range_of(b, room, 300),
	};

	fill(a, 300, TAG);
	fill(b, 300, OLD);
	ck_movev_ends(ranges, 3, 0, 0, 900, 3);
	ck_holds(a, 300, OLD);
	ck_holds(b, 300, TAG);
	ck_holes(room, 300);
}
END_TEST

START_TEST(range_given_twice_fails_the_second_time)
{
	char *src = map_pages(100, 0, SMALL);
	char *dst = map_pages(200, 9, SMALL);
	struct vmremap_range ranges[2] = {
		range_of(dst, src, 100),
		range_of(page_at(dst, 100), src, 100),
	};

	fill(src, 100, TAG);
	ck_movev_ends(ranges, 2, 0, ENOENT, 100, 1);
	ck_arrived(dst, src, 100, TAG);
	ck_holes(page_at(dst, 100), 100);
}
END_TEST

START_TEST(destination_given_twice_fails_the_second_time)
{
	char *src = map_pages(200, 0, SMALL);
	char *dst = map_pages(100, 9, SMALL);
	struct vmremap_range ranges[2] = {
		range_of(dst, src, 100),
		range_of(dst, page_at(src, 100), 100),
	};

	fill(src, 200, TAG);
	ck_movev_ends(ranges, 2, 0, EEXIST, 100, 1);
	ck_holds(dst, 100, TAG);
	ck_holes(src, 100);
	ck_holds(page_at(src, 100), 100, TAG + 100);
}
END_TEST

START_TEST(destination_given_twice_is_replaced)
{
	char *src = map_pages(200, 0, SMALL);
	char *dst = map_pages(100, 9, SMALL);
	struct vmremap_range ranges[2] = {
		range_of(dst, src, 100),
		range_of(dst, page_at(src, 100), 100),
	};

	fill(src, 200, TAG);
	ck_movev_ends(ranges, 2, REPLACE, 0, 200, 2);
	ck_holds(dst, 100, TAG + 100);
	ck_holes(src, 200);
}
END_TEST

/* Failure in the middle */

START_TEST(failure_inside_a_range_is_told_exactly)
{
	char *src = map_pages(1000, 0, SMALL);
	char *dst = map_pages(1000, 9, SMALL);
	struct vmremap_range ranges[10];
	size_t i;

	for (i = 0; i < 10; i++)
		ranges[i] = range_of(page_at(dst, 100 * i),
				     page_at(src, 100 * i), 100);
	fill(src, 1000, TAG);
	fill(page_at(dst, 642), 1, OLD);
	ck_movev_ends(ranges, 10, 0, EEXIST, 642, 6);
	ck_holds(dst, 642, TAG);
	ck_holes(src, 642);
	ck_holds(page_at(src, 642), 358, TAG + 642);
	ck_holes(page_at(dst, 643), 357);
}
END_TEST

START_TEST(failure_at_the_start_of_a_range_is_told_exactly)
{
	char *src = map_pages(1000, 0, SMALL);
	char *dst = map_pages(1000, 9, SMALL);
	struct vmremap_range ranges[10];
	size_t i;

	for (i = 0; i < 10; i++)
		ranges[i] = range_of(page_at(dst, 100 * i),
				     page_at(src, 100 * i), 100);
	fill(src, 1000, TAG);
	ck_sys(madvise(page_at(src, 700), PAGE, MADV_DONTNEED));
	ck_movev_ends(ranges, 10, 0, ENOENT, 700, 7);
	ck_holds(dst, 700, TAG);
	ck_holds(page_at(src, 701), 299, TAG + 701);
}
END_TEST

START_TEST(failure_among_single_pages_is_told_exactly)
{
	char *src = map_pages(MANY, 0, SMALL);
	char *dst = map_pages(MANY, 0, SMALL);
	struct vmremap_range *ranges = many_ranges(dst, src, false);
	size_t i;

	fill(src, MANY, TAG);
	ck_sys(madvise((void *)(uintptr_t)ranges[3000].src, PAGE,
		       MADV_DONTNEED));
	ck_movev_ends(ranges, MANY, 0, ENOENT, 3000, 3000);
	for (i = 0; i < MANY; i++) {
		char *to = (char *)(uintptr_t)ranges[i].dst;
		char *from = (char *)(uintptr_t)ranges[i].src;
		uint64_t tag = TAG + (from - src) / PAGE;

		if (i < 3000)
			ck_holds(to, 1, tag);
		else if (i > 3000)
			ck_holds(from, 1, tag);
	}
	ck_assert_uint_eq(count_present(dst, MANY), 3000);
	ck_assert_uint_eq(count_present(src, MANY), MANY - 3001);
}
END_TEST

START_TEST(pinned_page_in_the_middle_is_told_exactly)
{
	char *src = map_pages(200, 0, SMALL);
	char *dst = map_pages(200, 9, SMALL);
	struct vmremap_range ranges[200];
	struct pin pin;
	size_t i;

	for (i = 0; i < 200; i++)
		ranges[i] = range_of(page_at(dst, i), page_at(src, i), 1);
	fill(src, 200, TAG);
	if (!pin_pages(&pin, page_at(src, 123), 1))
		SKIP("io_uring is not to be had");
	ck_movev_ends(ranges, 200, 0, EBUSY, 123, 123);
	ck_holds(dst, 123, TAG);
	ck_holds(page_at(src, 123), 77, TAG + 123);
	unpin_pages(&pin);
	ck_movev_ends(ranges + 123, 77, 0, 0, 77, 77);
	ck_holds(dst, 200, TAG);
}
END_TEST

START_TEST(holes_count_as_moved)
{
	char *src = map_pages(1000, 0, SMALL);
	char *dst = map_pages(1000, 9, SMALL);
	struct vmremap_range ranges[2] = {
		range_of(dst, src, 500),
		range_of(page_at(dst, 500), page_at(src, 500), 500),
	};

	fill(page_at(src, 100), 1, TAG);
	fill(page_at(src, 900), 1, TAG + 1);
	ck_movev_ends(ranges, 2, HOLES, 0, 1000, 2);
	ck_holds(page_at(dst, 100), 1, TAG);
	ck_holds(page_at(dst, 900), 1, TAG + 1);
	ck_assert_uint_eq(count_present(dst, 1000), 2);
}
END_TEST

/* Three ranges: pages, nothing but holes, and one with a page in the way. */
static void holes_before_a_failure(char *src, char *dst, char *from, char *to)
{
	struct vmremap_range ranges[3] = {
		range_of(dst, src, 10),
		range_of(page_at(dst, 20), page_at(src, 20), 10),
		range_of(to, from, 2),
	};

	fill(src, 10, TAG);
	fill(from, 2, TAG + 10);
	fill(to, 1, OLD);
	ck_movev_ends(ranges, 3, HOLES, EEXIST, 20, 2);
	ck_arrived(dst, src, 10, TAG);
	ck_holes(page_at(dst, 20), 10);
	ck_holds(from, 2, TAG + 10);
	ck_holds(to, 1, OLD);
}

START_TEST(holes_before_a_failure_count_as_moved)
{
	char *src = map_pages(100, 0, SMALL);
	char *dst = map_pages(100, 9, SMALL);

	holes_before_a_failure(src, dst, page_at(src, 40), page_at(dst, 40));
}
END_TEST

START_TEST(holes_before_a_failure_in_other_mappings_count_as_moved)
{
	char *src = map_pages(100, 0, SMALL);
	char *dst = map_pages(100, 9, SMALL);

	holes_before_a_failure(src, dst, map_pages(2, 0, SMALL),
			       map_pages(2, 0, SMALL));
}
END_TEST

START_TEST(holes_before_a_failure_from_another_mapping_count_as_moved)
{
	char *src = map_pages(100, 0, SMALL);
	char *dst = map_pages(100, 9, SMALL);

	holes_before_a_failure(src, dst, map_pages(2, 0, HUGE),
			       page_at(dst, 90));
}
END_TEST

/* A range of nothing but holes, then one with a page in the way. */
START_TEST(holes_alone_before_a_failure_count_as_moved)
{
	char *src = map_pages(100, 0, SMALL);
	char *dst = map_pages(100, 9, SMALL);
	char *from = page_at(src, 40), *to = page_at(dst, 40);
	struct vmremap_range ranges[2] = {
		range_of(dst, src, 10),
		range_of(to, from, 2),
	};

	/* The tables of the holes are there. */
	fill(page_at(src, 50), 1, OLD);
	fill(page_at(dst, 50), 1, OLD);
	fill(from, 2, TAG);
	fill(to, 1, OLD);
	ck_movev_ends(ranges, 2, HOLES, EEXIST, 10, 1);
	ck_holds(from, 2, TAG);
	ck_holds(to, 1, OLD);
}
END_TEST

START_TEST(holes_in_no_table_before_a_failure_count_as_moved)
{
	char *from = map_pages(2, 0, SMALL), *to = map_pages(2, 0, SMALL);
	struct vmremap_range ranges[2] = {
		range_of(map_pages(10, 9, SMALL), map_pages(10, 0, SMALL), 10),
		range_of(to, from, 2),
	};

	fill(from, 2, TAG);
	fill(to, 1, OLD);
	ck_movev_ends(ranges, 2, HOLES, EEXIST, 10, 1);
	ck_holds(from, 2, TAG);
	ck_holds(to, 1, OLD);
}
END_TEST

/* Refusals: all mappings are checked before the first page moves */

static void last_range_refused(struct vmremap_range last, int error)
{
	char *src = map_pages(300, 0, SMALL);
	char *dst = map_pages(300, 9, SMALL);
	struct vmremap_range ranges[4];
	size_t i;

	for (i = 0; i < 3; i++)
		ranges[i] = range_of(page_at(dst, 100 * i),
				     page_at(src, 100 * i), 100);
	ranges[3] = last;
	fill(src, 300, TAG);
	ck_movev_ends(ranges, 4, HOLES | REPLACE, error, 0, 0);
	ck_untouched(dst, src, 300, TAG);
	unmap_pages(src, 300);
	unmap_pages(dst, 300);
}

START_TEST(bad_last_range_moves_nothing)
{
	char *good = map_pages(10, 0, SMALL);
	char *more = map_pages(10, 0, SMALL);
	char *fixed = map_with(10, 0, PROT_READ, MAP_PRIVATE);
	char *shared = map_with(10, 0, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *gone = map_pages(10, 0, SMALL);

	unmap_pages(gone, 10);
	last_range_refused(range_of(good, fixed, 10), EINVAL);
	last_range_refused(range_of(fixed, good, 10), EINVAL);
	last_range_refused(range_of(good, shared, 10), EINVAL);
	last_range_refused(range_of(shared, good, 10), EINVAL);
	last_range_refused(range_of(good, gone, 10), ENOENT);
	last_range_refused(range_of(gone, good, 10), ENOENT);
	last_range_refused(range_of(good, good + 4, 10), EINVAL);
	last_range_refused(range_of(good, more, 0), EINVAL);
	last_range_refused(range_of(good, page_at(good, 1), 5), EINVAL);
	last_range_refused(range_of(good, (char *)-BLOCK, 512), EINVAL);
}
END_TEST

START_TEST(ranges_over_several_vmas)
{
	const size_t pages = 2000, each = 70;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);
	struct vmremap_range ranges[40];
	size_t i, nr = 0, at;

	cut_in_vmas(src, pages, 90);
	cut_in_vmas(dst, pages, 51);
	/* In turn from the front and from the back of the source. */
	for (at = 0; at + each <= pages; at += each) {
		size_t from = nr % 2 ? pages - (nr + 1) / 2 * each
				     : nr / 2 * each;

		ranges[nr++] =
			range_of(page_at(dst, at), page_at(src, from), each);
	}
	fill(src, pages, TAG);
	ck_movev_ends(ranges, nr, 0, 0, nr * each, nr);
	for (i = 0; i < nr; i++) {
		size_t from = ((char *)(uintptr_t)ranges[i].src - src) / PAGE;

		ck_holds(page_at(dst, i * each), each, TAG + from);
		ck_holes(page_at(src, from), each);
	}
}
END_TEST

START_TEST(ranges_between_many_mappings)
{
	struct vmremap_range ranges[20];
	char *src[20], *dst[20];
	size_t i;

	for (i = 0; i < 20; i++) {
		src[i] = map_pages(50, i, SMALL);
		dst[i] = map_pages(50, 2 * i, SMALL);
		fill(src[i], 50, TAG + 50 * i);
	}
	for (i = 0; i < 20; i++)
		ranges[i] = range_of(dst[19 - i], src[i], 50);
	ck_movev_ends(ranges, 20, 0, 0, 1000, 20);
	for (i = 0; i < 20; i++)
		ck_arrived(dst[19 - i], src[i], 50, TAG + 50 * i);
}
END_TEST

/* Large folios and shared pages in a vector */

START_TEST(huge_pages_change_order)
{
	char *src = map_thp(4, 0, TAG);
	char *dst = map_pages(4 * BLOCK_PAGES, 0, HUGE);
	struct vmremap_range ranges[4];
	size_t i;

	for (i = 0; i < 4; i++)
		ranges[i] = range_of(page_at(dst, (3 - i) * BLOCK_PAGES),
				     page_at(src, i * BLOCK_PAGES),
				     BLOCK_PAGES);
	ck_movev_ends(ranges, 4, 0, 0, 4 * BLOCK_PAGES, 4);
	ck_assert_uint_eq(count_huge(dst), 4);
	for (i = 0; i < 4; i++)
		ck_holds(page_at(dst, (3 - i) * BLOCK_PAGES), BLOCK_PAGES,
			 TAG + i * BLOCK_PAGES);
	ck_holes(src, 4 * BLOCK_PAGES);
}
END_TEST

START_TEST(huge_page_moves_in_pieces)
{
	char *src = map_thp(2, 0, TAG);
	char *dst = map_pages(2 * BLOCK_PAGES, 0, SMALL);
	struct vmremap_range ranges[128];
	size_t i;

	for (i = 0; i < 128; i++)
		ranges[i] = range_of(page_at(dst, (i * 37 % 128) * 8),
				     page_at(src, i * 8), 8);
	ck_movev_ends(ranges, 128, 0, 0, 1024, 128);
	for (i = 0; i < 128; i++)
		ck_holds(page_at(dst, (i * 37 % 128) * 8), 8, TAG + i * 8);
	ck_holes(src, 1024);
}
END_TEST

static char *forked;

static bool sees_forked(void *unused)
{
	(void)unused;
	return holds(forked, 500, TAG);
}

START_TEST(shared_page_in_the_middle_is_told_exactly)
{
	struct vmremap_range ranges[50];
	struct child child;
	char *dst;
	size_t i;

	forked = map_pages(500, 0, SMALL);
	dst = map_pages(500, 3, SMALL);
	fill(forked, 500, TAG);
	for (i = 0; i < 50; i++)
		ranges[i] = range_of(page_at(dst, 10 * i),
				     page_at(forked, 10 * i), 10);
	child = child_waits(sees_forked, NULL);
	fill(forked, 234, TAG);
	ck_movev_ends(ranges, 50, 0, EBUSY, 234, 23);
	ranges[23] = range_of(page_at(dst, 234), page_at(forked, 234), 6);
	ck_movev_ends(ranges + 23, 27, UNSHARE, 0, 266, 27);
	ck_arrived(dst, forked, 500, TAG);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(swapped_pages_among_others)
{
	char *src = map_pages(MANY, 0, SMALL);
	char *dst = map_pages(MANY, 0, SMALL);
	struct vmremap_range *ranges = many_ranges(dst, src, false);
	size_t i;

	fill(src, MANY, TAG);
	for (i = 0; i < MANY; i += 512)
		ck_assert(page_out(page_at(src, i), 100));
	ck_movev_ends(ranges, MANY, 0, 0, MANY, MANY);
	ck_holes(src, MANY);
	for (i = 0; i < MANY; i++)
		ck_holds(page_at(dst, scattered(i, 1237)), 1, TAG + i);
}
END_TEST

/*
 * Ranges of whole blocks that depend on one another. A block of the source may
 * move by its page table or as a huge page; other ranges name the same block,
 * or one page of it, before and after that.
 */

/* What moved wrongly shows when reverse mappings are walked, or at the end. */
static void ck_survives(char *base, size_t pages, uint64_t first)
{
	ck_holds(base, pages, first);
	ck_assert(page_out(base, pages));
	ck_holds(base, pages, first);
	unmap_pages(base, pages);
}

static char *map_blocks(size_t blocks, enum page_kind kind, uint64_t first)
{
	char *base;

	if (kind == HUGE)
		return map_thp(blocks, 0, first);
	base = map_pages(blocks * BLOCK_PAGES, 0, SMALL);
	fill(base, blocks * BLOCK_PAGES, first);
	return base;
}

static char *block_at(void *base, size_t block)
{
	return page_at(base, block * BLOCK_PAGES);
}

/* Where the other ranges of a vector stand, seen from the two blocks. */
enum neighbours {
	ALONE = 0,
	BEFORE = 1, /* one page before and one behind the blocks, named first */
	BETWEEN = 2,
	AFTER = 4,
};

/* Blocks 1 and 2 of four go to the same block; single pages go elsewhere. */
static void two_blocks_to_one(enum page_kind kind, unsigned int neighbours)
{
	char *src = map_blocks(4, kind, TAG);
	char *dst = map_pages(BLOCK_PAGES, 0, kind);
	char *other = map_pages(BLOCK_PAGES, 0, SMALL);
	char *a = block_at(src, 1), *b = block_at(src, 2);
	struct vmremap_range ranges[8];
	size_t nr = 0, whole, singles = 0;

	if (neighbours & BEFORE) {
		ranges[nr++] = range_of(other, src, 1);
		ranges[nr++] = range_of(page_at(other, 1), block_at(src, 3), 1);
		singles += 2;
	}
	ranges[nr++] = range_of(dst, a, BLOCK_PAGES);
	if (neighbours & BETWEEN) {
		ranges[nr++] = range_of(page_at(other, 9), page_at(src, 9), 1);
		singles++;
	}
	whole = nr;
	ranges[nr++] = range_of(dst, b, BLOCK_PAGES);
	if (neighbours & AFTER)
		ranges[nr++] = range_of(page_at(other, 20),
					page_at(block_at(src, 3), 20), 1);
	ck_movev_ends(ranges, nr, 0, EEXIST, BLOCK_PAGES + singles, whole);

	ck_holds(dst, BLOCK_PAGES, TAG + BLOCK_PAGES);
	ck_holes(a, BLOCK_PAGES);
	ck_zero(a, BLOCK_PAGES);
	ck_holds(b, BLOCK_PAGES, TAG + 2 * BLOCK_PAGES);
	ck_holds(page_at(block_at(src, 3), 1), BLOCK_PAGES - 1,
		 TAG + 3 * BLOCK_PAGES + 1);
	ck_assert_uint_eq(count_present(other, BLOCK_PAGES), singles);
	unmap_pages(src, 2 * BLOCK_PAGES);
	unmap_pages(block_at(src, 3), BLOCK_PAGES);
	ck_survives(dst, BLOCK_PAGES, TAG + BLOCK_PAGES);
	ck_survives(b, BLOCK_PAGES, TAG + 2 * BLOCK_PAGES);
	unmap_pages(other, BLOCK_PAGES);
}

static void two_blocks_to_one_in_all_places(enum page_kind kind)
{
	long before = status_kb("RssAnon");

	two_blocks_to_one(kind, ALONE);
	two_blocks_to_one(kind, BEFORE);
	two_blocks_to_one(kind, AFTER);
	two_blocks_to_one(kind, BEFORE | AFTER);
	two_blocks_to_one(kind, BEFORE | BETWEEN | AFTER);
	ck_assert_int_le(status_kb("RssAnon") - before, 512);
}

START_TEST(two_page_tables_to_one_place_fail_the_second_time)
{
	two_blocks_to_one_in_all_places(SMALL);
}
END_TEST

START_TEST(two_huge_pages_to_one_place_fail_the_second_time)
{
	two_blocks_to_one_in_all_places(HUGE);
}
END_TEST

static void second_block_replaces_the_first(enum page_kind kind)
{
	char *src = map_blocks(4, kind, TAG);
	char *dst = map_pages(BLOCK_PAGES, 0, kind);
	struct vmremap_range ranges[2] = {
		range_of(dst, block_at(src, 1), BLOCK_PAGES),
		range_of(dst, block_at(src, 2), BLOCK_PAGES),
	};
	long before = status_kb("RssAnon");

	ck_movev_ends(ranges, 2, REPLACE, 0, 2 * BLOCK_PAGES, 2);
	ck_holes(block_at(src, 1), 2 * BLOCK_PAGES);
	ck_assert_int_le(status_kb("RssAnon"),
			 before - (long)BLOCK / 1024 + 1024);
	unmap_pages(src, 4 * BLOCK_PAGES);
	ck_survives(dst, BLOCK_PAGES, TAG + 2 * BLOCK_PAGES);
}

START_TEST(second_block_to_one_place_replaces_the_first)
{
	second_block_replaces_the_first(SMALL);
	second_block_replaces_the_first(HUGE);
}
END_TEST

/* One page goes to where page 5 of a whole block is to go. */
static void page_before_its_block(enum page_kind kind, bool dst_has_table)
{
	char *src = map_blocks(2, kind, TAG);
	char *dst = map_pages(BLOCK_PAGES, 0, SMALL);
	char *page = block_at(src, 1);
	struct vmremap_range ranges[2] = {
		range_of(page_at(dst, 5), page, 1),
		range_of(dst, src, BLOCK_PAGES),
	};

	if (dst_has_table) {
		fill(page_at(dst, 400), 1, OLD);
		ck_sys(madvise(page_at(dst, 400), PAGE, MADV_DONTNEED));
	}
	ck_movev_ends(ranges, 2, 0, EEXIST, 1 + 5, 1);
	ck_holds(dst, 5, TAG);
	ck_holds(page_at(dst, 5), 1, TAG + BLOCK_PAGES);
	ck_holes(page_at(dst, 6), BLOCK_PAGES - 6);
	ck_holes(src, 5);
	ck_holds(page_at(src, 5), BLOCK_PAGES - 5, TAG + 5);
	ck_holes(page, 1);
	ck_survives(page_at(src, 5), BLOCK_PAGES - 5, TAG + 5);
	ck_survives(page_at(page, 1), BLOCK_PAGES - 1, TAG + BLOCK_PAGES + 1);
	ck_survives(page_at(dst, 5), 1, TAG + BLOCK_PAGES);
	ck_survives(dst, 5, TAG);
	unmap_pages(src, 5);
	unmap_pages(page, 1);
	unmap_pages(page_at(dst, 6), BLOCK_PAGES - 6);
}

START_TEST(page_in_the_way_of_a_later_block_is_told_exactly)
{
	long before = status_kb("RssAnon");

	page_before_its_block(SMALL, false);
	page_before_its_block(SMALL, true);
	page_before_its_block(HUGE, false);
	page_before_its_block(HUGE, true);
	ck_assert_int_le(status_kb("RssAnon") - before, 512);
}
END_TEST

START_TEST(page_in_the_way_of_a_later_block_is_replaced)
{
	char *src = map_blocks(2, SMALL, TAG);
	char *dst = map_pages(BLOCK_PAGES, 0, SMALL);
	struct vmremap_range ranges[2] = {
		range_of(page_at(dst, 5), block_at(src, 1), 1),
		range_of(dst, src, BLOCK_PAGES),
	};

	ck_movev_ends(ranges, 2, REPLACE, 0, 1 + BLOCK_PAGES, 2);
	ck_holes(src, BLOCK_PAGES + 1);
	unmap_pages(src, 2 * BLOCK_PAGES);
	ck_survives(dst, BLOCK_PAGES, TAG);
}
END_TEST

/* A block with a hole moves away; then a page moves to where the hole was. */
static void page_to_a_hole_of_a_moved_block(size_t dst_block, size_t page_block)
{
	char *base = map_pages(6 * BLOCK_PAGES, 0, SMALL);
	char *src = block_at(base, 2), *dst = block_at(base, dst_block);
	char *page = block_at(base, page_block);
	struct vmremap_range ranges[2] = {
		range_of(dst, src, BLOCK_PAGES),
		range_of(page_at(src, 7), page, 1),
	};

	fill(src, BLOCK_PAGES, TAG);
	ck_sys(madvise(page_at(src, 7), PAGE, MADV_DONTNEED));
	fill(page, 1, OLD);
	ck_movev_ends(ranges, 2, HOLES, 0, BLOCK_PAGES + 1, 2);
	ck_holds(dst, 7, TAG);
	ck_holes(page_at(dst, 7), 1);
	ck_holds(page_at(dst, 8), BLOCK_PAGES - 8, TAG + 8);
	ck_holes(src, 7);
	ck_holds(page_at(src, 7), 1, OLD);
	ck_holes(page_at(src, 8), BLOCK_PAGES - 8);
	ck_holes(page, 1);
	ck_survives(page_at(src, 7), 1, OLD);
	ck_survives(page_at(dst, 8), BLOCK_PAGES - 8, TAG + 8);
}

START_TEST(page_moves_to_the_hole_of_a_block_that_moved_before)
{
	page_to_a_hole_of_a_moved_block(4, 3);
	page_to_a_hole_of_a_moved_block(4, 0);
	page_to_a_hole_of_a_moved_block(0, 5);
	page_to_a_hole_of_a_moved_block(1, 3);
}
END_TEST

static char *map_zero_pages(size_t pages)
{
	char *base = map_pages(pages, 0, SMALL);

	/* Not by the very first access, which may bring a huge zero page. */
	fill(base, 1, OLD);
	ck_sys(madvise(base, PAGE, MADV_DONTNEED));
	ck_zero(base, pages);
	ck_assert_uint_eq(count_present(base, pages), pages);
	return base;
}

/* The second range takes `pages` of the same block, from page `first` on. */
static void zero_pages_twice(size_t first, size_t pages, size_t dst_page)
{
	char *src = map_zero_pages(BLOCK_PAGES);
	char *dst = map_pages(3 * BLOCK_PAGES, 0, SMALL);
	char *second = page_at(dst, dst_page);
	struct vmremap_range ranges[2] = {
		range_of(dst, src, BLOCK_PAGES),
		range_of(second, page_at(src, first), pages),
	};

	ck_movev_ends(ranges, 2, 0, ENOENT, BLOCK_PAGES, 1);
	ck_assert_uint_eq(count_present(dst, BLOCK_PAGES), BLOCK_PAGES);
	ck_holes(src, BLOCK_PAGES);
	ck_holes(second, pages);
	ck_zero(dst, 3 * BLOCK_PAGES);
}

START_TEST(block_of_zero_pages_given_twice_fails_the_second_time)
{
	zero_pages_twice(0, 1, BLOCK_PAGES + 1);
	zero_pages_twice(0, 1, BLOCK_PAGES);
	zero_pages_twice(511, 1, 2 * BLOCK_PAGES + 511);
	zero_pages_twice(3, 100, BLOCK_PAGES + 3);
	zero_pages_twice(0, BLOCK_PAGES, BLOCK_PAGES);
	zero_pages_twice(0, BLOCK_PAGES, 2 * BLOCK_PAGES);
}
END_TEST

static void block_given_twice(enum page_kind kind, size_t dst_block)
{
	char *src = map_blocks(1, kind, TAG);
	char *dst = map_pages(3 * BLOCK_PAGES, 0, kind);
	struct vmremap_range ranges[2] = {
		range_of(block_at(dst, 1), src, BLOCK_PAGES),
		range_of(block_at(dst, dst_block), src, BLOCK_PAGES),
	};

	ck_movev_ends(ranges, 2, 0, ENOENT, BLOCK_PAGES, 1);
	ck_arrived(block_at(dst, 1), src, BLOCK_PAGES, TAG);
	ck_holes(block_at(dst, dst_block), BLOCK_PAGES);
	unmap_pages(src, BLOCK_PAGES);
	ck_survives(block_at(dst, 1), BLOCK_PAGES, TAG);
}

START_TEST(block_given_twice_fails_the_second_time)
{
	block_given_twice(SMALL, 0);
	block_given_twice(SMALL, 2);
	block_given_twice(HUGE, 0);
	block_given_twice(HUGE, 2);
}
END_TEST

/* The first page of a block goes on over other pages of the same block. */
static void chain_within_a_block(unsigned int flags)
{
	char *base = map_pages(BLOCK_PAGES, 0, SMALL);
	struct vmremap_range ranges[3] = {
		range_of(page_at(base, 10), base, 1),
		range_of(page_at(base, 20), page_at(base, 10), 1),
		range_of(page_at(base, 5), page_at(base, 20), 1),
	};

	fill(base, 1, TAG);
	fill(page_at(base, 100), 1, OLD);
	ck_movev_ends(ranges, 2, flags, 0, 2, 2);
	ck_holds(page_at(base, 20), 1, TAG);
	ck_assert_uint_eq(count_present(base, BLOCK_PAGES), 2);

	ranges[0] = range_of(base, page_at(base, 20), 1);
	ck_movev_ends(ranges, 1, flags, 0, 1, 1);
	ranges[0] = range_of(page_at(base, 10), base, 1);
	ck_movev_ends(ranges, 3, flags, 0, 3, 3);
	ck_holds(page_at(base, 5), 1, TAG);
	ck_holds(page_at(base, 100), 1, OLD);
	ck_assert_uint_eq(count_present(base, BLOCK_PAGES), 2);
}

START_TEST(page_moves_on_within_its_block)
{
	chain_within_a_block(0);
	chain_within_a_block(HOLES);
	chain_within_a_block(REPLACE);
	chain_within_a_block(HOLES | REPLACE);
}
END_TEST

/* Calls that could take for ever */

#define TIB_PAGES ((1UL << 40) / PAGE)
#define SPARSE_PAGES (40 * TIB_PAGES)
#define SPARSE_RANGES 16

static char *map_sparse(void)
{
	char *base = map_with(SPARSE_PAGES, 0, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_NORESERVE);

	ck_assert_msg(base, "no room for %lu pages", SPARSE_PAGES);
	return base;
}

/* How much longer than others a kernel may take: one with checkers does. */
static double patience(void)
{
	return seconds_from("CK_TIMEOUT_MULTIPLIER", 1);
}

START_TEST(huge_and_sparse_sources_end_soon)
{
	const size_t places[] = { 0, TIB_PAGES + 77, SPARSE_PAGES / 2,
				  SPARSE_PAGES - 1 };
	char *src = map_sparse(), *dst = map_sparse();
	struct vmremap_range ranges[SPARSE_RANGES];
	double begin = now();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		fill(page_at(src, places[i]), 1, TAG + i);
	for (i = 0; i < SPARSE_RANGES; i++)
		ranges[i] = range_of(dst, src, SPARSE_PAGES);
	ck_movev_ends(ranges, SPARSE_RANGES, HOLES, 0,
		      SPARSE_RANGES * SPARSE_PAGES, SPARSE_RANGES);
	ck_assert_msg(now() - begin < 10 * patience(), "it took %.1f s",
		      now() - begin);
	for (i = 0; i < ARRAY_SIZE(places); i++)
		ck_arrived(page_at(dst, places[i]), page_at(src, places[i]), 1,
			   TAG + i);
}
END_TEST

/* A call in a child, again and again until the child is killed. */
static void killed_in_call(const struct vmremap_range *ranges, size_t nr,
			   unsigned int flags, unsigned int milliseconds)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		for (;;)
			vmremap_movev(dev, ranges, nr, flags, NULL, NULL);
	usleep(milliseconds * 1000);
	kill(pid, SIGKILL);
	ck_assert_msg(ends_within(pid, 10 * patience(), &status), "it goes on");
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(huge_and_sparse_sources_can_be_killed)
{
	char *src = map_sparse(), *dst = map_sparse();
	struct vmremap_range ranges[SPARSE_RANGES];
	size_t i;

	for (i = 0; i < SPARSE_RANGES; i++)
		ranges[i] = range_of(dst, src, SPARSE_PAGES);
	killed_in_call(ranges, SPARSE_RANGES, HOLES, 50);
	killed_in_call(ranges, SPARSE_RANGES, HOLES, 300);
	killed_in_call(ranges, SPARSE_RANGES, HOLES | REPLACE, 300);
}
END_TEST

START_TEST(many_ranges_over_many_mappings_can_be_killed)
{
	const size_t pages = slow_kernel() ? 1500 : 6000, nr = 60000;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);
	struct vmremap_range *ranges = calloc(nr, sizeof(*ranges));
	size_t i;

	ck_assert_ptr_nonnull(ranges);
	cut_in_vmas(src, pages, 1);
	cut_in_vmas(dst, pages, 1);
	for (i = 0; i < nr; i++)
		ranges[i] = range_of(dst, src, pages);
	killed_in_call(ranges, nr, HOLES, 500);
	/* The last one is not mapped, so that nothing ever moves. */
	ranges[nr - 1].dst = PAGE;
	killed_in_call(ranges, nr, 0, 500);
}
END_TEST

static void add_blocks(Suite *s)
{
	TCase *c = add_case(s, "blocks");

	tcase_add_test(c, two_page_tables_to_one_place_fail_the_second_time);
	tcase_add_test(c, two_huge_pages_to_one_place_fail_the_second_time);
	tcase_add_test(c, second_block_to_one_place_replaces_the_first);
	tcase_add_test(c, page_in_the_way_of_a_later_block_is_told_exactly);
	tcase_add_test(c, page_in_the_way_of_a_later_block_is_replaced);
	tcase_add_test(c, page_moves_to_the_hole_of_a_block_that_moved_before);
	tcase_add_test(c,
		       block_of_zero_pages_given_twice_fails_the_second_time);
	tcase_add_test(c, block_given_twice_fails_the_second_time);
	tcase_add_test(c, page_moves_on_within_its_block);
}

static void add_endless(Suite *s)
{
	TCase *c = add_case(s, "endless");

	tcase_add_test(c, huge_and_sparse_sources_end_soon);
	tcase_add_test(c, huge_and_sparse_sources_can_be_killed);
	tcase_add_test(c, many_ranges_over_many_mappings_can_be_killed);
}

int main(void)
{
	Suite *s = suite_create("move_vector");
	TCase *c = add_case(s, "vector");

	tcase_add_test(c, one_range_is_a_move);
	tcase_add_test(c, thousands_of_pages_in_ascending_order);
	tcase_add_test(c, thousands_of_pages_in_any_order);
	tcase_add_test(c, ranges_of_different_sizes);
	tcase_add_test(c, sliding_compaction);
	tcase_add_test(c, destination_that_was_an_earlier_source);
	tcase_add_test(c, source_that_was_an_earlier_destination);
	tcase_add_test(c, two_ranges_change_places_over_a_third);
	tcase_add_test(c, range_given_twice_fails_the_second_time);
	tcase_add_test(c, destination_given_twice_fails_the_second_time);
	tcase_add_test(c, destination_given_twice_is_replaced);
	tcase_add_test(c, failure_inside_a_range_is_told_exactly);
	tcase_add_test(c, failure_at_the_start_of_a_range_is_told_exactly);
	tcase_add_test(c, failure_among_single_pages_is_told_exactly);
	tcase_add_test(c, pinned_page_in_the_middle_is_told_exactly);
	tcase_add_test(c, holes_count_as_moved);
	tcase_add_test(c, holes_before_a_failure_count_as_moved);
	tcase_add_test(c,
		       holes_before_a_failure_in_other_mappings_count_as_moved);
	tcase_add_test(
		c, holes_before_a_failure_from_another_mapping_count_as_moved);
	tcase_add_test(c, holes_alone_before_a_failure_count_as_moved);
	tcase_add_test(c, holes_in_no_table_before_a_failure_count_as_moved);
	tcase_add_test(c, bad_last_range_moves_nothing);
	tcase_add_test(c, ranges_over_several_vmas);
	tcase_add_test(c, ranges_between_many_mappings);
	tcase_add_test(c, huge_pages_change_order);
	tcase_add_test(c, huge_page_moves_in_pieces);
	tcase_add_test(c, shared_page_in_the_middle_is_told_exactly);
	tcase_add_test(c, swapped_pages_among_others);
	add_blocks(s);
	add_endless(s);
	return run_suite(s);
}
