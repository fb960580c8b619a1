// SPDX-License-Identifier: GPL-2.0-only
/* Moving large folios: 2 MiB pages mapped whole or by parts, and 64 KiB ones. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "lib/child.h"
#include "lib/moves.h"
#include "lib/pin.h"
#include "lib/slowswap.h"

#define TAG 1000
#define OLD 700000
#define BLOCKS 4
#define PAGES (BLOCKS * BLOCK_PAGES)

/* 2 MiB pages that stay whole */

START_TEST(huge_pages_stay_whole_where_congruent)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, HUGE);
	uint64_t *frames = frames_of(src, PAGES);

	ck_move(dst, src, PAGES, 0);
	ck_assert_uint_eq(count_huge(dst), BLOCKS);
	ck_assert_uint_eq(count_huge(src), 0);
	ck_assert(same_frames(frames, dst, PAGES));
	ck_arrived(dst, src, PAGES, TAG);

	ck_sys(madvise(src, PAGES * PAGE, MADV_DONTNEED));
	ck_move(src, dst, PAGES, 0);
	ck_assert_uint_eq(count_huge(src), BLOCKS);
	ck_arrived(src, dst, PAGES, TAG);
}
END_TEST

START_TEST(huge_pages_stay_whole_over_empty_tables)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, SMALL);
	size_t i;

	/* One page of each table, so that the tables themselves stay. */
	for (i = 9; i < PAGES; i += BLOCK_PAGES) {
		fill(page_at(dst, i), 1, OLD);
		ck_sys(madvise(page_at(dst, i), PAGE, MADV_DONTNEED));
	}
	ck_move(dst, src, PAGES, 0);
	ck_assert_uint_eq(count_huge(dst), BLOCKS);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(huge_pages_stay_whole_again_and_again)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, HUGE);
	int i;

	for (i = 0; i < 20; i++) {
		ck_move(dst, src, PAGES, 0);
		ck_move(src, dst, PAGES, 0);
	}
	ck_assert_uint_eq(count_huge(src), BLOCKS);
	ck_arrived(src, dst, PAGES, TAG);
}
END_TEST

START_TEST(huge_pages_stay_whole_where_the_range_covers_them)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, HUGE);
	size_t first = BLOCK_PAGES / 2, pages = PAGES - BLOCK_PAGES;

	ck_move(page_at(dst, first), page_at(src, first), pages, 0);
	ck_assert_uint_eq(count_huge(dst), BLOCKS - 2);
	ck_holds(page_at(dst, first), pages, TAG + first);
	ck_holds(src, first, TAG);
	ck_holds(page_at(src, first + pages), first, TAG + first + pages);
	ck_holes(page_at(src, first), pages);
	ck_holes(dst, first);
}
END_TEST

START_TEST(moved_huge_pages_can_be_split_and_reclaimed)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, HUGE);

	ck_move(dst, src, PAGES, 0);
	unmap_pages(src, PAGES);
	ck_sys(madvise(page_at(dst, 100), PAGE, MADV_DONTNEED));
	ck_holds(dst, 100, TAG);
	ck_holds(page_at(dst, 101), PAGES - 101, TAG + 101);
	ck_sys(mprotect(page_at(dst, BLOCK_PAGES + 7), PAGE, PROT_READ));
	ck_assert(page_out(page_at(dst, BLOCK_PAGES), PAGES - BLOCK_PAGES));
	ck_holds(page_at(dst, 101), PAGES - 101, TAG + 101);
}
END_TEST

static bool writes_all(void *dst)
{
	bool right = holds(dst, PAGES, TAG);

	fill(dst, PAGES, OLD);
	return right && holds(dst, PAGES, OLD);
}

START_TEST(moved_huge_pages_are_copied_on_write_after_fork)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, HUGE);

	ck_move(dst, src, PAGES, 0);
	ck_assert(in_child(writes_all, dst));
	ck_holds(dst, PAGES, TAG);
}
END_TEST

START_TEST(huge_pages_move_to_memory_that_wants_none)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, SMALL);

	ck_sys(madvise(dst, PAGES * PAGE, MADV_NOHUGEPAGE));
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(huge_pages_move_among_small_ones)
{
	char *src = map_pages(PAGES, 0, HUGE);
	char *dst = map_pages(PAGES, 0, HUGE);

	ck_sys(madvise(src, BLOCK, MADV_NOHUGEPAGE));
	ck_sys(madvise(page_at(src, 2 * BLOCK_PAGES), BLOCK, MADV_NOHUGEPAGE));
	fill(src, PAGES, TAG);
	ck_assert_uint_eq(count_huge(page_at(src, BLOCK_PAGES)), 1);
	ck_move(dst, src, PAGES, 0);
	ck_assert_uint_eq(count_huge(dst), 2);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

/* 2 MiB pages that cannot stay whole */

static void moves_not_congruent(size_t dst_phase, size_t src_phase)
{
	char *src = map_thp(BLOCKS, src_phase, TAG);
	char *dst = map_pages(PAGES, dst_phase, HUGE);

	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
	unmap_pages(src, PAGES);
	ck_assert(page_out(dst, PAGES));
	ck_holds(dst, PAGES, TAG);
	unmap_pages(dst, PAGES);
}

START_TEST(huge_pages_move_not_congruent)
{
	moves_not_congruent(1, 0);
	moves_not_congruent(256, 0);
	moves_not_congruent(511, 0);
	moves_not_congruent(0, 33);
}
END_TEST

static void moves_part(size_t from, size_t pages, size_t dst_phase)
{
	char *src = map_thp(2, 0, TAG);
	char *dst = map_pages(2 * BLOCK_PAGES, dst_phase, HUGE);
	size_t end = from + pages;

	ck_move(page_at(dst, from), page_at(src, from), pages, 0);
	ck_holds(page_at(dst, from), pages, TAG + from);
	ck_holes(page_at(src, from), pages);
	ck_holds(src, from, TAG);
	ck_holds(page_at(src, end), 2 * BLOCK_PAGES - end, TAG + end);
	ck_holes(dst, from);
	ck_holes(page_at(dst, end), 2 * BLOCK_PAGES - end);

	/* Both parts are memory like any other. */
	ck_zero(page_at(src, from), pages);
	fill(src, 2 * BLOCK_PAGES, OLD);
	ck_holds(page_at(dst, from), pages, TAG + from);
	fill(page_at(dst, from), pages, TAG);
	ck_holds(src, 2 * BLOCK_PAGES, OLD);
	unmap_pages(src, 2 * BLOCK_PAGES);
	ck_holds(page_at(dst, from), pages, TAG);
	unmap_pages(dst, 2 * BLOCK_PAGES);
}

START_TEST(part_of_a_huge_page_moves)
{
	moves_part(0, 256, 0);
	moves_part(256, 256, 0);
	moves_part(100, 50, 0);
	moves_part(0, 1, 0);
	moves_part(511, 1, 0);
	moves_part(300, 400, 0);
}
END_TEST

START_TEST(part_of_a_huge_page_moves_not_congruent)
{
	moves_part(0, 256, 5);
	moves_part(256, 256, 200);
	moves_part(100, 50, 511);
	moves_part(0, 1, 1);
	moves_part(300, 400, 77);
}
END_TEST

START_TEST(pages_of_a_huge_page_move_one_by_one)
{
	char *src = map_thp(1, 0, TAG);
	char *dst = map_pages(BLOCK_PAGES, 3, SMALL);
	size_t i;

	for (i = 0; i < BLOCK_PAGES; i++) {
		size_t page = (i * 37) % BLOCK_PAGES;

		ck_move(page_at(dst, page), page_at(src, page), 1, 0);
	}
	ck_arrived(dst, src, BLOCK_PAGES, TAG);
}
END_TEST

/* A page in the way cuts a huge page in two. Nothing is lost or doubled. */
START_TEST(occupied_destination_ends_a_huge_move)
{
	const size_t at = BLOCK_PAGES + 77;
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, SMALL);

	fill(page_at(dst, at), 1, OLD);
	ck_move_ends(dst, src, PAGES, 0, EEXIST, at);
	ck_holds(dst, at, TAG);
	ck_holes(src, at);
	ck_holds(page_at(src, at), PAGES - at, TAG + at);
	ck_holds(page_at(dst, at), 1, OLD);
	ck_holes(page_at(dst, at + 1), PAGES - at - 1);
}
END_TEST

