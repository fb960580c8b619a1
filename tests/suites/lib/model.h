/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory in plain data: what each page holds and how it is mapped, where a move
 * may end and with which error, and what it leaves behind.
 */
#ifndef MODEL_H
#define MODEL_H

#include "moves.h"

enum sharing {
	NOT_SHARED,
	MAYBE_SHARED,
	/* A move without UNSHARE has to find out. */
	SURELY_SHARED,
};

/* A page. It goes with the page when that moves. */
struct cell {
	uint64_t tag;
	/* If not zero, the word at this index is of another tag. */
	uint64_t word_tag;
	uint16_t word;
	uint8_t shared;
	bool hole;
	/* The kernel may take it at any time, and leave a hole. */
	bool lazy;
	bool guard;
	bool pinned;
	bool write_protected;
	/* Since it was last compared. */
	bool moved;
};

enum mapping {
	PRIVATE_ANONYMOUS,
	NOT_MAPPED,
	/* Shared, or of a file; never written to. */
	MAPPED_OTHERWISE,
};

/* A page's place in a mapping. It stays where it is. */
struct place {
	uint8_t mapping;
	uint8_t prot;
	/* UFFDIO_REGISTER_MODE_* */
	uint8_t watched;
	/* MADV_DONTFORK, MADV_WIPEONFORK, or zero. */
	uint8_t advice_on_fork;
	bool locked;
	bool mergeable;
	/* A touched page may bring others with it. */
	bool large;
};

struct arena {
	const char *name;
	char *base;
	size_t pages;
	/* As in a place; for arenas that have none. */
	bool large;
	struct cell *cells;
	/* NULL if all of it is private, writable and so on all the time. */
	struct place *places;
};

/* One range of a move, and where its cells are. */
struct picked {
	struct arena *to, *from;
	size_t dst, src, pages;
};

/*
 * Called when memory and model differ, with what was to be true and how it is
 * not; must not return.
 */
extern void (*model_failed)(const char *condition, const char *message);
void model_fails(const char *condition, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

#define ck_model(condition, ...)                              \
	do {                                                  \
		if (!(condition))                             \
			model_fails(#condition, __VA_ARGS__); \
	} while (0)

/* Zeros, or a hole, are cells without data. */
bool has_data(const struct cell *cell);
bool holds_cell(const void *page, const struct cell *cell);

const struct place *place_at(const struct arena *arena, size_t page);

/* Pages of the kernel's against the model's. Lazy cells learn if they are gone. */
void compare_cells(struct arena *arena, size_t first, size_t pages);
void compare_arena(struct arena *arena);

/* The model learns which holes a large folio has filled with zeros. */
void learn_filled_holes(struct arena *arena);

/* A random range of a move; half of them keep whole tables and huge pages. */
struct picked pick_range(uint64_t *state, struct arena *arenas,
			 size_t nr_arenas);
size_t congruent_dst(const struct picked *p, size_t dst);

struct cell *dst_cell(const struct picked *p, size_t page);
struct cell *src_cell(const struct picked *p, size_t page);
bool overlaps(const struct picked *p);

/* Whether a move is refused for this page before anything has moved. */
bool is_refused_at(const struct picked *p, size_t page, unsigned int flags);

/* Whether a move can go on after this page, and what it leaves there then. */
bool may_pass(const struct picked *p, size_t page, unsigned int flags);
void play_page(const struct picked *p, size_t page, unsigned int flags);

/* What a call says it did is checked, and done in the model. */
void judge_move(const struct picked *picked, size_t nr, unsigned int flags,
		int rc, size_t moved, size_t done);
void compare_ranges(const struct picked *picked, size_t nr);

#endif
