/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "fuzz_arena.h"
#include "fuzz_calls.h"
#include "fuzz_company.h"
#include "fuzz_faults.h"
#include "fuzz_mappings.h"

#define STEPS_AFTER_DARE 100
#define STACK (256UL << 10)
#define OWN_MEMORY (32UL << 20)
#define ADDRESS_SPACE (4UL << 30)
#define CONTENT (4UL << 20)

static bool goes_on(struct fuzzer *f)
{
	if (has_dared() && f->steps_since_dare++ >= STEPS_AFTER_DARE)
		return false;
	return f->step < board->steps && now() < board->worker_ends;
}

static void begin(struct fuzzer *f)
{
	self = f;
	f->tid = gettid();
	if (!use_signal_stack_of(f))
		fuzz_fail("no stack for signals");
}

static void *fuzz(void *argument)
{
	struct fuzzer *f = argument;

	begin(f);
	while (goes_on(f))
		do_something(f);
	return NULL;
}

static void *fuzz_in_turns(void *unused)
{
	unsigned int i;

	begin(&worker->fuzzers[0]);
	while (goes_on(self)) {
		for (i = 0; i < FUZZERS; i++) {
			self = &worker->fuzzers[i];
			do_something(self);
		}
		self = &worker->fuzzers[0];
	}
	return unused;
}

/*
 * Of the fuzzers one has its stack in ordinary memory, so that a call may take
 * it away; the others go on then.
 */
static pthread_t start(void *(*body)(void *), struct fuzzer *f, bool own_stack)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	if (own_stack)
		pthread_attr_setstack(&attributes, own_memory(STACK), STACK);
	/* While another thread is about to exec, the kernel says EAGAIN. */
	do {
		error = pthread_create(&thread, &attributes, body, f);
	} while (error == EAGAIN);
	if (error)
		fuzz_fail("no thread: %s", strerror(error));
	return thread;
}

static void run_fuzzers(void)
{
	pthread_t threads[FUZZERS], server;
	unsigned int i, nr = board->single_threaded ? 1 : FUZZERS;

	server = start(serve_faults, &worker->fault_server, true);
	for (i = 0; i < nr; i++)
		threads[i] = start(nr == 1 ? fuzz_in_turns : fuzz,
				   &worker->fuzzers[i], nr == 1 || i > 0);
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	worker->stop = true;
	pthread_join(server, NULL);
	close(worker->uffd);
}

static void make_fuzzer(struct fuzzer *f, unsigned int number, uint64_t seed)
{
	f->number = number;
	f->state = seed;
	f->signal_stack = own_memory(SIGNAL_STACK);
	f->desk = make_desk();
}

static void make_worker(uint64_t seed)
{
	uint64_t state = seed;
	unsigned int i;

	worker = own_memory(sizeof(*worker));
	worker->loose = random_percent(&state, 30);
	worker->content = memfd_create("content", MFD_CLOEXEC);
	worker->device = open(VMREMAP_DEVICE, O_RDWR | O_CLOEXEC);
	if (worker->device < 0 || worker->content < 0 ||
	    ftruncate(worker->content, CONTENT))
		fuzz_fail("no device, or no file");
	for (i = 0; i < FUZZERS; i++)
		make_fuzzer(&worker->fuzzers[i], i, random_next(&state));
	make_fuzzer(&worker->fault_server, FUZZERS, random_next(&state));
}

static void limit(void)
{
	struct rlimit space = { ADDRESS_SPACE, ADDRESS_SPACE }, none = { 0, 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_AS, &space);
	setrlimit(RLIMIT_CORE, &none);
}

int run_worker(uint64_t seed)
{
	limit();
	forget_dares(false);
	if (!make_own_memory(OWN_MEMORY) || !handle_faults())
		fuzz_fail("cannot begin");
	take_nudges(true);
	make_worker(seed);
	if (!arena_map())
		fuzz_fail("no arena");
	begin(&worker->fault_server);
	open_company(self);
	worker->has_32bit_calls = can_make_32bit_calls(self);
	sew_quilts(self);
	/* After an exec it goes on with the time that is left. */
	if (!board->worker_ends)
		board->worker_ends = now() + board->worker_seconds;
	run_fuzzers();
	begin_doing(self, "the end");
	look_at_all_canaries();
	return 0;
}

static struct board *map_board(int file)
{
	struct board *mapped = mmap(NULL, sizeof(*mapped),
				    PROT_READ | PROT_WRITE, MAP_SHARED, file,
				    0);

	return mapped == MAP_FAILED ? NULL : mapped;
}

struct board *make_board(void)
{
	int file = memfd_create("board", 0);

	if (file < 0 || ftruncate(file, sizeof(*board)))
		return NULL;
	board = map_board(file);
	if (board)
		board->file = file;
	return board;
}

void go_on_as_worker(int argc, char **argv)
{
	uint64_t seed;
	int file;

	if (!is_to_go_on(argc, argv, &file, &seed))
		return;
	board = map_board(file);
	_exit(board ? run_worker(seed) : WORKER_FAILED);
}
