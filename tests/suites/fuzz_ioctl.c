// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random calls of the device, half valid at best, from several threads of a
 * process that does everything else to its memory at the same time.
 *
 * The process is a worker, forked for the purpose: it may move its own stack
 * away, and then the next one takes its place. Each worker follows from its
 * seed, as far as threads can; the seeds follow from VMREMAP_SEED. The kernel
 * log has the seed of each worker when it begins, so that it is known when the
 * kernel does not survive. VMREMAP_FUZZ_WORKER repeats one worker, in one
 * thread. VMREMAP_FUZZ_SECONDS says for how long the suite goes on.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/child.h"
#include "lib/fuzz_calls.h"
#include "lib/fuzz_company.h"
#include "lib/fuzz_worker.h"
#include "lib/tell.h"

#define WORKER_SECONDS 6
#define WORKER_STEPS 2500
#define MEMORY "160M"
#define GROUP_DIR "/sys/fs/cgroup/fuzz_ioctl"

/*
 * Workers that have found a defect once, in so many steps. The first two stand
 * for those that have not.
 */
static const struct {
	uint64_t seed;
	unsigned int steps;
} known[] = {
	{ 1, 25 },
	{ 2, 25 },
};

/* For a worker's last step, and for processes that have been killed. */
static double patience(void)
{
	return 100.0 * seconds_from("CK_TIMEOUT_MULTIPLIER", 1);
}

static unsigned int seconds(void)
{
	return seconds_from("VMREMAP_FUZZ_SECONDS", 25);
}

/* Knobs, and a group with little memory */

struct knob {
	const char *path, *value;
	char before[32];
};

static struct knob knobs[] = {
	/* Processes that lose their memory are no news. */
	{ "/proc/sys/debug/exception-trace", "0", "" },
	{ "/proc/sys/kernel/printk_devkmsg", "on", "" },
	{ "/proc/sys/vm/nr_hugepages", "4", "" },
	{ KSM_DIR "sleep_millisecs", "20", "" },
	{ THP_DIR "khugepaged/scan_sleep_millisecs", "500", "" },
	{ THP_DIR "khugepaged/alloc_sleep_millisecs", "500", "" },
};

static void read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);

	text[length > 0 ? length : 0] = 0;
	if (fd >= 0)
		close(fd);
}

static void set_knobs(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		read_text(knobs[i].path, knobs[i].before,
			  sizeof(knobs[i].before));
		write_knob(knobs[i].path, knobs[i].value);
	}
	mkdir(GROUP_DIR, 0755);
	write_knob(GROUP_DIR "/memory.max", MEMORY);
}

static void restore_knobs(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		write_knob(knobs[i].path, knobs[i].before);
	rmdir(GROUP_DIR);
}

/* What the kernel does to all memory by itself, another way for each worker. */
static void vary_knobs(uint64_t seed)
{
	uint64_t state = ~seed;

	write_knob(THP_DIR "enabled",
		   random_percent(&state, 50) ? "always" : "madvise");
	write_knob(THP_DIR "hugepages-64kB/enabled",
		   random_percent(&state, 50) ? "always" : "never");
	write_knob(THP_DIR "khugepaged/max_ptes_none",
		   random_percent(&state, 50) ? "511" : "0");
	write_knob(KSM_DIR "run", random_percent(&state, 50) ? "1" : "0");
}

/* Workers */

static struct {
	unsigned int all, ended, lost_memory, killed;
	double slowest_end;
} workers;

/* No process of a worker's may be left, and none may refuse to die. */
static void end_all_of(pid_t pid)
{
	double begin = now(), took;
	pid_t ended = 0;

	kill(-pid, SIGKILL);
	while (ended != -1) {
		ended = waitpid(-1, NULL, WNOHANG);
		took = now() - begin;
		ck_assert_msg(took < patience(),
			      "worker %#lx: a process lives for %.0f s after "
			      "SIGKILL",
			      board->worker_seed, took);
		if (ended == 0)
			usleep(2000);
	}
	if (took > workers.slowest_end)
		workers.slowest_end = took;
}

static void judge_end(int status)
{
	ck_assert_msg(!board->failed, "%s",
		      *board->failure ? board->failure : "it failed");
	workers.all++;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		workers.ended++;
	} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		workers.killed++;
	} else {
		ck_assert_msg(board->dared > 0,
			      "worker %#lx ended with status %#x, but had not "
			      "named its own memory",
			      board->worker_seed, status);
		workers.lost_memory++;
	}
}

static void wait_until_ready(pid_t pid)
{
	double patient_until = now() + patience();
	siginfo_t end = { 0 };

	while (!board->worker_ends && now() < patient_until &&
	       !waitid(P_PID, pid, &end, WEXITED | WNOHANG | WNOWAIT) &&
	       !end.si_pid)
		usleep(1000);
}

/* A path below /proc of a thread, and what it says. */
static void tell_thread(const char *pid, const char *tid)
{
	static const char *const files[] = { "wchan", "stack" };
	char path[100], text[700];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "/proc/%.10s/task/%.10s/%s", pid,
			 tid, files[i]);
		read_text(path, text, sizeof(text));
		tell("thread %s %s: %s", tid, files[i], text);
	}
}

