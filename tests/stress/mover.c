// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that move pages at random in the same mappings, each in slices of its
 * own, of which it knows what every page holds. A move ends where it says it
 * does, and all pages are then where that puts them. Children see a snapshot.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "stress.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MPOL_MF_MOVE
#define MPOL_MF_MOVE (1 << 1)
#endif

#define THREADS 3
#define ARENAS 4
#define SLICE_PAGES 1536
#define ARENA_PAGES (THREADS * SLICE_PAGES)
#define MAX_RANGES 24
#define VERIFY_EVERY 150

/* A thread's part of an arena, and the tag of each page; 0 reads as zeros. */
struct slice {
	const char *arena;
	char *base;
	uint64_t tags[SLICE_PAGES];
	/* Few different tags, so that KSM finds pages to merge. */
	bool alike;
};

struct thread {
	pthread_t thread;
	uint64_t seed, next_tag;
	struct slice slices[ARENAS];
};

static struct thread threads[THREADS];

/* Held for reading by each step, so that a fork falls between steps. */
static pthread_rwlock_t steps;

/* One range, and where its tags are. */
struct leg {
	struct slice *to, *from;
	size_t dst, src, pages;
};

static uint64_t below(struct thread *t, uint64_t bound)
{
	return random_below(&t->seed, bound);
}

static bool percent(struct thread *t, unsigned int chance)
{
	return random_percent(&t->seed, chance);
}

static struct slice *any_slice(struct thread *t)
{
	return &t->slices[below(t, ARENAS)];
}

static size_t any_length(struct thread *t)
{
	if (percent(t, 60))
		return 1 + below(t, 32);
	return 1 + below(t, percent(t, 75) ? BLOCK_PAGES : SLICE_PAGES);
}

/* A piece of a slice, which most operations take. */
struct piece {
	struct slice *slice;
	size_t first, pages;
	char *base;
};

static struct piece any_piece(struct thread *t)
{
	struct piece piece = {
		.slice = any_slice(t),
		.pages = any_length(t),
	};

	piece.first = below(t, SLICE_PAGES - piece.pages + 1);
	piece.base = page_at(piece.slice->base, piece.first);
	return piece;
}

static void verify(struct slice *slice, size_t first, size_t pages)
{
	expect_pages(slice->arena, page_at(slice->base, first),
		     slice->tags + first, pages);
}

static void verify_all(struct thread *t)
{
	size_t i;

	for (i = 0; i < ARENAS; i++)
		verify(&t->slices[i], 0, SLICE_PAGES);
}

/* Moves */

static unsigned int any_flags(struct thread *t)
{
	return (percent(t, 70) ? HOLES : 0) | (percent(t, 50) ? REPLACE : 0) |
	       (percent(t, 60) ? UNSHARE : 0);
}

/* Where 2 MiB pages can stay whole, if there is room. */
static void make_congruent(struct leg *leg)
{
	size_t from = (uintptr_t)leg->from->base / PAGE + leg->src;
	size_t to = (uintptr_t)leg->to->base / PAGE + leg->dst;
	size_t off = (to - from) % BLOCK_PAGES;

	if (leg->dst >= off)
		leg->dst -= off;
}

static bool overlaps(const struct leg *leg)
{
	return leg->to == leg->from && leg->dst < leg->src + leg->pages &&
	       leg->src < leg->dst + leg->pages;
}

static struct leg any_leg(struct thread *t, size_t pages)
{
	struct leg leg;

	do {
		leg = (struct leg){
			.to = any_slice(t),
			.from = any_slice(t),
			.dst = below(t, SLICE_PAGES - pages + 1),
			.src = below(t, SLICE_PAGES - pages + 1),
			.pages = pages,
		};
		if (percent(t, 40))
			make_congruent(&leg);
	} while (overlaps(&leg));
	return leg;
}

static struct vmremap_range range_of_leg(const struct leg *leg)
{
	return range_of(page_at(leg->to->base, leg->dst),
			page_at(leg->from->base, leg->src), leg->pages);
}

/*
 * What has no tag may be a hole or a page of zeros. A hole leaves the
 * destination as it is, unless it replaces; a page comes only to an empty
 * place, unless it replaces.
 */
