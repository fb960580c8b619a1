// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves while other threads use the same memory. No write may be lost or seen
 * twice, and no page may be seen in a state between.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/moves.h"
#include "lib/random.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* As in <numaif.h>, which comes with another library. */
#define MPOL_MF_MOVE (1 << 1)

#define TAG 1000
#define OLD 700000
#define PAGES (2 * BLOCK_PAGES)
#define CHUNK 8
#define CHUNKS (PAGES / CHUNK)

static char *src, *dst;
static volatile bool stop;
static double deadline;

/* There are many disturbers; each gets a part of the time. */
static void start_clock(double part)
{
	stop = false;
	deadline = now() + part * seconds_from("VMREMAP_STRESS_SECONDS", 2);
}

static void map_both(enum page_kind kind, size_t dst_phase)
{
	src = map_pages(PAGES, 0, kind);
	dst = map_pages(PAGES, dst_phase, kind);
}

static pthread_t start(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, body, argument), 0);
	return thread;
}

/*
 * A page may be busy for longer than the module waits when the machine is
 * under load; what came before has moved, so the rest is asked for again.
 */
#define MANY_TRIES 100000

static void move_all(char *to, char *from, size_t pages, unsigned int flags)
{
	size_t at = 0, tries;

	for (tries = 0; tries < MANY_TRIES; tries++) {
		size_t moved = 0;
		int rc = vmremap_move(dev, page_at(to, at), page_at(from, at),
				      (pages - at) * PAGE, flags, &moved);

		if (rc == 0)
			return;
		ck_assert_msg(rc == -EAGAIN, "move: %s", strerror(-rc));
		at += moved / PAGE;
	}
	ck_abort_msg("page %zu is busy for ever", at);
}

static size_t chunk_place(size_t chunk)
{
	return (chunk * 5 + 3) % CHUNKS;
}

static void move_chunks(char *to, char *from, unsigned int flags)
{
	struct vmremap_range ranges[CHUNKS], *at = ranges;
	size_t i, nr = CHUNKS, tries;

	for (i = 0; i < CHUNKS; i++)
		ranges[i] = range_of(page_at(to, chunk_place(i) * CHUNK),
				     page_at(from, i * CHUNK), CHUNK);
	for (tries = 0; tries < MANY_TRIES; tries++) {
		size_t moved = 0, done = 0, part;
		int rc = vmremap_movev(dev, at, nr, flags, &moved, &done);

		if (rc == 0)
			return;
		ck_assert_msg(rc == -EAGAIN, "movev: %s", strerror(-rc));
		part = moved - done * CHUNK * PAGE;
		/* The first range may be a part of one already. */
		if (done)
			part = moved - ((done - 1) * CHUNK * PAGE + at->len);
		at += done;
		nr -= done;
		at->src += part;
		at->dst += part;
		at->len -= part;
	}
	ck_abort_msg("a range is busy for ever");
}

static uint64_t *word_of(char *base, size_t page)
{
	return (uint64_t *)page_at(base, page) + 5;
}

/* Writers at the source: every increment arrives, or is still there */

struct writer {
	pthread_t thread;
	uint64_t seed;
	uint64_t counts[PAGES];
};

static void *increment(void *argument)
{
	struct writer *writer = argument;

	while (!stop) {
		size_t page = random_below(&writer->seed, PAGES);

		__atomic_fetch_add(word_of(src, page), 1, __ATOMIC_RELAXED);
		writer->counts[page]++;
	}
	return NULL;
}

#define WRITERS 2

static size_t place_of(size_t page, bool vector)
{
	if (!vector)
		return page;
	return chunk_place(page / CHUNK) * CHUNK + page % CHUNK;
}

static void move_once(bool vector, unsigned int flags)
{
	if (vector)
		move_chunks(dst, src, flags);
	else
		move_all(dst, src, PAGES, flags);
}

