/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel does with pages on its own, here on demand. */
#include "model_calls.h"

#include <sys/swap.h>
#include <sys/syscall.h>

#include "pin.h"

#define MPOL_PREFERRED_ 1
#define MPOL_MF_MOVE_ 2

void let_merge(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 200, is_unwatched))
		return;
	if (madvise(start_of(piece), length_of(piece), MADV_MERGEABLE))
		return;
	unsure_of_sharing(piece);
	for (i = 0; i < piece.pages; i++)
		places_of(piece)[i].mergeable = true;
}

static bool is_mergeable(const struct cell *cell, const struct place *place)
{
	(void)cell;
	return place->mergeable;
}

void unmerge(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 300, is_mergeable))
		return;
	advise_surely(piece, MADV_UNMERGEABLE);
	for (i = 0; i < piece.pages; i++) {
		struct cell *cell = &cells_of(piece)[i];

		places_of(piece)[i].mergeable = false;
		if (!cell->hole && !cell->guard)
			cell->shared = MAYBE_SHARED;
	}
}

void run_ksm(void)
{
	write_knob(KSM_DIR "run", "1");
	usleep(30000);
	write_knob(KSM_DIR "run", "0");
}

static void migrate_pages_of(struct piece piece)
{
	void *pages[32];
	int nodes[32], status[32];
	size_t i;

	for (i = 0; i < piece.pages; i++) {
		pages[i] = page_at(start_of(piece), i);
		nodes[i] = below(2);
	}
	syscall(SYS_move_pages, 0, piece.pages, pages, nodes, status,
		MPOL_MF_MOVE_);
}

void migrate(void)
{
	unsigned long node = 1UL << below(2);
	struct piece piece;

	if (!find_piece(&piece, 32, is_private))
		return;
	if (percent(70))
		migrate_pages_of(piece);
	else
		syscall(SYS_mbind, start_of(piece), length_of(piece),
			MPOL_PREFERRED_, &node, 2 * sizeof(node) * 8,
			MPOL_MF_MOVE_);
}

void compact(void)
{
	write_knob("/proc/sys/vm/compact_memory", "1");
}

void empty_swap(void)
{
	unsure_of_all_sharing();
	if (swapoff("/dev/zram0"))
		return;
	ck_model(swapon("/dev/zram0", 0) == 0, "swapon: %s", strerror(errno));
}

void forget_writes(void)
{
	write_knob("/proc/self/clear_refs", percent(70) ? "4" : "1");
}

static struct pin pin;

void pin_some(void)
{
	struct piece piece;
	size_t i;

	if (me->has_pin || !find_piece(&piece, 16, is_fillable))
		return;
	if (!pin_pages(&pin, start_of(piece), piece.pages))
		return;
	me->has_pin = true;
	make_own(piece);
	for (i = 0; i < piece.pages; i++)
		cells_of(piece)[i].pinned = true;
}

void unpin_all(void)
{
	size_t i;

	if (!me->has_pin)
		return;
	unpin_pages(&pin);
	me->has_pin = false;
	for (i = 0; i < me->nr_cells; i++)
		me->cells[i].pinned = false;
}
