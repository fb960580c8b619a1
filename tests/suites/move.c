// SPDX-License-Identifier: GPL-2.0-only
/* Moving small pages: places, holes, occupied destinations, refusals. */
#include <sys/auxv.h>
#include <sys/wait.h>

#include "lib/child.h"
#include "lib/moves.h"

#define TAG 1000
#define OLD 700000

/* Moves there and back, and sees the same frames at each place. */
static void there_and_back(size_t pages, size_t dst_phase, size_t src_phase)
{
	char *src = map_pages(pages, src_phase, SMALL);
	char *dst = map_pages(pages, dst_phase, SMALL);
	uint64_t *frames;

	fill(src, pages, TAG);
	frames = frames_of(src, pages);

	ck_move(dst, src, pages, 0);
	ck_assert_msg(same_frames(frames, dst, pages), "pages were copied");
	ck_holds(dst, pages, TAG);
	ck_holes(src, pages);

	ck_move(src, dst, pages, 0);
	ck_assert_msg(same_frames(frames, src, pages), "pages were copied");
	ck_arrived(src, dst, pages, TAG);

	free(frames);
	unmap_pages(src, pages);
	unmap_pages(dst, pages);
}

/* Places and sizes */

START_TEST(moves_one_page)
{
	there_and_back(1, 0, 0);
	there_and_back(1, 17, 300);
	there_and_back(1, 511, 0);
}
END_TEST

START_TEST(moves_a_few_pages_to_another_offset)
{
	there_and_back(2, 0, 1);
	there_and_back(33, 8, 3);
	there_and_back(100, 300, 7);
}
END_TEST

START_TEST(moves_whole_page_tables)
{
	there_and_back(BLOCK_PAGES, 0, 0);
	there_and_back(4 * BLOCK_PAGES, 0, 0);
}
END_TEST

START_TEST(moves_page_tables_with_ragged_ends)
{
	there_and_back(2 * BLOCK_PAGES + 1, 0, 0);
	there_and_back(2 * BLOCK_PAGES + 1, 511, 511);
	there_and_back(3 * BLOCK_PAGES - 2, 1, 1);
	there_and_back(BLOCK_PAGES + 300, 400, 400);
}
END_TEST

START_TEST(moves_odd_sizes_over_table_borders)
{
	const size_t sizes[] = { 2, 3, 7, 511, 512, 513, 1023, 1025, 1537 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		there_and_back(sizes[i], 510, 3);
		there_and_back(sizes[i], 0, 511);
		there_and_back(sizes[i], 511, 511);
	}
}
END_TEST

START_TEST(moves_64_mib_congruent)
{
	there_and_back(64 * MIB_PAGES, 0, 0);
}
END_TEST

START_TEST(moves_64_mib_not_congruent)
{
	there_and_back(64 * MIB_PAGES, 0, 77);
}
END_TEST

START_TEST(moves_within_one_mapping)
{
	char *base = map_pages(3 * BLOCK_PAGES, 0, SMALL);

	fill(base, 200, TAG);
	ck_move(page_at(base, 1000), base, 200, 0);
	ck_arrived(page_at(base, 1000), base, 200, TAG);
	ck_move(page_at(base, 488), page_at(base, 1000), 200, 0);
	ck_arrived(page_at(base, 488), page_at(base, 1000), 200, TAG);
}
END_TEST

START_TEST(moves_to_the_adjacent_range)
{
	char *base = map_pages(3 * BLOCK_PAGES, 0, SMALL);
	char *above = page_at(base, 600), *below = page_at(base, 100);

	fill(base, 600, TAG);
	ck_move(above, base, 600, 0);
	ck_arrived(above, base, 600, TAG);
	ck_move(below, above, 500, REPLACE);
	ck_holds(below, 500, TAG);
	ck_holes(above, 500);
	ck_holds(page_at(above, 500), 100, TAG + 500);
}
END_TEST

START_TEST(leaves_neighbours_alone)
{
	char *src = map_pages(BLOCK_PAGES, 0, SMALL);
	char *dst = map_pages(BLOCK_PAGES, 0, SMALL);

	fill(src, BLOCK_PAGES, TAG);
	fill(dst, 100, OLD);
	fill(page_at(dst, 200), 312, OLD + 200);
	ck_move(page_at(dst, 100), page_at(src, 100), 100, 0);
	ck_holds(dst, 100, OLD);
	ck_holds(page_at(dst, 100), 100, TAG + 100);
	ck_holds(page_at(dst, 200), 312, OLD + 200);
	ck_holds(src, 100, TAG);
	ck_holes(page_at(src, 100), 100);
	ck_holds(page_at(src, 200), 312, TAG + 200);
}
END_TEST

START_TEST(source_is_used_and_moved_again)
{
	char *src = map_pages(700, 0, SMALL);
	char *dst = map_pages(8 * 700, 0, SMALL);
	int i;

	for (i = 0; i < 8; i++) {
		fill(src, 700, TAG + i * 10000);
		ck_move(page_at(dst, i * 700), src, 700, 0);
		ck_holes(src, 700);
	}
	for (i = 0; i < 8; i++)
		ck_holds(page_at(dst, i * 700), 700, TAG + i * 10000);
}
END_TEST

START_TEST(moves_on_through_many_places)
{
	char *base = map_pages(16 * 300, 5, SMALL);
	int i;

	fill(base, 300, TAG);
	for (i = 0; i < 15; i++)
		ck_move(page_at(base, 300 * (i + 1)), page_at(base, 300 * i),
			300, 0);
	ck_holes(base, 15 * 300);
	ck_holds(page_at(base, 15 * 300), 300, TAG);
}
END_TEST

/* Destinations */

