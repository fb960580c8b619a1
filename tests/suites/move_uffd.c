// SPDX-License-Identifier: GPL-2.0-only
/* Moving into and out of memory that a userfaultfd watches. */
#include <pthread.h>

#include "lib/child.h"
#include "lib/moves.h"
#include "lib/uffd.h"

#define TAG 1000
#define OLD 700000
#define PAGES 600

#define MISSING UFFDIO_REGISTER_MODE_MISSING
#define WP UFFDIO_REGISTER_MODE_WP

static char *src, *dst;

static void make_ranges(void)
{
	src = map_pages(PAGES, 0, SMALL);
	dst = map_pages(PAGES, 30, SMALL);
	fill(src, PAGES, TAG);
}

static int watch(char *base, size_t pages, uint64_t features, uint64_t mode)
{
	int uffd = uffd_open(features);

	if (uffd >= 0)
		uffd_watch(uffd, base, pages, mode);
	return uffd;
}

/* Watched destinations */

START_TEST(watched_destination_needs_wake_later)
{
	watch(dst, PAGES, 0, MISSING);
	ck_refused(dst, src, PAGES, 0, EINVAL);
	ck_refused(dst, src, PAGES, HOLES | REPLACE | UNSHARE, EINVAL);
	ck_untouched(dst, src, PAGES, TAG);
	ck_move(dst, src, PAGES, WAKE_LATER);
	ck_holds(dst, PAGES, TAG);
	ck_holes(src, PAGES);
}
END_TEST

