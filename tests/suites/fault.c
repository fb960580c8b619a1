// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation of every operation fails once, alone or with all after it.
 *
 * A scenario sets memory up, makes a call, and knows what memory holds: where
 * the call fails, it must have come exactly as far as it says, and the rest must
 * be as it was; called again for the rest, without a fault, it must end as if
 * nothing had happened. Further operations add an entry of their own kind, and
 * rows to the tables.
 *
 * VMREMAP_FAULT_SECONDS says for how long scenarios are then drawn at random,
 * and VMREMAP_SEED which.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/child.h"
#include "lib/fault.h"
#include "lib/moves.h"
#include "lib/pin.h"
#include "lib/random.h"
#include "lib/tell.h"
#include "lib/uffd.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* What a page holds: nothing, zeros, or its tag. */
#define HOLE 0
#define ZEROS UINT64_MAX
#define TAG 1000
#define OLD 700000

#define MAX_PAGES 16384
#define TIMEOUT 1800
#define GIB (1UL << 30)

struct area {
	char *base;
	size_t pages;
	uint64_t tags[MAX_PAGES];
};

enum placement {
	APART,	  /* in one table of the third level */
	FAR,	  /* where the third level has no table yet */
	ADJACENT, /* in one mapping with the source */
};

struct counters {
	long rss_kb, locked_kb, tables_kb;
};

struct scenario;

struct work {
	const struct scenario *scenario;
	size_t pages;
	struct area source, destination;
	struct vmremap_range ranges[MAX_PAGES];
	size_t first_range, nr_ranges;
	size_t pages_in_all;
	size_t moved, done;
	char *reserved;
	/* What some scenarios need besides. */
	struct child child;
	bool has_child;
	struct pin pin;
	bool has_pin;
	int uffd;
	pthread_t waiter;
	char *waits_for;
	uint64_t waits_for_tag;
	bool waiter_is_right;
	struct counters before;
	long locked_kb;
};

/* Too large for a stack, and touched before anything is measured. */
static struct work work;

typedef bool (*make_state)(struct work *w, struct area *area);
typedef void (*make_ranges)(struct work *w);

struct operation {
	bool (*set_up)(struct work *w);
	/* Returns 0 or a negative errno, as the library does. */
	int (*call)(struct work *w);
	/* After each call; the work knows how far all of them came. */
	void (*check)(struct work *w, int result);
	void (*tear_down)(struct work *w);
};

struct scenario {
	const char *name;
	const struct operation *operation;
	size_t pages, source_phase, destination_phase;
	enum placement placement;
	make_state source, destination;
	make_ranges ranges;
	unsigned int flags;
	/* How the call ends, and after how many pages, if not at its end. */
	int error;
	size_t stop;
};

/* What is being tried, for the message of a failure */

static struct fault trying;
static const char *in_phase;
static bool is_random;
static uint64_t seed;

static const char *what(void)
{
	static const char *const modes[] = {
		[FAULT_ONE] = "allocation %u fails",
		[FAULT_LATER] = "allocations from %u on fail",
		[FAULT_CHANCE] = "%u %% of allocations fail",
	};
	static char text[300];
	size_t length;

	length = snprintf(text, sizeof(text), "%s, %zu pages, %s, ",
			  work.scenario->name, work.pages, in_phase);
	length += snprintf(text + length, sizeof(text) - length,
			   modes[trying.mode], trying.n);
	if (is_random)
		snprintf(text + length, sizeof(text) - length,
			 ", VMREMAP_SEED=%lu", seed);
	return text;
}

/* Made for each page, so an assertion that holds must cost nothing. */
#define ck_that(condition, format, ...)                                     \
	do {                                                                \
		if (!(condition))                                           \
			ck_abort_msg("%s: " format, what(), ##__VA_ARGS__); \
	} while (0)

/* Counted over all tests, which are processes of their own. */
static struct totals {
	unsigned long faults, calls;
} * totals;

/* The model: what each page should hold */

static uint64_t *tag_of(struct work *w, uintptr_t address)
{
	struct area *areas[] = { &w->source, &w->destination };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(areas); i++) {
		uintptr_t base = (uintptr_t)areas[i]->base;

		if (address - base < areas[i]->pages * PAGE)
			return &areas[i]->tags[(address - base) / PAGE];
	}
	ck_abort_msg("%s: no page at %lx", what(), address);
	return NULL;
}

static void move_tag(struct work *w, uintptr_t dst, uintptr_t src)
{
	uint64_t *from = tag_of(w, src), *to = tag_of(w, dst);

	if (*from != HOLE || w->scenario->flags & REPLACE)
		*to = *from;
	*from = HOLE;
}

/* Plays a call back, and leaves the ranges that are still to be moved. */
static void play_back(struct work *w, size_t pages)
{
	while (pages) {
		struct vmremap_range *range = &w->ranges[w->first_range];

		move_tag(w, range->dst, range->src);
		range->dst += PAGE;
		range->src += PAGE;
		range->len -= PAGE;
		pages--;
		if (range->len)
			continue;
		w->first_range++;
		w->nr_ranges--;
	}
}