START_TEST(destination_used_and_emptied_before)
{
	const size_t pages = 2 * BLOCK_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);
	char *off = map_pages(pages, 9, SMALL);

	fill(src, pages, TAG);
	fill(dst, pages, OLD);
	fill(off, pages, OLD);
	ck_sys(madvise(dst, pages * PAGE, MADV_DONTNEED));
	ck_sys(madvise(off, pages * PAGE, MADV_DONTNEED));
	ck_move(dst, src, pages, 0);
	ck_arrived(dst, src, pages, TAG);
	ck_sys(madvise(src, pages * PAGE, MADV_DONTNEED));
	ck_move(off, dst, pages, 0);
	ck_arrived(off, dst, pages, TAG);
}
END_TEST

START_TEST(destination_with_empty_tables)
{
	const size_t pages = 2 * BLOCK_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);

	fill(src, pages, TAG);
	fill(page_at(dst, 5), 1, OLD);
	fill(page_at(dst, BLOCK_PAGES + 5), 1, OLD);
	ck_sys(madvise(page_at(dst, 5), PAGE, MADV_DONTNEED));
	ck_sys(madvise(page_at(dst, BLOCK_PAGES + 5), PAGE, MADV_DONTNEED));
	ck_move(dst, src, pages, 0);
	ck_arrived(dst, src, pages, TAG);
}
END_TEST

/* One page in the way at `at`: all before it moves, nothing else. */
static void ends_at(size_t pages, size_t at, size_t src_phase)
{
	char *src = map_pages(pages, src_phase, SMALL);
	char *dst = map_pages(pages, 0, SMALL);

	fill(src, pages, TAG);
	fill(page_at(dst, at), 1, OLD);
	ck_move_ends(dst, src, pages, 0, EEXIST, at);
	ck_holds(dst, at, TAG);
	ck_holds(page_at(dst, at), 1, OLD);
	ck_holes(page_at(dst, at + 1), pages - at - 1);
	ck_holes(src, at);
	ck_holds(page_at(src, at), pages - at, TAG + at);
	unmap_pages(src, pages);
	unmap_pages(dst, pages);
}

START_TEST(occupied_destination_ends_the_move_exactly)
{
	const size_t places[] = { 0, 1, 31, 511, 512, 513, 1023, 1299 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		ends_at(1300, places[i], 0);
		ends_at(1300, places[i], 100);
	}
}
END_TEST

START_TEST(zero_page_occupies_the_destination)
{
	char *src = map_pages(10, 0, SMALL);
	char *dst = map_pages(10, 0, SMALL);

	fill(src, 10, TAG);
	ck_zero(page_at(dst, 4), 1);
	ck_assert_uint_eq(count_present(dst, 10), 1);
	ck_move_ends(dst, src, 10, 0, EEXIST, 4);
	ck_holds(dst, 4, TAG);
	ck_holds(page_at(src, 4), 6, TAG + 4);
}
END_TEST

START_TEST(swapped_page_occupies_the_destination)
{
	char *src = map_pages(10, 0, SMALL);
	char *dst = map_pages(10, 0, SMALL);

	fill(src, 10, TAG);
	fill(page_at(dst, 4), 1, OLD);
	ck_assert(page_out(page_at(dst, 4), 1));
	ck_move_ends(dst, src, 10, 0, EEXIST, 4);
	ck_holds(dst, 4, TAG);
	ck_holds(page_at(dst, 4), 1, OLD);
	ck_holds(page_at(src, 4), 6, TAG + 4);
}
END_TEST

/* REPLACE */

static void replaces(size_t pages, size_t dst_phase, size_t src_phase)
{
	char *src = map_pages(pages, src_phase, SMALL);
	char *dst = map_pages(pages, dst_phase, SMALL);

	fill(src, pages, TAG);
	fill(dst, pages, OLD);
	ck_move(dst, src, pages, REPLACE);
	ck_arrived(dst, src, pages, TAG);
	unmap_pages(src, pages);
	unmap_pages(dst, pages);
}

START_TEST(replace_discards_the_destination)
{
	replaces(1, 0, 0);
	replaces(40, 3, 500);
	replaces(2 * BLOCK_PAGES, 0, 0);
	replaces(2 * BLOCK_PAGES + 17, 1, 1);
	replaces(2 * BLOCK_PAGES + 17, 0, 19);
}
END_TEST

START_TEST(replace_of_an_empty_destination_is_a_move)
{
	char *src = map_pages(100, 0, SMALL);
	char *dst = map_pages(100, 0, SMALL);

	fill(src, 100, TAG);
	ck_move(dst, src, 100, REPLACE);
	ck_arrived(dst, src, 100, TAG);
}
END_TEST

START_TEST(replace_frees_what_was_there)
{
	const size_t pages = 16 * MIB_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);
	long before;

	fill(src, pages, TAG);
	fill(dst, pages, OLD);
	before = rollup_kb("Anonymous");
	ck_move(dst, src, pages, REPLACE);
	ck_assert_int_le(rollup_kb("Anonymous"), before - 16 * 1024 + 64);
	ck_holds(dst, pages, TAG);
}
END_TEST

START_TEST(replace_discards_zero_pages)
{
	char *src = map_pages(600, 0, SMALL);
	char *dst = map_pages(600, 0, SMALL);

	fill(src, 600, TAG);
	ck_zero(dst, 600);
	ck_move(dst, src, 600, REPLACE);
	ck_arrived(dst, src, 600, TAG);
}
END_TEST