START_TEST(write_watched_destination_needs_wake_later)
{
	watch(dst, PAGES, UFFD_FEATURE_PAGEFAULT_FLAG_WP, WP);
	ck_refused(dst, src, PAGES, 0, EINVAL);
	ck_untouched(dst, src, PAGES, TAG);
	ck_move(dst, src, PAGES, WAKE_LATER);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(watched_last_piece_moves_nothing)
{
	watch(page_at(dst, PAGES - 1), 1, 0, MISSING);
	ck_refused(dst, src, PAGES, 0, EINVAL);
	ck_untouched(dst, src, PAGES, TAG);
	ck_move(dst, src, PAGES, WAKE_LATER);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(wake_later_without_a_watch_is_a_move)
{
	ck_move(dst, src, PAGES, WAKE_LATER);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(watch_that_has_ended_is_none)
{
	int uffd = watch(dst, PAGES, 0, MISSING);

	uffd_unwatch(uffd, dst, PAGES);
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(move_to_a_watched_destination_raises_no_fault)
{
	int uffd = watch(dst, PAGES, 0, MISSING);

	ck_move(dst, src, PAGES, WAKE_LATER);
	ck_assert_ptr_null(uffd_next_fault(uffd, 100));
	ck_holds(dst, PAGES, TAG);
	ck_assert_ptr_null(uffd_next_fault(uffd, 0));
}
END_TEST

START_TEST(watched_destination_that_is_occupied_ends_the_move)
{
	int uffd = watch(dst, PAGES, 0, MISSING);

	ck_sys(uffd_zeropage(uffd, page_at(dst, 44), 1));
	ck_move_ends(dst, src, PAGES, WAKE_LATER, EEXIST, 44);
	ck_holds(dst, 44, TAG);
	ck_holds(page_at(src, 44), PAGES - 44, TAG + 44);
	ck_move(page_at(dst, 44), page_at(src, 44), PAGES - 44,
		WAKE_LATER | REPLACE);
	ck_holds(dst, PAGES, TAG);
}
END_TEST

/* A thread that reads a watched page; it waits until the page is served. */
struct reader {
	pthread_t thread;
	char *page;
	uint64_t tag;
	bool right;
	volatile bool ended;
};

static void *read_page(void *argument)
{
	struct reader *reader = argument;

	reader->right = holds(reader->page, 1, reader->tag);
	reader->ended = true;
	return NULL;
}

static void start_reader(struct reader *reader, char *page, uint64_t tag)
{
	reader->page = page;
	reader->tag = tag;
	reader->ended = false;
	ck_assert_int_eq(
		pthread_create(&reader->thread, NULL, read_page, reader), 0);
}

START_TEST(waiting_thread_is_woken_by_the_caller_alone)
{
	int uffd = watch(dst, PAGES, 0, MISSING);
	struct reader reader;

	start_reader(&reader, page_at(dst, 17), TAG + 17);
	ck_assert_ptr_eq(uffd_next_fault(uffd, 30000), page_at(dst, 17));
	ck_move(page_at(dst, 17), page_at(src, 17), 1, WAKE_LATER);
	usleep(200000);
	ck_assert_msg(!reader.ended, "the module woke it");
	uffd_wake(uffd, page_at(dst, 17), 1);
	pthread_join(reader.thread, NULL);
	ck_assert(reader.right);
}
END_TEST

/* A handler that serves all faults by moving pages */

#define SERVED 3000
#define FAULTERS 4

struct faulter {
	pthread_t thread;
	char *base;
	unsigned int step;
	size_t wrong;
};

static void *fault_all(void *argument)
{
	struct faulter *faulter = argument;
	size_t i;

	for (i = 0; i < SERVED; i++) {
		size_t page = (i * faulter->step) % SERVED;

		if (!holds(page_at(faulter->base, page), 1, TAG + page))
			faulter->wrong++;
	}
	return NULL;
}

/* Threads that fault on one page get one message each; later ones find it. */
static void serve(int uffd, char *from, char *to, char *fault, size_t pages)
{
	size_t first = (fault - to) / PAGE / pages * pages, moved = UNSET;
	int rc;

	rc = vmremap_move(dev, page_at(to, first), page_at(from, first),
			  pages * PAGE, WAKE_LATER, &moved);
	ck_assert_msg(rc == 0 || rc == -EEXIST || rc == -ENOENT, "serving: %s",
		      strerror(-rc));
	ck_assert_uint_eq(moved, rc ? 0 : pages * PAGE);
	uffd_wake(uffd, page_at(to, first), pages);
}

static void serve_faulters(size_t pages, size_t dst_phase)
{
	const unsigned int steps[FAULTERS] = { 1, 7, 1009, 2999 };
	char *from = map_pages(SERVED, 0, SMALL);
	char *to = map_pages(SERVED, dst_phase, SMALL);
	int uffd = watch(to, SERVED, 0, MISSING);
	struct faulter faulters[FAULTERS] = { 0 };
	char *fault;
	int i;

	fill(from, SERVED, TAG);
	for (i = 0; i < FAULTERS; i++) {
		faulters[i].base = to;
		faulters[i].step = steps[i];
		pthread_create(&faulters[i].thread, NULL, fault_all,
			       &faulters[i]);
	}
	while (count_present(to, SERVED) < SERVED) {
		fault = uffd_next_fault(uffd, 200);
		if (fault)
			serve(uffd, from, to, fault, pages);
	}
	/* Whoever came in between waits for a page that is there. */
	while ((fault = uffd_next_fault(uffd, 500)))
		uffd_wake(uffd, fault, 1);
	for (i = 0; i < FAULTERS; i++) {
		pthread_join(faulters[i].thread, NULL);
		ck_assert_uint_eq(faulters[i].wrong, 0);
	}
	ck_holds(to, SERVED, TAG);
	ck_holes(from, SERVED);
}

START_TEST(handler_serves_thousands_of_faults_by_moving)
{
	serve_faulters(1, 30);
}
END_TEST

START_TEST(handler_serves_congruent_pages)
{
	serve_faulters(1, 0);
}
END_TEST

START_TEST(handler_serves_several_pages_at_once)
{
	serve_faulters(8, 30);
}
END_TEST

/* Watched sources */

static void *touch_page(void *page)
{
	return (void *)(uintptr_t) * (volatile uint64_t *)page;
}

START_TEST(watched_source_raises_faults_after_the_move)
{
	int uffd = watch(src, PAGES, 0, MISSING);
	pthread_t thread;
	void *value;

	ck_move(dst, src, PAGES, 0);
	ck_assert_ptr_null(uffd_next_fault(uffd, 50));
	pthread_create(&thread, NULL, touch_page, page_at(src, 123));
	ck_assert_ptr_eq(uffd_next_fault(uffd, 30000), page_at(src, 123));
	ck_sys(uffd_zeropage(uffd, page_at(src, 123), 1));
	pthread_join(thread, &value);
	ck_assert_ptr_null(value);
	ck_holds(dst, PAGES, TAG);
}
END_TEST

START_TEST(watched_source_congruent_raises_faults_after_the_move)
{
	int uffd = watch(src, PAGES, 0, MISSING);
	char *to = map_pages(PAGES, 0, SMALL);
	pthread_t thread;

	ck_move(to, src, PAGES, 0);
	pthread_create(&thread, NULL, touch_page, page_at(src, 511));
	ck_assert_ptr_eq(uffd_next_fault(uffd, 30000), page_at(src, 511));
	ck_sys(uffd_zeropage(uffd, page_at(src, 511), 1));
	pthread_join(thread, NULL);
	ck_holds(to, PAGES, TAG);
}
END_TEST

START_TEST(watched_source_with_holes_moves_without_faults)
{
	int uffd;

	ck_sys(madvise(page_at(src, 100), 50 * PAGE, MADV_DONTNEED));
	ck_assert(page_out(page_at(src, 200), 50));
	uffd = watch(src, PAGES, 0, MISSING);
	ck_move(dst, src, PAGES, HOLES);
	ck_assert_ptr_null(uffd_next_fault(uffd, 50));
	ck_holds(dst, 100, TAG);
	ck_holes(page_at(dst, 100), 50);
	ck_holds(page_at(dst, 150), PAGES - 150, TAG + 150);
}
END_TEST

/* Marked pages: write-protected, poisoned */

static void protected_source_moves(char *to)
{
	int uffd = watch(src, PAGES, UFFD_FEATURE_PAGEFAULT_FLAG_WP, WP);

	uffd_protect(uffd, page_at(src, 100), 200, true);
	ck_move(to, src, PAGES, 0);
	ck_arrived(to, src, PAGES, TAG);
	/* The protection belongs to the source, and would stop nobody here. */
	fill(to, PAGES, OLD);
	ck_holds(to, PAGES, OLD);
}

START_TEST(write_protected_source_moves)
{
	protected_source_moves(dst);
}
END_TEST

START_TEST(write_protected_source_moves_congruent)
{
	protected_source_moves(map_pages(PAGES, 0, SMALL));
}
END_TEST

START_TEST(write_protect_marker_faults)
{
	int uffd;

	ck_sys(madvise(page_at(src, 77), PAGE, MADV_DONTNEED));
	uffd = watch(src, PAGES,
		     UFFD_FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_UNPOPULATED,
		     WP);
	if (uffd < 0)
		SKIP("no write-protect markers in anonymous memory before 6.4");
	uffd_protect(uffd, page_at(src, 77), 1, true);
	ck_move_ends(dst, src, PAGES, HOLES | UNSHARE, EFAULT, 77);
	ck_holds(dst, 77, TAG);
	ck_holes(page_at(dst, 77), PAGES - 77);
	ck_holds(page_at(src, 78), PAGES - 78, TAG + 78);
}
END_TEST

START_TEST(poison_marker_faults)
{
	int uffd;

	ck_sys(madvise(page_at(src, 77), PAGE, MADV_DONTNEED));
	uffd = watch(src, PAGES, FEATURE_POISON, MISSING);
	if (uffd < 0)
		SKIP("no poison markers before 6.6");
	ck_sys(uffd_poison(uffd, page_at(src, 77), 1));
	ck_move_ends(dst, src, PAGES, HOLES | UNSHARE, EFAULT, 77);
	ck_holds(dst, 77, TAG);
	ck_holes(page_at(dst, 77), PAGES - 77);
	ck_holds(page_at(src, 78), PAGES - 78, TAG + 78);
}
END_TEST

/*
 * Pages that are shared have to be copied before they move. Those that the call
 * does not reach are to keep their protection.
 */
static bool sees_src(void *unused)
{
	(void)unused;
	return holds(src, PAGES, TAG);
}

static void unshared_and_not_moved(char *to, unsigned int flags, int error)
{
	int uffd = watch(src, PAGES, UFFD_FEATURE_PAGEFAULT_FLAG_WP, WP);
	struct child child = child_waits(sees_src, NULL);

	uffd_protect(uffd, page_at(src, 100), 200, true);
	ck_assert_uint_eq(count_write_protected(src, PAGES), 200);
	if (error == ENOENT)
		ck_sys(madvise(page_at(src, 150), PAGE, MADV_DONTNEED));
	else
		fill(page_at(to, 150), 1, OLD);
	ck_move_ends(to, src, PAGES, flags, error, 150);
	ck_holds(to, 150, TAG);
	ck_holds(page_at(src, 151), PAGES - 151, TAG + 151);
	ck_assert_uint_eq(count_write_protected(page_at(src, 151), 149), 149);
	ck_assert_uint_eq(count_write_protected(page_at(src, 300), PAGES - 300),
			  0);
	if (error == EEXIST)
		ck_assert_uint_eq(count_write_protected(page_at(src, 150), 1),
				  1);
	ck_assert(child_ends(&child));
	close(uffd);
	fill(src, PAGES, TAG);
}

START_TEST(failed_move_keeps_the_write_protection_of_shared_pages)
{
	unshared_and_not_moved(map_pages(PAGES, 30, SMALL), UNSHARE, EEXIST);
	unshared_and_not_moved(map_pages(PAGES, 0, SMALL), UNSHARE, EEXIST);
	unshared_and_not_moved(map_pages(PAGES, 30, SMALL), UNSHARE, ENOENT);
	unshared_and_not_moved(map_pages(PAGES, 0, SMALL), UNSHARE | REPLACE,
			       ENOENT);
}
END_TEST

START_TEST(failed_vector_keeps_the_write_protection_of_shared_pages)
{
	int uffd = watch(src, PAGES, UFFD_FEATURE_PAGEFAULT_FLAG_WP, WP);
	struct child child = child_waits(sees_src, NULL);
	struct vmremap_range ranges[PAGES];
	size_t i;

	uffd_protect(uffd, src, PAGES, true);
	for (i = 0; i < PAGES; i++)
		ranges[i] = range_of(page_at(dst, PAGES - 1 - i),
				     page_at(src, i), 1);
	fill(page_at(dst, PAGES - 1 - 50), 1, OLD);
	ck_movev_ends(ranges, PAGES, UNSHARE, EEXIST, 50, 50);
	ck_assert_uint_eq(count_write_protected(page_at(src, 50), PAGES - 50),
			  PAGES - 50);
	ck_holds(page_at(src, 50), PAGES - 50, TAG + 50);
	ck_assert(child_ends(&child));
}
END_TEST

/* Vectors */

START_TEST(vector_needs_wake_later_too)
{
	char *other = map_pages(PAGES, 0, SMALL);
	struct vmremap_range ranges[2] = {
		range_of(other, src, 100),
		range_of(page_at(dst, 100), page_at(src, 100), PAGES - 100),
	};

	watch(dst, PAGES, 0, MISSING);
	ck_movev_ends(ranges, 2, 0, EINVAL, 0, 0);
	ck_untouched(other, src, PAGES, TAG);
	ck_movev_ends(ranges, 2, WAKE_LATER, 0, PAGES, 2);
	ck_holds(other, 100, TAG);
	ck_holds(page_at(dst, 100), PAGES - 100, TAG + 100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("move_uffd");
	TCase *c = add_case(s, "userfaultfd");

	tcase_add_checked_fixture(c, make_ranges, NULL);
	tcase_add_test(c, watched_destination_needs_wake_later);
	tcase_add_test(c, write_watched_destination_needs_wake_later);
	tcase_add_test(c, watched_last_piece_moves_nothing);
	tcase_add_test(c, wake_later_without_a_watch_is_a_move);
	tcase_add_test(c, watch_that_has_ended_is_none);
	tcase_add_test(c, move_to_a_watched_destination_raises_no_fault);
	tcase_add_test(c, watched_destination_that_is_occupied_ends_the_move);
	tcase_add_test(c, waiting_thread_is_woken_by_the_caller_alone);
	tcase_add_test(c, handler_serves_thousands_of_faults_by_moving);
	tcase_add_test(c, handler_serves_congruent_pages);
	tcase_add_test(c, handler_serves_several_pages_at_once);
	tcase_add_test(c, watched_source_raises_faults_after_the_move);
	tcase_add_test(c,
		       watched_source_congruent_raises_faults_after_the_move);
	tcase_add_test(c, watched_source_with_holes_moves_without_faults);
	tcase_add_test(c, write_protected_source_moves);
	tcase_add_test(c, write_protected_source_moves_congruent);
	tcase_add_test(c, write_protect_marker_faults);
	tcase_add_test(c, poison_marker_faults);
	tcase_add_test(c,
		       failed_move_keeps_the_write_protection_of_shared_pages);
	tcase_add_test(
		c, failed_vector_keeps_the_write_protection_of_shared_pages);
	tcase_add_test(c, vector_needs_wake_later_too);
	return run_suite(s);
}
