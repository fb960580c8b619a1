/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz.h"

#include <stdarg.h>

struct board *board UNMOVABLE = NULL;
struct worker *worker UNMOVABLE = NULL;
__thread struct fuzzer *self;

static char *own UNMOVABLE = NULL, *own_free UNMOVABLE = NULL;
static size_t own_size UNMOVABLE = 1;
static int dared_by_child UNMOVABLE = -1;

/* Private memory of a file: the pages are anonymous once they are written. */
bool make_own_memory(size_t size)
{
	int file = memfd_create("own memory", MFD_CLOEXEC);

	if (file < 0 || ftruncate(file, size))
		return false;
	own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	close(file);
	own_free = own;
	own_size = size;
	return own != MAP_FAILED;
}

void *own_memory(size_t size)
{
	char *memory = own_free;

	own_free += (size + PAGE - 1) & ~(PAGE - 1);
	if (own_free > own + own_size)
		fuzz_fail("too little memory of its own");
	return memory;
}

bool is_own_memory(uint64_t address, uint64_t length)
{
	uint64_t start = (uintptr_t)own;

	return address < start + own_size && start < address + length;
}

/* Dares */

static int *dares(void)
{
	return dared_by_child < 0 ? &board->dared : &dared_by_child;
}

void dare(void)
{
	__atomic_add_fetch(dares(), 1, __ATOMIC_SEQ_CST);
}

void dare_was_refused(void)
{
	__atomic_sub_fetch(dares(), 1, __ATOMIC_SEQ_CST);
}

bool has_dared(void)
{
	return __atomic_load_n(dares(), __ATOMIC_SEQ_CST) > 0;
}

/* A child has its own memory to lose, but begins with what its parent lost. */
void forget_dares(bool is_child)
{
	if (is_child)
		dared_by_child = has_dared();
	else
		*dares() = 0;
}

/* Failures */

void fuzz_fail(const char *format, ...)
{
	va_list arguments;
	size_t length;

	if (has_dared())
		_exit(WORKER_LOST_MEMORY);
	if (!__atomic_exchange_n(&board->failed, 1, __ATOMIC_SEQ_CST)) {
		length = snprintf(board->failure, sizeof(board->failure),
				  "worker %#lx%s, thread %u%s, step %u, %s: ",
				  board->worker_seed,
				  worker && worker->loose ? " (loose)" : "",
				  self ? self->number : FUZZERS + 1,
				  self && self->is_child ? " (child)" : "",
				  self ? self->step : 0,
				  self && self->doing ? self->doing : "main");
		va_start(arguments, format);
		vsnprintf(board->failure + length,
			  sizeof(board->failure) - length, format, arguments);
		va_end(arguments);
	}
	_exit(WORKER_FAILED);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;

	if (self && self->armed) {
		self->armed = false;
		siglongjmp(self->escape, 1);
	}
	fuzz_fail("signal %d, code %d, address %p, at %#llx", signal,
		  info->si_code, info->si_addr,
		  (unsigned long long)at->uc_mcontext.gregs[REG_RIP]);
}

static void on_nudge(int signal)
{
	(void)signal;
}

bool handle_faults(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS,	SIGILL,
				      SIGFPE,  SIGTRAP, SIGABRT };
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (sigaction(faults[i], &action, NULL))
			return false;
	}
	action.sa_handler = on_nudge;
	action.sa_flags = SA_ONSTACK;
	return !sigaction(SIGUSR1, &action, NULL) &&
	       signal(SIGPIPE, SIG_IGN) != SIG_ERR;
}

void take_nudges(bool take)
{
	sigset_t nudge;

	sigemptyset(&nudge);
	sigaddset(&nudge, SIGUSR1);
	pthread_sigmask(take ? SIG_UNBLOCK : SIG_BLOCK, &nudge, NULL);
}

bool use_signal_stack_of(struct fuzzer *f)
{
	stack_t stack = { .ss_sp = f->signal_stack, .ss_size = SIGNAL_STACK };

	return !sigaltstack(&stack, NULL);
}

bool touching(struct fuzzer *f, touching_part part, void *argument)
{
	if (sigsetjmp(f->escape, 0))
		return false;
	f->armed = true;
	part(argument);
	f->armed = false;
	return true;
}

void count(uint64_t *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

void begin_doing(struct fuzzer *f, const char *what)
{
	f->doing = what;
	if (!f->is_child)
		board->doing[f->number] = what;
}

static unsigned int weight_of(const void *table, size_t row, size_t size)
{
	return *(const unsigned int *)((const char *)table + row * size);
}

size_t pick_row(struct fuzzer *f, const void *table, size_t rows, size_t size)
{
	unsigned int sum = 0;
	size_t row;
	uint64_t at;

	for (row = 0; row < rows; row++)
		sum += weight_of(table, row, size);
	at = below(f, sum);
	for (row = 0; at >= weight_of(table, row, size); row++)
		at -= weight_of(table, row, size);
	return row;
}