START_TEST(replace_discards_swapped_pages)
{
	char *src = map_pages(600, 0, SMALL);
	char *dst = map_pages(600, 0, SMALL);

	fill(src, 600, TAG);
	fill(dst, 600, OLD);
	ck_assert(page_out(dst, 600));
	ck_move(dst, src, 600, REPLACE);
	ck_assert_int_eq(smaps_kb(dst, "Swap"), 0);
	ck_arrived(dst, src, 600, TAG);
}
END_TEST

START_TEST(replace_keeps_what_it_did_not_reach)
{
	char *src = map_pages(1100, 0, SMALL);
	char *dst = map_pages(1100, 0, SMALL);

	fill(src, 1100, TAG);
	fill(dst, 1100, OLD);
	ck_sys(madvise(page_at(src, 700), PAGE, MADV_DONTNEED));
	ck_move_ends(dst, src, 1100, REPLACE, ENOENT, 700);
	ck_holds(dst, 700, TAG);
	ck_holds(page_at(dst, 700), 400, OLD + 700);
	ck_holes(src, 701);
	ck_holds(page_at(src, 701), 399, TAG + 701);
}
END_TEST

/* Holes */

static void hole_ends_at(size_t pages, size_t at, size_t dst_phase)
{
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, dst_phase, SMALL);

	fill(src, at, TAG);
	fill(page_at(src, at + 1), pages - at - 1, TAG + at + 1);
	ck_move_ends(dst, src, pages, 0, ENOENT, at);
	ck_holds(dst, at, TAG);
	ck_holes(page_at(dst, at), pages - at);
	ck_holes(src, at + 1);
	ck_holds(page_at(src, at + 1), pages - at - 1, TAG + at + 1);
	unmap_pages(src, pages);
	unmap_pages(dst, pages);
}

START_TEST(hole_ends_the_move_exactly)
{
	const size_t places[] = { 0, 1, 31, 511, 512, 513, 1023, 1299 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		hole_ends_at(1300, places[i], 0);
		hole_ends_at(1300, places[i], 3);
	}
}
END_TEST

START_TEST(never_touched_source_is_a_hole)
{
	char *src = map_pages(1000, 0, SMALL);
	char *dst = map_pages(1000, 0, SMALL);

	ck_refused(dst, src, 1000, 0, ENOENT);
	ck_move(dst, src, 1000, HOLES);
	ck_holes(dst, 1000);
	ck_holes(src, 1000);
}
END_TEST

static void fill_every(char *base, size_t pages, size_t step, uint64_t first)
{
	size_t i;

	for (i = 0; i < pages; i += step)
		fill(page_at(base, i), 1, first + i);
}

static void ck_every(char *base, size_t pages, size_t step, uint64_t first)
{
	size_t i;

	ck_assert_uint_eq(count_present(base, pages),
			  (pages + step - 1) / step);
	for (i = 0; i < pages; i += step)
		ck_holds(page_at(base, i), 1, first + i);
}

START_TEST(allowed_holes_are_skipped_and_counted)
{
	char *src = map_pages(1500, 0, SMALL);
	char *dst = map_pages(1500, 0, SMALL);
	char *off = map_pages(1500, 100, SMALL);

	fill_every(src, 1500, 3, TAG);
	ck_move(dst, src, 1500, HOLES);
	ck_holes(src, 1500);
	ck_every(dst, 1500, 3, TAG);
	ck_move(off, dst, 1500, HOLES);
	ck_holes(dst, 1500);
	ck_every(off, 1500, 3, TAG);
}
END_TEST

static void ends_behind_holes(size_t dst_phase, size_t at)
{
	char *src = map_pages(1100, 0, SMALL);
	char *dst = map_pages(1100, dst_phase, SMALL);

	fill(src, 10, TAG);
	fill(page_at(src, at), 1, TAG + at);
	fill(page_at(dst, at), 1, OLD);
	ck_move_ends(dst, src, 1100, HOLES, EEXIST, at);
	ck_arrived(dst, src, 10, TAG);
	ck_holds(page_at(src, at), 1, TAG + at);
	ck_holds(page_at(dst, at), 1, OLD);
	unmap_pages(src, 1100);
	unmap_pages(dst, 1100);
}

START_TEST(holes_before_a_failure_count_as_moved)
{
	ends_behind_holes(0, 100);
	ends_behind_holes(7, 100);
	ends_behind_holes(0, 1050);
	ends_behind_holes(7, 1050);
}
END_TEST

/* The holes have no page table at all, and the failure is right behind them. */
START_TEST(empty_tables_before_a_failure_count_as_moved)
{
	const size_t at = 2 * BLOCK_PAGES, pages = at + 10;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 3, SMALL);

	fill(page_at(src, at), 10, TAG);
	fill(page_at(dst, at), 1, OLD);
	ck_move_ends(dst, src, pages, HOLES, EEXIST, at);
	ck_holds(page_at(src, at), 10, TAG);
	ck_holds(page_at(dst, at), 1, OLD);
}
END_TEST

START_TEST(allowed_holes_may_be_whole_page_tables)
{
	const size_t pages = 5 * BLOCK_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);

	fill(page_at(src, BLOCK_PAGES), 1, TAG);
	fill(page_at(src, 4 * BLOCK_PAGES + 511), 1, TAG + 1);
	ck_move(dst, src, pages, HOLES);
	ck_assert_uint_eq(count_present(dst, pages), 2);
	ck_holds(page_at(dst, BLOCK_PAGES), 1, TAG);
	ck_holds(page_at(dst, 4 * BLOCK_PAGES + 511), 1, TAG + 1);
	ck_holes(src, pages);
}
END_TEST

