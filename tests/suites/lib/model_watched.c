/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that a userfaultfd watches, and faults served by moving pages in. */
#include "model_calls.h"

#include <pthread.h>
#include <sys/ioctl.h>

#include "uffd.h"

static int uffd;

void begin_watching(void)
{
	uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	ck_model(uffd >= 0, "no userfaultfd");
}

static bool is_watchable(const struct cell *cell, const struct place *place)
{
	return is_unwatched(cell, place) && !place->locked &&
	       !place->mergeable && !cell->guard;
}

void watch_pages(void)
{
	static const int some[] = {
		UFFDIO_REGISTER_MODE_MISSING,
		UFFDIO_REGISTER_MODE_WP,
		UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	int mode = some[below(ARRAY_SIZE(some))];
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 60, is_watchable))
		return;
	note(" mode %d", mode);
	uffd_watch(uffd, start_of(piece), piece.pages, mode);
	for (i = 0; i < piece.pages; i++)
		places_of(piece)[i].watched = mode;
}

static bool is_watched(const struct cell *cell, const struct place *place)
{
	(void)cell;
	return place->watched;
}

void unwatch_pages(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 200, is_watched))
		return;
	uffd_unwatch(uffd, start_of(piece), piece.pages);
	for (i = 0; i < piece.pages; i++) {
		places_of(piece)[i].watched = 0;
		cells_of(piece)[i].write_protected = false;
	}
}

static bool is_protectable(const struct cell *cell, const struct place *place)
{
	(void)cell;
	return place->watched & UFFDIO_REGISTER_MODE_WP;
}

void protect_watched(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 40, is_protectable))
		return;
	uffd_protect(uffd, start_of(piece), piece.pages, true);
	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];

		cell->write_protected = !cell->hole && !cell->guard;
	}
}

static bool is_protected(const struct cell *cell, const struct place *place)
{
	(void)place;
	return cell->write_protected;
}

void unprotect_watched(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 60, is_protected))
		return;
	uffd_protect(uffd, start_of(piece), piece.pages, false);
	for (i = 0; i < piece.pages; i++)
		cells_of(piece)[i].write_protected = false;
}

struct toucher {
	pthread_t thread;
	char *page;
	/* The tag to write, or zero to read. */
	uint64_t tag;
	uint64_t read;
};

static void *touch(void *argument)
{
	struct toucher *toucher = argument;
	volatile uint64_t *words = (uint64_t *)toucher->page;

	if (toucher->tag)
		fill(toucher->page, 1, toucher->tag);
	else
		toucher->read = words[COUNTER];
	return NULL;
}

/* Returns when the page's fault is waiting for an answer. */
static void start_to_touch(struct toucher *toucher)
{
	char *faulted;

	ck_model(pthread_create(&toucher->thread, NULL, touch, toucher) == 0,
		 "no thread");
	faulted = uffd_next_fault(uffd, STEP_SECONDS * 1000 / 2);
	ck_model(faulted == toucher->page, "a fault at %p, expected at %p",
		 faulted, toucher->page);
}

/* Moves a page to where a thread waits for it. */
static bool move_to_fault(struct piece missing)
{
	struct picked p = { .to = missing.arena, .dst = missing.first };
	struct piece piece;
	size_t moved = UNSET;
	int rc;

	if (!find_piece(&piece, 1, is_readable_page))
		return false;
	p.from = piece.arena;
	p.src = piece.first;
	p.pages = 1;
	if (is_refused_at(&p, 0, WAKE_LATER))
		return false;
	let_increment();
	rc = vmremap_move(dev, start_of(missing), start_of(piece), PAGE,
			  WAKE_LATER | UNSHARE, &moved);
	tally_move(rc, moved);
	judge_move(&p, 1, WAKE_LATER | UNSHARE, rc, moved, rc == 0);
	return rc == 0;
}

static bool is_missing(const struct cell *cell, const struct place *place)
{
	return cell->hole && place->prot & READABLE &&
	       place->watched & UFFDIO_REGISTER_MODE_MISSING;
}

void serve_missing(void)
{
	struct toucher toucher = { 0 };
	struct piece missing;
	struct cell *cell;

	if (!find_piece(&missing, 1, is_missing))
		return;
	cell = cells_of(missing);
	toucher.page = start_of(missing);
	start_to_touch(&toucher);
	if (!move_to_fault(missing)) {
		ck_model(uffd_zeropage(uffd, toucher.page, 1) == 0,
			 "zeropage: %s", strerror(errno));
		*cell = (struct cell){ 0 };
	}
	uffd_wake(uffd, toucher.page, 1);
	pthread_join(toucher.thread, NULL);
	compare_cells(missing.arena, missing.first, 1);
	ck_model(toucher.read == ((uint64_t *)toucher.page)[COUNTER],
		 "the thread has read %lx", toucher.read);
	ledger->faults_served++;
}

static bool waits_for_write(const struct cell *cell, const struct place *place)
{
	return cell->write_protected && place->prot == OPEN && !cell->lazy;
}

void serve_write(void)
{
	struct toucher toucher = { 0 };
	struct piece piece;

	if (!find_piece(&piece, 1, waits_for_write))
		return;
	toucher.page = start_of(piece);
	toucher.tag = new_tag();
	start_to_touch(&toucher);
	uffd_protect(uffd, toucher.page, 1, false);
	pthread_join(toucher.thread, NULL);
	*cells_of(piece) = (struct cell){
		.tag = toucher.tag,
		.pinned = cells_of(piece)->pinned,
	};
	compare_cells(piece.arena, piece.first, 1);
	ledger->faults_served++;
}