/* Holes are skipped whatever is over them, and be it a huge page. */
static void holes_over_a_huge_page(size_t src_phase)
{
	char *src = map_pages(BLOCK_PAGES, src_phase, SMALL);
	char *dst = map_thp(1, 0, OLD);

	ck_move(dst, src, BLOCK_PAGES, HOLES);
	fill(page_at(src, 7), 1, TAG);
	fill(page_at(src, BLOCK_PAGES - 1), 1, TAG);
	ck_move(dst, src, 7, HOLES);
	ck_move(page_at(dst, 8), page_at(src, 8), 100, HOLES);
	ck_assert_uint_eq(count_huge(dst), 1);
	ck_move_ends(dst, src, BLOCK_PAGES, HOLES, EEXIST, 7);
	ck_holds(dst, BLOCK_PAGES, OLD);
	ck_holds(page_at(src, 7), 1, TAG);
	ck_holds(page_at(src, BLOCK_PAGES - 1), 1, TAG);
}

START_TEST(holes_over_a_huge_page_are_skipped)
{
	holes_over_a_huge_page(0);
	holes_over_a_huge_page(20);
}
END_TEST

/* Huge zero page */

static void huge_zero_moves(size_t dst_phase)
{
	char *src = map_pages(PAGES, 0, HUGE);
	char *dst = map_pages(PAGES, dst_phase, HUGE);

	ck_zero(src, PAGES);
	ck_assert_uint_eq(count_present(src, PAGES), PAGES);
	ck_move(dst, src, PAGES, 0);
	ck_holes(src, PAGES);
	ck_zero(dst, PAGES);
	fill(dst, PAGES, TAG);
	ck_zero(src, PAGES);
	ck_holds(dst, PAGES, TAG);
	unmap_pages(src, PAGES);
	unmap_pages(dst, PAGES);
}

START_TEST(huge_zero_page_moves)
{
	huge_zero_moves(0);
	huge_zero_moves(7);
}
END_TEST

START_TEST(part_of_a_huge_zero_page_moves)
{
	char *src = map_pages(PAGES, 0, HUGE);
	char *dst = map_pages(PAGES, 0, HUGE);

	ck_zero(src, PAGES);
	ck_move(page_at(dst, 100), page_at(src, 100), 1000, 0);
	ck_holes(page_at(src, 100), 1000);
	ck_zero(page_at(dst, 100), 1000);
	ck_zero(src, PAGES);
}
END_TEST

/* Huge pages at the destination */

START_TEST(replace_discards_huge_pages)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_thp(BLOCKS, 0, OLD);
	long before = rollup_kb("Anonymous");

	ck_move(dst, src, PAGES, REPLACE);
	ck_assert_int_le(rollup_kb("Anonymous"), before - (long)PAGES * 4 + 64);
	ck_assert_uint_eq(count_huge(dst), BLOCKS);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

static void replaces_part(size_t from, size_t pages, size_t src_phase)
{
	char *src = map_pages(pages, src_phase, SMALL);
	char *dst = map_thp(2, 0, OLD);
	size_t end = from + pages;

	fill(src, pages, TAG);
	ck_move(page_at(dst, from), src, pages, REPLACE);
	ck_arrived(page_at(dst, from), src, pages, TAG);
	ck_holds(dst, from, OLD);
	ck_holds(page_at(dst, end), 2 * BLOCK_PAGES - end, OLD + end);
	unmap_pages(src, pages);
	unmap_pages(dst, 2 * BLOCK_PAGES);
}

START_TEST(replace_discards_part_of_a_huge_page)
{
	replaces_part(0, 1, 0);
	replaces_part(100, 50, 100);
	replaces_part(100, 50, 3);
	replaces_part(256, 512, 256);
	replaces_part(1, 1022, 9);
}
END_TEST

START_TEST(replace_that_stops_keeps_the_rest_of_a_huge_page)
{
	char *src = map_pages(BLOCK_PAGES, 0, SMALL);
	char *dst = map_thp(1, 0, OLD);

	fill(src, 200, TAG);
	ck_move_ends(dst, src, BLOCK_PAGES, REPLACE, ENOENT, 200);
	ck_holds(dst, 200, TAG);
	ck_holds(page_at(dst, 200), BLOCK_PAGES - 200, OLD + 200);
}
END_TEST

