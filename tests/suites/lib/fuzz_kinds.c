/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_call.h"

#include "fuzz_calls.h"

#define UNSET_BYTES 0xdeadbeefdeadbeefULL
#define UNSET_COUNT 0xdeadbeefU

/* Valid calls */

static struct vmremap_range range_between(struct piece to, struct piece from)
{
	size_t pages = to.pages < from.pages ? to.pages : from.pages;

	return (struct vmremap_range){
		.dst = (uintptr_t)to.at,
		.src = (uintptr_t)from.at,
		.len = pages * PAGE,
	};
}

static enum tracts pick_tracts(struct fuzzer *f)
{
	uint64_t at = below(f, 100);

	if (at == 0)
		return REFUSED;
	return at < 10 ? ANY : PLAIN;
}

static void pick_range(struct fuzzer *f, struct vmremap_range *range)
{
	struct piece from = pick_piece(f, pick_tracts(f));
	struct piece to = pick_piece_of(f, pick_tracts(f), from.pages);

	*range = range_between(to, from);
	if (one_in(f, 6000))
		*(one_in(f, 2) ? &range->dst : &range->src) = vital_address(f);
}

static uint32_t pick_flags(struct fuzzer *f)
{
	uint32_t flags = 0;

	flags |= percent(f, 85) ? VMREMAP_MOVE_ALLOW_SRC_HOLES : 0;
	flags |= percent(f, 75) ? VMREMAP_MOVE_REPLACE : 0;
	flags |= percent(f, 85) ? VMREMAP_MOVE_UNSHARE : 0;
	flags |= percent(f, 60) ? VMREMAP_MOVE_WAKE_LATER : 0;
	return flags;
}

static void make_query(struct fuzzer *f, struct call *call)
{
	(void)f;
	memset(&call->args, 0xff, sizeof(call->args));
	call->args.head.flags = 0;
}

static void make_move(struct fuzzer *f, struct call *call)
{
	call->nr_ranges = 1;
	pick_range(f, call->ranges);
	call->args.head.flags = pick_flags(f);
	call->args.move.moved = UNSET_BYTES;
}

/* Single pages of two pieces, each to another's place. */
static void scatter(struct fuzzer *f, struct call *call, size_t nr)
{
	struct piece from = pick_piece_of(f, pick_tracts(f), nr);
	struct piece to = pick_piece_of(f, pick_tracts(f), nr);
	size_t i, stride = 1 + 2 * below(f, 40);

	for (i = 0; i < nr; i++)
		call->ranges[i] = (struct vmremap_range){
			.dst = (uintptr_t)page_at(to.at, i * stride % to.pages),
			.src = (uintptr_t)page_at(from.at, i % from.pages),
			.len = PAGE,
		};
}

static void make_movev(struct fuzzer *f, struct call *call)
{
	size_t i, nr = 1 + below(f, 8);

	if (percent(f, 40)) {
		nr = 1 + below(f, percent(f, 20) ? 200 : 20);
		scatter(f, call, nr);
	} else {
		for (i = 0; i < nr; i++)
			pick_range(f, &call->ranges[i]);
	}
	call->nr_ranges = nr;
	call->args.head.flags = pick_flags(f);
	call->args.movev.nr_ranges = nr;
	call->args.movev.moved = UNSET_BYTES;
	call->args.movev.done = UNSET_COUNT;
}

/* What may come of them */

static bool is_misaligned(const struct vmremap_range *r)
{
	return !r->len || (r->len | r->src | r->dst) % PAGE;
}

static bool is_beyond(const struct vmremap_range *r, uint64_t end)
{
	return r->len > end || r->src > end - r->len || r->dst > end - r->len;
}

static bool overlaps(const struct vmremap_range *r)
{
	return r->src - r->dst < r->len || r->dst - r->src < r->len;
}

static bool names_unmovable(const struct vmremap_range *r)
{
	return touches_unmovable(r->src, r->len) ||
	       touches_unmovable(r->dst, r->len);
}

static uint64_t allowed_of_ranges(const struct call *call)
{
	uint64_t allowed = SUCCESS | call->kind->errors;
	size_t i;

	for (i = 0; i < call->nr_ranges; i++) {
		const struct vmremap_range *r = &call->ranges[i];

		if (is_misaligned(r) || overlaps(r) ||
		    is_beyond(r, NEVER_MAPPED))
			return RESULT(EINVAL) | RESULT(ENOMEM);
		if (names_unmovable(r))
			allowed &= ~SUCCESS;
	}
	return allowed;
}

static uint64_t query_allowed(const struct call *call)
{
	(void)call;
	return SUCCESS;
}

static bool is_refused_as_vector(const struct vmremap_movev *args)
{
	return args->reserved || args->reserved2 || !args->nr_ranges ||
	       args->nr_ranges > MAX_RANGES;
}

static uint64_t movev_allowed(const struct call *call)
{
	if (is_refused_as_vector(&call->args.movev))
		return RESULT(EINVAL);
	if (call->vector_place == FAULTY)
		return RESULT(EFAULT) | RESULT(ENOMEM);
	return allowed_of_ranges(call);
}