static void check_page(const struct area *area, size_t i, uint64_t entry,
		       bool read_in)
{
	uint64_t tag = area->tags[i];
	char *page = page_at(area->base, i);
	const char *side = area == &work.source ? "source" : "destination";

	if (tag == HOLE) {
		ck_that(!(entry & (PM_PRESENT | PM_SWAPPED)),
			"page %zu of the %s should be a hole", i, side);
		return;
	}
	/* A page of zeros that is to be replaced may go in advance. */
	if (tag == ZEROS && area == &work.destination && !(entry & PM_PRESENT))
		return;
	ck_that(entry & (PM_PRESENT | PM_SWAPPED),
		"page %zu of the %s is missing", i, side);
	if (entry & PM_PRESENT || read_in)
		ck_that(holds(page, 1, tag == ZEROS ? 0 : tag),
			"page %zu of the %s does not hold its data", i, side);
}

/* What is swapped out is looked at only where it may come in. */
static void check_area(const struct area *area, bool read_in)
{
	static uint64_t entries[MAX_PAGES];
	size_t i;

	read_pagemap(area->base, area->pages, entries);
	for (i = 0; i < area->pages; i++)
		check_page(area, i, entries[i], read_in);
}

static size_t pages_of(const struct area *area)
{
	size_t i, count = 0;

	for (i = 0; i < area->pages; i++)
		count += area->tags[i] != HOLE && area->tags[i] != ZEROS;
	return count;
}

static long field_kb(const char *status, const char *field)
{
	const char *at = strstr(status, field);

	ck_assert_msg(at, "no %s in the status", field);
	return strtol(at + strlen(field), NULL, 10);
}

/* What the kernel counts for the process; all at once, for it takes its time. */
static struct counters read_counters(void)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char status[4096];
	ssize_t length = read(fd, status, sizeof(status) - 1);

	ck_assert_int_gt(length, 0);
	close(fd);
	status[length] = '\0';
	return (struct counters){
		.rss_kb = field_kb(status, "\nRssAnon:") +
			  field_kb(status, "\nVmSwap:"),
		.locked_kb = field_kb(status, "\nVmLck:"),
		.tables_kb = field_kb(status, "\nVmPTE:"),
	};
}

/* Each CPU may keep 32 pages of a counter to itself, at both times of asking. */
#define RSS_TOLERANCE_KB (256L * 4)

static void check_counters(struct work *w)
{
	size_t pages = pages_of(&w->source) + pages_of(&w->destination);
	struct counters counters = read_counters();
	long grown_kb = counters.rss_kb - w->before.rss_kb;

	ck_that(labs(grown_kb - (long)pages * 4) <= RSS_TOLERANCE_KB,
		"RSS grew by %ld KiB for %zu pages", grown_kb, pages);
	ck_that(counters.locked_kb == w->locked_kb, "VmLck was %ld, and is %ld",
		w->locked_kb, counters.locked_kb);
}

/* States of memory */

static bool filled(struct work *w, struct area *area)
{
	uint64_t first = area == &w->source ? TAG : OLD;
	size_t i;

	fill(area->base, area->pages, first);
	for (i = 0; i < area->pages; i++)
		area->tags[i] = first + i;
	return true;
}

/* Its first page is where the call ends, if it does so early. */
static bool filled_at_the_stop(struct work *w, struct area *area)
{
	size_t at = w->scenario->stop;

	fill(page_at(area->base, at), 1, OLD);
	area->tags[at] = OLD;
	return true;
}

static void make_hole(struct area *area, size_t page)
{
	ck_sys(madvise(page_at(area->base, page), PAGE, MADV_DONTNEED));
	area->tags[page] = HOLE;
}

/* Page tables, and an anon_vma, but no page. */
static bool touched(struct work *w, struct area *area)
{
	size_t i;

	for (i = 0; i < area->pages; i += BLOCK_PAGES) {
		area->base[i * PAGE] = 1;
		make_hole(area, i);
	}
	(void)w;
	return true;
}

static bool every_other(struct work *w, struct area *area)
{
	size_t i;

	filled(w, area);
	for (i = 1; i < area->pages; i += 2)
		make_hole(area, i);
	return true;
}

/* Enough pages for what looks at tables as a whole. */
static bool sparse(struct work *w, struct area *area)
{
	size_t i;

	(void)w;
	for (i = 0; i < area->pages; i += 32) {
		area->tags[i] = TAG + i;
		fill(page_at(area->base, i), 1, area->tags[i]);
	}
	return true;
}

static bool hole_at_the_stop(struct work *w, struct area *area)
{
	filled(w, area);
	make_hole(area, w->scenario->stop);
	return true;
}

static bool read_zeros(struct work *w, struct area *area)
{
	size_t i;

	for (i = 0; i < area->pages; i++) {
		ck_that(!*(volatile char *)page_at(area->base, i),
			"new memory is not zero");
		area->tags[i] = ZEROS;
	}
	(void)w;
	return true;
}

static bool read_huge_zeros(struct work *w, struct area *area)
{
	ck_sys(madvise(area->base, area->pages * PAGE, MADV_HUGEPAGE));
	return read_zeros(w, area);
}

static bool huge(struct work *w, struct area *area)
{
	size_t length = area->pages * PAGE, blocks;

	ck_sys(madvise(area->base, length, MADV_HUGEPAGE));
	filled(w, area);
	blocks = area->pages / BLOCK_PAGES;
	if (count_huge(area->base) < blocks)
		madvise(area->base, length, MADV_COLLAPSE);
	ck_that(count_huge(area->base) >= blocks, "no huge pages");
	return true;
}

