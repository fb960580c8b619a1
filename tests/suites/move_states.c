// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving pages in every state that one page can be in: shared, merged, swapped
 * out, pinned, locked, sealed, guarded, keyed, idle, soft-dirty.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "lib/child.h"
#include "lib/moves.h"
#include "lib/pin.h"

#define TAG 1000
#define OLD 700000
#define PAGES 600

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack 453
#endif
#define MADV_GUARD_INSTALL_ 102
#define MADV_GUARD_REMOVE_ 103
#define MAP_DROPPABLE_ 0x08

static char *src, *dst;

/* Not congruent: each page by its own entry. */
static void make_ranges(void)
{
	src = map_pages(PAGES, 0, SMALL);
	dst = map_pages(PAGES, 30, SMALL);
	fill(src, PAGES, TAG);
}

/* Congruent: by whole page tables where the state lets it. */
static void make_congruent_ranges(void)
{
	dst = map_pages(PAGES, 0, SMALL);
}

static bool sees_src(void *unused)
{
	(void)unused;
	return holds(src, PAGES, TAG);
}

/* Shared after fork */

static void shared_is_busy(void)
{
	struct child child = child_waits(sees_src, NULL);

	ck_refused(dst, src, PAGES, 0, EBUSY);
	ck_untouched(dst, src, PAGES, TAG);
	ck_assert(child_ends(&child));
}

START_TEST(page_shared_by_fork_is_busy)
{
	shared_is_busy();
	make_congruent_ranges();
	shared_is_busy();
}
END_TEST

static void shared_is_unshared(void)
{
	struct child child = child_waits(sees_src, NULL);

	ck_move(dst, src, PAGES, UNSHARE);
	ck_arrived(dst, src, PAGES, TAG);
	fill(dst, PAGES, OLD);
	fill(src, PAGES, OLD);
	ck_assert_msg(child_ends(&child), "the child's memory changed");
	ck_holds(dst, PAGES, OLD);
}

START_TEST(page_shared_by_fork_is_unshared)
{
	shared_is_unshared();
	fill(src, PAGES, TAG);
	make_congruent_ranges();
	shared_is_unshared();
}
END_TEST

