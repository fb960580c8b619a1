/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_calls.h"

#include "fuzz_call.h"

/* A set of results that no operation has a part in, or 0. */
static uint64_t refused_at_the_door(const struct call *call)
{
	const struct call_kind *kind = call->kind;
	uint32_t size = call->args.head.size;

	if (call->number != kind->number &&
	    (call->number ^ kind->number) &
		    ~((unsigned long)_IOC_SIZEMASK << _IOC_SIZESHIFT))
		return RESULT(ENOTTY);
	if (call->place == FAULTY)
		return RESULT(EFAULT) | RESULT(EINVAL) | RESULT(E2BIG);
	if (size < kind->size)
		return RESULT(EINVAL);
	if (size > PAGE || call->stain)
		return RESULT(E2BIG);
	if (call->args.head.flags & ~kind->flags)
		return RESULT(EINVAL);
	return 0;
}

static long call_as_32bit(int number, unsigned long a, unsigned long b,
			  unsigned long c)
{
	long result;

	asm volatile("int $0x80"
		     : "=a"(result)
		     : "0"((long)number), "b"(a), "c"(b), "d"(c)
		     : "memory", "cc", "r8", "r9", "r10", "r11");
	return result;
}

#define GETPID_AS_32BIT 20
#define IOCTL_AS_32BIT 54

static void try_32bit_call(void *argument)
{
	*(bool *)argument = call_as_32bit(GETPID_AS_32BIT, 0, 0, 0) == getpid();
}

bool can_make_32bit_calls(struct fuzzer *f)
{
	bool works = false;

	return touching(f, try_32bit_call, &works) && works;
}

static int make_it(const struct call *call)
{
	long result;

	if (call->is_32bit) {
		result = call_as_32bit(IOCTL_AS_32BIT, call->device,
				       call->number, (uintptr_t)call->at);
		return (int)result < 0 ? -(int)result : 0;
	}
	return ioctl(call->device, call->number, call->at) ? errno : 0;
}

static bool names_canary(const struct call *call)
{
	size_t i;

	for (i = 0; i < call->nr_ranges; i++) {
		const struct vmremap_range *r = &call->ranges[i];

		if (arena_names_canary(r->src, r->len) ||
		    arena_names_canary(r->dst, r->len))
			return true;
	}
	return false;
}

static bool is_daring(const struct call *call)
{
	size_t i;

	for (i = 0; i < call->nr_ranges; i++) {
		const struct vmremap_range *r = &call->ranges[i];

		if (!arena_has(r->src, r->len) || !arena_has(r->dst, r->len))
			return true;
	}
	return false;
}

static uint64_t allowed_results(const struct call *call)
{
	uint64_t allowed = refused_at_the_door(call);

	if (!allowed)
		allowed = call->kind->allowed(call);
	/*
	 * The request may be another one by the time it is read, and its memory
	 * closed to reading, or to the results.
	 */
	if (call->place == SHARED || call->vector_place == SHARED)
		allowed |= SUCCESS | call->kind->errors | RESULT(E2BIG) |
			   RESULT(EFAULT) | RESULT(EINVAL);
	/* There may be no device at that descriptor now, or another file. */
	if (call->is_public)
		allowed |= RESULT(EBADF) | RESULT(ENOTTY) | RESULT(EINVAL);
	return allowed;
}

static void describe(const struct call *call, char *text, size_t length)
{
	const struct vmremap_range *r = call->ranges;

	snprintf(text, length,
		 "%s (number %#lx, size %u, flags %#x at %p, %zu ranges, the "
		 "first %#llx to %#llx, %#llx bytes)",
		 call->kind->name, call->number, call->args.head.size,
		 call->args.head.flags, call->at, call->nr_ranges, r->src,
		 r->dst, r->len);
}

static void check_result(const struct call *call, int error)
{
	bool let_in = !refused_at_the_door(call);
	const char *wrong = NULL;
	char text[400];

	if (error >= 64 || !(allowed_results(call) & RESULT(error)))
		wrong = error ? strerrorname_np(error) : "success";
	if (!wrong && call->place == OWN &&
	    !(call->is_public && is_unchanged(call))) {
		check_untouched(call, let_in);
		if (let_in && call->vector_place != SHARED)
			wrong = call->kind->judge(call, error, call->at);
	}
	if (!wrong)
		return;
	describe(call, text, sizeof(text));
	fuzz_fail("%s ended with %d: %s", text, error, wrong);
}

/* The first field that is filled says how far the call came. */
static bool has_done_nothing(const struct call *call, int error)
{
	return error && call->place == OWN &&
	       (is_unchanged(call) ||
		!*(uint64_t *)(call->at + call->kind->outs[0].offset));
}

static void account(const struct call *call, int error)
{
	struct tally *tally = &board->by_kind[kind_index(call->kind)];

	count(&board->calls.done);
	count(&tally->done);
	if (error < MAX_ERROR)
		count(&board->by_error[error]);
	if (!error) {
		count(&board->calls.succeeded);
		count(&tally->succeeded);
	}
}

static void pick_device(struct fuzzer *f, struct call *call)
{
	size_t nr = ARRAY_SIZE(worker->public_devices);

	call->is_public = one_in(f, 12);
	call->device = call->is_public ? worker->public_devices[below(f, nr)]
				       : worker->device;
}

static void make_up(struct fuzzer *f, struct call *call)
{
	const struct call_kind *kind = pick_kind(f);
	unsigned int i, twists = percent(f, 30) ? 1 + one_in(f, 4) : 0;

	call->kind = kind;
	call->desk = f->desk;
	call->number = kind->number;
	call->ranges = f->desk->ranges;
	kind->make(f, call);
	call->args.head.size = kind->size;
	for (i = 0; i < twists; i++)
		twist(f, call);
	pick_device(f, call);
	place_struct(f, call);
	if (kind->range.length)
		memcpy(field_of(call, kind->range), call->ranges,
		       kind->range.length);
	if (kind->vector.length)
		place_vector(f, call);
}

void make_call(struct fuzzer *f)
{
	struct call call = { 0 };
	bool may_succeed, daring;
	int error;

	make_up(f, &call);
	may_succeed = allowed_results(&call) & SUCCESS;
	if (may_succeed && names_canary(&call))
		return;
	begin_doing(f, call.kind->name);
	write_request(f, &call);
	daring = may_succeed && is_daring(&call);
	if (daring)
		dare();
	error = make_it(&call);
	check_result(&call, error);
	if (daring && has_done_nothing(&call, error))
		dare_was_refused();
	account(&call, error);
}