/* A change of protection splits the mapping, and leaves the page whole. */
static bool huge_mapped_by_part(struct work *w, struct area *area)
{
	char *page = page_at(area->base, 7);

	huge(w, area);
	ck_sys(mprotect(page, PAGE, PROT_READ));
	ck_sys(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
	ck_that(count_large(area->base, area->pages) == area->pages,
		"the folios are split");
	return true;
}

static bool mthp(struct work *w, struct area *area)
{
	const char *knob = THP_DIR "hugepages-64kB/enabled";

	if (!write_knob(knob, "always"))
		return false;
	filled(w, area);
	write_knob(knob, "never");
	ck_that(count_large(area->base, area->pages) == area->pages,
		"no large folios");
	return true;
}

static bool swapped(struct work *w, struct area *area)
{
	filled(w, area);
	ck_that(page_out(area->base, area->pages), "cannot be paged out");
	return true;
}

static bool some_swapped(struct work *w, struct area *area)
{
	filled(w, area);
	ck_that(page_out(page_at(area->base, 3), 5), "cannot be paged out");
	return true;
}

static bool child_has_its_own(void *argument)
{
	struct area *area = argument;
	size_t i;

	for (i = 0; i < area->pages; i++)
		if (area->tags[i] != HOLE &&
		    !holds(page_at(area->base, i), 1, area->tags[i]))
			return false;
	return true;
}

static bool share_with_child(struct work *w, struct area *area)
{
	w->child = child_waits(child_has_its_own, area);
	w->has_child = true;
	return true;
}

static bool forked(struct work *w, struct area *area)
{
	return filled(w, area) && share_with_child(w, area);
}

static bool huge_forked(struct work *w, struct area *area)
{
	return huge(w, area) && share_with_child(w, area);
}

static bool mthp_forked(struct work *w, struct area *area)
{
	return mthp(w, area) && share_with_child(w, area);
}

/* Every page has a twin. */
static bool merged(struct work *w, struct area *area)
{
	size_t i, half = area->pages / 2;

	fill(area->base, half, TAG);
	fill(page_at(area->base, half), half, TAG);
	for (i = 0; i < area->pages; i++)
		area->tags[i] = TAG + i % half;
	ck_that(merge_by_ksm(area->base, area->pages), "not merged");
	(void)w;
	return true;
}

static bool pinned_at_the_stop(struct work *w, struct area *area)
{
	filled(w, area);
	w->has_pin =
		pin_pages(&w->pin, page_at(area->base, w->scenario->stop), 1);
	return w->has_pin;
}

static bool locked(struct work *w, struct area *area)
{
	ck_sys(mlock2(area->base, area->pages * PAGE, MLOCK_ONFAULT));
	return area == &w->source ? filled(w, area) : true;
}

static bool in_small_mappings(struct work *w, struct area *area)
{
	cut_in_vmas(area->base, area->pages, area == &w->source ? 17 : 40);
	return area == &w->source ? filled(w, area) : true;
}

static bool watched(struct work *w, struct area *area)
{
	w->uffd = uffd_open(0);
	uffd_watch(w->uffd, area->base, area->pages,
		   UFFDIO_REGISTER_MODE_MISSING);
	return true;
}

static bool swapped_and_watched(struct work *w, struct area *area)
{
	return swapped(w, area) && watched(w, area);
}

/* A thread that reads a watched page, and waits until it is served. */
static void *wait_for_page(void *argument)
{
	struct work *w = argument;

	w->waiter_is_right = holds(w->waits_for, 1, w->waits_for_tag);
	return NULL;
}

static void start_waiter(struct work *w, char *page, uint64_t tag)
{
	w->waits_for = page;
	w->waits_for_tag = tag;
	ck_assert_int_eq(pthread_create(&w->waiter, NULL, wait_for_page, w), 0);
	ck_that(uffd_next_fault(w->uffd, 20000) == page, "nobody waits");
}

/* The page that it waits for comes with the move. */
static bool waited_for(struct work *w, struct area *area)
{
	watched(w, area);
	start_waiter(w, page_at(area->base, 5), TAG + 5);
	return true;
}

/* The page that it waits for is a hole, before and after. */
static bool waited_for_at_a_hole(struct work *w, struct area *area)
{
	filled(w, area);
	make_hole(area, 5);
	watched(w, area);
	start_waiter(w, page_at(area->base, 5), 0);
	return true;
}

/* What is moved where */

static void add_range(struct work *w, size_t dst, size_t src, size_t pages)
{
	ck_assert_uint_lt(w->nr_ranges, MAX_PAGES);
	w->ranges[w->nr_ranges++] = range_of(page_at(w->destination.base, dst),
					     page_at(w->source.base, src),
					     pages);
}

static void whole(struct work *w)
{
	add_range(w, 0, 0, w->pages);
}

/*
 * From inside of a large folio to inside of it, or of the next one. Each page
 * may take a copy, and so an allocation that fails once.
 */
static void middle(struct work *w)
{
	add_range(w, 5, 5, w->pages < 40 ? w->pages - 10 : 30);
}

static void page_by_page(struct work *w)
{
	size_t i;

	for (i = 0; i < w->pages; i++)
		add_range(w, i, i, 1);
}

static void shuffle(size_t *order, size_t nr, uint64_t *state)
{
	size_t i;

	for (i = 0; i < nr; i++)
		order[i] = i;
	for (i = nr - 1; i; i--) {
		size_t j = random_below(state, i + 1), other = order[j];

		order[j] = order[i];
		order[i] = other;
	}
}

static void shuffled_pages(struct work *w)
{
	static size_t dst[MAX_PAGES], src[MAX_PAGES];
	uint64_t state = w->pages;
	size_t i;

	shuffle(dst, w->pages, &state);
	shuffle(src, w->pages, &state);
	for (i = 0; i < w->pages; i++)
		add_range(w, dst[i], src[i], 1);
}

static void pieces(struct work *w)
{
	size_t at, length;

	for (at = 0; at < w->pages; at += length) {
		length = at % 37 + 1;
		if (length > w->pages - at)
			length = w->pages - at;
		add_range(w, at, at, length);
	}
}

/* The last one first. */
static void block_by_block(struct work *w)
{
	size_t at;

	for (at = w->pages; at; at -= BLOCK_PAGES)
		add_range(w, at - BLOCK_PAGES, at - BLOCK_PAGES, BLOCK_PAGES);
}

/* A third each, two steps on: each goes to where the one before it was. */
static void chain(struct work *w)
{
	size_t third = w->pages / 3;

	add_range(w, 0, 0, third);
	w->ranges[w->nr_ranges++] =
		range_of(w->source.base, page_at(w->source.base, third), third);
	w->ranges[w->nr_ranges++] = range_of(page_at(w->source.base, third),
					     page_at(w->source.base, 2 * third),
					     third);
	w->ranges[w->nr_ranges++] = range_of(
		page_at(w->destination.base, 2 * third), w->source.base, third);
}

/* The last one is of memory that must not be moved. */
static void last_refused(struct work *w)
{
	whole(w);
	w->ranges[w->nr_ranges++] =
		range_of(page_at(w->destination.base, w->pages),
			 page_at(w->source.base, w->pages), 1);
}

/* Moves */

#define RESERVED (4 * GIB)

/* Memory that has its upper page tables, too, to itself. */
static char *reserve(struct work *w)
{
	w->reserved = mmap(NULL, RESERVED, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(w->reserved, MAP_FAILED);
	return (char *)(((uintptr_t)w->reserved + GIB - 1) & ~(GIB - 1));
}

static void map_area(struct area *area, char *base, size_t pages)
{
	char *got = mmap(base, pages * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	ck_assert_ptr_eq(got, base);
	area->base = base;
	area->pages = pages;
	memset(area->tags, 0, pages * sizeof(*area->tags));
}

static char *destination_base(const struct work *w, char *start)
{
	size_t phase = w->scenario->destination_phase * PAGE;

	switch (w->scenario->placement) {
	case FAR:
		return start + GIB + phase;
	case ADJACENT:
		return page_at(w->source.base, w->pages);
	default:
		return start + GIB / 2 + phase;
	}
}

static size_t pages_left(const struct work *w)
{
	size_t i, pages = 0;

	for (i = 0; i < w->nr_ranges; i++)
		pages += w->ranges[w->first_range + i].len / PAGE;
	return pages;
}

static bool set_up_move(struct work *w)
{
	const struct scenario *s = w->scenario;
	char *start;

	w->before = read_counters();
	start = reserve(w);
	map_area(&w->source, start + BLOCK + s->source_phase * PAGE, w->pages);
	map_area(&w->destination, destination_base(w, start), w->pages);
	if (s->destination && !s->destination(w, &w->destination))
		return false;
	if (s->source && !s->source(w, &w->source))
		return false;
	(s->ranges ? s->ranges : whole)(w);
	w->pages_in_all = pages_left(w);
	w->locked_kb = read_counters().locked_kb;
	return true;
}

static int call_move(struct work *w)
{
	const struct vmremap_range *range = &w->ranges[w->first_range];
	int result = vmremap_move(dev, (void *)range->dst, (void *)range->src,
				  range->len, w->scenario->flags, &w->moved);

	w->done = w->moved == range->len;
	return result;
}

static int call_movev(struct work *w)
{
	return vmremap_movev(dev, &w->ranges[w->first_range], w->nr_ranges,
			     w->scenario->flags, &w->moved, &w->done);
}

/* The first call on a new descriptor. */
static int call_open_and_move(struct work *w)
{
	const struct vmremap_range *range = &w->ranges[w->first_range];
	int fd = vmremap_open(), result;

	w->moved = 0;
	w->done = 0;
	if (fd < 0)
		return fd;
	result = vmremap_move(fd, (void *)range->dst, (void *)range->src,
			      range->len, w->scenario->flags, &w->moved);
	w->done = w->moved == range->len;
	vmremap_close(fd);
	return result;
}

/* The whole ranges that it says are done are those that its bytes cover. */
static void check_done(const struct work *w)
{
	size_t i, bytes = 0;

	ck_that(w->moved % PAGE == 0 && w->done <= w->nr_ranges,
		"%zu bytes and %zu of %zu ranges", w->moved, w->done,
		w->nr_ranges);
	for (i = 0; i < w->done; i++)
		bytes += w->ranges[w->first_range + i].len;
	ck_that(bytes <= w->moved, "%zu bytes in %zu ranges", w->moved,
		w->done);
	if (w->done < w->nr_ranges)
		ck_that(w->moved - bytes <
				w->ranges[w->first_range + w->done].len,
			"%zu bytes in only %zu ranges", w->moved, w->done);
}

static void check_move(struct work *w, int result)
{
	const struct scenario *s = w->scenario;

	ck_that(w->moved / PAGE <= pages_left(w), "%zu bytes of %zu pages",
		w->moved, pages_left(w));
	check_done(w);
	play_back(w, w->moved / PAGE);
	if (!result)
		ck_that(!w->nr_ranges, "%zu pages are left", pages_left(w));
	else if (result == -s->error)
		ck_that(pages_left(w) == w->pages_in_all - s->stop,
			"%zu pages are left", pages_left(w));
	check_area(&w->source, false);
	check_area(&w->destination, false);
	check_counters(w);
}

static void release_waiter(struct work *w)
{
	if (w->waits_for_tag)
		uffd_wake(w->uffd, w->waits_for, 1);
	else
		ck_sys(uffd_zeropage(w->uffd, w->waits_for, 1));
	ck_assert_int_eq(pthread_join(w->waiter, NULL), 0);
	ck_that(w->waiter_is_right, "the waiting thread read something else");
}

static void tear_down_move(struct work *w)
{
	check_area(&w->source, true);
	check_area(&w->destination, true);
	if (w->waits_for)
		release_waiter(w);
	if (w->uffd >= 0)
		close(w->uffd);
	if (w->has_child)
		ck_that(child_ends(&w->child), "the child lost its pages");
	if (w->has_pin)
		unpin_pages(&w->pin);
	ck_sys(munmap(w->reserved, RESERVED));
}

static const struct operation move = {
	.set_up = set_up_move,
	.call = call_move,
	.check = check_move,
	.tear_down = tear_down_move,
};

static const struct operation movev = {
	.set_up = set_up_move,
	.call = call_movev,
	.check = check_move,
	.tear_down = tear_down_move,
};

static const struct operation open_and_move = {
	.set_up = set_up_move,
	.call = call_open_and_move,
	.check = check_move,
	.tear_down = tear_down_move,
};

/* Queries */

static bool set_up_nothing(struct work *w)
{
	(void)w;
	return true;
}

static struct vmremap_query answer;

static int call_query(struct work *w)
{
	memset(&answer, 0xff, sizeof(answer));
	(void)w;
	return vmremap_query(dev, &answer);
}

static int call_open_and_query(struct work *w)
{
	int fd = vmremap_open(), result;

	if (fd < 0)
		return fd;
	memset(&answer, 0xff, sizeof(answer));
	result = vmremap_query(fd, &answer);
	vmremap_close(fd);
	(void)w;
	return result;
}

static void check_query(struct work *w, int result)
{
	if (!result)
		ck_that(answer.abi_version == VMREMAP_ABI_VERSION,
			"ABI version %u", answer.abi_version);
	(void)w;
}

static void tear_down_nothing(struct work *w)
{
	(void)w;
}

static const struct operation query = {
	.set_up = set_up_nothing,
	.call = call_query,
	.check = check_query,
	.tear_down = tear_down_nothing,
};

static const struct operation open_and_query = {
	.set_up = set_up_nothing,
	.call = call_open_and_query,
	.check = check_query,
	.tear_down = tear_down_nothing,
};

/* Trying a scenario */

static long tables_kb;

static void begin(struct work *w, const struct scenario *scenario, size_t pages,
		  const struct fault *fault)
{
	w->scenario = scenario;
	w->pages = pages;
	w->first_range = 0;
	w->nr_ranges = 0;
	w->reserved = NULL;
	w->has_child = false;
	w->has_pin = false;
	w->uffd = -1;
	w->waits_for = NULL;
	trying = *fault;
	in_phase = "set up";
}

static unsigned int call_with(struct work *w, const struct fault *fault,
			      int *result)
{
	const struct scenario *s = w->scenario;
	unsigned int faults;

	in_phase = fault->n ? "with faults" : "without a fault";
	faults_arm(fault);
	*result = s->operation->call(w);
	faults = faults_disarm();
	totals->faults += faults;
	totals->calls++;
	ck_that(*result == -s->error || (faults && *result == -ENOMEM),
		"%s after %u faults", strerror(-*result), faults);
	s->operation->check(w, *result);
	return faults;
}

static const struct fault no_fault = { .mode = FAULT_ONE, .n = 0 };

/* False if this kernel cannot have it; says how many faults there were. */
static bool try(const struct scenario *scenario, size_t pages,
		const struct fault *fault, unsigned int *faults)
{
	const struct operation *operation = scenario->operation;
	int result, tries = fault->mode == FAULT_CHANCE ? 4 : 1;
	bool is_set_up;

	begin(&work, scenario, pages, fault);
	is_set_up = operation->set_up(&work);
	*faults = 0;
	result = is_set_up ? -ENOMEM : 0;
	while (result == -ENOMEM && tries--)
		*faults += call_with(&work, fault, &result);
	if (result == -ENOMEM)
		call_with(&work, &no_fault, &result);
	in_phase = "afterwards";
	operation->tear_down(&work);
	return is_set_up;
}

/* The same without a fault, as often as nothing new is left behind. */
static bool try_without(const struct scenario *scenario, size_t pages)
{
	unsigned int faults;
	bool possible = try(scenario, pages, &no_fault, &faults);

	tables_kb = read_counters().tables_kb;
	return possible;
}

static unsigned int try_with(const struct scenario *scenario, size_t pages,
			     const struct fault *fault)
{
	unsigned int faults;
	long left_kb;

	try(scenario, pages, fault, &faults);
	left_kb = read_counters().tables_kb;
	ck_that(left_kb == tables_kb, "VmPTE was %ld, and is %ld", tables_kb,
		left_kb);
	return faults;
}

/* Alone every allocation fails, and with all after it every few of them. */
static void next_fault(struct fault *fault)
{
	fault->n += fault->mode == FAULT_LATER ? 1 + fault->n / 4 : 1;
}

static void try_each(const struct scenario *scenario)
{
	static const enum fault_mode modes[] = { FAULT_ONE, FAULT_LATER };
	unsigned int calls = 0;
	double begun = now();
	size_t i;

	if (!try_without(scenario, scenario->pages)) {
		printf("%s: not on this kernel\n", scenario->name);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		struct fault fault = { .mode = modes[i], .n = 1 };

		for (; try_with(scenario, scenario->pages, &fault); calls++)
			next_fault(&fault);
	}
	printf("%s: %u calls with faults in %.1f s\n", scenario->name, calls,
	       now() - begun);
}

static void try_all(const struct scenario *scenarios, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		try_each(&scenarios[i]);
}

/* The scenarios */

static const struct scenario openings[] = {
	{ .name = "query", .operation = &query },
	{ .name = "query on a new descriptor", .operation = &open_and_query },
	{ "move on a new descriptor", &open_and_move, 20, .source = filled },
};

static const struct scenario small_pages[] = {
	{ "whole table", &move, BLOCK_PAGES, .source = filled },
	{ "whole tables", &move, 3 * BLOCK_PAGES, .source = sparse,
	  .flags = HOLES },
	{ "whole tables over empty ones", &move, 3 * BLOCK_PAGES,
	  .source = sparse, .destination = touched, .flags = HOLES },
	{ "whole tables over others", &move, 2 * BLOCK_PAGES, .source = sparse,
	  .destination = sparse, .flags = HOLES | REPLACE },
	{ "not congruent", &move, 60, .source_phase = 480,
	  .destination_phase = 3, .source = filled },
	{ "into tables that are there", &move, 60, .destination_phase = 490,
	  .source = filled, .destination = touched },
	{ "one page", &move, 1, .source = filled },
	{ "to where no upper table is", &move, 40, .placement = FAR,
	  .source = filled },
	{ "in one mapping", &move, 60, .source_phase = 480,
	  .placement = ADJACENT, .source = filled },
	{ "with holes", &move, 60, .source = every_other, .flags = HOLES },
	{ "nothing but holes", &move, 700, .flags = HOLES },
	{ "zero pages", &move, 60, .destination_phase = 1,
	  .source = read_zeros },
	{ "many mappings", &move, 100, .source = in_small_mappings,
	  .destination = in_small_mappings },
	{ "locked in memory", &move, 60, .source = locked,
	  .destination = locked },
	{ "over other pages", &move, 60, .source_phase = 470,
	  .destination_phase = 9, .source = filled, .destination = filled,
	  .flags = REPLACE },
	{ "holes over pages", &move, 60, .source = every_other,
	  .destination = filled, .flags = HOLES | REPLACE },
	{ "over zero pages", &move, 60, .source = filled,
	  .destination = read_zeros, .flags = REPLACE },
};

static const struct scenario large_folios[] = {
	{ "huge pages", &move, 2 * BLOCK_PAGES, .source = huge },
	{ "huge pages over empty tables", &move, 2 * BLOCK_PAGES,
	  .source = huge, .destination = touched },
	{ "huge pages over huge pages", &move, 2 * BLOCK_PAGES, .source = huge,
	  .destination = huge, .flags = REPLACE },
	{ "huge pages, not congruent", &move, BLOCK_PAGES,
	  .destination_phase = 3, .source = huge },
	{ "part of a huge page", &move, BLOCK_PAGES, .source = huge,
	  .ranges = middle },
	{ "huge page mapped by part", &move, BLOCK_PAGES,
	  .destination_phase = 16, .source = huge_mapped_by_part },
	{ "part of a huge page mapped by part", &move, BLOCK_PAGES,
	  .source = huge_mapped_by_part, .ranges = middle },
	{ "huge zero page", &move, BLOCK_PAGES, .source = read_huge_zeros },
	{ "small pages over a huge page", &move, BLOCK_PAGES, .source = filled,
	  .destination = huge, .flags = REPLACE },
	{ "small pages over part of a huge page", &move, BLOCK_PAGES,
	  .source = filled, .destination = huge, .ranges = middle,
	  .flags = REPLACE },
	{ "64 KiB folios", &move, 64, .destination_phase = 3, .source = mthp },
	{ "part of 64 KiB folios", &move, 64, .source = mthp,
	  .ranges = middle },
};

static const struct scenario not_as_they_are[] = {
	{ "swapped out", &move, 40, .source = swapped },
	{ "some swapped out", &move, 40, .source = some_swapped },
	{ "swapped out and watched", &move, 20, .source = swapped_and_watched },
	{ "shared with a child", &move, 40, .source = forked,
	  .flags = UNSHARE },
	{ "huge page shared with a child", &move, BLOCK_PAGES,
	  .source = huge_forked, .flags = UNSHARE, .ranges = middle },
	{ "64 KiB folios shared with a child", &move, 32, .source = mthp_forked,
	  .flags = UNSHARE, .ranges = middle },
	{ "merged", &move, 20, .source = merged, .flags = UNSHARE },
	{ "waited for", &move, 40, .source = filled, .destination = waited_for,
	  .flags = WAKE_LATER },
	{ "waited for at a hole", &move, 40, .source = waited_for_at_a_hole,
	  .flags = HOLES },
};

static const struct scenario early_ends[] = {
	{ "hole", &move, 60, .source = hole_at_the_stop, .error = ENOENT,
	  .stop = 44 },
	{ "occupied", &move, 60, .source = filled,
	  .destination = filled_at_the_stop, .error = EEXIST, .stop = 44 },
	{ "pinned", &move, 60, .source = pinned_at_the_stop, .error = EBUSY,
	  .stop = 44 },
	{ "shared", &move, 40, .source = forked, .error = EBUSY },
	{ "pinned in a vector", &movev, 60, .source = pinned_at_the_stop,
	  .ranges = pieces, .error = EBUSY, .stop = 44 },
	{ "last range refused", &movev, 40, .source = filled,
	  .ranges = last_refused, .error = EINVAL },
};

static const struct scenario vectors[] = {
	{ "page by page", &movev, 60, .source = filled,
	  .ranges = page_by_page },
	{ "in no order", &movev, 3100, .source = sparse,
	  .ranges = shuffled_pages, .flags = HOLES },
	{ "pieces", &movev, 80, .destination_phase = 490, .source = filled,
	  .ranges = pieces },
	{ "pieces of whole tables", &movev, 3 * BLOCK_PAGES, .source = sparse,
	  .ranges = block_by_block, .flags = HOLES },
	{ "to where others were", &movev, 3 * 20, .source = filled,
	  .ranges = chain },
	{ "pieces over other pages", &movev, 80, .source = every_other,
	  .destination = filled, .ranges = pieces, .flags = HOLES | REPLACE },
	{ "pieces in many mappings", &movev, 100, .source = in_small_mappings,
	  .destination = in_small_mappings, .ranges = pieces },
	{ "pieces, some swapped out", &movev, 40, .source = some_swapped,
	  .ranges = pieces },
	{ "pieces shared with a child", &movev, 40, .source = forked,
	  .ranges = pieces, .flags = UNSHARE },
	{ "pieces of huge pages", &movev, BLOCK_PAGES, .source = huge,
	  .ranges = pieces },
	{ "pieces of 64 KiB folios", &movev, 32, .source = mthp,
	  .ranges = pieces },
};

static const struct {
	const struct scenario *scenarios;
	size_t nr;
} all_scenarios[] = {
	{ openings, ARRAY_SIZE(openings) },
	{ small_pages, ARRAY_SIZE(small_pages) },
	{ large_folios, ARRAY_SIZE(large_folios) },
	{ not_as_they_are, ARRAY_SIZE(not_as_they_are) },
	{ early_ends, ARRAY_SIZE(early_ends) },
	{ vectors, ARRAY_SIZE(vectors) },
};

static const struct scenario *draw_scenario(uint64_t *state)
{
	size_t i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(all_scenarios); i++)
		nr += all_scenarios[i].nr;
	nr = random_below(state, nr);
	for (i = 0; nr >= all_scenarios[i].nr; i++)
		nr -= all_scenarios[i].nr;
	return &all_scenarios[i].scenarios[nr];
}

static void try_at_random(void)
{
	const struct scenario *scenario;
	uint64_t state = seed;
	struct fault fault;
	size_t pages;

	scenario = draw_scenario(&state);
	pages = scenario->pages * (1 + random_below(&state, 3));
	fault.mode = random_below(&state, 3);
	fault.n = 1 + random_below(&state, 60);
	if (try_without(scenario, pages))
		try_with(scenario, pages, &fault);
	seed = random_next(&state);
}

/* What the tests leave behind, in a control group of their own */

#define GROUP "/sys/fs/cgroup/fault/"

/* The kernel adds up what its CPUs have counted every two seconds. */
#define FLUSH_SECONDS 3
#define SETTLE_SECONDS 10

enum {
	ANON,
	KERNEL,
	SWAP,
	USES
};

/*
 * The test copies pages of its own that it had in common with its parent, some
 * 300 KiB over a long run; a page lost in each call would be more. Each of two
 * CPUs may keep 64 freed slots of swap for later.
 */
static const struct use {
	const char *name;
	long tolerance_kb;
} uses[USES] = {
	[ANON] = { "anon", 1024 },
	[KERNEL] = { "kernel", 64 },
	[SWAP] = { "swap", 2 * 64 * 4 + 64 },
};

static long use_before[USES];

static void read_uses(long *uses_kb)
{
	FILE *file = fopen(GROUP "memory.stat", "re");
	char name[64];
	long value;
	size_t i;

	ck_assert_ptr_nonnull(file);
	while (fscanf(file, "%63s %ld", name, &value) == 2)
		for (i = 0; i < USES; i++)
			if (!strcmp(name, uses[i].name))
				uses_kb[i] = value / 1024;
	fclose(file);
	uses_kb[SWAP] = read_knob(GROUP "memory.swap.current") / 1024;
}

static const struct use *grown_use(long *grown_kb)
{
	long uses_kb[USES] = {};
	size_t i;

	read_uses(uses_kb);
	for (i = 0; i < USES; i++)
		grown_kb[i] = uses_kb[i] - use_before[i];
	for (i = 0; i < USES; i++)
		if (grown_kb[i] > uses[i].tolerance_kb)
			return &uses[i];
	return NULL;
}

static void check_uses(void)
{
	double end = now() + SETTLE_SECONDS;
	const struct use *use;
	long grown_kb[USES];

	while ((use = grown_use(grown_kb)) && now() < end)
		usleep(500000);
	tell("anon memory grew by %ld KiB, kernel memory by %ld, swap by %ld",
	     grown_kb[ANON], grown_kb[KERNEL], grown_kb[SWAP]);
	if (use)
		ck_abort_msg("%s memory grew by %ld KiB", use->name,
			     grown_kb[use - uses]);
}

static bool begin_test(void)
{
	if (!faults_begin())
		return false;
	ck_assert(!mkdir(GROUP, 0755) || errno == EEXIST);
	ck_assert(write_knob(GROUP "cgroup.procs", "0"));
	/* Page tables that come with the first use are not to be counted. */
	memset(&work, 1, sizeof(work));
	try_without(&small_pages[0], small_pages[0].pages);
	sleep(FLUSH_SECONDS);
	read_uses(use_before);
	return true;
}

#define BEGIN_OR_SKIP()                                        \
	do {                                                   \
		if (!begin_test())                             \
			SKIP("this kernel injects no faults"); \
	} while (0)

START_TEST(faults_of_opening_and_asking)
{
	BEGIN_OR_SKIP();
	try_all(openings, ARRAY_SIZE(openings));
	check_uses();
}
END_TEST

START_TEST(faults_of_moving_small_pages)
{
	BEGIN_OR_SKIP();
	try_all(small_pages, ARRAY_SIZE(small_pages));
	check_uses();
}
END_TEST

START_TEST(faults_of_moving_large_folios)
{
	BEGIN_OR_SKIP();
	try_all(large_folios, ARRAY_SIZE(large_folios));
	check_uses();
}
END_TEST

START_TEST(faults_of_moving_what_does_not_move_as_it_is)
{
	BEGIN_OR_SKIP();
	try_all(not_as_they_are, ARRAY_SIZE(not_as_they_are));
	check_uses();
}
END_TEST

START_TEST(faults_of_moves_that_end_early)
{
	BEGIN_OR_SKIP();
	try_all(early_ends, ARRAY_SIZE(early_ends));
	check_uses();
}
END_TEST

START_TEST(faults_of_vectors)
{
	BEGIN_OR_SKIP();
	try_all(vectors, ARRAY_SIZE(vectors));
	check_uses();
}
END_TEST

static unsigned int seconds_at_random(void)
{
	return seconds_from("VMREMAP_FAULT_SECONDS", 0);
}

START_TEST(faults_at_random)
{
	const char *given = getenv("VMREMAP_SEED");
	double end = now() + seconds_at_random();
	unsigned int draws;

	BEGIN_OR_SKIP();
	is_random = true;
	seed = given && *given ? strtoull(given, NULL, 0)
			       : (uint64_t)time(NULL) << 16 ^ getpid();
	tell("VMREMAP_SEED=%lu repeats this", seed);
	for (draws = 0; draws < 20 || now() < end; draws++)
		try_at_random();
	check_uses();
}
END_TEST

static void tell_totals(void)
{
	tell("%lu faults injected over %lu calls", totals->faults,
	     totals->calls);
}

static void add_test(Suite *suite, const char *name, const TTest *test,
		     unsigned int seconds)
{
	TCase *tcase = add_case(suite, name);

	tcase_set_timeout(tcase, seconds);
	tcase_add_test(tcase, test);
}

static void add_all_scenarios(Suite *s)
{
	add_test(s, "opening", faults_of_opening_and_asking, TIMEOUT);
	add_test(s, "small", faults_of_moving_small_pages, TIMEOUT);
	add_test(s, "large", faults_of_moving_large_folios, TIMEOUT);
	add_test(s, "unfit", faults_of_moving_what_does_not_move_as_it_is,
		 TIMEOUT);
	add_test(s, "ends", faults_of_moves_that_end_early, TIMEOUT);
	add_test(s, "vectors", faults_of_vectors, TIMEOUT);
}

int main(void)
{
	Suite *s = suite_create("fault");
	int status;

	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!seconds_at_random())
		add_all_scenarios(s);
	/* As long as someone asks for. */
	add_test(s, "random", faults_at_random,
		 TIMEOUT + 2 * seconds_at_random());
	status = run_suite(s);
	tell_totals();
	rmdir(GROUP);
	return status;
}