static void replaces_with_holes(size_t dst_phase)
{
	const size_t pages = 2 * BLOCK_PAGES + 100;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, dst_phase, SMALL);

	fill_every(src, BLOCK_PAGES, 4, TAG);
	fill(dst, pages, OLD);
	ck_move(dst, src, pages, HOLES | REPLACE);
	ck_holes(src, pages);
	ck_every(dst, BLOCK_PAGES, 4, TAG);
	ck_holes(page_at(dst, BLOCK_PAGES), pages - BLOCK_PAGES);
}

START_TEST(replace_with_holes_makes_holes)
{
	replaces_with_holes(0);
	replaces_with_holes(7);
}
END_TEST

START_TEST(replace_by_an_untouched_source_empties_the_destination)
{
	char *src = map_pages(1200, 0, SMALL);
	char *dst = map_pages(1200, 0, SMALL);

	fill(dst, 1200, OLD);
	ck_move(dst, src, 1200, HOLES | REPLACE);
	ck_holes(dst, 1200);
	ck_zero(dst, 1200);
}
END_TEST

START_TEST(zero_pages_move)
{
	char *src = map_pages(600, 0, SMALL);
	char *dst = map_pages(600, 0, SMALL);

	ck_zero(src, 600);
	ck_assert_uint_eq(count_present(src, 600), 600);
	ck_move(dst, src, 600, 0);
	ck_holes(src, 600);
	ck_assert_uint_eq(count_present(dst, 600), 600);
	ck_zero(dst, 600);
	fill(dst, 600, TAG);
	ck_holds(dst, 600, TAG);
	ck_zero(src, 600);
}
END_TEST

START_TEST(zero_pages_move_between_others)
{
	char *src = map_pages(600, 0, SMALL);
	char *dst = map_pages(600, 33, SMALL);
	size_t i;

	fill_every(src, 600, 2, TAG);
	for (i = 1; i < 600; i += 2)
		ck_zero(page_at(src, i), 1);
	ck_move(dst, src, 600, 0);
	ck_holes(src, 600);
	for (i = 0; i < 600; i += 2) {
		ck_holds(page_at(dst, i), 1, TAG + i);
		ck_zero(page_at(dst, i + 1), 1);
	}
}
END_TEST

/* Arguments */

START_TEST(unaligned_arguments_are_refused)
{
	char *src = map_pages(10, 0, SMALL);
	char *dst = map_pages(10, 0, SMALL);
	size_t moved = UNSET;

	fill(src, 10, TAG);
	ck_refused(dst + 8, src, 4, 0, EINVAL);
	ck_refused(dst, src + 2048, 4, 0, EINVAL);
	ck_assert_int_eq(vmremap_move(dev, dst, src, PAGE + 1, 0, &moved),
			 -EINVAL);
	ck_assert_uint_eq(moved, 0);
	ck_assert_int_eq(vmremap_move(dev, dst, src, 100, 0, NULL), -EINVAL);
	ck_untouched(dst, src, 10, TAG);
}
END_TEST

START_TEST(empty_range_is_refused)
{
	char *src = map_pages(10, 0, SMALL);
	char *dst = map_pages(10, 0, SMALL);

	ck_refused(dst, src, 0, 0, EINVAL);
}
END_TEST

START_TEST(wrapping_and_far_ranges_are_refused)
{
	char *src = map_pages(10, 0, SMALL);
	char *dst = map_pages(10, 0, SMALL);
	char *high = (char *)-BLOCK;
	char *kernel = (char *)0xffff888000000000UL;

	fill(src, 10, TAG);
	ck_refused(dst, src, (1UL << 63) / PAGE, 0, EINVAL);
	ck_refused(dst, src, ~0UL / PAGE, 0, EINVAL);
	ck_refused(high, src, BLOCK_PAGES, 0, EINVAL);
	ck_refused(dst, high, BLOCK_PAGES, 0, EINVAL);
	ck_refused(dst, kernel, 1, 0, EINVAL);
	ck_refused(kernel, src, 1, 0, EINVAL);
	ck_untouched(dst, src, 10, TAG);
}
END_TEST

START_TEST(overlapping_ranges_are_refused)
{
	char *base = map_pages(40, 0, SMALL);

	fill(base, 20, TAG);
	ck_refused(base, base, 10, HOLES | REPLACE, EINVAL);
	ck_refused(page_at(base, 1), base, 10, HOLES | REPLACE, EINVAL);
	ck_refused(page_at(base, 9), base, 10, HOLES | REPLACE, EINVAL);
	ck_refused(base, page_at(base, 1), 10, HOLES | REPLACE, EINVAL);
	ck_refused(base, page_at(base, 9), 10, HOLES | REPLACE, EINVAL);
	ck_untouched(page_at(base, 20), base, 20, TAG);
}
END_TEST

/* Mappings that are refused */

static void both_refused(char *other, size_t pages, int error)
{
	char *mine = map_pages(pages, 0, SMALL);

	ck_refused(other, mine, pages, HOLES | REPLACE, error);
	fill(mine, pages, TAG);
	ck_refused(other, mine, pages, REPLACE, error);
	ck_holds(mine, pages, TAG);
	ck_refused(mine, other, pages, HOLES | REPLACE, error);
	ck_holds(mine, pages, TAG);
	unmap_pages(mine, pages);
}

START_TEST(read_only_mappings_are_refused)
{
	char *other = map_pages(10, 0, SMALL);
	char *twin = map_pages(10, 0, SMALL);

	fill(other, 10, OLD);
	ck_sys(mprotect(other, 10 * PAGE, PROT_READ));
	both_refused(other, 10, EINVAL);
	ck_sys(mprotect(twin, 10 * PAGE, PROT_READ));
	ck_refused(twin, other, 10, 0, EINVAL);
	ck_holds(other, 10, OLD);
}
END_TEST

