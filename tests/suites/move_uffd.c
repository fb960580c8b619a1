// SPDX-License-Identifier: GPL-2.0-only
/* Moving into and out of memory that a userfaultfd watches. */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

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

/*
 * Threads that fault on one page get one message each; later ones find it.
 * Returns how many pages it has moved.
 */
static size_t serve(int uffd, char *from, char *to, char *fault, size_t pages)
{
	size_t first = (fault - to) / PAGE / pages * pages, moved = UNSET;
	int rc;

	rc = vmremap_move(dev, page_at(to, first), page_at(from, first),
			  pages * PAGE, WAKE_LATER, &moved);
	ck_assert_msg(rc == 0 || rc == -EEXIST || rc == -ENOENT, "serving: %s",
		      strerror(-rc));
	ck_assert_uint_eq(moved, rc ? 0 : pages * PAGE);
	uffd_wake(uffd, page_at(to, first), pages);
	return moved / PAGE;
}

static void serve_faulters(size_t pages, size_t dst_phase)
{
	const unsigned int steps[FAULTERS] = { 1, 7, 1009, 2999 };
	char *from = map_pages(SERVED, 0, SMALL);
	char *to = map_pages(SERVED, dst_phase, SMALL);
	int uffd = watch(to, SERVED, 0, MISSING);
	struct faulter faulters[FAULTERS] = { 0 };
	size_t served = 0;
	char *fault;
	int i;

	fill(from, SERVED, TAG);
	for (i = 0; i < FAULTERS; i++) {
		faulters[i].base = to;
		faulters[i].step = steps[i];
		pthread_create(&faulters[i].thread, NULL, fault_all,
			       &faulters[i]);
	}
	while (served < SERVED) {
		fault = uffd_next_fault(uffd, 200);
		if (fault)
			served += serve(uffd, from, to, fault, pages);
	}
	ck_assert_uint_eq(count_present(to, SERVED), SERVED);
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

START_TEST(write_protected_source_moves_from_swap)
{
	int uffd = watch(src, PAGES, UFFD_FEATURE_PAGEFAULT_FLAG_WP, WP);

	uffd_protect(uffd, page_at(src, 100), 200, true);
	ck_assert(page_out(page_at(src, 50), 200));
	ck_move(dst, src, PAGES, 0);
	ck_arrived(dst, src, PAGES, TAG);
	ck_assert_uint_eq(count_write_protected(dst, PAGES), 0);
	fill(dst, PAGES, OLD);
	ck_holds(dst, PAGES, OLD);
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

START_TEST(write_protect_marker_in_the_destination_is_not_replaced)
{
	int uffd = watch(
		dst, PAGES,
		UFFD_FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_UNPOPULATED, WP);

	if (uffd < 0)
		SKIP("no write-protect markers in anonymous memory before 6.4");
	uffd_protect(uffd, dst, 1, true);
	ck_move_ends(dst, src, PAGES, REPLACE | WAKE_LATER, EFAULT, 0);
	ck_assert_uint_eq(count_write_protected(dst, 1), 1);
	ck_holds(src, PAGES, TAG);
	ck_move(page_at(dst, 1), page_at(src, 1), PAGES - 1,
		REPLACE | WAKE_LATER);
	ck_assert_uint_eq(count_write_protected(dst, 1), 1);
	ck_holds(page_at(dst, 1), PAGES - 1, TAG + 1);
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

/*
 * Pages protected against reading too, which 7.3 brought. Nobody can look into
 * those as long as they are; pagemap tells which.
 */
#define SKIP_WITHOUT_RWP()                                           \
	do {                                                         \
		if (!has_rwp())                                      \
			SKIP("no read-write protection before 7.3"); \
	} while (0)

static bool has_rwp(void)
{
	int uffd = uffd_open(FEATURE_RWP);

	if (uffd >= 0)
		close(uffd);
	return uffd >= 0;
}

static long minor_faults(void)
{
	struct rusage usage;

	ck_sys(getrusage(RUSAGE_SELF, &usage));
	return usage.ru_minflt;
}

static void rwp_source_moves(char *from, size_t pages, char *to)
{
	int uffd = watch(from, pages, FEATURE_RWP, MODE_RWP);
	long faults;

	uffd_rwprotect(uffd, page_at(from, 100), pages - 200, true);
	ck_assert_uint_eq(count_write_protected(from, pages), pages - 200);
	ck_move(to, from, pages, 0);
	ck_assert_uint_eq(count_write_protected(to, pages), 0);
	faults = minor_faults();
	ck_holds(to, pages, TAG);
	fill(to, pages, OLD);
	ck_assert_int_lt(minor_faults() - faults, 100);
	ck_holes(from, pages);
	ck_zero(from, pages);
	ck_assert_ptr_null(uffd_next_fault(uffd, 0));
	close(uffd);
	unmap_pages(to, pages);
}

START_TEST(rwp_source_moves_without_its_protection)
{
	SKIP_WITHOUT_RWP();
	rwp_source_moves(src, PAGES, dst);
	fill(src, PAGES, TAG);
	rwp_source_moves(src, PAGES, map_pages(PAGES, 0, SMALL));
	rwp_source_moves(map_thp(2, 0, TAG), 1024, map_pages(1024, 0, SMALL));
	rwp_source_moves(map_thp(2, 0, TAG), 1024, map_pages(1024, 7, SMALL));
}
END_TEST

START_TEST(rwp_source_of_zero_and_swapped_pages_moves)
{
	int uffd = watch(src, PAGES, FEATURE_RWP, MODE_RWP);

	SKIP_WITHOUT_RWP();
	ck_sys(madvise(src, 10 * PAGE, MADV_DONTNEED));
	ck_zero(src, 5);
	uffd_rwprotect(uffd, src, PAGES, true);
	ck_assert(page_out(page_at(src, 300), 100));
	ck_move(dst, src, PAGES, HOLES);
	ck_assert_uint_eq(count_write_protected(dst, PAGES), 0);
	ck_assert_uint_eq(count_present(dst, 10), 5);
	ck_zero(dst, 10);
	ck_holds(page_at(dst, 10), PAGES - 10, TAG + 10);
	ck_holes(page_at(src, 10), PAGES - 10);
	ck_assert_ptr_null(uffd_next_fault(uffd, 0));
}
END_TEST

/* What a failed call does not reach keeps its protection. */
static void rwp_source_keeps_the_rest(char *from, size_t pages, char *to,
				      unsigned int flags, int error, size_t at)
{
	int uffd = watch(from, pages, FEATURE_RWP, MODE_RWP);

	uffd_rwprotect(uffd, from, pages, true);
	if (error == EEXIST)
		fill(page_at(to, at), 1, OLD);
	ck_move_ends(to, from, error ? pages : at, flags, error, at);
	ck_assert_uint_eq(count_write_protected(from, pages), pages - at);
	ck_assert_uint_eq(count_write_protected(page_at(from, at), pages - at),
			  pages - at);
	ck_assert_ptr_null(uffd_next_fault(uffd, 0));
	close(uffd);
	ck_holds(to, at, TAG);
	ck_holes(from, at);
	ck_holds(page_at(from, at), pages - at, TAG + at);
	unmap_pages(to, pages);
}

START_TEST(rwp_source_keeps_protection_of_what_does_not_move)
{
	SKIP_WITHOUT_RWP();
	rwp_source_keeps_the_rest(map_thp(2, 0, TAG), 1024,
				  map_pages(1024, 0, SMALL), 0, 0, 300);
	rwp_source_keeps_the_rest(map_thp(2, 0, TAG), 1024,
				  map_pages(1024, 7, SMALL), 0, EEXIST, 700);
	rwp_source_keeps_the_rest(src, PAGES, dst, 0, EEXIST, 150);
}
END_TEST

START_TEST(rwp_source_keeps_protection_of_swapped_pages)
{
	SKIP_WITHOUT_RWP();
	ck_assert(page_out(page_at(src, 100), 100));
	rwp_source_keeps_the_rest(src, PAGES, dst, 0, EEXIST, 150);
}
END_TEST

START_TEST(rwp_source_keeps_protection_of_shared_pages)
{
	struct child child;

	SKIP_WITHOUT_RWP();
	child = child_waits(sees_src, NULL);
	rwp_source_keeps_the_rest(src, PAGES, dst, UNSHARE, EEXIST, 150);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(rwp_source_keeps_protection_of_a_large_folio)
{
	char *from = map_mthp(64, 0, TAG);

	SKIP_WITHOUT_RWP();
	if (!from)
		SKIP("no 64 KiB folios before 6.8");
	rwp_source_keeps_the_rest(from, 64, map_pages(64, 0, SMALL), 0, EEXIST,
				  21);
}
END_TEST

/* A page that keeps its protection lets nobody in, not even for a moment. */
START_TEST(rwp_page_stays_shut_while_others_move)
{
	char *from = map_thp(1, 0, TAG), *to = map_pages(512, 7, SMALL);
	int uffd = watch(from, 512, FEATURE_RWP, MODE_RWP), i;
	struct reader reader;
	struct child child;

	SKIP_WITHOUT_RWP();
	child = child_waits(sees_src, NULL);
	uffd_rwprotect(uffd, from, 512, true);
	start_reader(&reader, page_at(from, 511), TAG + 511);
	ck_assert_ptr_eq(uffd_next_fault(uffd, 30000), page_at(from, 511));
	for (i = 0; i < 100; i++) {
		fill(page_at(to, i + 1), 1, OLD);
		ck_move_ends(page_at(to, i), page_at(from, i), 512 - i, UNSHARE,
			     EEXIST, 1);
		ck_sys(madvise(page_at(to, i + 1), PAGE, MADV_DONTNEED));
		uffd_wake(uffd, page_at(from, 511), 1);
		ck_assert_ptr_eq(uffd_next_fault(uffd, 30000),
				 page_at(from, 511));
		ck_assert(!reader.ended);
	}
	uffd_rwprotect(uffd, from, 512, false);
	pthread_join(reader.thread, NULL);
	ck_assert(reader.right);
	ck_holds(to, 100, TAG);
	ck_holds(page_at(from, 100), 412, TAG + 100);
	ck_assert(child_ends(&child));
}
END_TEST

static void moves_to_rwp(char *to, char *from, size_t pages, unsigned int flags)
{
	int uffd = watch(to, pages, FEATURE_RWP, MODE_RWP);
	struct reader reader;

	ck_refused(to, from, pages, flags, EINVAL);
	ck_move(to, from, pages, flags | WAKE_LATER);
	ck_assert_uint_eq(count_present(to, pages), pages);
	ck_assert_uint_eq(count_write_protected(to, pages), pages);
	start_reader(&reader, page_at(to, 70), TAG + 70);
	ck_assert_ptr_eq(uffd_next_fault(uffd, 30000), page_at(to, 70));
	ck_assert(!reader.ended);
	uffd_rwprotect(uffd, to, pages, false);
	pthread_join(reader.thread, NULL);
	ck_assert(reader.right);
	ck_arrived(to, from, pages, TAG);
	fill(to, pages, OLD);
	close(uffd);
	unmap_pages(to, pages);
}

/* As UFFDIO_MOVE has it. */
START_TEST(rwp_destination_gets_protected_pages)
{
	char *zero = map_pages(PAGES, 0, SMALL);
	int uffd;

	SKIP_WITHOUT_RWP();
	moves_to_rwp(dst, src, PAGES, 0);
	fill(src, PAGES, TAG);
	moves_to_rwp(map_pages(PAGES, 0, SMALL), src, PAGES, 0);
	moves_to_rwp(map_pages(1024, 0, SMALL), map_thp(2, 0, TAG), 1024, 0);
	moves_to_rwp(map_pages(1024, 7, SMALL), map_thp(2, 0, TAG), 1024, 0);
	moves_to_rwp(map_thp(2, 0, OLD), map_thp(2, 0, TAG), 1024, REPLACE);

	ck_zero(zero, PAGES);
	dst = map_pages(PAGES, 0, SMALL);
	uffd = watch(dst, PAGES, FEATURE_RWP, MODE_RWP);
	ck_move(dst, zero, PAGES, WAKE_LATER);
	ck_assert_uint_eq(count_write_protected(dst, PAGES), PAGES);
	close(uffd);
	ck_zero(dst, PAGES);
}
END_TEST

START_TEST(rwp_destination_replaced_in_part_keeps_protection)
{
	char *from = map_thp(2, 0, TAG), *to = map_thp(2, 0, OLD);
	int uffd = watch(to, 1024, FEATURE_RWP, MODE_RWP);

	SKIP_WITHOUT_RWP();
	uffd_rwprotect(uffd, to, 1024, true);
	ck_move(page_at(to, 100), page_at(from, 100), 700,
		REPLACE | WAKE_LATER);
	ck_assert_uint_eq(count_write_protected(to, 1024), 1024);
	ck_assert_ptr_null(uffd_next_fault(uffd, 0));
	close(uffd);
	ck_holds(to, 100, OLD);
	ck_holds(page_at(to, 100), 700, TAG + 100);
	ck_holds(page_at(to, 800), 224, OLD + 800);
}
END_TEST

START_TEST(rwp_destination_of_protected_zero_pages_is_replaced)
{
	int uffd;

	SKIP_WITHOUT_RWP();
	ck_zero(dst, PAGES);
	uffd = watch(dst, PAGES, FEATURE_RWP, MODE_RWP);
	uffd_rwprotect(uffd, dst, PAGES, true);
	ck_refused(dst, src, PAGES, WAKE_LATER, EEXIST);
	ck_move(dst, src, PAGES, WAKE_LATER | REPLACE);
	ck_assert_uint_eq(count_write_protected(dst, PAGES), PAGES);
	close(uffd);
	ck_arrived(dst, src, PAGES, TAG);
}
END_TEST

START_TEST(rwp_pages_move_inside_of_one_mapping)
{
	char *both = map_pages(2 * PAGES, 0, SMALL);
	int uffd;

	SKIP_WITHOUT_RWP();
	fill(both, PAGES, TAG);
	uffd = watch(both, 2 * PAGES, FEATURE_RWP, MODE_RWP);
	uffd_rwprotect(uffd, both, 100, true);
	ck_move(page_at(both, PAGES), both, PAGES, WAKE_LATER);
	ck_assert_uint_eq(count_write_protected(both, 2 * PAGES), PAGES);
	close(uffd);
	ck_arrived(page_at(both, PAGES), both, PAGES, TAG);
}
END_TEST

/* A watch that begins while pages are read in for a move */

struct latecomer {
	pthread_t thread;
	unsigned int delay;
	bool heard;
};

static void *watch_late(void *argument)
{
	struct latecomer *latecomer = argument;
	int uffd = uffd_open(0);

	usleep(latecomer->delay);
	uffd_watch(uffd, src, PAGES, MISSING);
	madvise(src, PAGES * PAGE, MADV_DONTNEED);
	latecomer->heard = uffd_next_fault(uffd, 20);
	uffd_unwatch(uffd, src, PAGES);
	close(uffd);
	return NULL;
}

/* It gets the only CPU, and with it the lock, as soon as a move gives that up. */
static void start_urgent(struct latecomer *latecomer)
{
	struct sched_param urgent = { .sched_priority = 1 };
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
	pthread_attr_setschedparam(&attributes, &urgent);
	ck_assert_int_eq(pthread_create(&latecomer->thread, &attributes,
					watch_late, latecomer),
			 0);
}

/* Nobody but the move could have raised a fault. */
START_TEST(watch_that_begins_during_a_move_hears_nothing_of_it)
{
	double end = now() + 4;
	unsigned int round;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	ck_sys(sched_setaffinity(0, sizeof(cpu), &cpu));
	for (round = 0; round < 20 || now() < end; round++) {
		struct latecomer latecomer = { .delay = round % 100 * 10 };

		fill(src, PAGES, TAG);
		ck_assert(page_out(src, PAGES));
		start_urgent(&latecomer);
		vmremap_move(dev, dst, src, PAGES * PAGE, HOLES | REPLACE,
			     NULL);
		pthread_join(latecomer.thread, NULL);
		ck_assert_msg(!latecomer.heard, "round %u: a fault", round);
	}
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
	tcase_add_test(c, write_protected_source_moves_from_swap);
	tcase_add_test(c, write_protect_marker_faults);
	tcase_add_test(c,
		       write_protect_marker_in_the_destination_is_not_replaced);
	tcase_add_test(c, poison_marker_faults);
	tcase_add_test(c,
		       failed_move_keeps_the_write_protection_of_shared_pages);
	tcase_add_test(
		c, failed_vector_keeps_the_write_protection_of_shared_pages);
	tcase_add_test(c, rwp_source_moves_without_its_protection);
	tcase_add_test(c, rwp_source_of_zero_and_swapped_pages_moves);
	tcase_add_test(c, rwp_source_keeps_protection_of_what_does_not_move);
	tcase_add_test(c, rwp_source_keeps_protection_of_swapped_pages);
	tcase_add_test(c, rwp_source_keeps_protection_of_shared_pages);
	tcase_add_test(c, rwp_source_keeps_protection_of_a_large_folio);
	tcase_add_test(c, rwp_page_stays_shut_while_others_move);
	tcase_add_test(c, rwp_destination_gets_protected_pages);
	tcase_add_test(c, rwp_destination_replaced_in_part_keeps_protection);
	tcase_add_test(c, rwp_destination_of_protected_zero_pages_is_replaced);
	tcase_add_test(c, rwp_pages_move_inside_of_one_mapping);
	tcase_add_test(c, watch_that_begins_during_a_move_hears_nothing_of_it);
	tcase_add_test(c, vector_needs_wake_later_too);
	return run_suite(s);
}
