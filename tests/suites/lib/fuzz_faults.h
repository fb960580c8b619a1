/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A userfaultfd that watches some of the arena, and the thread that answers
 * for it: late, with what the module moves there, or not at all; but nobody
 * waits for good.
 */
#ifndef FUZZ_FAULTS_H
#define FUZZ_FAULTS_H

#include "fuzz.h"

void open_userfaultfd(struct fuzzer *f);

/* The thread; it ends when the worker stops. */
void *serve_faults(void *unused);

void do_watch(struct fuzzer *f);
void do_unwatch(struct fuzzer *f);

#endif