START_TEST(replace_with_huge_pages_over_small_ones)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, SMALL);

	fill(dst, PAGES, OLD);
	ck_move(dst, src, PAGES, REPLACE);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(replace_by_holes_discards_huge_pages)
{
	char *src = map_pages(PAGES, 0, SMALL);
	char *dst = map_thp(BLOCKS, 0, OLD);

	ck_move(dst, src, PAGES, HOLES | REPLACE);
	ck_holes(dst, PAGES);
}
END_TEST

/* Shared, swapped, pinned huge pages */

static char *shared;

static bool sees_shared(void *unused)
{
	(void)unused;
	return holds(shared, PAGES, TAG);
}

static void shared_huge_pages(size_t dst_phase)
{
	char *dst = map_pages(PAGES, dst_phase, HUGE);
	struct child child;

	shared = map_thp(BLOCKS, 0, TAG);
	child = child_waits(sees_shared, NULL);
	ck_refused(dst, shared, PAGES, 0, EBUSY);
	ck_untouched(dst, shared, PAGES, TAG);
	ck_move(dst, shared, PAGES, UNSHARE);
	ck_arrived(dst, shared, PAGES, TAG);
	fill(dst, PAGES, OLD);
	fill(shared, PAGES, OLD);
	ck_assert_msg(child_ends(&child), "the child's memory changed");
	ck_holds(dst, PAGES, OLD);
}

START_TEST(shared_huge_page_is_busy_or_unshared)
{
	shared_huge_pages(0);
}
END_TEST

START_TEST(shared_huge_page_is_busy_or_unshared_not_congruent)
{
	shared_huge_pages(19);
}
END_TEST

START_TEST(part_of_a_shared_huge_page_is_unshared)
{
	char *dst = map_pages(PAGES, 0, HUGE);
	struct child child;

	shared = map_thp(BLOCKS, 0, TAG);
	child = child_waits(sees_shared, NULL);
	ck_refused(page_at(dst, 100), page_at(shared, 100), 700, 0, EBUSY);
	ck_move(page_at(dst, 100), page_at(shared, 100), 700, UNSHARE);
	ck_holds(page_at(dst, 100), 700, TAG + 100);
	ck_holes(page_at(shared, 100), 700);
	ck_holds(shared, 100, TAG);
	ck_holds(page_at(shared, 800), PAGES - 800, TAG + 800);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(huge_page_once_shared_with_an_ended_child_moves)
{
	char *dst = map_pages(PAGES, 0, HUGE);

	shared = map_thp(BLOCKS, 0, TAG);
	ck_assert(in_child(sees_shared, NULL));
	ck_move(dst, shared, PAGES, UNSHARE);
	ck_arrived(dst, shared, PAGES, TAG);
}
END_TEST

static void swapped_huge_pages(size_t dst_phase)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, dst_phase, HUGE);

	ck_assert(page_out(src, PAGES));
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
}

START_TEST(swapped_huge_page_moves)
{
	swapped_huge_pages(0);
	swapped_huge_pages(50);
}
END_TEST

START_TEST(partly_swapped_huge_page_moves)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, HUGE);

	page_out(page_at(src, BLOCK_PAGES), BLOCK_PAGES);
	madvise(page_at(src, 100), 30 * PAGE, MADV_PAGEOUT);
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

/*
 * Pages of a folio in the swap cache that are not mapped may come back where
 * they were, so none of its pages takes it along.
 */
START_TEST(page_of_a_folio_in_the_swap_cache_moves_alone)
{
	char *src = map_thp(1, 0, TAG);
	char *dst = map_pages(BLOCK_PAGES, 3, SMALL);

	if (!slow_swap_begin())
		SKIP("no loop device to swap to");
	ck_sys(madvise(src, BLOCK, MADV_PAGEOUT));
	ck_assert_uint_eq(count_swapped(src, BLOCK_PAGES), BLOCK_PAGES);
	/* So that they do not all come back with the first one that does. */
	ck_sys(madvise(src, PAGE, MADV_DONTNEED));
	ck_holds(page_at(src, 5), 1, TAG + 5);
	ck_move(page_at(dst, 5), page_at(src, 5), 1, 0);
	ck_holds(page_at(dst, 5), 1, TAG + 5);
	ck_holds(page_at(src, 6), 10, TAG + 6);
	/* Only what the kernel finds by the folio it can page out. */
	ck_assert(page_out(page_at(src, 6), 10));
	ck_sys(munmap(dst, BLOCK));
	ck_holds(page_at(src, 6), BLOCK_PAGES - 6, TAG + 6);
	ck_sys(munmap(src, BLOCK));
	slow_swap_end();
}
END_TEST

/* What a disk is about to write into them would not get into copies. */
START_TEST(part_of_a_huge_page_in_use_does_not_move)
{
	char *src = map_thp(1, 0, TAG);
	char *dst = map_pages(BLOCK_PAGES, 3, SMALL);
	struct iovec piece = { .iov_base = page_at(src, 300), .iov_len = PAGE };
	int ends[2];

	ck_sys(pipe(ends));
	ck_assert_int_eq(vmsplice(ends[1], &piece, 1, 0), PAGE);
	ck_move_ends(dst, page_at(src, 290), 20, HOLES | REPLACE | UNSHARE,
		     EBUSY, 0);
	ck_untouched(dst, src, BLOCK_PAGES, TAG);
	ck_sys(close(ends[0]));
	ck_sys(close(ends[1]));
	ck_move(dst, page_at(src, 290), 20, 0);
	ck_holds(dst, 20, TAG + 290);
}
END_TEST

struct holder {
	int ends[2];
	atomic_bool move_begins;
};

/* Wants the lock of the mappings before it lets go, as many a holder does. */
static void *map_and_let_go(void *arg)
{
	struct holder *holder = arg;
	void *map;

	while (!atomic_load(&holder->move_begins))
		sched_yield();
	/* By then the move has the lock. */
	usleep(20000);
	map = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(map != MAP_FAILED);
	munmap(map, PAGE);
	close(holder->ends[0]);
	close(holder->ends[1]);
	return NULL;
}

static int move_part_in_use(void)
{
	char *src = map_thp(1, 0, TAG);
	char *dst = map_pages(BLOCK_PAGES, 3, SMALL);
	struct iovec piece = { .iov_base = page_at(src, 300), .iov_len = PAGE };
	struct holder holder = {};
	pthread_t thread;
	size_t moved;
	int rc;

	ck_sys(pipe(holder.ends));
	ck_assert_int_eq(vmsplice(holder.ends[1], &piece, 1, 0), PAGE);
	ck_assert(pthread_create(&thread, NULL, map_and_let_go, &holder) == 0);
	atomic_store(&holder.move_begins, true);
	rc = vmremap_move(dev, dst, page_at(src, 290), 20 * PAGE, 0, &moved);
	pthread_join(thread, NULL);
	if (!rc)
		ck_holds(dst, 20, TAG + 290);
	unmap_pages(src, BLOCK_PAGES);
	unmap_pages(dst, BLOCK_PAGES);
	return rc;
}

