/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A call of the device that is being made up, and what is known of it: for the
 * parts of fuzz_calls.
 */
#ifndef FUZZ_CALL_H
#define FUZZ_CALL_H

#include <sys/ioctl.h>

#include "fuzz_arena.h"

#define MAX_RANGES 65536

#define LOWEST_MAPPABLE 0x10000ULL
#define USER_END ((1ULL << 47) - PAGE)
/* Nothing is mapped beyond that, with five levels of page tables either. */
#define NEVER_MAPPED ((1ULL << 56) - PAGE)

/* A fuzzer's own places for requests; inaccessible memory ends each of them. */
struct desk {
	char *room, *room_end;
	char *low, *low_end;
	char *vectors, *vectors_end;
	char *readonly;
	struct vmremap_range *ranges;
	/* The part of a room around the struct, before the call. */
	unsigned char before[2 * PAGE];
};

union call_args {
	struct {
		uint32_t size;
		uint32_t flags;
	} head;
	struct vmremap_query query;
	struct vmremap_move move;
	struct vmremap_movev movev;
};

enum place {
	OWN,	/* readable and writable, and nobody else's */
	FAULTY, /* not all of it can be read and written */
	SHARED, /* others may change it, or unmap it */
};

/* Sets of results: bit N is errno N, and bit 0 is success. */
#define RESULT(error) (1ULL << (error))
#define SUCCESS RESULT(0)

struct call;

/* A field of an operation's struct; its length is 0 if there is none. */
struct field {
	unsigned char offset, length;
};

/**
 * struct call_kind - an operation
 * @weight: how often it is called, compared with the others
 * @number: of its ioctl
 * @size: of its struct
 * @flags: those that it takes
 * @errors: those that it may end with, once the struct's head is accepted
 * @outs: the fields that it fills; the first says how far it came
 * @reserved: the fields that must be zero
 * @range: its one range
 * @vector: or the address of its ranges
 * @count: and their number
 * @make: makes up a valid call of it, but for the range or vector, which goes
 *	to the call's ranges
 * @allowed: what may come of the call, as it is now; a set of results
 * @judge: what is wrong with the fields that it filled, or NULL
 */
struct call_kind {
	unsigned int weight;
	const char *name;
	unsigned long number;
	uint32_t size;
	uint32_t flags;
	uint64_t errors;
	struct field outs[2];
	struct field reserved[2];
	struct field range;
	struct field vector;
	struct field count;
	void (*make)(struct fuzzer *f, struct call *call);
	uint64_t (*allowed)(const struct call *call);
	const char *(*judge)(const struct call *call, int error,
			     const void *filled);
};

struct call {
	const struct call_kind *kind;
	struct desk *desk;
	unsigned long number;
	union call_args args;
	/* Offset of a byte in the struct's unknown tail that is not zero. */
	uint32_t stain;
	char *at;
	enum place place;
	/* Those that it names; a copy of them is at the vector's address. */
	struct vmremap_range *ranges;
	size_t nr_ranges;
	enum place vector_place;
	int device;
	bool is_32bit;
	bool is_public;
};

static inline bool one_in(struct fuzzer *f, unsigned int n)
{
	return below(f, n) == 0;
}

static inline void *field_of(struct call *call, struct field field)
{
	return (char *)&call->args + field.offset;
}

static inline struct vmremap_range *any_range(struct fuzzer *f,
					      struct call *call)
{
	return call->nr_ranges ? &call->ranges[below(f, call->nr_ranges)]
			       : NULL;
}

/* fuzz_edges.c: addresses and lengths that something begins or ends at. */
uint64_t inside_arena(struct fuzzer *f);
uint64_t not_canonical(struct fuzzer *f);
uint64_t of_the_kernel(struct fuzzer *f);
uint64_t edge_address(struct fuzzer *f);
uint64_t edge_length(struct fuzzer *f, uint64_t address);

/* What the process cannot do without; it mostly dies of that. */
uint64_t vital_address(struct fuzzer *f);

/* Whether it has memory in it that no operation takes. */
bool touches_unmovable(uint64_t address, uint64_t length);

/* fuzz_kinds.c: the operations. */
const struct call_kind *pick_kind(struct fuzzer *f);
size_t kind_index(const struct call_kind *kind);

/* fuzz_twists.c: makes a valid call half valid. */
void twist(struct fuzzer *f, struct call *call);

/* fuzz_desk.c: where struct and vector are, and what is around them. */
void place_struct(struct fuzzer *f, struct call *call);
void place_vector(struct fuzzer *f, struct call *call);
void write_request(struct fuzzer *f, struct call *call);

/* Whether struct and surroundings are as before; not the fields it fills. */
bool is_unchanged(const struct call *call);
void check_untouched(const struct call *call, bool filled);

#endif
