// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations of the module among random system calls, in processes that
 * share pages with short-lived children and write into each other, against a
 * model of what every page of theirs holds.
 *
 * Each step is one row of the table of operations, done by one process. The
 * model is in memory that all processes share, and follows what the operation
 * says it did. All memory is compared with it every now and then, and what a
 * move has touched at once.
 *
 * VMREMAP_SEED repeats a run, and VMREMAP_FUZZ_SECONDS says for how long it goes
 * on; VMREMAP_FUZZ_TRACE=1 shows every step, and at which of them memory and
 * model part. A seed that has found a defect belongs in the table of
 * regressions.
 */
#include <sys/wait.h>
#include <time.h>

#include "lib/model_calls.h"
#include "lib/servant.h"
#include "lib/tell.h"

#define STEPS_OF_A_CHILD 6

/* Steps */

enum {
	/* May be done by a child, too. */
	IN_CHILD = 1,
	/* Words are incremented in the windows meanwhile, mostly. */
	INCREMENTED = 2,
	/* And counted afterwards. */
	COUNTED = 4,
};

struct operation {
	unsigned int weight;
	const char *name;
	void (*run)(void);
	unsigned int how;
};

static const struct operation operations[] = {
	{ 320, "move", move_one, IN_CHILD },
	{ 130, "vector", move_many, IN_CHILD },
	{ 70, "move incremented", move_incremented, COUNTED },
	{ 20, "serve missing page", serve_missing, 0 },
	{ 12, "serve write", serve_write, 0 },

	{ 130, "write", write_pages, IN_CHILD },
	{ 40, "write words", write_words, IN_CHILD },
	{ 40, "read", read_pages, IN_CHILD },
	{ 35, "discard", discard_pages, IN_CHILD },
	{ 15, "free", free_lazily, IN_CHILD },
	{ 35, "page out", page_out_pages, IN_CHILD | INCREMENTED },
	{ 10, "cool", cool_pages, IN_CHILD | INCREMENTED },
	{ 20, "collapse", collapse_pages, IN_CHILD | INCREMENTED },
	{ 12, "populate", populate_pages, IN_CHILD },
	{ 8, "install guards", install_guards, IN_CHILD },
	{ 10, "remove guards", remove_guards, IN_CHILD },

	{ 10, "change page size", change_page_size, IN_CHILD },
	{ 35, "change protection", change_protection, IN_CHILD },
	{ 25, "map anew", map_pages_anew, IN_CHILD },
	{ 45, "renew block", renew_block, IN_CHILD },
	{ 10, "unmap", unmap_piece, IN_CHILD },
	{ 8, "map otherwise", map_otherwise, IN_CHILD },
	{ 25, "remap", remap_piece, IN_CHILD | INCREMENTED },
	{ 5, "shrink", shrink_mapping, IN_CHILD },
	{ 10, "grow", grow_mapping, IN_CHILD },
	{ 12, "lock", lock_pages, IN_CHILD },
	{ 18, "unlock", unlock_pages, IN_CHILD },
	{ 2, "lock all", lock_all, 0 },
	{ 3, "unlock all", unlock_all, 0 },

	{ 10, "let merge", let_merge, IN_CHILD },
	{ 8, "unmerge", unmerge, IN_CHILD },
	{ 6, "run KSM", run_ksm, 0 },
	{ 8, "migrate", migrate, IN_CHILD | INCREMENTED },
	{ 3, "compact", compact, INCREMENTED },
	{ 1, "empty swap", empty_swap, 0 },
	{ 8, "forget writes", forget_writes, 0 },
	{ 10, "pin", pin_some, 0 },
	{ 12, "unpin", unpin_all, 0 },

	{ 15, "watch", watch_pages, 0 },
	{ 15, "unwatch", unwatch_pages, 0 },
	{ 15, "protect watched", protect_watched, 0 },
	{ 10, "unprotect watched", unprotect_watched, 0 },

	{ 15, "write elsewhere", write_elsewhere, 0 },
	{ 12, "read elsewhere", read_elsewhere, 0 },
	{ 10, "change fork", change_fork, IN_CHILD },
	{ 8, "fork and hold", fork_and_hold, 0 },
	{ 8, "let go", let_go, 0 },
	{ 6, "fork and exit", fork_and_exit, 0 },
};

#define COMPARE UINT64_MAX

static size_t pick_operation(unsigned int how)
{
	unsigned int sum = 0, at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		if ((operations[i].how & how) == how)
			sum += operations[i].weight;
	}
	at = below(sum);
	for (i = 0;; i++) {
		if ((operations[i].how & how) != how)
			continue;
		if (at < operations[i].weight)
			return i;
		at -= operations[i].weight;
	}
}

static void take_steps_of_a_child(void)
{
	size_t i;

	for (i = 0; i < STEPS_OF_A_CHILD; i++) {
		const struct operation *operation =
			&operations[pick_operation(IN_CHILD)];

		note(" | child: %s", operation->name);
		operation->run();
	}
}

/* In a process, as its parent says. */
static void obey(struct order order)
{
	const struct operation *operation;

	if (order.what == COMPARE) {
		compare_process();
		return;
	}
	operation = &operations[order.what];
	choices = order.seed;
	if (operation->how & INCREMENTED)
		let_increment();
	operation->run();
	rest_incrementer();
	if (operation->how & COUNTED)
		count_moved_increments();
}

/* Processes */