START_TEST(part_of_a_huge_page_moves_when_its_holder_lets_go)
{
	size_t tries;
	int rc = -EBUSY;

	/* A holder that gets no processor for so long is not to be blamed. */
	for (tries = 0; tries < 10 && rc == -EBUSY; tries++)
		rc = move_part_in_use();
	ck_assert_int_eq(rc, 0);
}
END_TEST

static void pinned_huge_pages(struct pin *pin, char *src, size_t dst_phase)
{
	char *dst = map_pages(PAGES, dst_phase, HUGE);

	ck_move_ends(dst, src, PAGES, 0, EBUSY, BLOCK_PAGES);
	ck_holds(dst, BLOCK_PAGES, TAG);
	ck_holes(page_at(dst, BLOCK_PAGES), PAGES - BLOCK_PAGES);
	ck_holds(page_at(src, BLOCK_PAGES), PAGES - BLOCK_PAGES,
		 TAG + BLOCK_PAGES);
	unpin_pages(pin);
	ck_move(page_at(dst, BLOCK_PAGES), page_at(src, BLOCK_PAGES),
		PAGES - BLOCK_PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
}

START_TEST(pinned_huge_page_is_busy)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	struct pin pin;

	if (!pin_pages(&pin, page_at(src, BLOCK_PAGES), BLOCK_PAGES))
		SKIP("io_uring is not to be had");
	pinned_huge_pages(&pin, src, 0);
}
END_TEST

START_TEST(pinned_huge_page_is_busy_not_congruent)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	struct pin pin;

	if (!pin_pages(&pin, page_at(src, BLOCK_PAGES), BLOCK_PAGES))
		SKIP("io_uring is not to be had");
	pinned_huge_pages(&pin, src, 8);
}
END_TEST

START_TEST(part_of_a_pinned_huge_page_is_busy)
{
	char *src = map_thp(1, 0, TAG);
	char *dst = map_pages(BLOCK_PAGES, 0, HUGE);
	struct pin pin;

	if (!pin_pages(&pin, page_at(src, 300), 1))
		SKIP("io_uring is not to be had");
	ck_move_ends(dst, page_at(src, 290), 20, HOLES | REPLACE | UNSHARE,
		     EBUSY, 0);
	ck_untouched(dst, src, BLOCK_PAGES, TAG);
	unpin_pages(&pin);
	ck_move(dst, page_at(src, 290), 20, 0);
	ck_holds(dst, 20, TAG + 290);
}
END_TEST

START_TEST(moved_huge_pages_are_soft_dirty)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, HUGE);

	ck_assert(write_knob("/proc/self/clear_refs", "4"));
	ck_assert_uint_eq(count_soft_dirty(src, PAGES), 0);
	ck_move(dst, src, PAGES, 0);
	ck_assert_uint_eq(count_soft_dirty(dst, PAGES), PAGES);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

/* Huge pages mapped by parts */

static char *map_thp_in_parts(void)
{
	char *base = map_thp(BLOCKS, 0, TAG);
	size_t i;

	for (i = 9; i < PAGES; i += BLOCK_PAGES) {
		ck_sys(mprotect(page_at(base, i), PAGE, PROT_READ));
		ck_sys(mprotect(page_at(base, i), PAGE,
				PROT_READ | PROT_WRITE));
	}
	ck_assert_uint_eq(count_huge(base), 0);
	ck_assert_uint_eq(count_large(base, PAGES), PAGES);
	return base;
}

static void parts_move(size_t dst_phase)
{
	char *src = map_thp_in_parts();
	char *dst = map_pages(PAGES, dst_phase, HUGE);
	uint64_t *frames = frames_of(src, PAGES);

	ck_move(dst, src, PAGES, 0);
	ck_assert_msg(same_frames(frames, dst, PAGES), "pages were copied");
	ck_assert_uint_eq(count_large(dst, PAGES), PAGES);
	ck_arrived(dst, src, PAGES, TAG);
	unmap_pages(src, PAGES);
	ck_assert(page_out(dst, PAGES));
	ck_holds(dst, PAGES, TAG);
}

START_TEST(huge_page_mapped_by_parts_moves_whole)
{
	parts_move(0);
}
END_TEST

START_TEST(huge_page_mapped_by_parts_moves_whole_not_congruent)
{
	parts_move(3);
	parts_move(511);
}
END_TEST

START_TEST(part_of_a_huge_page_mapped_by_parts_moves)
{
	char *src = map_thp_in_parts();
	char *dst = map_pages(PAGES, 5, SMALL);

	ck_move(page_at(dst, 100), page_at(src, 100), 300, 0);
	ck_holds(page_at(dst, 100), 300, TAG + 100);
	ck_holes(page_at(src, 100), 300);
	ck_move(page_at(dst, 400), page_at(src, 400), 600, 0);
	ck_holds(page_at(dst, 100), 900, TAG + 100);
	ck_holds(src, 100, TAG);
	ck_holds(page_at(src, 1000), PAGES - 1000, TAG + 1000);
}
END_TEST

START_TEST(huge_page_with_a_part_discarded_moves)
{
	char *src = map_thp(BLOCKS, 0, TAG);
	char *dst = map_pages(PAGES, 0, HUGE);

	ck_sys(madvise(page_at(src, 40), 10 * PAGE, MADV_DONTNEED));
	ck_move_ends(dst, src, PAGES, 0, ENOENT, 40);
	ck_move(page_at(dst, 40), page_at(src, 40), PAGES - 40, HOLES);
	ck_holds(dst, 40, TAG);
	ck_holes(page_at(dst, 40), 10);
	ck_holds(page_at(dst, 50), PAGES - 50, TAG + 50);
	ck_holes(src, PAGES);
}
END_TEST

