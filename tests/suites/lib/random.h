/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers that follow from a seed alone. Each thread keeps its own. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	/* splitmix64: any seed will do, zero too. */
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline uint64_t random_below(uint64_t *state, uint64_t bound)
{
	return random_next(state) % bound;
}

static inline bool random_percent(uint64_t *state, unsigned int percent)
{
	return random_below(state, 100) < percent;
}

#endif
