/* SPDX-License-Identifier: GPL-2.0-only */
/* What a fuzzing process does to its mappings, and to what is in them. */
#ifndef FUZZ_MAPPINGS_H
#define FUZZ_MAPPINGS_H

#include "fuzz.h"

/* Opens what these need; a kernel may lack some of it. */
void open_for_mappings(void);

/* Gives the quilts their first mappings. */
void sew_quilts(struct fuzzer *f);

void do_write(struct fuzzer *f);
void do_read(struct fuzzer *f);
void do_map(struct fuzzer *f);
void do_renew(struct fuzzer *f);
void do_unmap(struct fuzzer *f);
void do_protect(struct fuzzer *f);
void do_lock(struct fuzzer *f);
void do_remap(struct fuzzer *f);
void do_advise(struct fuzzer *f);
void do_advise_widely(struct fuzzer *f);
void do_key(struct fuzzer *f);
void do_pin(struct fuzzer *f);
void do_clear_refs(struct fuzzer *f);
void do_compact(struct fuzzer *f);
void do_examine(struct fuzzer *f);

#endif