START_TEST(huge_page_with_a_part_unmapped_moves)
{
	char *src = map_thp(2, 0, TAG);
	char *dst = map_pages(2 * BLOCK_PAGES, 0, HUGE);

	unmap_pages(page_at(src, 500), 24);
	ck_move(dst, src, 500, 0);
	ck_holds(dst, 500, TAG);
	ck_move(page_at(dst, 524), page_at(src, 524), 500, 0);
	ck_holds(page_at(dst, 524), 500, TAG + 524);
	ck_holes(page_at(dst, 500), 24);
}
END_TEST

START_TEST(huge_page_over_two_mappings_moves)
{
	char *src = map_thp(2, 0, TAG);
	char *dst = map_pages(2 * BLOCK_PAGES, 0, HUGE);

	cut_in_vmas(src, 2 * BLOCK_PAGES, 300);
	ck_move(dst, src, 2 * BLOCK_PAGES, 0);
	ck_arrived(dst, src, 2 * BLOCK_PAGES, TAG);
}
END_TEST

START_TEST(huge_page_to_two_mappings_moves)
{
	char *src = map_thp(2, 0, TAG);
	char *dst = map_pages(2 * BLOCK_PAGES, 0, HUGE);

	cut_in_vmas(dst, 2 * BLOCK_PAGES, 300);
	ck_move(dst, src, 2 * BLOCK_PAGES, 0);
	ck_arrived(dst, src, 2 * BLOCK_PAGES, TAG);
	ck_assert(page_out(dst, 2 * BLOCK_PAGES));
	ck_holds(dst, 2 * BLOCK_PAGES, TAG);
}
END_TEST

/* 64 KiB folios */

#define NO_MTHP "no 64 KiB folios before 6.8"
#define MPAGES (40 * MTHP_PAGES)

static void mthp_stays_whole(size_t dst_phase)
{
	char *src = map_mthp(MPAGES, 16, TAG);
	char *dst = map_pages(MPAGES, dst_phase, SMALL);
	uint64_t *frames = frames_of(src, MPAGES);

	ck_move(dst, src, MPAGES, 0);
	ck_assert_msg(same_frames(frames, dst, MPAGES), "pages were copied");
	ck_assert_uint_eq(count_large(dst, MPAGES), MPAGES);
	ck_arrived(dst, src, MPAGES, TAG);
	ck_assert(page_out(dst, MPAGES));
	ck_holds(dst, MPAGES, TAG);
}

static bool have_mthp(void)
{
	return !access(THP_DIR "hugepages-64kB/enabled", W_OK);
}

START_TEST(mthp_stays_whole_at_the_same_offset)
{
	if (!have_mthp())
		SKIP(NO_MTHP);
	mthp_stays_whole(16);
}
END_TEST

START_TEST(mthp_stays_whole_at_other_offsets)
{
	if (!have_mthp())
		SKIP(NO_MTHP);
	mthp_stays_whole(0);
	mthp_stays_whole(19);
	mthp_stays_whole(32);
	mthp_stays_whole(511);
}
END_TEST

START_TEST(mthp_moves_in_part)
{
	char *src, *dst;

	if (!have_mthp())
		SKIP(NO_MTHP);
	src = map_mthp(MPAGES, 16, TAG);
	dst = map_pages(MPAGES, 19, SMALL);
	ck_move(page_at(dst, 5), page_at(src, 5), 100, 0);
	ck_holds(page_at(dst, 5), 100, TAG + 5);
	ck_holes(page_at(src, 5), 100);
	ck_holds(src, 5, TAG);
	ck_holds(page_at(src, 105), MPAGES - 105, TAG + 105);
	ck_move(page_at(dst, 105), page_at(src, 105), 1, 0);
	ck_move(page_at(dst, 108), page_at(src, 108), 2, 0);
	ck_holds(page_at(dst, 105), 1, TAG + 105);
	ck_holds(page_at(dst, 108), 2, TAG + 108);
	ck_holds(page_at(src, 110), MPAGES - 110, TAG + 110);
}
END_TEST

START_TEST(mthp_with_a_hole_moves)
{
	char *src, *dst;

	if (!have_mthp())
		SKIP(NO_MTHP);
	src = map_mthp(MPAGES, 16, TAG);
	dst = map_pages(MPAGES, 0, SMALL);
	ck_sys(madvise(page_at(src, 36), PAGE, MADV_DONTNEED));
	ck_move_ends(dst, src, MPAGES, 0, ENOENT, 36);
	ck_holds(dst, 36, TAG);
	ck_holds(page_at(src, 37), MPAGES - 37, TAG + 37);
	ck_move(page_at(dst, 36), page_at(src, 36), MPAGES - 36, HOLES);
	ck_holds(page_at(dst, 37), MPAGES - 37, TAG + 37);
}
END_TEST

static char *mthp;

static bool sees_mthp(void *unused)
{
	(void)unused;
	return holds(mthp, MPAGES, TAG);
}