START_TEST(inaccessible_mappings_are_refused)
{
	char *other = map_pages(10, 0, SMALL);

	fill(other, 10, OLD);
	ck_sys(mprotect(other, 10 * PAGE, PROT_NONE));
	both_refused(other, 10, EINVAL);
	ck_sys(mprotect(other, 10 * PAGE, PROT_READ));
	ck_holds(other, 10, OLD);
}
END_TEST

START_TEST(different_protection_is_refused)
{
	const int rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
	char *other = map_with(10, 0, rwx, MAP_PRIVATE);

	fill(other, 10, OLD);
	both_refused(other, 10, EINVAL);
	ck_holds(other, 10, OLD);
}
END_TEST

START_TEST(equal_protection_with_exec_moves)
{
	const int rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
	char *src = map_with(10, 0, rwx, MAP_PRIVATE);
	char *dst = map_with(10, 0, rwx, MAP_PRIVATE);

	fill(src, 10, TAG);
	ck_move(dst, src, 10, 0);
	ck_arrived(dst, src, 10, TAG);
}
END_TEST

START_TEST(shared_memory_is_refused)
{
	char *other = map_with(10, 0, PROT_READ | PROT_WRITE, MAP_SHARED);

	fill(other, 10, OLD);
	both_refused(other, 10, EINVAL);
	ck_holds(other, 10, OLD);
}
END_TEST

static char *map_file(int flags)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	char *base;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 10 * PAGE), 0);
	base = mmap(NULL, 10 * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	ck_assert_ptr_ne(base, MAP_FAILED);
	close(fd);
	return base;
}

START_TEST(private_file_mappings_are_refused)
{
	char *other = map_file(MAP_PRIVATE);

	fill(other, 10, OLD);
	both_refused(other, 10, EINVAL);
	ck_holds(other, 10, OLD);
}
END_TEST

START_TEST(shared_file_mappings_are_refused)
{
	char *other = map_file(MAP_SHARED);

	fill(other, 10, OLD);
	both_refused(other, 10, EINVAL);
	ck_holds(other, 10, OLD);
}
END_TEST

START_TEST(hugetlb_memory_is_refused)
{
	const char *knob = "/proc/sys/vm/nr_hugepages";
	char *other;

	if (!write_knob(knob, "4") || read_knob(knob) < 2)
		SKIP("no hugetlb pages to be had");
	other = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ck_assert_ptr_ne(other, MAP_FAILED);
	fill(other, BLOCK_PAGES, OLD);
	both_refused(other, BLOCK_PAGES, EINVAL);
	ck_holds(other, BLOCK_PAGES, OLD);
	ck_sys(munmap(other, BLOCK));
	write_knob(knob, "0");
}
END_TEST

START_TEST(vdso_is_refused)
{
	char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);
	char first[64];

	if (!vdso)
		SKIP("this process has no vdso");
	memcpy(first, vdso, sizeof(first));
	both_refused(vdso, 1, EINVAL);
	ck_assert_mem_eq(first, vdso, sizeof(first));
}
END_TEST

START_TEST(unmapped_ranges_are_no_entry)
{
	char *other = map_pages(10, 0, SMALL);

	unmap_pages(other, 10);
	/* What reserved its neighbourhood is still there on both sides. */
	both_refused(other, 10, ENOENT);
}
END_TEST

START_TEST(partly_unmapped_ranges_move_nothing)
{
	char *src = map_pages(30, 0, SMALL);
	char *dst = map_pages(30, 0, SMALL);
	char *gap = map_pages(30, 0, SMALL);

	fill(src, 30, TAG);
	unmap_pages(page_at(gap, 20), 1);
	ck_refused(gap, src, 30, REPLACE, ENOENT);
	ck_untouched(dst, src, 30, TAG);
	ck_move(gap, src, 20, 0);
	ck_refused(dst, gap, 30, HOLES, ENOENT);
	ck_untouched(dst, gap, 20, TAG);
}
END_TEST

/* Several mappings on one side or both */

static void moves_over_vmas(size_t dst_each, size_t src_each, size_t dst_phase)
{
	const size_t pages = 2 * BLOCK_PAGES + 90;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, dst_phase, SMALL);

	cut_in_vmas(src, pages, src_each);
	cut_in_vmas(dst, pages, dst_each);
	ck_assert_uint_eq(count_vmas(src, pages),
			  (pages + src_each - 1) / src_each);
	ck_assert_uint_eq(count_vmas(dst, pages),
			  (pages + dst_each - 1) / dst_each);
	fill(src, pages, TAG);
	ck_move(dst, src, pages, 0);
	ck_arrived(dst, src, pages, TAG);
	unmap_pages(src, pages);
	unmap_pages(dst, pages);
}

START_TEST(source_of_several_vmas)
{
	moves_over_vmas(2000, 100, 0);
	moves_over_vmas(2000, 512, 0);
	moves_over_vmas(2000, 511, 3);
}
END_TEST

START_TEST(destination_of_several_vmas)
{
	moves_over_vmas(100, 2000, 0);
	moves_over_vmas(512, 2000, 0);
	moves_over_vmas(511, 2000, 3);
}
END_TEST

START_TEST(both_of_several_vmas)
{
	moves_over_vmas(64, 64, 0);
	moves_over_vmas(100, 77, 0);
	moves_over_vmas(512, 512, 0);
	moves_over_vmas(1, 3, 200);
}
END_TEST

