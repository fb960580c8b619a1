/* SPDX-License-Identifier: GPL-2.0-only */
/* What a fuzzing process does between and beside its calls of the device. */
#ifndef FUZZ_COMPANY_H
#define FUZZ_COMPANY_H

#include "fuzz.h"

/* Opens what these need; a kernel may lack some of it. */
void open_company(struct fuzzer *f);

/* One random deed, most often a call. */
void do_something(struct fuzzer *f);

/* The arguments with which main() is to go on after an exec. */
#define GO_ON "--worker"
bool is_to_go_on(int argc, char **argv, int *board_file, uint64_t *seed);

const char *deed_name(size_t deed);

#endif