static const char *judge_query(const struct call *call, int error,
			       const void *filled)
{
	const struct vmremap_query *query = filled;
	unsigned int i;

	(void)call;
	if (error)
		return NULL;
	if (query->abi_version != VMREMAP_ABI_VERSION ||
	    query->max_ranges != MAX_RANGES)
		return "an unknown version, or other limits";
	for (i = 0; i < VMREMAP_MAX_OPS; i++) {
		if (query->op_flags[i] && !(query->ops >> i & 1))
			return "flags of an operation that does not exist";
	}
	return memchr(query->version, 0, sizeof(query->version))
		       ? NULL
		       : "a version without an end";
}

static const char *judge_progress(int error, uint64_t moved, uint64_t all)
{
	if (moved % PAGE)
		return "progress is not of whole pages";
	if (moved > all)
		return "it moved more than it was asked to";
	if (!error != (moved == all))
		return "all moved, or not, and the result says otherwise";
	return NULL;
}

static bool is_refused(const struct call *call)
{
	return !(call->kind->allowed(call) & SUCCESS);
}

static const char *judge_move(const struct call *call, int error,
			      const void *filled)
{
	const struct vmremap_move *move = filled;

	if (is_refused(call))
		return move->moved ? "it moved though it was refused" : NULL;
	return judge_progress(error, move->moved, call->ranges[0].len);
}

static const char *judge_done(const struct call *call, uint64_t moved,
			      uint32_t done)
{
	uint32_t i;

	if (done > call->nr_ranges)
		return "more ranges done than there are";
	for (i = 0; i < done; i++) {
		if (moved < call->ranges[i].len)
			return "it moved less than the ranges that are done";
		moved -= call->ranges[i].len;
	}
	if (done == call->nr_ranges)
		return moved ? "it moved more than all ranges" : NULL;
	if (moved >= call->ranges[done].len)
		return "one more range is done than it says";
	return NULL;
}

static const char *judge_movev(const struct call *call, int error,
			       const void *filled)
{
	const struct vmremap_movev *movev = filled;
	const char *wrong;
	uint64_t all = 0;
	size_t i;

	/* Refused as a whole: whether it has said so in these is not told. */
	if (is_refused_as_vector(&call->args.movev) &&
	    movev->moved == UNSET_BYTES && movev->done == UNSET_COUNT)
		return NULL;
	if (is_refused(call))
		return movev->moved || movev->done
			       ? "it moved though it was refused"
			       : NULL;
	for (i = 0; i < call->nr_ranges; i++)
		all += call->ranges[i].len;
	wrong = judge_progress(error, movev->moved, all);
	return wrong ? wrong : judge_done(call, movev->moved, movev->done);
}

#define MOVE_ERRORS                                                         \
	(RESULT(EINVAL) | RESULT(ENOENT) | RESULT(EPERM) | RESULT(ENOMEM) | \
	 RESULT(EEXIST) | RESULT(EBUSY) | RESULT(EFAULT) | RESULT(EAGAIN))

#define FIELD(type, field)                                \
	{                                                 \
		offsetof(struct type, field),             \
			sizeof(((struct type *)0)->field) \
	}

/* One row an operation; EINTR is missing because nobody survives to see it. */
static const struct call_kind kinds[] = {
	{
		.weight = 4,
		.name = "query",
		.number = VMREMAP_IOC_QUERY,
		.size = sizeof(struct vmremap_query),
		.outs = { { 8, sizeof(struct vmremap_query) - 8 } },
		.make = make_query,
		.allowed = query_allowed,
		.judge = judge_query,
	},
	{
		.weight = 56,
		.name = "move",
		.number = VMREMAP_IOC_MOVE,
		.size = sizeof(struct vmremap_move),
		.flags = VMREMAP_MOVE_FLAGS,
		.errors = MOVE_ERRORS,
		.outs = { FIELD(vmremap_move, moved) },
		.range = FIELD(vmremap_move, range),
		.make = make_move,
		.allowed = allowed_of_ranges,
		.judge = judge_move,
	},
	{
		.weight = 40,
		.name = "movev",
		.number = VMREMAP_IOC_MOVEV,
		.size = sizeof(struct vmremap_movev),
		.flags = VMREMAP_MOVE_FLAGS,
		.errors = MOVE_ERRORS,
		.outs = { FIELD(vmremap_movev, moved),
			  FIELD(vmremap_movev, done) },
		.reserved = { FIELD(vmremap_movev, reserved),
			      FIELD(vmremap_movev, reserved2) },
		.vector = FIELD(vmremap_movev, ranges),
		.count = FIELD(vmremap_movev, nr_ranges),
		.make = make_movev,
		.allowed = movev_allowed,
		.judge = judge_movev,
	},
};

const struct call_kind *pick_kind(struct fuzzer *f)
{
	return PICK(f, kinds);
}

size_t kind_index(const struct call_kind *kind)
{
	return kind - kinds;
}

const char *call_name(size_t kind)
{
	return kind < ARRAY_SIZE(kinds) ? kinds[kind].name : NULL;
}
