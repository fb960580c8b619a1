// SPDX-License-Identifier: GPL-2.0-only
#include "fault.h"

#include <fcntl.h>

/* Counts down by one for each fault; never gets near to zero. */
#define TIMES 1000000000L

/* What can fail: objects of the slab allocator, and pages. */
static const char *const kinds[] = {
	"/sys/kernel/debug/failslab/",
	"/sys/kernel/debug/fail_page_alloc/",
};

static const struct {
	const char *name, *value;
} settings[] = {
	{ "probability", "0" },	   { "interval", "1" },
	{ "space", "0" },	   { "verbose", "0" },
	{ "task-filter", "Y" },	   { "ignore-gfp-wait", "N" },
	{ "times", "1000000000" },
};

/*
 * The thread's own files of /proc, kept open: what is armed must not meet the
 * calls that arm it.
 */
static __thread int nth_fd = -1, chosen_fd = -1;

static __thread struct fault armed;
static __thread unsigned int chance;
static __thread long faults_before;

static const char *path_of(const char *kind, const char *name)
{
	static __thread char path[100];

	snprintf(path, sizeof(path), "%s%s", kind, name);
	return path;
}

static bool set_all_knobs(void)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		for (j = 0; j < ARRAY_SIZE(settings); j++)
			if (!write_knob(path_of(kinds[i], settings[j].name),
					settings[j].value))
				return false;
	return write_knob(path_of(kinds[1], "ignore-gfp-highmem"), "N") &&
	       write_knob(path_of(kinds[1], "min-order"), "0");
}

static int open_knob(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

/*
 * Not even an assertion that holds may stand where something is armed: Check
 * takes note of it in a file, for which there may be no memory.
 */
static void put_number(int fd, unsigned int number)
{
	char text[20];
	int length = snprintf(text, sizeof(text), "%u", number);

	if (pwrite(fd, text, length, 0) != length)
		ck_abort_msg("fault injection: %s", strerror(errno));
}

static long get_number(int fd)
{
	char text[20] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		ck_abort_msg("fault injection: %s", strerror(errno));
	return strtol(text, NULL, 10);
}

static long faults_so_far(void)
{
	long faults = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		faults += TIMES - read_knob(path_of(kinds[i], "times"));
	return faults;
}

bool faults_begin(void)
{
	if (access("/proc/thread-self/fail-nth", W_OK) ||
	    access(kinds[0], X_OK) || access(kinds[1], X_OK))
		return false;
	ck_assert_msg(set_all_knobs(), "fault injection: %s", strerror(errno));
	nth_fd = open_knob("/proc/thread-self/fail-nth");
	chosen_fd = open_knob("/proc/thread-self/make-it-fail");
	chance = 0;
	return true;
}

/* Only for threads that have chosen to fail. */
static void set_chance(unsigned int wanted)
{
	char text[20];
	size_t i;

	if (wanted == chance)
		return;
	snprintf(text, sizeof(text), "%u", wanted);
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		ck_assert(write_knob(path_of(kinds[i], "probability"), text));
	chance = wanted;
}

void faults_arm(const struct fault *fault)
{
	armed = *fault;
	if (fault->mode != FAULT_ONE) {
		set_chance(fault->mode == FAULT_LATER ? 100 : fault->n);
		faults_before = faults_so_far();
		put_number(chosen_fd, 1);
	}
	if (fault->mode != FAULT_CHANCE)
		put_number(nth_fd, fault->n);
}

unsigned int faults_disarm(void)
{
	bool reached = !get_number(nth_fd);
	long faults;

	put_number(nth_fd, 0);
	if (armed.mode == FAULT_ONE)
		return armed.n && reached;
	put_number(chosen_fd, 0);
	faults = faults_so_far() - faults_before;
	/* The kernel tells it twice. */
	if (armed.mode == FAULT_LATER)
		ck_assert_msg(reached == (faults > 0), "%ld faults%s", faults,
			      reached ? "" : ", and still counting");
	return faults;
}