static void begin_process(void *process)
{
	me = process;
	me->number = me - ledger->processes;
	me->pid = getpid();
	model_failed = fail_run;
	steps_of_a_child = take_steps_of_a_child;
	map_arenas();
	begin_touching();
	begin_mappings();
	begin_watching();
	start_incrementer();
}

/* A run, in the parent */

static struct servant servants[PROCESSES];
/* Tells all steps, and compares after each. */
static bool is_traced;

static void set_knobs(void)
{
	write_knob(THP_DIR "hugepages-64kB/enabled", "always");
	write_knob(KSM_DIR "smart_scan", "0");
	write_knob(KSM_DIR "pages_to_scan", "2000");
	write_knob(KSM_DIR "sleep_millisecs", "5");
}

static void start_processes(uint64_t seed)
{
	size_t i;

	ledger = mmap(NULL, sizeof(*ledger), OPEN, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ck_assert_ptr_ne(ledger, MAP_FAILED);
	ledger->seed = seed;
	ledger->next_tag = 1;
	choices = seed;
	set_knobs();
	for (i = 0; i < PROCESSES; i++)
		servants[i] = servant_starts(begin_process, obey,
					     &ledger->processes[i]);
}

static void give_order(size_t process, struct order order)
{
	struct servant *servant = &servants[process];
	enum service service = servant_obeys(servant, order, STEP_SECONDS);

	if (service == SERVICE_DONE)
		return;
	tell_trace();
	if (service == SERVICE_NEVER_ENDS)
		ck_abort_msg("seed %lu, step %lu: process %zu never ends",
			     ledger->seed, ledger->step, process);
	ck_abort_msg("seed %lu, step %lu, %s %s", ledger->seed, ledger->step,
		     trace_line(),
		     ledger->failure[0] ? ledger->failure
		     : WIFSIGNALED(servant->status)
			     ? strsignal(WTERMSIG(servant->status))
			     : "the process has ended");
}

/* In steps; a kernel with checkers would do little else. */
static unsigned int compare_every(void)
{
	return slow_kernel() ? 160 : 40;
}

static void take_step(void)
{
	size_t process = below(PROCESSES), i;
	struct order order = {
		.what = pick_operation(0),
		.seed = random_next(&choices),
	};

	snprintf(trace_line(), sizeof(ledger->trace[0]),
		 "step %lu, process %zu: %s", ledger->step, process,
		 operations[order.what].name);
	give_order(process, order);
	if (is_traced) {
		fprintf(stderr, "%s\n", trace_line());
		give_order(process, (struct order){ .what = COMPARE });
	}
	if (++ledger->step % compare_every())
		return;
	snprintf(trace_line(), sizeof(ledger->trace[0]), "comparing");
	for (i = 0; i < PROCESSES; i++)
		give_order(i, (struct order){ .what = COMPARE });
}

static void report(void)
{
	char results[400] = "";
	size_t at = 0;
	int error;

	for (error = 0; error < MAX_ERROR; error++)
		if (ledger->by_error[error] && at < sizeof(results))
			at += snprintf(results + at, sizeof(results) - at,
				       " %zu %s", ledger->by_error[error],
				       error ? strerrorname_np(error)
					     : "whole");
	tell("%lu steps, %zu moves, %zu pages moved, %zu children, "
	     "%zu faults served, %zu comparisons of all, seed %lu; moves:%s",
	     ledger->step, ledger->moves, ledger->pages_moved, ledger->children,
	     ledger->faults_served, ledger->comparisons, ledger->seed, results);
}

static void end_processes(void)
{
	size_t i;

	for (i = 0; i < PROCESSES; i++) {
		give_order(i, (struct order){ .what = COMPARE });
		ck_assert_msg(servant_leaves(&servants[i]),
			      "process %zu did not end well", i);
	}
	/* The kernel may keep a page busy now and then, not as a rule. */
	ck_assert_uint_le(ledger->by_error[EAGAIN], ledger->moves / 20 + 1);
	munmap(ledger, sizeof(*ledger));
}

START_TEST(random_operations_match_the_model)
{
	const char *given = getenv("VMREMAP_SEED");
	double end = now() + seconds_from("VMREMAP_FUZZ_SECONDS", 25);
	uint64_t seed = given && *given ? strtoull(given, NULL, 0)
					: (uint64_t)time(NULL) << 16 ^ getpid();

	tell("VMREMAP_SEED=%lu repeats this", seed);
	is_traced = seconds_from("VMREMAP_FUZZ_TRACE", 0);
	start_processes(seed);
	while (now() < end)
		take_step();
	report();
	end_processes();
}
END_TEST

/* Runs that every check repeats: those that have found a defect, as far as that. */
static const struct {
	uint64_t seed;
	uint64_t steps;
} regressions[] = {
	{ 1, 120 },
	{ 2, 120 },
};

START_TEST(regression_matches_the_model)
{
	start_processes(regressions[_i].seed);
	while (ledger->step < regressions[_i].steps)
		take_step();
	report();
	end_processes();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fuzz_model");
	TCase *c = add_case(s, "fuzz_model");

	tcase_set_timeout(c, STEP_SECONDS + 60 +
				     seconds_from("VMREMAP_FUZZ_SECONDS", 25));
	tcase_add_loop_test(c, regression_matches_the_model, 0,
			    ARRAY_SIZE(regressions));
	tcase_add_test(c, random_operations_match_the_model);
	return run_suite(s);
}