START_TEST(several_vmas_end_exactly_at_a_hole)
{
	char *src = map_pages(200, 0, SMALL);
	char *dst = map_pages(200, 50, SMALL);

	cut_in_vmas(src, 200, 30);
	cut_in_vmas(dst, 200, 41);
	fill(src, 200, TAG);
	ck_sys(madvise(page_at(src, 133), PAGE, MADV_DONTNEED));
	ck_move_ends(dst, src, 200, 0, ENOENT, 133);
	ck_holds(dst, 133, TAG);
	ck_holes(page_at(dst, 133), 67);
	ck_holds(page_at(src, 134), 66, TAG + 134);
}
END_TEST

START_TEST(bad_last_piece_of_the_source_moves_nothing)
{
	char *src = map_pages(200, 0, SMALL);
	char *dst = map_pages(200, 0, SMALL);

	fill(src, 200, TAG);
	ck_sys(mprotect(page_at(src, 199), PAGE, PROT_READ));
	ck_refused(dst, src, 200, 0, EINVAL);
	ck_untouched(dst, src, 200, TAG);
	ck_move(dst, src, 199, 0);
}
END_TEST

START_TEST(bad_last_piece_of_the_destination_moves_nothing)
{
	char *src = map_pages(200, 0, SMALL);
	char *dst = map_pages(200, 0, SMALL);

	fill(src, 200, TAG);
	ck_sys(mprotect(page_at(dst, 199), PAGE, PROT_READ));
	ck_refused(dst, src, 200, REPLACE, EINVAL);
	ck_untouched(dst, src, 200, TAG);
	ck_move(dst, src, 199, 0);
}
END_TEST

START_TEST(shared_last_piece_moves_nothing)
{
	char *src = map_pages(200, 0, SMALL);
	char *dst = map_pages(200, 0, SMALL);

	fill(src, 200, TAG);
	ck_assert_ptr_ne(mmap(page_at(dst, 199), PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 MAP_FAILED);
	ck_refused(dst, src, 200, REPLACE, EINVAL);
	ck_holds(src, 200, TAG);
	ck_holes(dst, 199);
}
END_TEST

/* Stack and heap */

START_TEST(stack_is_a_source)
{
	char area[101 * PAGE];
	char *src = (char *)(((uintptr_t)area + PAGE - 1) & ~(PAGE - 1));
	char *dst = map_pages(100, 0, SMALL);

	fill(src, 100, TAG);
	ck_move(dst, src, 100, UNSHARE);
	ck_arrived(dst, src, 100, TAG);
	fill(src, 100, OLD);
	ck_holds(dst, 100, TAG);
	ck_move(src, dst, 100, REPLACE);
	ck_holds(src, 100, TAG);
}
END_TEST

START_TEST(heap_is_a_source_and_a_destination)
{
	char *src = sbrk(101 * PAGE);
	char *dst = map_pages(100, 0, SMALL);

	ck_assert_ptr_ne(src, (void *)-1);
	src = (char *)(((uintptr_t)src + PAGE - 1) & ~(PAGE - 1));
	fill(src, 100, TAG);
	ck_move(dst, src, 100, 0);
	ck_arrived(dst, src, 100, TAG);
	ck_sys(madvise(src, 100 * PAGE, MADV_DONTNEED));
	ck_move(src, dst, 100, 0);
	ck_arrived(src, dst, 100, TAG);
}
END_TEST

/* What moved pages are afterwards */

START_TEST(moved_pages_outlive_the_source_mapping)
{
	char *src = map_pages(1000, 0, SMALL);
	char *dst = map_pages(1000, 3, SMALL);

	fill(src, 1000, TAG);
	ck_move(dst, src, 1000, 0);
	unmap_pages(src, 1000);
	ck_holds(dst, 1000, TAG);
	ck_assert(page_out(dst, 1000));
	ck_holds(dst, 1000, TAG);
}
END_TEST

static void paged_out_after_move(size_t dst_phase)
{
	const size_t pages = 2 * BLOCK_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, dst_phase, SMALL);

	fill(src, pages, TAG);
	ck_move(dst, src, pages, 0);
	/* Reclaim finds a page's mappings only if its rmap is right. */
	ck_assert(page_out(dst, pages));
	ck_assert_uint_eq(count_swapped(dst, pages), pages);
	ck_arrived(dst, src, pages, TAG);
}

START_TEST(moved_pages_can_be_reclaimed)
{
	paged_out_after_move(0);
	paged_out_after_move(21);
}
END_TEST

START_TEST(moved_pages_can_be_written)
{
	char *src = map_pages(600, 0, SMALL);
	char *dst = map_pages(600, 0, SMALL);

	fill(src, 600, TAG);
	ck_move(dst, src, 600, 0);
	fill(dst, 600, OLD);
	fill(src, 600, TAG);
	ck_holds(dst, 600, OLD);
	ck_holds(src, 600, TAG);
}
END_TEST

static bool child_writes_dst(void *dst)
{
	bool right = holds(dst, 600, TAG);

	fill(dst, 600, OLD);
	return right && holds(dst, 600, OLD);
}

START_TEST(moved_pages_are_copied_on_write_after_fork)
{
	char *src = map_pages(600, 0, SMALL);
	char *dst = map_pages(600, 5, SMALL);

	fill(src, 600, TAG);
	ck_move(dst, src, 600, 0);
	ck_assert(in_child(child_writes_dst, dst));
	ck_holds(dst, 600, TAG);
}
END_TEST

START_TEST(moved_pages_can_change_protection)
{
	char *src = map_pages(600, 0, SMALL);
	char *dst = map_pages(600, 5, SMALL);

	fill(src, 600, TAG);
	ck_move(dst, src, 600, 0);
	ck_sys(mprotect(page_at(dst, 100), 100 * PAGE, PROT_READ));
	ck_holds(dst, 600, TAG);
	ck_sys(mprotect(page_at(dst, 100), 100 * PAGE, PROT_READ | PROT_WRITE));
	fill(dst, 600, OLD);
	ck_holds(dst, 600, OLD);
}
END_TEST

