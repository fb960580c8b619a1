/* SPDX-License-Identifier: GPL-2.0-only */
/* The operations of the module. */
#include "model_calls.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>

#define MAX_RANGES 12

static struct {
	sem_t go, rested;
	volatile bool run;
	pid_t interrupts;
} incrementer;

#define INTERRUPT_EVERY 512

/* Pages are moved from the lower half of a window to the upper ones. */
#define LOWER_PAGES (WINDOW_PAGES / 2)

static void increment_words(uint64_t *random)
{
	uint64_t done;

	while (incrementer.run) {
		uint64_t draw = random_next(random);
		struct arena *window = &me->windows[draw % WINDOWS];
		size_t page = draw / WINDOWS % LOWER_PAGES;
		uint64_t *words = (uint64_t *)page_at(window->base, page);

		__atomic_fetch_add(&words[COUNTER], 1, __ATOMIC_RELAXED);
		done = __atomic_add_fetch(&me->increments, 1, __ATOMIC_RELAXED);
		if (done % INTERRUPT_EVERY == 0)
			syscall(SYS_tgkill, me->pid, incrementer.interrupts,
				SIGUSR1);
	}
}

static void *increment(void *unused)
{
	uint64_t random = me->number;

	(void)unused;
	while (!sem_wait(&incrementer.go)) {
		increment_words(&random);
		sem_post(&incrementer.rested);
	}
	return NULL;
}

/* Returns when it is at work. */
void let_increment(void)
{
	uint64_t so_far = me->increments;

	if (me->is_child || percent(30))
		return;
	incrementer.run = true;
	sem_post(&incrementer.go);
	while (__atomic_load_n(&me->increments, __ATOMIC_RELAXED) == so_far)
		sched_yield();
}

void rest_incrementer(void)
{
	if (!incrementer.run)
		return;
	incrementer.run = false;
	while (sem_wait(&incrementer.rested))
		;
}

static void ignore_signal(int number)
{
	(void)number;
}