static void no_write_is_lost(enum page_kind kind, size_t dst_phase, bool vector)
{
	static struct writer writers[WRITERS];
	static uint64_t arrived[PAGES], last[PAGES];
	uint64_t total = 0;
	size_t page, i, rounds = 0;

	map_both(kind, dst_phase);
	start_clock(1);
	for (i = 0; i < WRITERS; i++) {
		writers[i].seed = i;
		writers[i].thread = start(increment, &writers[i]);
	}
	while (now() < deadline || rounds < 2) {
		move_once(vector, HOLES | REPLACE);
		rounds++;
		for (page = 0; page < PAGES; page++) {
			last[page] = *word_of(dst, place_of(page, vector));
			arrived[page] += last[page];
		}
		usleep(500);
		/* A write through a stale translation would show up here. */
		for (page = 0; page < PAGES; page++)
			ck_assert_uint_eq(last[page],
					  *word_of(dst,
						   place_of(page, vector)));
	}
	stop = true;
	for (i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	for (page = 0; page < PAGES; page++) {
		uint64_t done = 0;

		for (i = 0; i < WRITERS; i++)
			done += writers[i].counts[page];
		ck_assert_msg(done == arrived[page] + *word_of(src, page),
			      "page %zu: %lu increments done, %lu arrived, "
			      "%lu left; %zu rounds",
			      page, done, arrived[page], *word_of(src, page),
			      rounds);
		total += done;
	}
	ck_assert_uint_gt(total, rounds);
}

START_TEST(no_write_is_lost_small_congruent)
{
	no_write_is_lost(SMALL, 0, false);
}
END_TEST

START_TEST(no_write_is_lost_small_not_congruent)
{
	no_write_is_lost(SMALL, 9, false);
}
END_TEST

START_TEST(no_write_is_lost_small_vector)
{
	no_write_is_lost(SMALL, 0, true);
}
END_TEST

START_TEST(no_write_is_lost_huge_congruent)
{
	no_write_is_lost(HUGE, 0, false);
}
END_TEST

START_TEST(no_write_is_lost_huge_not_congruent)
{
	no_write_is_lost(HUGE, 9, false);
}
END_TEST

START_TEST(no_write_is_lost_huge_vector)
{
	no_write_is_lost(HUGE, 0, true);
}
END_TEST

/* Readers at the destination: nothing, or what was moved */

/* Word of a page in a generation; never zero. */
static uint64_t generation_word(uint64_t generation, size_t page)
{
	return generation << 32 | (page + 1);
}

struct reader {
	pthread_t thread;
	uint64_t seed;
	uint64_t newest[PAGES];
	size_t wrong;
	size_t seen;
};

static void *watch(void *argument)
{
	struct reader *reader = argument;

	while (!stop) {
		size_t page = random_below(&reader->seed, PAGES);
		uint64_t word =
			__atomic_load_n(word_of(dst, page), __ATOMIC_RELAXED);

		if (!word)
			continue;
		reader->seen++;
		if ((uint32_t)word != page + 1 || word < reader->newest[page])
			reader->wrong++;
		reader->newest[page] = word;
	}
	return NULL;
}

static void readers_see_all_or_nothing(enum page_kind kind, size_t dst_phase)
{
	static struct reader readers[2];
	uint64_t generation = 0;
	size_t page, i;

	map_both(kind, dst_phase);
	start_clock(1);
	for (i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i].seed = 100 + i;
		readers[i].thread = start(watch, &readers[i]);
	}
	while (now() < deadline) {
		generation++;
		for (page = 0; page < PAGES; page++)
			*word_of(src, page) = generation_word(generation, page);
		move_all(dst, src, PAGES, REPLACE);
		for (page = 0; page < PAGES; page++)
			ck_assert_uint_eq(*word_of(dst, page),
					  generation_word(generation, page));
	}
	stop = true;
	for (i = 0; i < ARRAY_SIZE(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		ck_assert_uint_eq(readers[i].wrong, 0);
		ck_assert_uint_gt(readers[i].seen, 0);
	}
}

START_TEST(readers_see_all_or_nothing_congruent)
{
	readers_see_all_or_nothing(SMALL, 0);
}
END_TEST

START_TEST(readers_see_all_or_nothing_not_congruent)
{
	readers_see_all_or_nothing(SMALL, 9);
}
END_TEST

START_TEST(readers_see_all_or_nothing_huge)
{
	readers_see_all_or_nothing(HUGE, 0);
}
END_TEST

/* Writers at the destination: what was moved, plus what came after */

static void *increment_dst(void *argument)
{
	uint64_t seed = (uintptr_t)argument;

	while (!stop)
		__atomic_fetch_add(word_of(dst, random_below(&seed, PAGES)), 1,
				   __ATOMIC_RELAXED);
	return NULL;
}

static void writers_at_the_destination(size_t dst_phase)
{
	const uint64_t big = 1ULL << 32;
	uint64_t round = 0;
	pthread_t threads[2];
	size_t page, i;

	map_both(SMALL, dst_phase);
	start_clock(1);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = start(increment_dst, (void *)(i + 1));
	while (now() < deadline) {
		round++;
		for (page = 0; page < PAGES; page++)
			*word_of(src, page) = round * big;
		move_all(dst, src, PAGES, REPLACE);
		/* None from before the move is left in the upper half. */
		for (page = 0; page < PAGES; page++)
			ck_assert_uint_eq(*word_of(dst, page) / big, round);
	}
	stop = true;
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

START_TEST(writers_at_the_destination_find_the_moved_page)
{
	writers_at_the_destination(0);
	writers_at_the_destination(9);
}
END_TEST

/* Disturbers: what the kernel and other threads do to the same memory */

static char *either(uint64_t *seed)
{
	return random_percent(seed, 50) ? src : dst;
}

static void *reclaim(void *unused)
{
	uint64_t seed = 1;

	while (!stop) {
		size_t page = random_below(&seed, PAGES - 100);

		madvise(page_at(either(&seed), page), 100 * PAGE, MADV_PAGEOUT);
	}
	return unused;
}

static void *fork_and_exit(void *unused)
{
	while (!stop) {
		pid_t pid = fork();

		if (pid == 0) {
			volatile char *page = src;

			*page = 1;
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
		usleep(1000);
	}
	return unused;
}

static void *collapse(void *unused)
{
	uint64_t seed = 2;

	while (!stop) {
		madvise(either(&seed), PAGES * PAGE, MADV_COLLAPSE);
		usleep(1000);
	}
	return unused;
}

static void *age(void *unused)
{
	uint64_t seed = 3;
	int i = 0;

	while (!stop) {
		madvise(either(&seed), PAGES * PAGE, MADV_COLD);
		write_knob("/proc/self/clear_refs", ++i % 2 ? "1" : "4");
		usleep(1000);
	}
	return unused;
}

static void *compact(void *unused)
{
	while (!stop) {
		write_knob("/proc/sys/vm/compact_memory", "1");
		usleep(10000);
	}
	return unused;
}

static void *look(void *unused)
{
	uint64_t seed = 4;

	while (!stop) {
		smaps_kb(either(&seed), "Rss");
		count_present(src, PAGES);
	}
	return unused;
}

/* The pages just before and behind what moves, in the same mappings. */
static char *neighbours[4];

static void *use_neighbours(void *unused)
{
	uint64_t seed = 5;

	while (!stop) {
		char *page = neighbours[random_below(&seed, 4)];

		mprotect(page, PAGE, PROT_READ);
		madvise(page, PAGE, MADV_DONTNEED);
		mprotect(page, PAGE, PROT_READ | PROT_WRITE);
		*(volatile char *)page = 1;
	}
	return unused;
}

static void *map_and_unmap(void *unused)
{
	while (!stop) {
		char *page = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED)
			continue;
		*page = 1;
		munmap(page, 16 * PAGE);
	}
	return unused;
}

static void *nothing_but_wait(void *unused)
{
	while (!stop)
		usleep(1000);
	return unused;
}

/* Few different pages, so that KSM finds some to merge. */
static void fill_alike(void)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		fill(page_at(src, i), 1, TAG + i % 8);
}

static void ck_alike(char *base)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		ck_holds(page_at(base, i), 1, TAG + i % 8);
}