START_TEST(moved_pages_can_be_remapped)
{
	char *src = map_pages(600, 0, SMALL);
	char *dst = map_pages(600, 5, SMALL);
	char *new = map_pages(600, 9, SMALL);

	fill(src, 600, TAG);
	ck_move(dst, src, 600, 0);
	ck_assert_ptr_eq(mremap(dst, 600 * PAGE, 600 * PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED, new),
			 new);
	ck_holds(new, 600, TAG);
	ck_move(src, new, 600, REPLACE);
	ck_arrived(src, new, 600, TAG);
	ck_assert(page_out(src, 600));
	ck_holds(src, 600, TAG);
}
END_TEST

START_TEST(mappings_are_unchanged)
{
	const size_t pages = 2 * BLOCK_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);

	cut_in_vmas(src, pages, 300);
	fill(src, pages, TAG);
	ck_move(dst, src, pages, 0);
	ck_assert_uint_eq(count_vmas(src, pages), 4);
	ck_assert_uint_eq(count_vmas(dst, pages), 1);
}
END_TEST

/* Accounting */

START_TEST(process_counters_are_unchanged)
{
	const size_t pages = 8 * MIB_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);
	long anonymous, rss;

	fill(src, pages, TAG);
	anonymous = rollup_kb("Anonymous");
	rss = rollup_kb("Rss");
	ck_move(dst, src, pages, 0);
	/* The test itself may touch a page of stack or heap. */
	ck_assert_int_le(labs(rollup_kb("Anonymous") - anonymous), 64);
	ck_assert_int_le(labs(rollup_kb("Rss") - rss), 256);
	ck_assert_int_eq(smaps_kb(src, "Rss"), 0);
	ck_assert_int_eq(smaps_kb(dst, "Rss"), pages * 4);
	ck_assert_int_eq(smaps_kb(dst, "Anonymous"), pages * 4);
}
END_TEST

/* Any error in the books adds up: 64 moves of 8 MiB are 512 MiB. */
static void counters_do_not_drift(size_t dst_phase)
{
	const size_t pages = 8 * MIB_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, dst_phase, SMALL);
	long rss, vm_rss, vm_swap, system;
	int i;

	fill(src, pages, TAG);
	rss = status_kb("RssAnon");
	vm_rss = status_kb("VmRSS");
	vm_swap = status_kb("VmSwap");
	system = meminfo_kb("AnonPages");
	for (i = 0; i < 32; i++) {
		ck_move(dst, src, pages, 0);
		ck_move(src, dst, pages, 0);
	}
	/* These counters are kept per CPU, so they are not exact. */
	ck_assert_int_le(labs(status_kb("RssAnon") - rss), 1024);
	ck_assert_int_le(labs(status_kb("VmRSS") - vm_rss), 2048);
	ck_assert_int_le(labs(status_kb("VmSwap") - vm_swap), 1024);
	ck_assert_int_le(labs(meminfo_kb("AnonPages") - system), 8192);
	ck_holds(src, pages, TAG);
}

START_TEST(counters_do_not_drift_congruent)
{
	counters_do_not_drift(0);
}
END_TEST

START_TEST(counters_do_not_drift_not_congruent)
{
	counters_do_not_drift(1);
}
END_TEST

START_TEST(counters_do_not_drift_with_replace)
{
	const size_t pages = 4 * MIB_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 0, SMALL);
	long rss;
	int i;

	fill(src, pages, TAG);
	fill(dst, pages, OLD);
	rss = status_kb("RssAnon");
	for (i = 0; i < 20; i++) {
		ck_move(dst, src, pages, REPLACE);
		fill(src, pages, TAG + i);
	}
	ck_assert_int_le(labs(status_kb("RssAnon") - rss), 1024);
}
END_TEST

START_TEST(page_tables_do_not_leak)
{
	const size_t pages = 8 * MIB_PAGES;
	long before = status_kb("VmPTE");
	int i;

	for (i = 0; i < 20; i++)
		there_and_back(pages, 0, 0);
	ck_assert_int_le(labs(status_kb("VmPTE") - before), 256);
}
END_TEST

/* Signals */

static void move_for_ever(char *dst, char *src, size_t pages)
{
	for (;;) {
		vmremap_move(dev, dst, src, pages * PAGE, HOLES | REPLACE,
			     NULL);
		vmremap_move(dev, src, dst, pages * PAGE, HOLES | REPLACE,
			     NULL);
	}
}

static void killed_while_moving(size_t dst_phase)
{
	const size_t pages = 32 * MIB_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, dst_phase, SMALL);
	int i, status;

	for (i = 0; i < 10; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			fill(src, pages, TAG);
			move_for_ever(dst, src, pages);
		}
		usleep(400000 + i * 7001);
		kill(pid, SIGKILL);
		ck_assert_msg(ends_within(pid, 30, &status), "it hangs");
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

START_TEST(killed_process_ends)
{
	killed_while_moving(0);
	killed_while_moving(7);
}
END_TEST

START_TEST(killed_process_with_swapped_pages_ends)
{
	const size_t pages = 16 * MIB_PAGES;
	char *src = map_pages(pages, 0, SMALL);
	char *dst = map_pages(pages, 7, SMALL);
	int i, status;

	for (i = 0; i < 3; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			fill(src, pages, TAG);
			for (;;) {
				madvise(src, pages * PAGE, MADV_PAGEOUT);
				vmremap_move(dev, dst, src, pages * PAGE,
					     HOLES | REPLACE, NULL);
				vmremap_move(dev, src, dst, pages * PAGE,
					     HOLES | REPLACE, NULL);
			}
		}
		usleep(900000 + i * 70001);
		kill(pid, SIGKILL);
		ck_assert_msg(ends_within(pid, 30, &status), "it hangs");
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}
END_TEST

