/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_call.h"

#include "fuzz_calls.h"

#define ROOM_PAGES 6
#define MARGIN 64
#define FILLER 0xa5

struct writing {
	char *to;
	const void *from;
	size_t length;
};

static void write_through(void *argument)
{
	struct writing *w = argument;

	memcpy(w->to, w->from, w->length);
}

/* As far as it can be written. */
static void write_at(struct fuzzer *f, char *to, const void *from,
		     size_t length)
{
	struct writing w = { to, from, length };

	touching(f, write_through, &w);
}

static void write_readonly(struct desk *desk, const void *from, size_t length)
{
	if (mprotect(desk->readonly, PAGE, PROT_READ | PROT_WRITE))
		fuzz_fail("cannot write what is read-only later");
	memcpy(desk->readonly, from, length < PAGE ? length : PAGE);
	mprotect(desk->readonly, PAGE, PROT_READ);
}

static char *unreadable_place(struct fuzzer *f, struct desk *desk)
{
	switch (below(f, 6)) {
	case 0:
		return NULL;
	case 1:
		return (char *)of_the_kernel(f);
	case 2:
		return (char *)not_canonical(f);
	case 3:
		return (char *)USER_END + below(f, 3) - 1;
	case 4:
		return (char *)UINT64_MAX - below(f, 40);
	default:
		return desk->room_end + below(f, PAGE);
	}
}

/* Bytes that the kernel may read or write of the struct. */
static size_t extent(const struct call *call)
{
	size_t size = call->args.head.size;

	if (size > PAGE)
		size = PAGE;
	return size > call->kind->size ? size : call->kind->size;
}

static void put_in_room(struct fuzzer *f, struct call *call)
{
	struct desk *desk = call->desk;

	switch (below(f, 4)) {
	case 0: /* its end is the end of the mapping */
		call->at = desk->room_end - extent(call);
		break;
	case 1: /* in two pages, and not aligned */
		call->at = desk->room + PAGE - below(f, call->kind->size);
		break;
	default:
		call->at = desk->room + MARGIN + 8 * below(f, 100);
	}
	if (worker->has_32bit_calls && one_in(f, 8)) {
		call->at = desk->low + (call->at - desk->room) % PAGE;
		call->is_32bit = true;
	}
	call->place = OWN;
}

static void put_over_the_end(struct fuzzer *f, struct call *call)
{
	call->at = call->desk->room_end - below(f, call->kind->size);
	call->place = FAULTY;
}

static void put_in_readonly(struct fuzzer *f, struct call *call)
{
	call->at = call->desk->readonly + 8 * below(f, 10);
	call->place = FAULTY;
}

static void put_nowhere(struct fuzzer *f, struct call *call)
{
	call->at = unreadable_place(f, call->desk);
	call->place = FAULTY;
}

/* Most of these are where the call itself moves something. */
static void put_in_arena(struct fuzzer *f, struct call *call)
{
	struct vmremap_range *range = any_range(f, call);
	uint64_t base = range && !one_in(f, 4)
				? (one_in(f, 2) ? range->src : range->dst)
				: inside_arena(f);

	put_in_room(f, call);
	if (!worker->loose || call->is_32bit || !arena_has(base, PAGE))
		return;
	call->at = (char *)base + below(f, PAGE - 2 * MARGIN);
	call->place = SHARED;
}

struct placement {
	unsigned int weight;
	void (*put)(struct fuzzer *f, struct call *call);
};

static const struct placement placements[] = {
	{ 85, put_in_room }, { 2, put_over_the_end }, { 2, put_in_readonly },
	{ 2, put_nowhere },  { 12, put_in_arena },
};

static void set_vector(struct call *call, char *at, enum place place)
{
	*(uint64_t *)field_of(call, call->kind->vector) = (uintptr_t)at;
	call->vector_place = place;
}

static size_t vector_bytes(const struct call *call)
{
	return call->nr_ranges * sizeof(*call->ranges);
}

static void vector_on_desk(struct fuzzer *f, struct call *call)
{
	struct desk *desk = call->desk;
	char *at = desk->vectors + below(f, 64);

	if (one_in(f, 3))
		at = desk->vectors_end - vector_bytes(call);
	set_vector(call, at, OWN);
	memcpy(at, call->ranges, vector_bytes(call));
}

static void vector_over_the_end(struct fuzzer *f, struct call *call)
{
	size_t bytes = vector_bytes(call), first = below(f, bytes);
	char *at = call->desk->vectors_end - first;

	set_vector(call, at, FAULTY);
	memcpy(at, call->ranges, first);
}

static void vector_in_readonly(struct fuzzer *f, struct call *call)
{
	/* The struct may be there. */
	if (vector_bytes(call) > PAGE || call->place == FAULTY) {
		vector_on_desk(f, call);
		return;
	}
	write_readonly(call->desk, call->ranges, vector_bytes(call));
	set_vector(call, call->desk->readonly, OWN);
}