START_TEST(shared_mthp_is_busy_or_unshared)
{
	struct child child;
	char *dst;

	if (!have_mthp())
		SKIP(NO_MTHP);
	mthp = map_mthp(MPAGES, 16, TAG);
	dst = map_pages(MPAGES, 0, SMALL);
	child = child_waits(sees_mthp, NULL);
	ck_refused(dst, mthp, MPAGES, 0, EBUSY);
	ck_untouched(dst, mthp, MPAGES, TAG);
	ck_move(dst, mthp, MPAGES, UNSHARE);
	ck_arrived(dst, mthp, MPAGES, TAG);
	fill(dst, MPAGES, OLD);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(partly_shared_mthp_moves_with_unshare)
{
	struct child child;
	size_t i;
	char *dst;

	if (!have_mthp())
		SKIP(NO_MTHP);
	mthp = map_mthp(MPAGES, 16, TAG);
	dst = map_pages(MPAGES, 0, SMALL);
	child = child_waits(sees_mthp, NULL);
	for (i = 0; i < MPAGES; i += 3)
		fill(page_at(mthp, i), 1, TAG + i);
	ck_move(dst, mthp, MPAGES, UNSHARE);
	ck_arrived(dst, mthp, MPAGES, TAG);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(pinned_mthp_is_busy)
{
	char *src, *dst;
	struct pin pin;

	if (!have_mthp())
		SKIP(NO_MTHP);
	src = map_mthp(MPAGES, 16, TAG);
	dst = map_pages(MPAGES, 0, SMALL);
	if (!pin_pages(&pin, page_at(src, 2 * MTHP_PAGES), MTHP_PAGES))
		SKIP("io_uring is not to be had");
	ck_move_ends(dst, src, MPAGES, 0, EBUSY, 2 * MTHP_PAGES);
	ck_holds(dst, 2 * MTHP_PAGES, TAG);
	ck_holds(page_at(src, 2 * MTHP_PAGES), MPAGES - 2 * MTHP_PAGES,
		 TAG + 2 * MTHP_PAGES);
	unpin_pages(&pin);
	ck_move(page_at(dst, 2 * MTHP_PAGES), page_at(src, 2 * MTHP_PAGES),
		MPAGES - 2 * MTHP_PAGES, 0);
	ck_arrived(dst, src, MPAGES, TAG);
}
END_TEST

START_TEST(swapped_mthp_moves)
{
	char *src, *dst;

	if (!have_mthp())
		SKIP(NO_MTHP);
	src = map_mthp(MPAGES, 16, TAG);
	dst = map_pages(MPAGES, 0, SMALL);
	ck_assert(page_out(src, MPAGES));
	ck_move(dst, src, MPAGES, 0);
	ck_arrived(dst, src, MPAGES, TAG);
}
END_TEST

START_TEST(replace_discards_mthp)
{
	char *src, *dst;

	if (!have_mthp())
		SKIP(NO_MTHP);
	src = map_mthp(MPAGES, 16, TAG);
	dst = map_mthp(MPAGES, 0, OLD);
	ck_move(page_at(dst, 5), page_at(src, 5), 200, REPLACE);
	ck_holds(dst, 5, OLD);
	ck_holds(page_at(dst, 5), 200, TAG + 5);
	ck_holds(page_at(dst, 205), MPAGES - 205, OLD + 205);
	ck_holes(page_at(src, 5), 200);
}
END_TEST

static void counters_do_not_drift(char *src, char *dst, size_t pages)
{
	long rss = status_kb("RssAnon"), system = meminfo_kb("AnonPages");
	long huge = meminfo_kb("AnonHugePages");
	int i;

	for (i = 0; i < 20; i++) {
		ck_move(dst, src, pages, 0);
		ck_move(src, dst, pages, 0);
	}
	ck_assert_int_le(labs(status_kb("RssAnon") - rss), 1024);
	ck_assert_int_le(labs(meminfo_kb("AnonPages") - system), 8192);
	ck_assert_int_le(labs(meminfo_kb("AnonHugePages") - huge), 8192);
	ck_holds(src, pages, TAG);
}

START_TEST(huge_page_counters_do_not_drift)
{
	counters_do_not_drift(map_thp(BLOCKS, 0, TAG),
			      map_pages(PAGES, 0, HUGE), PAGES);
}
END_TEST

START_TEST(mthp_counters_do_not_drift)
{
	if (!have_mthp())
		SKIP(NO_MTHP);
	counters_do_not_drift(map_mthp(MPAGES, 16, TAG),
			      map_pages(MPAGES, 3, SMALL), MPAGES);
}
END_TEST

/* Large folios in a vector */

static void ck_none_locked(char *base, size_t pages)
{
	ck_assert_uint_eq(count_flagged(base, pages, KPF_LOCKED), 0);
}

static char *folio_under_test;

static bool sees_and_writes_folio(void *unused)
{
	char *rest = page_at(folio_under_test, 100);
	bool right = holds(rest, BLOCK_PAGES - 100, TAG + 100);

	(void)unused;
	fill(rest, BLOCK_PAGES - 100, OLD);
	return right && holds(rest, BLOCK_PAGES - 100, OLD);
}

/*
 * A huge page mapped by parts, with a page in the way of its hundredth, and
 * another range far behind it: the span goes on, the folio ends in the middle.
 */
START_TEST(huge_page_mapped_by_parts_ends_exactly_in_a_vector)
{
	char *src = map_thp_in_parts(), *dst = map_pages(PAGES, 0, SMALL);
	char *far = page_at(src, 3 * BLOCK_PAGES);
	struct vmremap_range ranges[2] = {
		range_of(page_at(dst, 3 * BLOCK_PAGES), far, 1),
		range_of(dst, src, BLOCK_PAGES),
	};

	fill(page_at(dst, 100), 1, OLD);
	ck_movev_ends(ranges, 2, 0, EEXIST, 1 + 100, 1);
	ck_none_locked(src, PAGES);
	ck_none_locked(dst, PAGES);
	ck_holds(dst, 100, TAG);
	ck_holds(page_at(dst, 100), 1, OLD);
	ck_holes(page_at(dst, 101), BLOCK_PAGES - 101);
	ck_holds(page_at(dst, 3 * BLOCK_PAGES), 1, TAG + 3 * BLOCK_PAGES);
	ck_holes(src, 100);
	ck_holds(page_at(src, 100), 3 * BLOCK_PAGES - 100, TAG + 100);
	ck_holes(far, 1);
	ck_holds(page_at(far, 1), BLOCK_PAGES - 1, TAG + 3 * BLOCK_PAGES + 1);

	/* And all of it is memory like any other. */
	folio_under_test = src;
	ck_assert(in_child(sees_and_writes_folio, NULL));
	ck_assert(page_out(page_at(src, 100), 3 * BLOCK_PAGES - 100));
	ck_assert(page_out(dst, 100));
	ck_assert(page_out(page_at(far, 1), BLOCK_PAGES - 1));
	ck_holds(page_at(src, 100), 3 * BLOCK_PAGES - 100, TAG + 100);
	ck_holds(page_at(far, 1), BLOCK_PAGES - 1, TAG + 3 * BLOCK_PAGES + 1);
	ck_move(page_at(dst, 100), page_at(src, 100), BLOCK_PAGES - 100,
		REPLACE | UNSHARE);
	unmap_pages(src, PAGES);
	ck_holds(dst, BLOCK_PAGES, TAG);
	unmap_pages(dst, PAGES);
}
END_TEST

START_TEST(huge_page_mapped_by_parts_ends_exactly)
{
	char *src = map_thp_in_parts(), *dst = map_pages(PAGES, 0, SMALL);
	const size_t at = BLOCK_PAGES + 100;

	fill(page_at(dst, at), 1, OLD);
	ck_move_ends(dst, src, PAGES, 0, EEXIST, at);
	ck_none_locked(src, PAGES);
	ck_holds(dst, at, TAG);
	ck_holes(src, at);
	ck_holds(page_at(src, at), PAGES - at, TAG + at);
	ck_assert(page_out(page_at(src, at), PAGES - at));
	ck_holds(page_at(src, at), PAGES - at, TAG + at);
}
END_TEST

/* The pages go into a huge page between them, in the same mapping. */
static void into_a_huge_page_between(bool mapped_by_parts)
{
	char *base = map_thp(BLOCKS, 0, TAG);
	char *to = page_at(base, BLOCK_PAGES + 5);
	struct vmremap_range ranges[2] = {
		range_of(to, base, 1),
		range_of(page_at(base, 3 * BLOCK_PAGES),
			 page_at(base, 2 * BLOCK_PAGES), 1),
	};

	ck_sys(madvise(page_at(base, 3 * BLOCK_PAGES), BLOCK, MADV_DONTNEED));
	if (mapped_by_parts) {
		ck_sys(mprotect(to, PAGE, PROT_READ));
		ck_sys(mprotect(to, PAGE, PROT_READ | PROT_WRITE));
	}
	ck_movev_ends(ranges, 2, 0, EEXIST, 0, 0);
	ck_none_locked(base, PAGES);
	ck_holds(base, 3 * BLOCK_PAGES, TAG);
	ck_holes(page_at(base, 3 * BLOCK_PAGES), BLOCK_PAGES);
	ck_movev_ends(ranges, 2, REPLACE, 0, 2, 2);
	ck_holds(to, 1, TAG);
	ck_holds(page_at(base, 3 * BLOCK_PAGES), 1, TAG + 2 * BLOCK_PAGES);
	ck_holds(page_at(base, 1), BLOCK_PAGES + 4, TAG + 1);
	ck_assert(page_out(page_at(base, 1), 2 * BLOCK_PAGES - 1));
	ck_holds(page_at(base, 1), BLOCK_PAGES + 4, TAG + 1);
	ck_holds(page_at(to, 1), BLOCK_PAGES - 6, TAG + BLOCK_PAGES + 6);
	unmap_pages(base, PAGES);
}

START_TEST(huge_page_of_the_same_mapping_is_in_the_way)
{
	into_a_huge_page_between(false);
	into_a_huge_page_between(true);
}
END_TEST

/*
 * Private memory of /dev/zero is anonymous, and yet has a file: the kernel
 * takes other paths where it looks for one.
 */
static char *map_zero_device(size_t blocks)
{
	char *base = map_pages(blocks * BLOCK_PAGES, 0, SMALL);
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert(mmap(base, blocks * BLOCK, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_FIXED, fd, 0) == base);
	close(fd);
	ck_sys(madvise(base, blocks * BLOCK, MADV_HUGEPAGE));
	return base;
}

/* It cannot move as a whole: the index of its first page would be negative. */
START_TEST(rest_of_a_pinned_huge_page_at_offset_zero_is_busy)
{
	char *src = map_thp(1, 0, TAG), *zero = map_zero_device(1);
	struct pin pin;

	if (!pin_pages(&pin, page_at(src, 300), 1))
		SKIP("io_uring is not to be had");
	ck_sys(munmap(src, 50 * PAGE));
	ck_move_ends(zero, page_at(src, 50), 462, 0, EBUSY, 0);
	ck_holds(page_at(src, 50), 462, TAG + 50);
	unpin_pages(&pin);
	ck_move(zero, page_at(src, 50), 462, 0);
	ck_holds(zero, 462, TAG + 50);
}
END_TEST

/* The kernel can page out only what it finds by the folio's index. */
static void through_zero_device(char *src, size_t pages, size_t phase)
{
	char *base = map_zero_device(BLOCKS), *zero = page_at(base, phase);
	char *dst = map_pages(pages, phase, SMALL);

	ck_move(zero, src, pages, 0);
	ck_assert_uint_eq(count_present(zero, pages), pages);
	ck_assert(page_out(zero, pages));
	ck_holds(zero, pages, TAG);
	ck_move(dst, zero, pages, 0);
	ck_assert(page_out(dst, pages));
	ck_arrived(dst, zero, pages, TAG);
	unmap_pages(src, pages);
	unmap_pages(dst, pages);
	unmap_pages(base, PAGES);
}

START_TEST(pages_of_the_zero_device_can_be_found_again)
{
	const size_t pages = 2 * BLOCK_PAGES;
	char *small = map_pages(pages, 0, SMALL);

	fill(small, pages, TAG);
	through_zero_device(small, pages, 0);
	small = map_pages(pages, 0, SMALL);
	fill(small, pages, TAG);
	through_zero_device(small, pages, 30);
	small = map_pages(1, 0, SMALL);
	fill(small, 1, TAG);
	through_zero_device(small, 1, 30);
	through_zero_device(map_thp(2, 0, TAG), pages, 0);
	through_zero_device(map_thp(2, 0, TAG), pages, 30);
}
END_TEST

static void replace_in_zero_device(char *src, bool holes, size_t from,
				   size_t pages)
{
	char *dst = map_zero_device(BLOCKS);
	long unused = status_kb("RssAnon"), used;
	size_t end = from + pages;

	fill(dst, PAGES, OLD);
	ck_assert_uint_eq(count_huge(dst), BLOCKS);
	used = status_kb("RssAnon");
	ck_move(page_at(dst, from), page_at(src, from), pages, HOLES | REPLACE);
	if (holes)
		ck_holes(page_at(dst, from), pages);
	else
		ck_holds(page_at(dst, from), pages, TAG + from);
	ck_holds(dst, from, OLD);
	ck_holds(page_at(dst, end), PAGES - end, OLD + end);
	/* What is in part of a huge page is freed when that is split. */
	if (pages >= BLOCK_PAGES)
		ck_assert_int_le(status_kb("RssAnon"),
				 used - (long)(BLOCK / 1024) + 1024);
	unmap_pages(dst, PAGES);
	ck_assert_int_le(labs(status_kb("RssAnon") - unused),
			 1024 + (holes ? 0 : (long)pages * 4));
}

START_TEST(replace_discards_huge_pages_of_the_zero_device)
{
	char *empty = map_pages(PAGES, 0, SMALL);
	long before = meminfo_kb("AnonPages");
	int i;

	for (i = 0; i < 10; i++) {
		replace_in_zero_device(empty, true, 0, PAGES);
		replace_in_zero_device(empty, true, BLOCK_PAGES, BLOCK_PAGES);
		replace_in_zero_device(empty, true, 100, BLOCK_PAGES);
	}
	/* Each turn could lose 2 MiB or more. */
	ck_assert_int_le(meminfo_kb("AnonPages") - before, 16384);
}
END_TEST

START_TEST(replace_by_pages_discards_huge_pages_of_the_zero_device)
{
	char *src;

	src = map_pages(PAGES, 0, SMALL);
	fill(src, PAGES, TAG);
	replace_in_zero_device(src, false, 0, PAGES);
	src = map_pages(PAGES, 0, SMALL);
	fill(src, PAGES, TAG);
	replace_in_zero_device(src, false, 300, 700);
	replace_in_zero_device(map_thp(BLOCKS, 0, TAG), false, 0, PAGES);
}
END_TEST

START_TEST(huge_pages_of_the_zero_device_move)
{
	char *src = map_zero_device(BLOCKS), *dst = map_zero_device(BLOCKS);

	fill(src, PAGES, TAG);
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
	unmap_pages(src, PAGES);
	ck_assert(page_out(dst, PAGES));
	ck_holds(dst, PAGES, TAG);
}
END_TEST

static void add_whole(Suite *s)
{
	TCase *c = add_case(s, "whole");

	tcase_add_test(c, huge_pages_stay_whole_where_congruent);
	tcase_add_test(c, huge_pages_stay_whole_over_empty_tables);
	tcase_add_test(c, huge_pages_stay_whole_again_and_again);
	tcase_add_test(c, huge_pages_stay_whole_where_the_range_covers_them);
	tcase_add_test(c, moved_huge_pages_can_be_split_and_reclaimed);
	tcase_add_test(c, moved_huge_pages_are_copied_on_write_after_fork);
	tcase_add_test(c, huge_pages_move_to_memory_that_wants_none);
	tcase_add_test(c, huge_pages_move_among_small_ones);
	tcase_add_test(c, huge_zero_page_moves);
	tcase_add_test(c, huge_page_counters_do_not_drift);
	tcase_add_test(c, moved_huge_pages_are_soft_dirty);
}

static void add_in_part(Suite *s)
{
	TCase *c = add_case(s, "in part");

	tcase_add_test(c, huge_pages_move_not_congruent);
	tcase_add_test(c, part_of_a_huge_page_moves);
	tcase_add_test(c, part_of_a_huge_page_moves_not_congruent);
	tcase_add_test(c, pages_of_a_huge_page_move_one_by_one);
	tcase_add_test(c, occupied_destination_ends_a_huge_move);
	tcase_add_test(c, holes_over_a_huge_page_are_skipped);
	tcase_add_test(c, part_of_a_huge_zero_page_moves);
	tcase_add_test(c, huge_page_mapped_by_parts_moves_whole);
	tcase_add_test(c, huge_page_mapped_by_parts_moves_whole_not_congruent);
	tcase_add_test(c, part_of_a_huge_page_mapped_by_parts_moves);
	tcase_add_test(c, huge_page_with_a_part_discarded_moves);
	tcase_add_test(c, huge_page_with_a_part_unmapped_moves);
	tcase_add_test(c, huge_page_over_two_mappings_moves);
	tcase_add_test(c, huge_page_to_two_mappings_moves);
}

static void add_replaced(Suite *s)
{
	TCase *c = add_case(s, "replaced");

	tcase_add_test(c, replace_discards_huge_pages);
	tcase_add_test(c, replace_discards_part_of_a_huge_page);
	tcase_add_test(c, replace_that_stops_keeps_the_rest_of_a_huge_page);
	tcase_add_test(c, replace_with_huge_pages_over_small_ones);
	tcase_add_test(c, replace_by_holes_discards_huge_pages);
}

static void add_states(Suite *s)
{
	TCase *c = add_case(s, "states");

	tcase_add_test(c, shared_huge_page_is_busy_or_unshared);
	tcase_add_test(c, shared_huge_page_is_busy_or_unshared_not_congruent);
	tcase_add_test(c, part_of_a_shared_huge_page_is_unshared);
	tcase_add_test(c, huge_page_once_shared_with_an_ended_child_moves);
	tcase_add_test(c, swapped_huge_page_moves);
	tcase_add_test(c, partly_swapped_huge_page_moves);
	tcase_add_test(c, pinned_huge_page_is_busy);
	tcase_add_test(c, pinned_huge_page_is_busy_not_congruent);
	tcase_add_test(c, part_of_a_pinned_huge_page_is_busy);
	tcase_add_test(c, part_of_a_huge_page_in_use_does_not_move);
	tcase_add_test(c, part_of_a_huge_page_moves_when_its_holder_lets_go);
	tcase_add_test(c, page_of_a_folio_in_the_swap_cache_moves_alone);
}

static void add_mthp(Suite *s)
{
	TCase *c = add_case(s, "mTHP");

	tcase_add_test(c, mthp_stays_whole_at_the_same_offset);
	tcase_add_test(c, mthp_stays_whole_at_other_offsets);
	tcase_add_test(c, mthp_moves_in_part);
	tcase_add_test(c, mthp_with_a_hole_moves);
	tcase_add_test(c, shared_mthp_is_busy_or_unshared);
	tcase_add_test(c, partly_shared_mthp_moves_with_unshare);
	tcase_add_test(c, pinned_mthp_is_busy);
	tcase_add_test(c, swapped_mthp_moves);
	tcase_add_test(c, replace_discards_mthp);
	tcase_add_test(c, mthp_counters_do_not_drift);
}

static void add_vectors(Suite *s)
{
	TCase *c = add_case(s, "vectors");

	tcase_add_test(c, huge_page_mapped_by_parts_ends_exactly_in_a_vector);
	tcase_add_test(c, huge_page_mapped_by_parts_ends_exactly);
	tcase_add_test(c, huge_page_of_the_same_mapping_is_in_the_way);
}

static void add_zero_device(Suite *s)
{
	TCase *c = add_case(s, "zero device");

	tcase_add_test(c, rest_of_a_pinned_huge_page_at_offset_zero_is_busy);
	tcase_add_test(c, pages_of_the_zero_device_can_be_found_again);
	tcase_add_test(c, replace_discards_huge_pages_of_the_zero_device);
	tcase_add_test(c,
		       replace_by_pages_discards_huge_pages_of_the_zero_device);
	tcase_add_test(c, huge_pages_of_the_zero_device_move);
}

int main(void)
{
	Suite *s = suite_create("move_folio");

	add_whole(s);
	add_in_part(s);
	add_replaced(s);
	add_states(s);
	add_mthp(s);
	add_vectors(s);
	add_zero_device(s);
	return run_suite(s);
}
