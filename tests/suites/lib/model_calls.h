/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a process of the model-based fuzzer can do: each function does one random
 * thing with its memory, and the same with the model.
 */
#ifndef MODEL_CALLS_H
#define MODEL_CALLS_H

#include "model_process.h"

/* Operations of the module */
void move_one(void);
void move_many(void);
void move_incremented(void);

/* For all of them: counts, and lets the incrementing thread rest. */
void tally_move(int rc, size_t moved);

/*
 * A thread increments words in the windows while a call runs, and interrupts it
 * by signals. Mostly; and not in a child, which has no such thread.
 */
void start_incrementer(void);
void let_increment(void);
void rest_incrementer(void);

/* And mostly makes room for the next move of such pages. */
void count_moved_increments(void);

/* Touching pages */
void begin_touching(void);
void write_pages(void);
void write_words(void);
void read_pages(void);
void discard_pages(void);
void free_lazily(void);
void page_out_pages(void);
void cool_pages(void);
void collapse_pages(void);
void populate_pages(void);
void install_guards(void);
void remove_guards(void);

/* Mappings */
void begin_mappings(void);
void change_page_size(void);
void change_protection(void);
void map_pages_anew(void);
void renew_block(void);
void unmap_piece(void);
void map_otherwise(void);
void remap_piece(void);
void shrink_mapping(void);
void grow_mapping(void);
void lock_pages(void);
void unlock_pages(void);
void lock_all(void);
void unlock_all(void);

/* What the kernel does with pages */
void let_merge(void);
void unmerge(void);
void run_ksm(void);
void migrate(void);
void compact(void);
void empty_swap(void);
void forget_writes(void);
void pin_some(void);
void unpin_all(void);

/* Watched memory, and its faults */
void begin_watching(void);
void watch_pages(void);
void unwatch_pages(void);
void protect_watched(void);
void unprotect_watched(void);
void serve_missing(void);
void serve_write(void);

/* Other processes, and children that share pages until they exit */
void write_elsewhere(void);
void read_elsewhere(void);
void change_fork(void);
void fork_and_hold(void);
void let_go(void);
void fork_and_exit(void);

/* What a child does before it exits. */
extern void (*steps_of_a_child)(void);

#endif
