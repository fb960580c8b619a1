/* SPDX-License-Identifier: GPL-2.0-only */
#include "model_calls.h"

#include <sys/uio.h>

#include "child.h"

void (*steps_of_a_child)(void);

static struct process *pick_other(void)
{
	unsigned int ahead = 1 + below(PROCESSES - 1);

	return &ledger->processes[(me->number + ahead) % PROCESSES];
}

static bool find_piece_elsewhere(struct process **other, struct piece *piece,
				 fitness is_fit)
{
	*other = pick_other();
	if (!find_piece_of(*other, piece, 30, is_fit))
		return false;
	note(" process %u %s %zu, %zu pages", (*other)->number,
	     piece->arena->name, piece->first, piece->pages);
	return true;
}

static char *buffer_for(struct piece piece)
{
	static char buffer[30 * PAGE];

	ck_model(length_of(piece) <= sizeof(buffer), "%zu pages", piece.pages);
	return buffer;
}

void write_elsewhere(void)
{
	struct process *other;
	struct piece piece;
	struct iovec here, there;
	ssize_t written;

	if (!find_piece_elsewhere(&other, &piece, is_writable_page))
		return;
	here = (struct iovec){ buffer_for(piece), length_of(piece) };
	there = (struct iovec){ start_of(piece), length_of(piece) };
	write_piece(piece, here.iov_base, 0);
	written = process_vm_writev(other->pid, &here, 1, &there, 1, 0);
	ck_model(written == (ssize_t)there.iov_len,
		 "process_vm_writev: %zd, %s", written, strerror(errno));
}

void read_elsewhere(void)
{
	struct process *other;
	struct piece piece;
	struct iovec here, there;
	ssize_t got;
	size_t i;

	if (!find_piece_elsewhere(&other, &piece, is_readable_page))
		return;
	here = (struct iovec){ buffer_for(piece), length_of(piece) };
	there = (struct iovec){ start_of(piece), length_of(piece) };
	got = process_vm_readv(other->pid, &here, 1, &there, 1, 0);
	ck_model(got == (ssize_t)there.iov_len, "process_vm_readv: %zd, %s",
		 got, strerror(errno));
	for (i = 0; i < piece.pages; i++)
		ck_model(holds_cell(page_at(here.iov_base, i),
				    &cells_of(piece)[i]),
			 "process %u, %s page %zu", other->number,
			 piece.arena->name, piece.first + i);
	/* They have been pinned for it, and before that unshared. */
	unsure_of_sharing(piece);
}

/* Children */

void change_fork(void)
{
	static const int some[] = { 0, 0, MADV_DONTFORK, MADV_WIPEONFORK };
	int advice = some[below(ARRAY_SIZE(some))];
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 60, is_private))
		return;
	advise_surely(piece, MADV_DOFORK);
	advise_surely(piece, MADV_KEEPONFORK);
	if (advice)
		advise_surely(piece, advice);
	for (i = 0; i < piece.pages; i++)
		places_of(piece)[i].advice_on_fork = advice;
}

static void inherit_cell(struct cell *cell, struct place *place)
{
	int advice = place->advice_on_fork;

	place->locked = false;
	place->watched = 0;
	place->advice_on_fork = 0;
	if (advice == MADV_DONTFORK)
		*place = (struct place){ .mapping = NOT_MAPPED };
	if (advice) {
		*cell = (struct cell){ .hole = true };
		return;
	}
	if (place->mapping != PRIVATE_ANONYMOUS || cell->hole || cell->guard)
		return;
	cell->shared = MAYBE_SHARED;
	cell->pinned = false;
	cell->write_protected = false;
	/* Where there is nothing but zeros, no page table may be copied. */
	cell->lazy |= !has_data(cell);
}

static void copy_arenas(struct arena *arenas, size_t nr, struct process *heir)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		arenas[i].cells = heir->cells + (arenas[i].cells - me->cells);
		arenas[i].places =
			heir->places + (arenas[i].places - me->places);
	}
}

/* What a child that is forked now has. */
static struct process *make_heir(void)
{
	struct process *heir = malloc(sizeof(*heir));
	size_t i;

	ck_model(heir, "no memory");
	*heir = *me;
	heir->is_child = true;
	heir->has_pin = false;
	copy_arenas(heir->arenas, heir->nr_arenas, heir);
	copy_arenas(heir->windows, heir->nr_windows, heir);
	for (i = 0; i < heir->nr_cells; i++)
		inherit_cell(&heir->cells[i], &heir->places[i]);
	return heir;
}

static void mark_shared(void)
{
	size_t i;

	for (i = 0; i < me->nr_cells; i++) {
		struct cell *cell = &me->cells[i];
		const struct place *place = &me->places[i];

		if (!is_private(cell, place) || cell->hole || cell->guard)
			continue;
		if (has_data(cell) && !cell->lazy && !place->large &&
		    !place->advice_on_fork && !place->mergeable && !me->has_pin)
			cell->shared = SURELY_SHARED;
		else
			cell->shared = MAYBE_SHARED;
	}
}

static struct child held;
static bool is_held;

static bool live_as_child(void *heir)
{
	me = heir;
	me->pid = getpid();
	is_held = false;
	compare_process();
	steps_of_a_child();
	compare_process();
	return true;
}

void let_go(void)
{
	if (!is_held)
		return;
	note(" the child");
	ck_model(child_ends(&held), "it did not end well");
	is_held = false;
	unsure_of_all_sharing();
}

void fork_and_hold(void)
{
	struct process *heir;

	let_go();
	heir = make_heir();
	held = child_waits(live_as_child, heir);
	free(heir); /* NOLINT(clang-analyzer-unix.Malloc) */
	is_held = true;
	mark_shared();
	ledger->children++;
}

void fork_and_exit(void)
{
	fork_and_hold();
	let_go();
}