static void play_back(const struct leg *leg, size_t pages, unsigned int flags)
{
	uint64_t *to = leg->to->tags + leg->dst;
	uint64_t *from = leg->from->tags + leg->src;
	size_t i;

	for (i = 0; i < pages; i++) {
		if (from[i] && to[i] && !(flags & REPLACE))
			complain("%s: page %zu was moved over another",
				 leg->to->arena, leg->dst + i);
		if (from[i] || flags & REPLACE)
			to[i] = from[i];
		from[i] = 0;
	}
}

static void judge_end(const struct leg *leg, size_t at, int rc,
		      unsigned int flags)
{
	if (rc == -ENOENT && (flags & HOLES || leg->from->tags[leg->src + at]))
		complain("%s: page %zu is said to be missing", leg->from->arena,
			 leg->src + at);
	if (rc == -EEXIST && flags & REPLACE)
		complain("%s: page %zu is not replaced", leg->to->arena,
			 leg->dst + at);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Memory and tags after a call that came so far. */
static void follow(struct leg *legs, size_t nr, size_t moved, int rc,
		   unsigned int flags)
{
	size_t i, pages, left = moved / PAGE;

	if (!count_end(rc, flags))
		return;
	count(pages, left);
	for (i = 0; i < nr; i++) {
		pages = smaller(left, legs[i].pages);
		play_back(&legs[i], pages, flags);
		left -= pages;
		if (pages < legs[i].pages) {
			judge_end(&legs[i], pages, rc, flags);
			break;
		}
	}
	if (left || (i < nr) != (rc != 0))
		complain("a call that ended with %d moved %zu bytes", rc,
			 moved);
	for (i = 0; i < nr; i++)
		verify(legs[i].to, legs[i].dst, legs[i].pages);
}

static void move(struct thread *t)
{
	struct leg leg = any_leg(t, any_length(t));
	struct vmremap_range range = range_of_leg(&leg);
	unsigned int flags = any_flags(t);
	size_t moved = UNSET;
	int rc = vmremap_move(dev, (void *)(uintptr_t)range.dst,
			      (void *)(uintptr_t)range.src, range.len, flags,
			      &moved);

	count(moves, 1);
	follow(&leg, 1, moved, rc, flags);
	if (percent(t, 10))
		verify(leg.from, leg.src, leg.pages);
}

static void move_vector(struct thread *t)
{
	size_t i, nr = 1 + below(t, MAX_RANGES), moved = UNSET, done = UNSET;
	struct vmremap_range ranges[MAX_RANGES];
	struct leg legs[MAX_RANGES];
	unsigned int flags = any_flags(t);
	size_t most = percent(t, 10) ? 600 : 20;
	int rc;

	for (i = 0; i < nr; i++) {
		legs[i] = any_leg(t, 1 + below(t, most));
		ranges[i] = range_of_leg(&legs[i]);
	}
	rc = vmremap_movev(dev, ranges, nr, flags, &moved, &done);
	count(vectors, 1);
	follow(legs, nr, moved, rc, flags);
}

/* What else happens to memory */

static void write_pages(struct thread *t)
{
	struct piece piece = any_piece(t);
	size_t i;

	for (i = 0; i < piece.pages; i++) {
		uint64_t tag = piece.slice->alike ? 1 + below(t, 16)
						  : t->next_tag++;

		piece.slice->tags[piece.first + i] = tag;
		fill(page_at(piece.base, i), 1, tag);
	}
}

static void discard(struct thread *t)
{
	struct piece piece = any_piece(t);

	madvise(piece.base, piece.pages * PAGE, MADV_DONTNEED);
	memset(piece.slice->tags + piece.first, 0,
	       piece.pages * sizeof(uint64_t));
}

static void advise(struct thread *t)
{
	const int advices[] = { MADV_PAGEOUT,  MADV_PAGEOUT,	MADV_COLD,
				MADV_COLLAPSE, MADV_MERGEABLE,	MADV_HUGEPAGE,
				MADV_WILLNEED, MADV_UNMERGEABLE };
	struct piece piece = any_piece(t);

	madvise(piece.base, piece.pages * PAGE,
		advices[below(t, ARRAY_SIZE(advices))]);
}

/* Huge pages are then mapped by parts. */
static void protect(struct thread *t)
{
	struct piece piece = any_piece(t);

	mprotect(piece.base, piece.pages * PAGE, PROT_READ);
	verify(piece.slice, piece.first, piece.pages);
	mprotect(piece.base, piece.pages * PAGE, PROT_READ | PROT_WRITE);
}

static void migrate(struct thread *t)
{
	struct piece piece = any_piece(t);
	size_t i, nr = smaller(piece.pages, 64);
	void *pages[64];
	int nodes[64], status[64];

	for (i = 0; i < nr; i++) {
		pages[i] = page_at(piece.base, i);
		nodes[i] = below(t, 2);
	}
	syscall(SYS_move_pages, 0, nr, pages, nodes, status, MPOL_MF_MOVE);
}

static void step(struct thread *t)
{
	unsigned int chance = below(t, 100);

	if (chance < 35)
		move(t);
	else if (chance < 55)
		move_vector(t);
	else if (chance < 75)
		write_pages(t);
	else if (chance < 82)
		discard(t);
	else if (chance < 92)
		advise(t);
	else if (chance < 95)
		protect(t);
	else
		migrate(t);
}

/* Ended before its end by a child only, after so many steps. */
static void go_on(struct thread *t, size_t most)
{
	size_t i;

	for (i = 1; i <= most && !tally->over; i++) {
		pthread_rwlock_rdlock(&steps);
		step(t);
		if (i % VERIFY_EVERY == 0)
			verify_all(t);
		pthread_rwlock_unlock(&steps);
	}
}

static void *run_thread(void *argument)
{
	struct thread *t = argument;

	go_on(t, SIZE_MAX);
	verify_all(t);
	return NULL;
}

/* The snapshot is whole, and may be moved about while the parent goes on. */
static void be_a_child(uint64_t seed)
{
	struct thread *t = &threads[seed % THREADS];

	pthread_rwlock_init(&steps, NULL);
	verify_all(t);
	t->seed = seed;
	go_on(t, 30);
	verify_all(&threads[(seed + 1) % THREADS]);
	_exit(0);
}

static void fork_again_and_again(uint64_t seed)
{
	int status;

	while (!tally->over) {
		pid_t pid;

		pthread_rwlock_wrlock(&steps);
		pid = fork();
		if (pid == 0)
			be_a_child(random_next(&seed));
		pthread_rwlock_unlock(&steps);
		random_next(&seed);
		if (pid < 0)
			continue;
		if (waitpid(pid, &status, 0) != pid || status)
			complain("a child ended with status %#x", status);
		count(forks, 1);
		usleep(100000 + random_below(&seed, 400000));
	}
}

static const struct arena {
	const char *name;
	size_t phase;
	int advice;
} arenas[ARENAS] = {
	{ "small", 0, MADV_NOHUGEPAGE },
	{ "huge", 0, MADV_HUGEPAGE },
	{ "huge, out of step", 77, MADV_HUGEPAGE },
	{ "alike", 5, MADV_MERGEABLE },
};

#define ALIKE 3

/* One arena is of many VMAs as well. */
static char *make_arena(size_t i)
{
	char *base = map_arena(ARENA_PAGES * PAGE, arenas[i].phase * PAGE,
			       arenas[i].advice);
	size_t page;

	if (i == ALIKE) {
		for (page = 0; page < ARENA_PAGES; page += 1400)
			madvise(page_at(base, page), 700 * PAGE, MADV_DONTDUMP);
	}
	return base;
}

static void make_arenas(void)
{
	size_t i, t;

	for (i = 0; i < ARENAS; i++) {
		char *base = make_arena(i);

		for (t = 0; t < THREADS; t++) {
			threads[t].slices[i].arena = arenas[i].name;
			threads[t].slices[i].base =
				page_at(base, t * SLICE_PAGES);
			threads[t].slices[i].alike = i == ALIKE;
		}
	}
}

void mover(uint64_t seed)
{
	pthread_rwlockattr_t kind;
	size_t i;

	pthread_rwlockattr_init(&kind);
	pthread_rwlockattr_setkind_np(
		&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&steps, &kind);
	make_arenas();
	for (i = 0; i < THREADS; i++) {
		threads[i].seed = random_next(&seed);
		threads[i].next_tag = 100 + (i << 40);
		pthread_create(&threads[i].thread, NULL, run_thread,
			       &threads[i]);
	}
	fork_again_and_again(seed);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
}
