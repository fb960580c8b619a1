/* SPDX-License-Identifier: GPL-2.0-only */
/* The process that fuzzes: its memory, its threads, its end. */
#ifndef FUZZ_WORKER_H
#define FUZZ_WORKER_H

#include "fuzz.h"

/* Returns the exit status: 0, or one of enum worker_end. */
int run_worker(uint64_t seed);

/* If this process is one after an exec, it does not come back. */
void go_on_as_worker(int argc, char **argv);

/* The suite's own board; a program that is executed finds it by its file. */
struct board *make_board(void);

#endif