void start_incrementer(void)
{
	struct sigaction action = { .sa_handler = ignore_signal };
	pthread_t thread;

	ck_model(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
	sem_init(&incrementer.go, 0, 0);
	sem_init(&incrementer.rested, 0, 0);
	incrementer.interrupts = syscall(SYS_gettid);
	ck_model(pthread_create(&thread, NULL, increment, NULL) == 0,
		 "no thread");
}

/* Moves */

static unsigned int pick_flags(void)
{
	unsigned int flags = 0;

	flags |= percent(70) ? HOLES : 0;
	flags |= percent(60) ? REPLACE : 0;
	flags |= percent(70) ? UNSHARE : 0;
	flags |= percent(30) ? WAKE_LATER : 0;
	return flags;
}

/* Mostly only as far as it is not refused, or does not have to end. */
static void shorten(struct picked *p, unsigned int flags)
{
	bool to_the_end = percent(30);
	size_t page;

	for (page = 1; page < p->pages; page++) {
		if (is_refused_at(p, page, flags))
			break;
		if (to_the_end && !may_pass(p, page, flags))
			break;
	}
	p->pages = page;
}

static struct picked pick_some_range(unsigned int flags)
{
	bool whatever = percent(4);
	struct picked p;
	int tries = 0;

	do {
		p = pick_range(&choices, me->arenas, me->nr_arenas);
		if (!whatever)
			shorten(&p, flags);
	} while (!whatever && ++tries < 40 &&
		 (overlaps(&p) || is_refused_at(&p, 0, flags) ||
		  (percent(70) && !may_pass(&p, 0, flags))));
	note(" [%s %zu to %s %zu, %zu]", p.from->name, p.src, p.to->name, p.dst,
	     p.pages);
	return p;
}

/* What the kernel has taken by now is a hole for the move too. */
static void learn_lost_pages(const struct picked *p)
{
	bool from = false, to = false;
	size_t page;

	for (page = 0; page < p->pages; page++) {
		from |= src_cell(p, page)->lazy;
		to |= dst_cell(p, page)->lazy;
	}
	if (from)
		compare_cells(p->from, p->src, p->pages);
	if (to)
		compare_cells(p->to, p->dst, p->pages);
}

void tally_move(int rc, size_t moved)
{
	rest_incrementer();
	note(": %s, %zu pages", rc > -MAX_ERROR ? strerrorname_np(-rc) : "?",
	     moved / PAGE);
	ck_model(rc <= 0 && rc > -MAX_ERROR, "returned %d", rc);
	ledger->moves++;
	ledger->by_error[-rc]++;
	ledger->pages_moved += moved / PAGE;
}

void move_one(void)
{
	unsigned int flags = pick_flags();
	struct picked p = pick_some_range(flags);
	size_t moved = UNSET;
	int rc;

	note(" flags %x", flags);
	learn_lost_pages(&p);
	let_increment();
	rc = vmremap_move(dev, page_at(p.to->base, p.dst),
			  page_at(p.from->base, p.src), p.pages * PAGE, flags,
			  &moved);
	tally_move(rc, moved);
	judge_move(&p, 1, flags, rc, moved, rc == 0);
	compare_ranges(&p, 1);
}

void move_many(void)
{
	size_t r, nr = 1 + below(MAX_RANGES), moved = UNSET, done = UNSET;
	struct vmremap_range ranges[MAX_RANGES];
	struct picked picked[MAX_RANGES];
	unsigned int flags = pick_flags();
	int rc;

	note(" flags %x", flags);
	for (r = 0; r < nr; r++) {
		struct picked *p = &picked[r];

		*p = pick_some_range(flags);
		learn_lost_pages(p);
		ranges[r] = range_of(page_at(p->to->base, p->dst),
				     page_at(p->from->base, p->src), p->pages);
	}
	let_increment();
	rc = vmremap_movev(dev, ranges, nr, flags, &moved, &done);
	tally_move(rc, moved);
	judge_move(picked, nr, flags, rc, moved, done);
	compare_ranges(picked, nr);
}

static struct vmremap_range pick_window_range(void)
{
	size_t pages = 1 + below(LOWER_PAGES);
	struct arena *from = &me->windows[below(WINDOWS)];
	struct arena *to = &me->windows[below(WINDOWS)];
	size_t src = below(LOWER_PAGES - pages + 1);
	size_t dst = LOWER_PAGES + below(LOWER_PAGES - pages + 1);

	/* Back again, where the increments go on. */
	if (percent(20))
		return range_of(page_at(from->base, src),
				page_at(to->base, dst), pages);
	return range_of(page_at(to->base, dst), page_at(from->base, src),
			pages);
}

/* Makes room in the upper halves, and keeps account of what was there. */
static void harvest_increments(void)
{
	size_t i;

	for (i = 0; i < WINDOWS; i++) {
		struct arena upper = me->windows[i];

		if (upper.places->locked)
			continue;
		upper.base = page_at(upper.base, LOWER_PAGES);
		upper.pages = LOWER_PAGES;
		me->harvested += count_increments(&upper);
		madvise(upper.base, upper.pages * PAGE, MADV_DONTNEED);
	}
}

void move_incremented(void)
{
	unsigned int flags = HOLES | (percent(80) ? UNSHARE : 0);
	size_t i, nr = 1 + below(4), moved = UNSET, done = UNSET, whole = 0;
	struct vmremap_range ranges[4];
	int rc;

	note(" %zu ranges, flags %x", nr, flags);
	for (i = 0; i < nr; i++) {
		ranges[i] = pick_window_range();
		whole += ranges[i].len;
	}
	let_increment();
	rc = vmremap_movev(dev, ranges, nr, flags, &moved, &done);
	tally_move(rc, moved);
	ck_model(rc == 0 || rc == -EEXIST || rc == -EAGAIN ||
			 (rc == -EBUSY && !(flags & UNSHARE)),
		 "%s", strerror(-rc));
	ck_model((rc == 0) == (moved == whole) && (rc == 0) == (done == nr),
		 "%zu of %zu bytes, %zu of %zu ranges", moved, whole, done, nr);
}

void count_moved_increments(void)
{
	compare_increments();
	if (percent(80))
		harvest_increments();
}
