/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_company.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fuzz_arena.h"
#include "fuzz_calls.h"
#include "fuzz_faults.h"
#include "fuzz_mappings.h"
#include "passing.h"

/* Processes */

static void end_child(pid_t *child)
{
	if (*child > 0) {
		kill(*child, SIGKILL);
		waitpid(*child, NULL, 0);
	}
	*child = 0;
}

static void be_a_child(struct fuzzer *f, uint64_t seed)
{
	unsigned int steps;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	forget_dares(true);
	f->is_child = true;
	f->state = seed;
	for (steps = 1 + below(f, 40); steps; steps--) {
		if (percent(f, 20))
			do_write(f);
		else
			make_call(f);
	}
	look_at_canary(f);
	if (percent(f, 30))
		kill(getpid(), SIGKILL);
	_exit(0);
}

static void do_fork(struct fuzzer *f)
{
	pid_t *child = &f->children[below(f, ARRAY_SIZE(f->children))];
	uint64_t seed = random_next(&f->state);

	end_child(child);
	*child = fork();
	if (*child == 0)
		be_a_child(f, seed);
}

/* Another process in the same memory. */
static void do_vfork(struct fuzzer *f)
{
	pid_t child = vfork();

	if (child == 0) {
		make_call(f);
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void do_exec(struct fuzzer *f)
{
	char seed[24], file[12];
	char *argv[] = { "fuzz_ioctl", GO_ON, file, seed, NULL };

	snprintf(seed, sizeof(seed), "%#lx", random_next(&f->state));
	snprintf(file, sizeof(file), "%d", board->file);
	if (f->is_child || !percent(f, 30))
		return;
	/* A nudge that is on its way would end a program without handlers. */
	take_nudges(false);
	execv("/proc/self/exe", argv);
	take_nudges(true);
}

bool is_to_go_on(int argc, char **argv, int *board_file, uint64_t *seed)
{
	if (argc != 4 || strcmp(argv[1], GO_ON))
		return false;
	*board_file = atoi(argv[2]);
	*seed = strtoull(argv[3], NULL, 0);
	return true;
}

static void do_signal(struct fuzzer *f)
{
	pid_t tid = worker->fuzzers[below(f, FUZZERS)].tid;

	if (tid)
		syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
}

static void do_wait(struct fuzzer *f)
{
	if (percent(f, 50))
		usleep(below(f, 1000));
	else
		sched_yield();
}

/* Descriptors */

static int *pick_public_device(struct fuzzer *f)
{
	return &worker->public_devices[below(
		f, ARRAY_SIZE(worker->public_devices))];
}

static void do_reopen(struct fuzzer *f)
{
	int *device = pick_public_device(f);

	close(*device);
	sched_yield();
	*device = open(VMREMAP_DEVICE, O_RDWR | O_CLOEXEC);
}

/* For a while nobody but the message may hold the open file. */
static void do_pass(struct fuzzer *f)
{
	int *device = pick_public_device(f);

	send_descriptor(worker->socket[0], *device, MSG_DONTWAIT);
	close(*device);
	*device = receive_descriptor(worker->socket[1], MSG_DONTWAIT);
	if (*device < 0)
		*device = open(VMREMAP_DEVICE, O_RDWR | O_CLOEXEC);
}

/* All of it */

struct deed {
	unsigned int weight;
	const char *name;
	void (*run)(struct fuzzer *f);
};

static const struct deed deeds[] = {
	{ 5800, "call", make_call },
	{ 1200, "write", do_write },
	{ 500, "read", do_read },
	{ 500, "advise", do_advise },
	{ 60, "advise widely", do_advise_widely },
	{ 200, "protect", do_protect },
	{ 200, "map", do_map },
	{ 250, "renew", do_renew },
	{ 150, "unmap", do_unmap },
	{ 150, "remap", do_remap },
	{ 120, "lock", do_lock },
	{ 120, "watch", do_watch },
	{ 100, "unwatch", do_unwatch },
	{ 80, "key", do_key },
	{ 60, "pin", do_pin },
	{ 40, "clear refs", do_clear_refs },
	{ 4, "compact", do_compact },
	{ 40, "examine", do_examine },
	{ 30, "fork", do_fork },
	{ 20, "vfork", do_vfork },
	{ 10, "exec", do_exec },
	{ 100, "signal", do_signal },
	{ 100, "wait", do_wait },
	{ 60, "reopen", do_reopen },
	{ 60, "pass", do_pass },
	{ 100, "look at a canary", look_at_canary },
};

const char *deed_name(size_t deed)
{
	return deed < ARRAY_SIZE(deeds) ? deeds[deed].name : NULL;
}

void do_something(struct fuzzer *f)
{
	const struct deed *deed = PICK(f, deeds);

	begin_doing(f, deed->name);
	count(&board->deeds[deed - deeds]);
	deed->run(f);
	f->step++;
}

void open_company(struct fuzzer *f)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(worker->public_devices); i++)
		worker->public_devices[i] =
			open(VMREMAP_DEVICE, O_RDWR | O_CLOEXEC);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, worker->socket))
		fuzz_fail("no pair of sockets");
	open_userfaultfd(f);
	open_for_mappings();
}