static void disturbed_by(void *(*disturber)(void *), enum page_kind kind,
			 size_t dst_phase)
{
	unsigned int flags = REPLACE | UNSHARE;
	pthread_t thread;
	char *swap;

	src = page_at(map_pages(PAGES + 2, BLOCK_PAGES - 1, kind), 1);
	dst = page_at(map_pages(PAGES + 2, dst_phase + BLOCK_PAGES - 1, kind),
		      1);
	neighbours[0] = page_at(src, -1);
	neighbours[1] = page_at(src, PAGES);
	neighbours[2] = page_at(dst, -1);
	neighbours[3] = page_at(dst, PAGES);
	if (disturber == nothing_but_wait) {
		ck_sys(madvise(src, PAGES * PAGE, MADV_MERGEABLE));
		ck_sys(madvise(dst, PAGES * PAGE, MADV_MERGEABLE));
	}
	fill_alike();
	start_clock(0.5);
	thread = start(disturber, NULL);
	while (now() < deadline) {
		move_all(dst, src, PAGES, flags);
		ck_alike(dst);
		swap = src;
		src = dst;
		dst = swap;
	}
	stop = true;
	pthread_join(thread, NULL);
	ck_alike(src);
}

START_TEST(moves_during_reclaim)
{
	disturbed_by(reclaim, SMALL, 9);
}
END_TEST

