/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls of the device, from valid to absurd. For each of them it is known which
 * results the contract allows; in a worker that is not loose, also what the
 * call may write, and how far it may say that it came.
 */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include "fuzz.h"

/* Where a fuzzer writes its requests. */
struct desk *make_desk(void);

bool can_make_32bit_calls(struct fuzzer *f);

/* Makes up a call, makes it, and ends the process if the result is wrong. */
void make_call(struct fuzzer *f);

/* The names of the operations, for the account of what was done. */
const char *call_name(size_t kind);

#endif