START_TEST(first_shared_page_ends_the_move_exactly)
{
	struct child child = child_waits(sees_src, NULL);

	fill(src, 333, TAG);
	ck_move_ends(dst, src, PAGES, 0, EBUSY, 333);
	ck_holds(dst, 333, TAG);
	ck_holes(page_at(dst, 333), PAGES - 333);
	ck_holds(page_at(src, 333), PAGES - 333, TAG + 333);
	ck_holes(src, 333);
	ck_move(page_at(dst, 333), page_at(src, 333), PAGES - 333, UNSHARE);
	ck_arrived(dst, src, PAGES, TAG);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(page_once_shared_with_an_ended_child_moves)
{
	size_t moved = UNSET;
	int rc;

	ck_assert(in_child(sees_src, NULL));
	/* No longer shared, but not yet known to be so: both are right. */
	rc = vmremap_move(dev, dst, src, PAGES * PAGE, 0, &moved);
	if (rc) {
		ck_assert_int_eq(rc, -EBUSY);
		ck_assert_uint_eq(moved, 0);
		ck_move(dst, src, PAGES, UNSHARE);
	}
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(page_written_after_fork_moves)
{
	struct child child = child_waits(sees_src, NULL);

	fill(src, PAGES, TAG);
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(unshare_stops_at_a_hole)
{
	struct child child = child_waits(sees_src, NULL);

	ck_sys(madvise(page_at(src, 99), PAGE, MADV_DONTNEED));
	ck_move_ends(dst, src, PAGES, UNSHARE, ENOENT, 99);
	ck_holds(dst, 99, TAG);
	ck_holes(page_at(dst, 99), PAGES - 99);
	ck_holds(page_at(src, 100), PAGES - 100, TAG + 100);
	ck_assert(child_ends(&child));
}
END_TEST

static bool moves_in_child(void *unused)
{
	size_t moved = UNSET;

	(void)unused;
	if (vmremap_move(dev, dst, src, PAGES * PAGE, 0, &moved) != -EBUSY ||
	    moved != 0)
		return false;
	if (vmremap_move(dev, dst, src, PAGES * PAGE, UNSHARE, &moved))
		return false;
	if (!holds(dst, PAGES, TAG) || count_holes(src, PAGES) != PAGES)
		return false;
	fill(dst, PAGES, OLD);
	fill(src, PAGES, OLD);
	return true;
}

START_TEST(child_moves_what_it_shares_with_its_parent)
{
	ck_assert(in_child(moves_in_child, NULL));
	ck_untouched(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(zero_pages_shared_by_fork_move)
{
	char *zeros = map_pages(100, 0, SMALL);
	struct child child;

	ck_zero(zeros, 100);
	child = child_waits(sees_src, NULL);
	ck_move(dst, zeros, 100, 0);
	ck_holes(zeros, 100);
	ck_zero(dst, 100);
	ck_assert(child_ends(&child));
}
END_TEST

/* KSM */

static void fill_same(char *base, size_t pages, uint64_t tag)
{
	size_t i;

	for (i = 0; i < pages; i++)
		fill(page_at(base, i), 1, tag);
}

static void ck_same(char *base, size_t pages, uint64_t tag)
{
	size_t i;

	for (i = 0; i < pages; i++)
		ck_holds(page_at(base, i), 1, tag);
}

START_TEST(merged_page_is_busy)
{
	fill_same(page_at(src, 200), 64, OLD);
	ck_assert(merge_by_ksm(page_at(src, 200), 64));
	ck_move_ends(dst, src, PAGES, 0, EBUSY, 200);
	ck_holds(dst, 200, TAG);
	ck_same(page_at(src, 200), 64, OLD);
	ck_holds(page_at(src, 264), PAGES - 264, TAG + 264);
	ck_holes(page_at(dst, 200), PAGES - 200);
}
END_TEST

START_TEST(merged_page_is_unshared)
{
	char *twin = map_pages(64, 0, SMALL);

	fill_same(page_at(src, 200), 64, OLD);
	fill_same(twin, 64, OLD);
	ck_assert(merge_by_ksm(twin, 64));
	ck_assert(merge_by_ksm(page_at(src, 200), 64));
	ck_move(dst, src, PAGES, UNSHARE);
	ck_holds(dst, 200, TAG);
	ck_same(page_at(dst, 200), 64, OLD);
	ck_holds(page_at(dst, 264), PAGES - 264, TAG + 264);
	ck_holes(src, PAGES);
	fill(dst, PAGES, TAG);
	ck_same(twin, 64, OLD);
}
END_TEST

START_TEST(moved_pages_can_be_merged)
{
	fill_same(src, 64, OLD);
	ck_move(dst, src, 64, 0);
	ck_assert(merge_by_ksm(dst, 64));
	ck_same(dst, 64, OLD);
}
END_TEST

/* Swapped out */

static void swapped_moves(void)
{
	ck_assert(page_out(src, PAGES));
	ck_assert_uint_eq(count_swapped(src, PAGES), PAGES);
	ck_move(dst, src, PAGES, 0);
	ck_assert_int_eq(smaps_kb(src, "Swap"), 0);
	ck_arrived(dst, src, PAGES, TAG);
}

START_TEST(swapped_page_moves)
{
	swapped_moves();
}
END_TEST

START_TEST(swapped_page_moves_congruent)
{
	make_congruent_ranges();
	swapped_moves();
}
END_TEST

START_TEST(swapped_page_moves_between_others)
{
	size_t i;

	for (i = 0; i < PAGES; i += 50)
		ck_assert(page_out(page_at(src, i), 10));
	ck_assert_uint_eq(count_swapped(src, PAGES), PAGES / 5);
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(swapped_and_shared_page_is_busy)
{
	struct child child;

	ck_assert(page_out(src, PAGES));
	child = child_waits(sees_src, NULL);
	ck_refused(dst, src, PAGES, 0, EBUSY);
	ck_untouched(dst, src, PAGES, TAG);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(swapped_and_shared_page_is_unshared)
{
	struct child child;

	ck_assert(page_out(src, PAGES));
	child = child_waits(sees_src, NULL);
	ck_move(dst, src, PAGES, UNSHARE);
	ck_arrived(dst, src, PAGES, TAG);
	fill(dst, PAGES, OLD);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(states_move_in_one_call)
{
	struct child child;

	/* Exclusive, hole, zero, swapped, shared: a hundred pages of each. */
	ck_sys(madvise(page_at(src, 100), 200 * PAGE, MADV_DONTNEED));
	ck_zero(page_at(src, 200), 100);
	ck_assert(page_out(page_at(src, 300), 100));
	child = child_waits(sees_src, NULL);
	fill(src, 100, TAG);
	fill(page_at(src, 500), 100, TAG + 500);
	ck_move(dst, src, PAGES, HOLES | UNSHARE);
	ck_holes(src, PAGES);
	ck_holds(dst, 100, TAG);
	ck_holes(page_at(dst, 100), 100);
	ck_zero(page_at(dst, 200), 100);
	ck_holds(page_at(dst, 300), 300, TAG + 300);
	child_ends(&child);
}
END_TEST

START_TEST(page_out_and_move_again_and_again)
{
	int i;

	for (i = 0; i < 5; i++) {
		ck_assert(page_out(src, PAGES));
		ck_move(dst, src, PAGES, 0);
		ck_assert(page_out(dst, PAGES));
		ck_move(src, dst, PAGES, 0);
	}
	ck_holds(src, PAGES, TAG);
}
END_TEST

/* Pinned and referenced */

/* Has the kernel write a page through the pin: what DMA would do. */
static void write_through_pin(struct pin *pin, char *page, uint64_t tag)
{
	char *content = map_pages(1, 0, SMALL);
	int fd = memfd_create("content", MFD_CLOEXEC);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;

	fill(content, 1, tag);
	ck_assert_int_eq(write(fd, content, PAGE), PAGE);
	sqe = io_uring_get_sqe(&pin->ring);
	io_uring_prep_read_fixed(sqe, fd, page, PAGE, 0, 0);
	ck_assert_int_eq(io_uring_submit(&pin->ring), 1);
	ck_assert_int_eq(io_uring_wait_cqe(&pin->ring, &cqe), 0);
	ck_assert_int_eq(cqe->res, PAGE);
	io_uring_cqe_seen(&pin->ring, cqe);
	close(fd);
}

static void pinned_is_busy(size_t at)
{
	struct pin pin;

	ck_assert(pin_pages(&pin, page_at(src, at), 1));
	ck_move_ends(dst, src, PAGES, 0, EBUSY, at);
	ck_holds(dst, at, TAG);
	ck_holes(page_at(dst, at), PAGES - at);
	ck_holds(page_at(src, at), PAGES - at, TAG + at);

	write_through_pin(&pin, page_at(src, at), OLD);
	ck_holds(page_at(src, at), 1, OLD);
	fill(page_at(src, at), 1, TAG + at);
	unpin_pages(&pin);

	ck_move(page_at(dst, at), page_at(src, at), PAGES - at, 0);
	ck_arrived(dst, src, PAGES, TAG);
	ck_move(src, dst, PAGES, REPLACE);
}

static bool io_uring_works(void)
{
	struct pin pin;

	if (!pin_pages(&pin, src, 1))
		return false;
	unpin_pages(&pin);
	return true;
}

START_TEST(pinned_page_is_busy)
{
	if (!io_uring_works())
		SKIP("io_uring is not to be had");
	pinned_is_busy(0);
	pinned_is_busy(301);
	pinned_is_busy(PAGES - 1);
}
END_TEST

START_TEST(pinned_page_is_busy_congruent)
{
	if (!io_uring_works())
		SKIP("io_uring is not to be had");
	make_congruent_ranges();
	pinned_is_busy(0);
	pinned_is_busy(301);
	pinned_is_busy(PAGES - 1);
}
END_TEST

START_TEST(pinned_page_is_busy_with_all_flags)
{
	struct pin pin;

	if (!io_uring_works())
		SKIP("io_uring is not to be had");
	fill(dst, PAGES, OLD);
	ck_assert(pin_pages(&pin, page_at(src, 77), 3));
	ck_move_ends(dst, src, PAGES, HOLES | REPLACE | UNSHARE, EBUSY, 77);
	ck_holds(dst, 77, TAG);
	ck_holds(page_at(dst, 77), PAGES - 77, OLD + 77);
	ck_holds(page_at(src, 77), PAGES - 77, TAG + 77);
	unpin_pages(&pin);
}
END_TEST

START_TEST(failed_replace_keeps_what_was_only_read)
{
	struct pin pin;

	if (!pin_pages(&pin, src, 1))
		SKIP("io_uring is not to be had");
	ck_zero(dst, 10);
	ck_move_ends(dst, src, PAGES, REPLACE, EBUSY, 0);
	ck_assert_uint_eq(count_present(dst, PAGES), 10);
	ck_zero(dst, 10);
	unpin_pages(&pin);
	ck_move(dst, src, PAGES, REPLACE);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(page_with_a_reference_but_no_pin_moves)
{
	struct iovec piece = { .iov_base = src, .iov_len = 8 * PAGE };
	char *back = map_pages(8, 0, SMALL);
	int pipe_ends[2];

	ck_assert_int_eq(pipe(pipe_ends), 0);
	ck_assert_int_eq(vmsplice(pipe_ends[1], &piece, 1, 0), 8 * PAGE);
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
	ck_assert_int_eq(read(pipe_ends[0], back, 8 * PAGE), 8 * PAGE);
	ck_holds(back, 8, TAG);
}
END_TEST

/* Locked */

START_TEST(locked_source_alone_is_refused)
{
	ck_sys(mlock(src, PAGES * PAGE));
	ck_refused(dst, src, PAGES, 0, EINVAL);
	ck_untouched(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(locked_destination_alone_is_refused)
{
	ck_sys(mlock2(dst, PAGES * PAGE, MLOCK_ONFAULT));
	ck_refused(dst, src, PAGES, 0, EINVAL);
	ck_untouched(dst, src, PAGES, TAG);
}
END_TEST

static void locked_moves(unsigned int flags)
{
	long locked = status_kb("VmLck");

	ck_assert_int_eq(locked, 2 * PAGES * 4);
	ck_move(dst, src, PAGES, flags);
	ck_assert_int_eq(status_kb("VmLck"), locked);
	ck_arrived(dst, src, PAGES, TAG);
	/* Locked pages stay, wherever they are now. */
	madvise(dst, PAGES * PAGE, MADV_PAGEOUT);
	ck_assert_uint_eq(count_present(dst, PAGES), PAGES);
	ck_sys(munlock(dst, PAGES * PAGE));
	ck_sys(munlock(src, PAGES * PAGE));
	ck_holds(dst, PAGES, TAG);
	ck_assert(page_out(dst, PAGES));
	ck_holds(dst, PAGES, TAG);
}

START_TEST(both_locked_moves)
{
	ck_sys(mlock2(src, PAGES * PAGE, MLOCK_ONFAULT));
	ck_sys(mlock2(dst, PAGES * PAGE, MLOCK_ONFAULT));
	locked_moves(0);
}
END_TEST

START_TEST(both_locked_and_populated_replaces)
{
	ck_sys(mlock(src, PAGES * PAGE));
	ck_sys(mlock(dst, PAGES * PAGE));
	ck_refused(dst, src, PAGES, 0, EEXIST);
	locked_moves(REPLACE);
}
END_TEST

/* Sealed */

START_TEST(sealed_source_is_not_permitted)
{
	if (syscall(SYS_mseal, src, PAGES * PAGE, 0) && errno == ENOSYS)
		SKIP("no mseal before 6.10");
	ck_refused(dst, src, PAGES, 0, EPERM);
	ck_untouched(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(sealed_destination_is_not_permitted)
{
	if (syscall(SYS_mseal, dst, PAGES * PAGE, 0) && errno == ENOSYS)
		SKIP("no mseal before 6.10");
	ck_refused(dst, src, PAGES, REPLACE, EPERM);
	ck_untouched(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(sealed_last_piece_moves_nothing)
{
	if (syscall(SYS_mseal, page_at(src, PAGES - 1), PAGE, 0) &&
	    errno == ENOSYS)
		SKIP("no mseal before 6.10");
	ck_refused(dst, src, PAGES, 0, EPERM);
	ck_untouched(dst, src, PAGES, TAG);
	ck_move(dst, src, PAGES - 1, 0);
}
END_TEST

/* Protection keys */

START_TEST(different_protection_key_is_refused)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP("no protection keys on this processor");
	ck_sys(pkey_mprotect(src, PAGES * PAGE, PROT_READ | PROT_WRITE, key));
	ck_refused(dst, src, PAGES, 0, EINVAL);
	ck_untouched(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(equal_protection_key_moves)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP("no protection keys on this processor");
	ck_sys(pkey_mprotect(src, PAGES * PAGE, PROT_READ | PROT_WRITE, key));
	ck_sys(pkey_mprotect(dst, PAGES * PAGE, PROT_READ | PROT_WRITE, key));
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(key_that_denies_access_does_not_matter)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP("no protection keys on this processor");
	ck_sys(pkey_mprotect(src, PAGES * PAGE, PROT_READ | PROT_WRITE, key));
	ck_sys(pkey_mprotect(dst, PAGES * PAGE, PROT_READ | PROT_WRITE, key));
	ck_assert(page_out(page_at(src, 5), 20));
	ck_sys(pkey_set(key, PKEY_DISABLE_ACCESS));
	ck_move(dst, src, PAGES, 0);
	ck_sys(pkey_set(key, 0));
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

/* Droppable */

static char *map_droppable(void)
{
	return map_with(PAGES, 0, PROT_READ | PROT_WRITE, MAP_DROPPABLE_);
}

START_TEST(droppable_and_other_memory_is_refused)
{
	char *droppable = map_droppable();

	if (!droppable)
		SKIP("no MAP_DROPPABLE before 6.11");
	ck_refused(droppable, src, PAGES, 0, EINVAL);
	ck_untouched(droppable, src, PAGES, TAG);
	fill(droppable, PAGES, OLD);
	ck_refused(dst, droppable, PAGES, HOLES, EINVAL);
	ck_holes(dst, PAGES);
}
END_TEST

START_TEST(droppable_memory_moves_to_its_like)
{
	char *from = map_droppable();
	char *to = map_droppable();

	if (!from || !to)
		SKIP("no MAP_DROPPABLE before 6.11");
	fill(from, PAGES, TAG);
	ck_move(to, from, PAGES, 0);
	ck_arrived(to, from, PAGES, TAG);
}
END_TEST

/* Guarded */

static bool guard(char *page, size_t pages)
{
	return !madvise(page, pages * PAGE, MADV_GUARD_INSTALL_);
}

START_TEST(guard_page_in_the_source_faults)
{
	if (!guard(page_at(src, 55), 2))
		SKIP("no guard pages before 6.13");
	ck_move_ends(dst, src, PAGES, HOLES | REPLACE | UNSHARE, EFAULT, 55);
	ck_holds(dst, 55, TAG);
	ck_holes(page_at(dst, 55), PAGES - 55);
	ck_holds(page_at(src, 57), PAGES - 57, TAG + 57);
	/* It is a guard still. */
	ck_move_ends(page_at(dst, 55), page_at(src, 55), 1, HOLES, EFAULT, 0);
	ck_sys(madvise(page_at(src, 55), 2 * PAGE, MADV_GUARD_REMOVE_));
	ck_move(page_at(dst, 55), page_at(src, 55), PAGES - 55, HOLES);
	ck_holds(page_at(dst, 57), PAGES - 57, TAG + 57);
}
END_TEST

START_TEST(guard_page_in_the_destination_ends_the_move)
{
	size_t moved = UNSET;
	int rc;

	if (!guard(page_at(dst, 55), 2))
		SKIP("no guard pages before 6.13");
	rc = vmremap_move(dev, dst, src, PAGES * PAGE, 0, &moved);
	ck_assert_msg(rc == -EEXIST || rc == -EFAULT, "%s", strerror(-rc));
	ck_assert_uint_eq(moved, 55 * PAGE);
	ck_holds(dst, 55, TAG);
	ck_holds(page_at(src, 55), PAGES - 55, TAG + 55);
}
END_TEST

static bool reads(void *page)
{
	(void)*(volatile char *)page;
	return true;
}

/* Guards among the pages that are replaced, which move by their page table. */
static void guard_is_not_replaced(unsigned int flags, size_t guarded)
{
	char *from = map_pages(BLOCK_PAGES, 0, SMALL);
	char *to = map_pages(BLOCK_PAGES, 0, SMALL);
	size_t at = guarded + 1;

	fill(from, BLOCK_PAGES, TAG);
	fill(to, BLOCK_PAGES, OLD);
	ck_assert(guard(page_at(to, guarded), 1));
	ck_move_ends(to, from, BLOCK_PAGES, flags, EFAULT, guarded);
	ck_holds(to, guarded, TAG);
	ck_holds(page_at(to, at), BLOCK_PAGES - at, OLD + at);
	ck_holes(from, guarded);
	ck_holds(page_at(from, guarded), BLOCK_PAGES - guarded, TAG + guarded);
	ck_assert_msg(!in_child(reads, page_at(to, guarded)), "no guard left");
	ck_assert(page_out(page_at(from, guarded), BLOCK_PAGES - guarded));
	ck_holds(page_at(from, guarded), BLOCK_PAGES - guarded, TAG + guarded);
	ck_sys(madvise(page_at(to, guarded), PAGE, MADV_GUARD_REMOVE_));
	/* The child of before may still count as one who shares them. */
	ck_move(page_at(to, guarded), page_at(from, guarded),
		BLOCK_PAGES - guarded, flags | UNSHARE);
	ck_arrived(to, from, BLOCK_PAGES, TAG);
}

START_TEST(guard_page_in_a_replaced_block_ends_the_move_exactly)
{
	if (!guard(page_at(dst, 55), 2))
		SKIP("no guard pages before 6.13");
	guard_is_not_replaced(REPLACE, 9);
	guard_is_not_replaced(REPLACE, 0);
	guard_is_not_replaced(REPLACE, BLOCK_PAGES - 1);
	guard_is_not_replaced(REPLACE | HOLES | UNSHARE, 9);
}
END_TEST

static void hole_is_no_match_for_a_guard(char *from, char *to)
{
	fill(to, BLOCK_PAGES, OLD);
	ck_assert(guard(page_at(to, 9), 1));
	ck_move_ends(to, from, BLOCK_PAGES, HOLES | REPLACE, EFAULT, 9);
	ck_holes(to, 9);
	ck_holds(page_at(to, 10), BLOCK_PAGES - 10, OLD + 10);
	ck_assert_msg(!in_child(reads, page_at(to, 9)), "no guard left");
}

START_TEST(hole_does_not_replace_a_guard)
{
	char *from = map_pages(BLOCK_PAGES, 0, SMALL);

	if (!guard(page_at(dst, 55), 2))
		SKIP("no guard pages before 6.13");
	/* There is no page table, and then there is one. */
	hole_is_no_match_for_a_guard(from, map_pages(BLOCK_PAGES, 0, SMALL));
	hole_is_no_match_for_a_guard(from, map_pages(BLOCK_PAGES, 7, SMALL));
	fill(page_at(from, 100), 1, TAG);
	hole_is_no_match_for_a_guard(from, map_pages(BLOCK_PAGES, 0, SMALL));
	hole_is_no_match_for_a_guard(from, map_pages(BLOCK_PAGES, 7, SMALL));
}
END_TEST

/* Shadow stacks */

START_TEST(shadow_stack_is_refused)
{
	char *stack = (char *)syscall(SYS_map_shadow_stack, NULL, 4 * PAGE, 0);

	if (stack == (char *)-1)
		SKIP("no shadow stacks on this processor");
	ck_refused(dst, stack, 4, HOLES, EINVAL);
	ck_refused(stack, src, 4, REPLACE, EINVAL);
	ck_untouched(dst, src, PAGES, TAG);
}
END_TEST

/* Freed lazily */

START_TEST(lazily_freed_page_moves)
{
	size_t i;

	ck_sys(madvise(src, PAGES * PAGE, MADV_FREE));
	ck_move(dst, src, PAGES, HOLES);
	ck_holes(src, PAGES);
	for (i = 0; i < PAGES; i++)
		ck_assert(holds(page_at(dst, i), 1, TAG + i) ||
			  first_not_zero(page_at(dst, i), 1) < 0);
	fill(dst, PAGES, OLD);
	ck_assert(page_out(dst, PAGES));
	ck_holds(dst, PAGES, OLD);
}
END_TEST

/* Soft-dirty, accessed */

static void clear_refs(const char *what)
{
	ck_assert(write_knob("/proc/self/clear_refs", what));
}

static void soft_dirty_after_move(void)
{
	clear_refs("4");
	ck_assert_uint_eq(count_soft_dirty(src, PAGES), 0);
	ck_move(dst, src, PAGES, 0);
	ck_assert_uint_eq(count_soft_dirty(dst, PAGES), PAGES);
	ck_arrived(dst, src, PAGES, TAG);
}

START_TEST(moved_pages_are_soft_dirty)
{
	soft_dirty_after_move();
}
END_TEST

START_TEST(moved_pages_are_soft_dirty_congruent)
{
	make_congruent_ranges();
	soft_dirty_after_move();
}
END_TEST

static void idle_after_move(void)
{
	clear_refs("1");
	ck_assert_int_eq(smaps_kb(src, "Referenced"), 0);
	ck_move(dst, src, PAGES, 0);
	ck_assert_int_eq(smaps_kb(dst, "Referenced"), 0);
	ck_arrived(dst, src, PAGES, TAG);
}

START_TEST(idle_pages_stay_idle)
{
	idle_after_move();
}
END_TEST

START_TEST(idle_pages_stay_idle_congruent)
{
	make_congruent_ranges();
	idle_after_move();
}
END_TEST

START_TEST(accessed_pages_stay_accessed)
{
	long before;

	fill(src, PAGES, TAG);
	before = smaps_kb(src, "Referenced");
	ck_assert_int_gt(before, 0);
	ck_move(dst, src, PAGES, 0);
	ck_assert_int_eq(smaps_kb(dst, "Referenced"), before);
}
END_TEST

START_TEST(dirty_pages_stay_dirty)
{
	long before = smaps_kb(src, "Private_Dirty");

	ck_assert_int_eq(before, PAGES * 4);
	ck_move(dst, src, PAGES, 0);
	ck_assert_int_eq(smaps_kb(dst, "Private_Dirty"), before);
	ck_assert(page_out(dst, PAGES));
	ck_holds(dst, PAGES, TAG);
}
END_TEST

static TCase *add_states(Suite *s, const char *name)
{
	TCase *c = add_case(s, name);

	tcase_add_checked_fixture(c, make_ranges, NULL);
	return c;
}

static void add_shared(Suite *s)
{
	TCase *c = add_states(s, "shared");

	tcase_add_test(c, page_shared_by_fork_is_busy);
	tcase_add_test(c, page_shared_by_fork_is_unshared);
	tcase_add_test(c, first_shared_page_ends_the_move_exactly);
	tcase_add_test(c, page_once_shared_with_an_ended_child_moves);
	tcase_add_test(c, page_written_after_fork_moves);
	tcase_add_test(c, unshare_stops_at_a_hole);
	tcase_add_test(c, child_moves_what_it_shares_with_its_parent);
	tcase_add_test(c, zero_pages_shared_by_fork_move);
	tcase_add_test(c, merged_page_is_busy);
	tcase_add_test(c, merged_page_is_unshared);
	tcase_add_test(c, moved_pages_can_be_merged);
}

static void add_swapped(Suite *s)
{
	TCase *c = add_states(s, "swapped");

	tcase_add_test(c, swapped_page_moves);
	tcase_add_test(c, swapped_page_moves_congruent);
	tcase_add_test(c, swapped_page_moves_between_others);
	tcase_add_test(c, swapped_and_shared_page_is_busy);
	tcase_add_test(c, swapped_and_shared_page_is_unshared);
	tcase_add_test(c, states_move_in_one_call);
	tcase_add_test(c, page_out_and_move_again_and_again);
}

static void add_pinned(Suite *s)
{
	TCase *c = add_states(s, "pinned");

	tcase_add_test(c, pinned_page_is_busy);
	tcase_add_test(c, pinned_page_is_busy_congruent);
	tcase_add_test(c, pinned_page_is_busy_with_all_flags);
	tcase_add_test(c, failed_replace_keeps_what_was_only_read);
	tcase_add_test(c, page_with_a_reference_but_no_pin_moves);
}

static void add_attributes(Suite *s)
{
	TCase *c = add_states(s, "attributes");

	tcase_add_test(c, locked_source_alone_is_refused);
	tcase_add_test(c, locked_destination_alone_is_refused);
	tcase_add_test(c, both_locked_moves);
	tcase_add_test(c, both_locked_and_populated_replaces);
	tcase_add_test(c, sealed_source_is_not_permitted);
	tcase_add_test(c, sealed_destination_is_not_permitted);
	tcase_add_test(c, sealed_last_piece_moves_nothing);
	tcase_add_test(c, different_protection_key_is_refused);
	tcase_add_test(c, equal_protection_key_moves);
	tcase_add_test(c, key_that_denies_access_does_not_matter);
	tcase_add_test(c, droppable_and_other_memory_is_refused);
	tcase_add_test(c, droppable_memory_moves_to_its_like);
	tcase_add_test(c, guard_page_in_the_source_faults);
	tcase_add_test(c, guard_page_in_the_destination_ends_the_move);
	tcase_add_test(c, guard_page_in_a_replaced_block_ends_the_move_exactly);
	tcase_add_test(c, hole_does_not_replace_a_guard);
	tcase_add_test(c, shadow_stack_is_refused);
	tcase_add_test(c, lazily_freed_page_moves);
}

static void add_bits(Suite *s)
{
	TCase *c = add_states(s, "bits");

	tcase_add_test(c, moved_pages_are_soft_dirty);
	tcase_add_test(c, moved_pages_are_soft_dirty_congruent);
	tcase_add_test(c, idle_pages_stay_idle);
	tcase_add_test(c, idle_pages_stay_idle_congruent);
	tcase_add_test(c, accessed_pages_stay_accessed);
	tcase_add_test(c, dirty_pages_stay_dirty);
}

int main(void)
{
	Suite *s = suite_create("move_states");

	add_shared(s);
	add_swapped(s);
	add_pinned(s);
	add_attributes(s);
	add_bits(s);
	return run_suite(s);
}