START_TEST(moves_during_reclaim_of_huge_pages)
{
	disturbed_by(reclaim, HUGE, 0);
}
END_TEST

START_TEST(moves_during_forks)
{
	disturbed_by(fork_and_exit, SMALL, 0);
}
END_TEST

START_TEST(moves_during_forks_of_huge_pages)
{
	disturbed_by(fork_and_exit, HUGE, 0);
}
END_TEST

START_TEST(moves_during_collapse)
{
	disturbed_by(collapse, HUGE, 0);
}
END_TEST

START_TEST(moves_during_collapse_not_congruent)
{
	disturbed_by(collapse, HUGE, 9);
}
END_TEST

START_TEST(moves_during_aging)
{
	disturbed_by(age, SMALL, 9);
}
END_TEST

START_TEST(moves_during_compaction)
{
	disturbed_by(compact, SMALL, 9);
}
END_TEST

START_TEST(moves_while_others_look)
{
	disturbed_by(look, SMALL, 0);
}
END_TEST

START_TEST(moves_beside_changing_neighbours)
{
	disturbed_by(use_neighbours, SMALL, 9);
}
END_TEST

START_TEST(moves_beside_new_mappings)
{
	disturbed_by(map_and_unmap, SMALL, 0);
}
END_TEST

START_TEST(moves_during_merging_by_ksm)
{
	write_knob(KSM_DIR "smart_scan", "0");
	write_knob(KSM_DIR "pages_to_scan", "4096");
	write_knob(KSM_DIR "sleep_millisecs", "5");
	write_knob(KSM_DIR "run", "1");
	disturbed_by(nothing_but_wait, SMALL, 9);
	write_knob(KSM_DIR "run", "0");
}
END_TEST

/* Swapped-out pages, while the same memory is paged out by others as well */

#define SWAPPED 4096

static void move_scattered(char *to, char *from)
{
	static struct vmremap_range ranges[SWAPPED];
	struct vmremap_range *at = ranges;
	size_t i, nr = SWAPPED, tries;

	for (i = 0; i < SWAPPED; i++) {
		size_t page = (i * 1237 + 11) % SWAPPED;

		ranges[i] = range_of(page_at(to, page), page_at(from, page), 1);
	}
	for (tries = 0; tries < MANY_TRIES; tries++) {
		size_t moved = UNSET, done = 0;
		int rc = vmremap_movev(dev, at, nr, UNSHARE, &moved, &done);

		if (rc == 0)
			return;
		ck_assert_msg(rc == -EAGAIN, "movev: %s", strerror(-rc));
		ck_assert_uint_eq(moved, done * PAGE);
		at += done;
		nr -= done;
	}
	ck_abort_msg("a page is busy for ever");
}

