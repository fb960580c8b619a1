/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_call.h"

static void other_number(struct fuzzer *f, struct call *call)
{
	call->number = _IOC(_IOC_READ | _IOC_WRITE, VMREMAP_IOC_MAGIC,
			    VMREMAP_MAX_OPS + below(f, 200),
			    below(f, 1 << _IOC_SIZEBITS));
}

static void other_direction(struct fuzzer *f, struct call *call)
{
	call->number = _IOC(below(f, 3), VMREMAP_IOC_MAGIC,
			    _IOC_NR(call->number), _IOC_SIZE(call->number));
}

/* None of those that the kernel answers for every file. */
static void other_magic(struct fuzzer *f, struct call *call)
{
	static const unsigned char magics[] = { 0xf6, 0xf8, 0x77, 0xff };

	call->number = _IOC(_IOC_DIR(call->number),
			    magics[below(f, ARRAY_SIZE(magics))],
			    _IOC_NR(call->number), _IOC_SIZE(call->number));
}

/* What counts is the size in the struct. */
static void other_size_in_number(struct fuzzer *f, struct call *call)
{
	call->number = _IOC(_IOC_DIR(call->number), _IOC_TYPE(call->number),
			    _IOC_NR(call->number),
			    below(f, 1 << _IOC_SIZEBITS));
}

static void smaller(struct fuzzer *f, struct call *call)
{
	call->args.head.size = below(f, call->kind->size);
}

static void larger(struct fuzzer *f, struct call *call)
{
	call->args.head.size =
		call->kind->size + 1 +
		below(f, one_in(f, 3) ? PAGE - call->kind->size : 64);
}

static void larger_with_unknown_content(struct fuzzer *f, struct call *call)
{
	larger(f, call);
	call->stain = call->kind->size +
		      below(f, call->args.head.size - call->kind->size);
}

static void wild_size(struct fuzzer *f, struct call *call)
{
	call->args.head.size = one_in(f, 2) ? PAGE + 1 + below(f, 2) * 4095
					    : random_next(&f->state);
}

static void one_flag(struct fuzzer *f, struct call *call)
{
	call->args.head.flags ^= 1U << below(f, 32);
}

static void any_flags(struct fuzzer *f, struct call *call)
{
	call->args.head.flags = random_next(&f->state);
}

static void set_reserved(struct fuzzer *f, struct call *call)
{
	struct field field =
		call->kind
			->reserved[below(f, ARRAY_SIZE(call->kind->reserved))];
	unsigned int bit = below(f, 32);

	if (field.length)
		*(uint32_t *)field_of(call, field) = 1U << bit;
}

static bool has_count(const struct call *call)
{
	return call->kind->count.length;
}

static uint32_t *count_of(struct call *call)
{
	return field_of(call, call->kind->count);
}

static void other_count(struct fuzzer *f, struct call *call)
{
	static const uint32_t counts[] = { 0, MAX_RANGES + 1, UINT32_MAX,
					   1U << 31 };
	uint32_t other = counts[below(f, ARRAY_SIZE(counts))];

	if (has_count(call))
		*count_of(call) = other;
}

/*
 * As many as may be: the first pages of the same few, again and again. To
 * replace so often would take minutes where the kernel is slow.
 */
static void longest_vector(struct fuzzer *f, struct call *call)
{
	size_t i, nr = call->nr_ranges;

	if (!one_in(f, 20) || !has_count(call) || *count_of(call) != nr)
		return;
	for (i = nr; i < MAX_RANGES; i++) {
		call->ranges[i] = call->ranges[i % nr];
		call->ranges[i].len = PAGE;
	}
	call->args.head.flags &= ~VMREMAP_MOVE_REPLACE;
	call->nr_ranges = MAX_RANGES;
	*count_of(call) = MAX_RANGES;
}

static void other_address(struct fuzzer *f, struct call *call)
{
	struct vmremap_range *range = any_range(f, call);

	if (range)
		*(one_in(f, 2) ? &range->src : &range->dst) = edge_address(f);
}

static void other_length(struct fuzzer *f, struct call *call)
{
	struct vmremap_range *range = any_range(f, call);

	if (range)
		range->len = edge_length(f, range->src);
}

static void overlap(struct fuzzer *f, struct call *call)
{
	struct vmremap_range *range = any_range(f, call);

	if (range)
		range->dst = range->src + below(f, 3) * PAGE - PAGE;
}

struct twist {
	unsigned int weight;
	void (*apply)(struct fuzzer *f, struct call *call);
};

static const struct twist twists[] = {
	{ 4, other_number },
	{ 3, other_direction },
	{ 3, other_magic },
	{ 8, other_size_in_number },
	{ 6, smaller },
	{ 10, larger },
	{ 6, larger_with_unknown_content },
	{ 4, wild_size },
	{ 8, one_flag },
	{ 4, any_flags },
	{ 6, set_reserved },
	{ 4, other_count },
	{ 4, longest_vector },
	{ 20, other_address },
	{ 12, other_length },
	{ 6, overlap },
};

void twist(struct fuzzer *f, struct call *call)
{
	PICK(f, twists)->apply(f, call);
	/* It may have become shorter than it was. */
	if (call->stain >= call->args.head.size)
		call->stain = 0;
}
