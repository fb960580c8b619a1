/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory that a fuzzer works on: tracts at fixed addresses, and around each
 * of them, mostly in the same mapping, canary pages that no call ever names.
 */
#ifndef FUZZ_ARENA_H
#define FUZZ_ARENA_H

#include "fuzz.h"
#include "memory.h"

#define ARENA_BASE (1UL << 44)
#define ARENA_SIZE (256UL << 20)

enum tracts {
	PLAIN = 1, /* begin as ordinary memory, and become that again */
	QUILT = 2, /* are sewn from mappings of all kinds */
	ANY = PLAIN | QUILT,
	/* No operation takes them, and so they stay what they are. */
	OF_FILE = 4,
	OF_SHARED = 8,
	READ_ONLY = 16,
	REFUSED = OF_FILE | OF_SHARED | READ_ONLY,
};

struct piece {
	char *at;
	size_t pages;
};

bool arena_map(void);

/* Part of one tract, in most cases a small part. */
struct piece pick_piece(struct fuzzer *f, enum tracts kinds);
struct piece pick_piece_of(struct fuzzer *f, enum tracts kinds, size_t pages);
struct piece pick_tract(struct fuzzer *f, enum tracts kinds);

/* Whether the range is wholly in one tract, or has a canary in it. */
bool arena_has(uint64_t address, uint64_t length);
bool arena_names_canary(uint64_t address, uint64_t length);

/* Whether there is something in it that no operation takes. */
bool arena_refuses(uint64_t address, uint64_t length);

/* Ends the process if a canary has changed. */
void look_at_canary(struct fuzzer *f);
void look_at_all_canaries(void);

#endif