static void vector_nowhere(struct fuzzer *f, struct call *call)
{
	set_vector(call, unreadable_place(f, call->desk), FAULTY);
}

static void vector_in_arena(struct fuzzer *f, struct call *call)
{
	uint64_t base = one_in(f, 2) ? call->ranges[0].src : inside_arena(f);
	char *at;

	if (!worker->loose || !arena_has(base, vector_bytes(call) + PAGE)) {
		vector_on_desk(f, call);
		return;
	}
	at = (char *)base + below(f, PAGE);
	set_vector(call, at, SHARED);
	write_at(f, at, call->ranges, vector_bytes(call));
}

static const struct placement vector_placements[] = {
	{ 80, vector_on_desk },	   { 2, vector_over_the_end },
	{ 4, vector_in_readonly }, { 2, vector_nowhere },
	{ 12, vector_in_arena },
};

void place_struct(struct fuzzer *f, struct call *call)
{
	PICK(f, placements)->put(f, call);
}

void place_vector(struct fuzzer *f, struct call *call)
{
	PICK(f, vector_placements)->put(f, call);
}

struct desk *make_desk(void)
{
	struct desk *desk = own_memory(sizeof(*desk));
	size_t vector = MAX_RANGES * sizeof(struct vmremap_range) + PAGE;

	desk->room = own_memory((ROOM_PAGES + 1) * PAGE);
	desk->room_end = desk->room + ROOM_PAGES * PAGE;
	desk->vectors = own_memory(vector + PAGE);
	desk->vectors_end = desk->vectors + vector;
	desk->readonly = own_memory(PAGE);
	desk->ranges = own_memory(vector);
	desk->low = mmap(NULL, (ROOM_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_32BIT, worker->content, 0);
	desk->low_end = desk->low + ROOM_PAGES * PAGE;
	if (desk->low == MAP_FAILED ||
	    mprotect(desk->low_end, PAGE, PROT_NONE) ||
	    mprotect(desk->room_end, PAGE, PROT_NONE) ||
	    mprotect(desk->vectors_end, PAGE, PROT_NONE))
		fuzz_fail("no room for requests");
	return desk;
}

/* The part of a desk's room that a call could change by mistake. */
struct window {
	char *start;
	size_t length;
};

static struct window window_of(const struct call *call)
{
	const struct desk *desk = call->desk;
	char *start = call->at - MARGIN;
	char *end = call->at + extent(call) + MARGIN;
	char *low = call->is_32bit ? desk->low : desk->room;
	char *high = call->is_32bit ? desk->low_end : desk->room_end;

	if (start < low)
		start = low;
	if (end > high)
		end = high;
	return (struct window){ start, end - start };
}

static void lay_out(struct call *call)
{
	struct window w = window_of(call);
	uint32_t size = call->kind->size;

	memset(w.start, FILLER, w.length);
	memcpy(call->at, &call->args, size);
	memset(call->at + size, 0, extent(call) - size);
	if (call->stain)
		call->at[call->stain] = 1;
	memcpy(call->desk->before, w.start, w.length);
}

static bool is_in_readonly(const struct call *call)
{
	return (uintptr_t)call->at / PAGE ==
	       (uintptr_t)call->desk->readonly / PAGE;
}

void write_request(struct fuzzer *f, struct call *call)
{
	unsigned char page[PAGE] = { 0 };

	if (call->place == OWN) {
		lay_out(call);
	} else if (is_in_readonly(call)) {
		memcpy(page + (uintptr_t)call->at % PAGE, &call->args,
		       call->kind->size);
		write_readonly(call->desk, page, PAGE);
	} else {
		write_at(f, call->at, &call->args, call->kind->size);
	}
}

/* All but the fields to be filled has to be as it was. */
void check_untouched(const struct call *call, bool filled)
{
	struct window w = window_of(call);
	unsigned char expected[sizeof(call->desk->before)];
	size_t i, at = call->at - w.start;

	memcpy(expected, call->desk->before, w.length);
	for (i = 0; filled && i < ARRAY_SIZE(call->kind->outs); i++)
		memcpy(expected + at + call->kind->outs[i].offset,
		       call->at + call->kind->outs[i].offset,
		       call->kind->outs[i].length);
	for (i = 0; i < w.length; i++) {
		if ((unsigned char)w.start[i] != expected[i])
			fuzz_fail("%s changed byte %ld of its struct",
				  call->kind->name, (long)i - (long)at);
	}
}

bool is_unchanged(const struct call *call)
{
	struct window w = window_of(call);

	return !memcmp(w.start, call->desk->before, w.length);
}