static void add_places(Suite *s)
{
	TCase *c = add_case(s, "places");

	tcase_add_test(c, moves_one_page);
	tcase_add_test(c, moves_a_few_pages_to_another_offset);
	tcase_add_test(c, moves_whole_page_tables);
	tcase_add_test(c, moves_page_tables_with_ragged_ends);
	tcase_add_test(c, moves_odd_sizes_over_table_borders);
	tcase_add_test(c, moves_64_mib_congruent);
	tcase_add_test(c, moves_64_mib_not_congruent);
	tcase_add_test(c, moves_within_one_mapping);
	tcase_add_test(c, moves_to_the_adjacent_range);
	tcase_add_test(c, leaves_neighbours_alone);
	tcase_add_test(c, source_is_used_and_moved_again);
	tcase_add_test(c, moves_on_through_many_places);
	tcase_add_test(c, stack_is_a_source);
	tcase_add_test(c, heap_is_a_source_and_a_destination);
}

static void add_destinations(Suite *s)
{
	TCase *c = add_case(s, "destinations");

	tcase_add_test(c, destination_used_and_emptied_before);
	tcase_add_test(c, destination_with_empty_tables);
	tcase_add_test(c, occupied_destination_ends_the_move_exactly);
	tcase_add_test(c, zero_page_occupies_the_destination);
	tcase_add_test(c, swapped_page_occupies_the_destination);
	tcase_add_test(c, replace_discards_the_destination);
	tcase_add_test(c, replace_of_an_empty_destination_is_a_move);
	tcase_add_test(c, replace_frees_what_was_there);
	tcase_add_test(c, replace_discards_zero_pages);
	tcase_add_test(c, replace_discards_swapped_pages);
	tcase_add_test(c, replace_keeps_what_it_did_not_reach);
}

static void add_holes(Suite *s)
{
	TCase *c = add_case(s, "holes");

	tcase_add_test(c, hole_ends_the_move_exactly);
	tcase_add_test(c, never_touched_source_is_a_hole);
	tcase_add_test(c, allowed_holes_are_skipped_and_counted);
	tcase_add_test(c, holes_before_a_failure_count_as_moved);
	tcase_add_test(c, empty_tables_before_a_failure_count_as_moved);
	tcase_add_test(c, allowed_holes_may_be_whole_page_tables);
	tcase_add_test(c, replace_with_holes_makes_holes);
	tcase_add_test(c,
		       replace_by_an_untouched_source_empties_the_destination);
	tcase_add_test(c, zero_pages_move);
	tcase_add_test(c, zero_pages_move_between_others);
}

static void add_refusals(Suite *s)
{
	TCase *c = add_case(s, "refusals");

	tcase_add_test(c, unaligned_arguments_are_refused);
	tcase_add_test(c, empty_range_is_refused);
	tcase_add_test(c, wrapping_and_far_ranges_are_refused);
	tcase_add_test(c, overlapping_ranges_are_refused);
	tcase_add_test(c, read_only_mappings_are_refused);
	tcase_add_test(c, inaccessible_mappings_are_refused);
	tcase_add_test(c, different_protection_is_refused);
	tcase_add_test(c, equal_protection_with_exec_moves);
	tcase_add_test(c, shared_memory_is_refused);
	tcase_add_test(c, private_file_mappings_are_refused);
	tcase_add_test(c, shared_file_mappings_are_refused);
	tcase_add_test(c, hugetlb_memory_is_refused);
	tcase_add_test(c, vdso_is_refused);
	tcase_add_test(c, unmapped_ranges_are_no_entry);
	tcase_add_test(c, partly_unmapped_ranges_move_nothing);
}

static void add_several_vmas(Suite *s)
{
	TCase *c = add_case(s, "several VMAs");

	tcase_add_test(c, source_of_several_vmas);
	tcase_add_test(c, destination_of_several_vmas);
	tcase_add_test(c, both_of_several_vmas);
	tcase_add_test(c, several_vmas_end_exactly_at_a_hole);
	tcase_add_test(c, bad_last_piece_of_the_source_moves_nothing);
	tcase_add_test(c, bad_last_piece_of_the_destination_moves_nothing);
	tcase_add_test(c, shared_last_piece_moves_nothing);
}

static void add_afterwards(Suite *s)
{
	TCase *c = add_case(s, "afterwards");

	tcase_add_test(c, moved_pages_outlive_the_source_mapping);
	tcase_add_test(c, moved_pages_can_be_reclaimed);
	tcase_add_test(c, moved_pages_can_be_written);
	tcase_add_test(c, moved_pages_are_copied_on_write_after_fork);
	tcase_add_test(c, moved_pages_can_change_protection);
	tcase_add_test(c, moved_pages_can_be_remapped);
	tcase_add_test(c, mappings_are_unchanged);
	tcase_add_test(c, process_counters_are_unchanged);
	tcase_add_test(c, counters_do_not_drift_congruent);
	tcase_add_test(c, counters_do_not_drift_not_congruent);
	tcase_add_test(c, counters_do_not_drift_with_replace);
	tcase_add_test(c, page_tables_do_not_leak);
	tcase_add_test(c, killed_process_ends);
	tcase_add_test(c, killed_process_with_swapped_pages_ends);
}

int main(void)
{
	Suite *s = suite_create("move");

	add_places(s);
	add_destinations(s);
	add_holes(s);
	add_refusals(s);
	add_several_vmas(s);
	add_afterwards(s);
	return run_suite(s);
}