static void swapped_pages_move(bool vector, size_t dst_phase)
{
	pthread_t threads[2];
	char *swap;
	size_t i;

	src = map_pages(SWAPPED, 0, SMALL);
	dst = map_pages(SWAPPED, dst_phase, SMALL);
	fill(src, SWAPPED, TAG);
	start_clock(0.5);
	threads[0] = start(map_and_unmap, NULL);
	threads[1] = start(reclaim, NULL);
	do {
		madvise(src, SWAPPED * PAGE, MADV_PAGEOUT);
		ck_assert_uint_gt(count_swapped(src, SWAPPED), SWAPPED / 2);
		if (vector)
			move_scattered(dst, src);
		else
			move_all(dst, src, SWAPPED, UNSHARE);
		ck_holds(dst, SWAPPED, TAG);
		ck_holes(src, SWAPPED);
		swap = src;
		src = dst;
		dst = swap;
	} while (now() < deadline);
	stop = true;
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ck_holds(src, SWAPPED, TAG);
}

START_TEST(swapped_range_moves_during_reclaim)
{
	swapped_pages_move(false, 0);
	swapped_pages_move(false, 9);
}
END_TEST

START_TEST(swapped_pages_move_in_any_order_during_reclaim)
{
	swapped_pages_move(true, 9);
}
END_TEST

/*
 * A thread stores to a destination that nobody has touched, at the moment of a
 * move that fails there. What it stored stays.
 */
static struct {
	volatile uint64_t *word;
	volatile size_t round;
	volatile size_t answered;
	volatile bool over;
	volatile size_t lost;
	volatile size_t stores;
} store;

static void *keep_storing(void *unused)
{
	uint64_t seed = 7;
	size_t round = 0, i;

	while (!stop) {
		if (store.round == round) {
			sched_yield();
			continue;
		}
		round = store.round;
		/* The moment that counts is short, and may come soon or late. */
		i = random_below(&seed, 1UL << random_below(&seed, 17));
		for (; i; i--)
			__asm__ volatile("" ::: "memory");
		for (i = 0; !store.over; i++) {
			if (i && *store.word != i)
				store.lost++;
			*store.word = i + 1;
			store.stores++;
		}
		if (i && *store.word != i)
			store.lost++;
		store.answered = round;
	}
	return unused;
}

