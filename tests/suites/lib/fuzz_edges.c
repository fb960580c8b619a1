/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_call.h"

#include <sys/auxv.h>

#define KERNEL_TEXT 0xffffffff81000000ULL
#define KERNEL_MEMORY 0xffff888000000000ULL
#define VSYSCALL_PAGE 0xffffffffff600000ULL

uint64_t inside_arena(struct fuzzer *f)
{
	return (uintptr_t)pick_piece(f, ANY).at;
}

static uint64_t not_aligned(struct fuzzer *f)
{
	return inside_arena(f) + 1 + below(f, PAGE - 1);
}

static uint64_t end_of_tract(struct fuzzer *f)
{
	struct piece tract = pick_tract(f, ANY);

	return (uintptr_t)page_at(tract.at, tract.pages) - below(f, 2) * PAGE;
}

static uint64_t low_address(struct fuzzer *f)
{
	return below(f, 3) ? LOWEST_MAPPABLE - PAGE + below(f, 3) * PAGE
			   : below(f, 2) * PAGE;
}

static uint64_t end_of_user_memory(struct fuzzer *f)
{
	return USER_END - 2 * PAGE + below(f, 5) * PAGE;
}

static uint64_t around_end_of_user_memory(struct fuzzer *f)
{
	return USER_END - 2 + below(f, 4);
}

uint64_t not_canonical(struct fuzzer *f)
{
	return 1ULL << (47 + below(f, 17)) | below(f, 4) * PAGE;
}

uint64_t of_the_kernel(struct fuzzer *f)
{
	static const uint64_t places[] = { KERNEL_TEXT, KERNEL_MEMORY,
					   VSYSCALL_PAGE };

	return places[below(f, ARRAY_SIZE(places))] + below(f, 3) * PAGE;
}

static uint64_t last_bytes(struct fuzzer *f)
{
	return one_in(f, 2) ? UINT64_MAX : -(1 + below(f, 4)) * PAGE;
}

static uint64_t of_the_program(struct fuzzer *f)
{
	static int data = 1;
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR);

	switch (below(f, 5)) {
	case 0:
		return (uintptr_t)edge_address & ~(PAGE - 1);
	case 1:
		return (uintptr_t)&data & ~(PAGE - 1);
	case 2:
		return vdso - below(f, 5) * PAGE;
	case 3:
		return (uintptr_t)board;
	default:
		return (uintptr_t)worker;
	}
}

struct edge {
	unsigned int weight;
	uint64_t (*address)(struct fuzzer *f);
};

static const struct edge edges[] = {
	{ 20, inside_arena },	    { 20, not_aligned },
	{ 20, end_of_tract },	    { 10, low_address },
	{ 10, end_of_user_memory }, { 5, around_end_of_user_memory },
	{ 10, not_canonical },	    { 10, of_the_kernel },
	{ 5, last_bytes },	    { 20, of_the_program },
};

uint64_t edge_address(struct fuzzer *f)
{
	return PICK(f, edges)->address(f);
}

uint64_t edge_length(struct fuzzer *f, uint64_t address)
{
	switch (below(f, 14)) {
	case 0:
		return 0;
	case 1:
		return 1 + below(f, PAGE - 1);
	case 2:
		return PAGE + 1;
	case 3:
		return -address;
	case 4:
		return -address - PAGE;
	case 5:
		return USER_END - address;
	case 6:
		return USER_END;
	case 7:
		return UINT64_MAX;
	case 8:
		return -PAGE;
	case 9:
		return 1ULL << (40 + below(f, 24));
	default:
		return (1 + below(f, 2 * BLOCK_PAGES)) * PAGE;
	}
}

uint64_t vital_address(struct fuzzer *f)
{
	static char zeros[PAGE];
	int local;

	switch (below(f, 4)) {
	case 0:
		return (uintptr_t)&local & ~(PAGE - 1);
	case 1:
		return (uintptr_t)zeros & ~(PAGE - 1);
	case 2:
		return (uintptr_t)getauxval(AT_RANDOM) & ~(PAGE - 1);
	default:
		return ((uintptr_t)sbrk(0) - PAGE) & ~(PAGE - 1);
	}
}

bool touches_unmovable(uint64_t address, uint64_t length)
{
	uint64_t text = (uintptr_t)edge_address & ~(PAGE - 1);
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR);

	if (address + length <= LOWEST_MAPPABLE || address + length > USER_END)
		return true;
	return is_own_memory(address, length) ||
	       arena_refuses(address, length) ||
	       (address <= (uintptr_t)board &&
		(uintptr_t)board < address + length) ||
	       (address <= text && text < address + length) ||
	       (address <= vdso && vdso < address + length);
}