/* What a worker waits for that does not end, and its threads. */
static void tell_where_it_is(pid_t pid)
{
	char number[12], path[40];
	const struct dirent *entry;
	unsigned int i;
	DIR *tasks;

	for (i = 0; i < ARRAY_SIZE(board->doing); i++)
		tell("thread %u: %s", i,
		     board->doing[i] ? board->doing[i] : "nothing yet");
	snprintf(number, sizeof(number), "%d", pid);
	snprintf(path, sizeof(path), "/proc/%s/task", number);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		if (*entry->d_name != '.')
			tell_thread(number, entry->d_name);
	}
	if (tasks)
		closedir(tasks);
}

/* Ends it by force after some seconds, unless they are negative. */
static int wait_for_end(pid_t pid, double kill_after)
{
	bool by_force = kill_after >= 0;
	double limit = by_force ? kill_after
				: board->worker_seconds + patience();
	int status;

	if (ends_within(pid, limit, &status))
		return status;
	if (!by_force)
		tell_where_it_is(pid);
	kill(pid, SIGKILL);
	ck_assert_msg(ends_within(pid, patience(), &status),
		      "worker %#lx cannot be killed", board->worker_seed);
	ck_assert_msg(by_force || board->dared > 0, "worker %#lx does not end",
		      board->worker_seed);
	return status;
}

static void run_one_worker(uint64_t seed, double kill_after)
{
	int status;
	pid_t pid;

	tell("worker %#lx begins", seed);
	vary_knobs(seed);
	board->worker_seed = seed;
	board->worker_ends = 0;
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		setpgid(0, 0);
		_exit(run_worker(seed));
	}
	setpgid(pid, pid);
	wait_until_ready(pid);
	status = wait_for_end(pid, kill_after);
	end_all_of(pid);
	judge_end(status);
}

static void tell_results(void)
{
	char line[800] = "";
	size_t i, at = 0;

	for (i = 0; i < MAX_ERROR; i++) {
		if (board->by_error[i])
			at += snprintf(line + at, sizeof(line) - at, " %lu %s",
				       board->by_error[i],
				       i ? strerrorname_np(i) : "succeeded");
	}
	tell("calls by result:%s", line);
	for (i = at = 0; call_name(i); i++)
		at += snprintf(line + at, sizeof(line) - at, " %lu %s (%lu)",
			       board->by_kind[i].done, call_name(i),
			       board->by_kind[i].succeeded);
	tell("calls by operation (and how many succeeded):%s", line);
	for (i = at = 0; deed_name(i); i++)
		at += snprintf(line + at, sizeof(line) - at, " %lu %s",
			       board->deeds[i], deed_name(i));
	tell("steps:%s", line);
}

static void tell_account(void)
{
	tell_results();
	tell("%lu calls, %lu succeeded, %u workers, of which %u ended, %u lost "
	     "memory of their own, %u were killed; the slowest was gone after "
	     "%.1f s",
	     board->calls.done, board->calls.succeeded, workers.all,
	     workers.ended, workers.lost_memory, workers.killed,
	     workers.slowest_end);
}

static void begin_fuzzing(unsigned int steps, double worker_seconds)
{
	ck_assert_ptr_nonnull(make_board());
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	write_knob(GROUP_DIR "/cgroup.procs", "0");
	board->steps = steps;
	board->worker_seconds = worker_seconds;
}

START_TEST(random_calls_leave_the_kernel_and_other_memory_alone)
{
	const char *given = getenv("VMREMAP_SEED");
	uint64_t seed = given && *given ? strtoull(given, NULL, 0)
					: (uint64_t)time(NULL) << 16 ^ getpid();
	uint64_t state = seed;
	double end = now() + seconds() * 0.8;

	begin_fuzzing(WORKER_STEPS, WORKER_SECONDS);
	tell("VMREMAP_SEED=%lu repeats this", seed);
	while (now() < end) {
		uint64_t next = random_next(&state);
		double kill_after = random_percent(&state, 20)
					    ? random_below(&state, 3000) / 1e3
					    : -1;

		run_one_worker(next, kill_after);
	}
	tell_account();
	/* Otherwise all of it has ended at the door; a few calls tell nothing. */
	if (board->calls.done >= 200)
		ck_assert_uint_ge(board->calls.succeeded,
				  board->calls.done / 5);
}
END_TEST

static void replay(uint64_t seed, unsigned int steps)
{
	begin_fuzzing(steps, patience());
	board->single_threaded = true;
	run_one_worker(seed, -1);
	tell_account();
}

START_TEST(known_worker_passes)
{
	replay(known[_i].seed, known[_i].steps);
}
END_TEST

static uint64_t given_worker;

START_TEST(given_worker_passes)
{
	replay(given_worker, WORKER_STEPS);
}
END_TEST

int main(int argc, char **argv)
{
	const char *given = getenv("VMREMAP_FUZZ_WORKER");
	Suite *s;
	TCase *c;

	go_on_as_worker(argc, argv);
	s = suite_create("fuzz_ioctl");
	c = add_case(s, "fuzz_ioctl");
	tcase_add_unchecked_fixture(c, set_knobs, restore_knobs);
	tcase_set_timeout(c, 200 + 2 * seconds());
	if (given && *given) {
		given_worker = strtoull(given, NULL, 0);
		tcase_add_test(c, given_worker_passes);
		return run_suite(s);
	}
	tcase_add_loop_test(c, known_worker_passes, 0, ARRAY_SIZE(known));
	tcase_add_test(c, random_calls_leave_the_kernel_and_other_memory_alone);
	return run_suite(s);
}