static void map_again(char *base, size_t pages)
{
	ck_assert(mmap(base, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base);
}

/* Page 0 or 1 is in the way, or missing; page 0 may move. */
static void fail_there(char *to, char *from)
{
	struct vmremap_range ranges[2] = {
		range_of(to, from, 2),
		range_of(page_at(to, 4), page_at(from, 4), 4),
	};
	size_t moved = UNSET, done = UNSET;
	int rc;

	rc = vmremap_move(dev, to, from, 2 * PAGE, 0, &moved);
	ck_assert_msg(rc == -ENOENT || rc == -EEXIST || rc == -EAGAIN, "%s",
		      strerror(-rc));
	rc = vmremap_movev(dev, ranges, 2, 0, &moved, &done);
	ck_assert_msg(rc == -ENOENT || rc == -EEXIST || rc == -EAGAIN, "%s",
		      strerror(-rc));
}

static void stores_survive(int error)
{
	const size_t pages = 8;
	size_t rounds = 0;
	pthread_t thread;

	src = map_pages(pages, 0, SMALL);
	dst = map_pages(pages, 3, SMALL);
	memset(&store, 0, sizeof(store));
	store.over = true;
	start_clock(0.5);
	thread = start(keep_storing, NULL);
	while (now() < deadline || rounds <= 10) {
		*(volatile char *)src = 1;
		*(volatile char *)page_at(src, 1) = 1;
		if (error == ENOENT)
			ck_sys(madvise(src, PAGE, MADV_DONTNEED));
		map_again(dst, pages);
		/* Taken, though it is nothing but zeros. */
		if (error == EEXIST)
			(void)*(volatile char *)page_at(dst, 1);
		store.word = (uint64_t *)page_at(dst, 0) + 3;
		store.over = false;
		store.round = ++rounds;
		fail_there(dst, src);
		fail_there(dst, src);
		store.over = true;
		while (store.answered != rounds)
			sched_yield();
		ck_assert_msg(!store.lost,
			      "%zu of %zu stores lost in round %zu", store.lost,
			      store.stores, rounds);
	}
	stop = true;
	pthread_join(thread, NULL);
	ck_assert_uint_gt(store.stores, 0);
}

START_TEST(no_store_is_lost_where_a_move_finds_a_hole)
{
	stores_survive(ENOENT);
}
END_TEST

START_TEST(no_store_is_lost_where_a_move_finds_a_page)
{
	stores_survive(EEXIST);
}
END_TEST

/*
 * The destination's huge page goes to the other node when asked to. It comes
 * after many small pages, so that it is on its way for as long as they take.
 */
#define BALLAST 400
static char *ballast;
static volatile size_t asked, answered;

static void *migrate_dst(void *unused)
{
	static int nodes[BALLAST + 1], status[BALLAST + 1];
	static void *pages[BALLAST + 1];
	size_t i;

	for (i = 0; i < BALLAST; i++)
		pages[i] = page_at(ballast, i);
	pages[BALLAST] = dst;
	while (!stop) {
		if (asked == answered) {
			sched_yield();
			continue;
		}
		for (i = 0; i <= BALLAST; i++)
			nodes[i] = asked % 2;
		syscall(SYS_move_pages, 0, BALLAST + 1, pages, nodes, status,
			MPOL_MF_MOVE);
		answered++;
	}
	return unused;
}

/* A page on its way looks like a swapped one. */
static bool sees_it_migrate(void)
{
	while (answered != asked) {
		if (pagemap_of(dst) & PM_SWAPPED)
			return true;
	}
	return false;
}

/* A mapping of /dev/zero is anonymous memory that has a file. */
static void map_huge_zero(int zero)
{
	ck_assert(mmap(dst, BLOCK, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_FIXED, zero, 0) == dst);
	ck_sys(madvise(dst, BLOCK, MADV_HUGEPAGE));
	fill(dst, BLOCK_PAGES, TAG);
}

static void replaced_while_it_migrates(size_t src_phase, size_t pages)
{
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	size_t seen = 0;
	pthread_t thread;

	src = map_pages(BLOCK_PAGES, src_phase, SMALL);
	dst = map_pages(BLOCK_PAGES, 0, SMALL);
	ballast = map_pages(BALLAST, 0, SMALL);
	fill(ballast, BALLAST, TAG);
	asked = answered = 0;
	start_clock(0.5);
	thread = start(migrate_dst, NULL);
	do {
		fill(src, pages, OLD);
		map_huge_zero(zero);
		asked++;
		seen += sees_it_migrate();
		/* What is not filled is a hole, and becomes one. */
		move_all(dst, src, BLOCK_PAGES, HOLES | REPLACE);
		ck_holds(dst, pages, OLD);
		ck_zero(page_at(dst, pages), BLOCK_PAGES - pages);
		while (answered != asked)
			sched_yield();
	} while (now() < deadline || (!seen && now() < deadline + 30));
	stop = true;
	pthread_join(thread, NULL);
	ck_assert_uint_gt(seen, 0);
}

START_TEST(huge_pages_that_migrate_are_replaced)
{
	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP("needs two NUMA nodes");
	replaced_while_it_migrates(0, BLOCK_PAGES);
	replaced_while_it_migrates(9, 100);
	replaced_while_it_migrates(0, 0);
}
END_TEST

/* Several movers */

#define MOVERS 4
#define SLICE 700

struct mover {
	pthread_t thread;
	char *a, *b;
	uint64_t tag;
	volatile size_t rounds;
};

/*
 * Check cannot end a test from another thread, so the mover says only how far
 * it came, and what it left behind is looked at by the test.
 */
static void *move_to_and_fro(void *argument)
{
	struct mover *mover = argument;

	while (!stop) {
		move_all(mover->b, mover->a, SLICE, 0);
		if (!holds(mover->b, SLICE, mover->tag))
			break;
		move_all(mover->a, mover->b, SLICE, 0);
		if (!holds(mover->a, SLICE, mover->tag))
			break;
		mover->rounds++;
	}
	return NULL;
}

static bool all_have_moved(const struct mover *movers)
{
	size_t i;

	for (i = 0; i < MOVERS; i++)
		if (!movers[i].rounds)
			return false;
	return true;
}

static void several_movers(struct mover *movers)
{
	size_t i;

	start_clock(0.5);
	for (i = 0; i < MOVERS; i++) {
		movers[i].tag = TAG + i * 10000;
		fill(movers[i].a, SLICE, movers[i].tag);
	}
	for (i = 0; i < MOVERS; i++)
		movers[i].thread = start(move_to_and_fro, &movers[i]);
	while (now() < deadline || !all_have_moved(movers))
		usleep(10000);
	stop = true;
	for (i = 0; i < MOVERS; i++) {
		pthread_join(movers[i].thread, NULL);
		ck_holds(movers[i].a, SLICE, movers[i].tag);
		ck_holes(movers[i].b, SLICE);
	}
}

START_TEST(several_movers_in_the_same_mappings)
{
	struct mover movers[MOVERS] = { 0 };
	size_t i;

	src = map_pages(MOVERS * SLICE, 0, SMALL);
	dst = map_pages(MOVERS * SLICE, 100, SMALL);
	for (i = 0; i < MOVERS; i++) {
		movers[i].a = page_at(src, i * SLICE);
		movers[i].b = page_at(dst, (MOVERS - 1 - i) * SLICE);
	}
	several_movers(movers);
}
END_TEST

START_TEST(several_movers_in_mappings_of_their_own)
{
	struct mover movers[MOVERS] = { 0 };
	size_t i;

	for (i = 0; i < MOVERS; i++) {
		movers[i].a = map_pages(SLICE, i, SMALL);
		movers[i].b = map_pages(SLICE, i % 2 ? i : 50, SMALL);
	}
	several_movers(movers);
}
END_TEST

static void add_lost_writes(Suite *s)
{
	TCase *c = add_case(s, "writers");

	tcase_add_test(c, no_write_is_lost_small_congruent);
	tcase_add_test(c, no_write_is_lost_small_not_congruent);
	tcase_add_test(c, no_write_is_lost_small_vector);
	tcase_add_test(c, no_write_is_lost_huge_congruent);
	tcase_add_test(c, no_write_is_lost_huge_not_congruent);
	tcase_add_test(c, no_write_is_lost_huge_vector);
	tcase_add_test(c, readers_see_all_or_nothing_congruent);
	tcase_add_test(c, readers_see_all_or_nothing_not_congruent);
	tcase_add_test(c, readers_see_all_or_nothing_huge);
	tcase_add_test(c, writers_at_the_destination_find_the_moved_page);
	tcase_add_test(c, no_store_is_lost_where_a_move_finds_a_hole);
	tcase_add_test(c, no_store_is_lost_where_a_move_finds_a_page);
}

static void add_disturbed(Suite *s)
{
	TCase *c = add_case(s, "disturbed");

	tcase_add_test(c, moves_during_reclaim);
	tcase_add_test(c, moves_during_reclaim_of_huge_pages);
	tcase_add_test(c, moves_during_forks);
	tcase_add_test(c, moves_during_forks_of_huge_pages);
	tcase_add_test(c, moves_during_collapse);
	tcase_add_test(c, moves_during_collapse_not_congruent);
	tcase_add_test(c, moves_during_aging);
	tcase_add_test(c, moves_during_compaction);
	tcase_add_test(c, moves_while_others_look);
	tcase_add_test(c, moves_beside_changing_neighbours);
	tcase_add_test(c, moves_beside_new_mappings);
	tcase_add_test(c, moves_during_merging_by_ksm);
	tcase_add_test(c, swapped_range_moves_during_reclaim);
	tcase_add_test(c, swapped_pages_move_in_any_order_during_reclaim);
	tcase_add_test(c, huge_pages_that_migrate_are_replaced);
	tcase_add_test(c, several_movers_in_the_same_mappings);
	tcase_add_test(c, several_movers_in_mappings_of_their_own);
}

int main(void)
{
	Suite *s = suite_create("move_threads");

	add_lost_writes(s);
	add_disturbed(s);
	return run_suite(s);
}
