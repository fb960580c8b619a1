// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading the module, with users and without: who keeps it, what
 * is left of its work when it has gone, what a program finds where the device
 * should be, and which images the kernel refuses.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "lib/child.h"
#include "lib/kmod.h"
#include "lib/moves.h"
#include "lib/passing.h"
#include "lib/pin.h"
#include "lib/random.h"
#include "lib/uffd.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define TAG 1000
#define OLD 700000
#define PAGES 600

/* Loading takes a kernel that checks itself a second or more. */
static int rounds(int usual)
{
	return slow_kernel() ? 1 + usual / 8 : usual;
}

static unsigned int race_seconds(unsigned int part)
{
	return part * seconds_from("VMREMAP_STRESS_SECONDS", 2) *
	       (slow_kernel() ? 5 : 1);
}

static void start_loaded(void)
{
	int rc = load_module("");

	ck_assert_msg(rc == 0 || rc == -EEXIST, "loading: %s", strerror(-rc));
}

static void open_device(void)
{
	dev = vmremap_open();
	ck_assert_msg(dev >= 0, "opening: %s", strerror(-dev));
}

static void close_device(void)
{
	ck_assert_int_eq(vmremap_close(dev), 0);
	dev = -1;
}

#define ck_load()                                                       \
	do {                                                            \
		int rc_ = load_module("");                              \
		ck_assert_msg(rc_ == 0, "loading: %s", strerror(-rc_)); \
		ck_assert_int_eq(vmremap_available(NULL), 0);           \
	} while (0)

#define ck_unload()                                                       \
	do {                                                              \
		int rc_ = unload_module("vmremap");                       \
		ck_assert_msg(rc_ == 0, "unloading: %s", strerror(-rc_)); \
		ck_assert(!module_is_loaded("vmremap"));                  \
	} while (0)

/* The last reference goes soon, but not before the call that drops it ends. */
#define ck_unload_soon()                                                  \
	do {                                                              \
		int rc_ = unload_module_soon(30);                         \
		ck_assert_msg(rc_ == 0, "unloading: %s", strerror(-rc_)); \
	} while (0)

#define ck_kept()                                                          \
	do {                                                               \
		int rc_ = unload_module("vmremap");                        \
		ck_assert_msg(rc_ == -EWOULDBLOCK, "unloading in use: %s", \
			      strerror(-rc_));                             \
		ck_assert(module_is_loaded("vmremap"));                    \
	} while (0)

/* The library says so too, and says why. */
#define ck_unavailable(error)                                                \
	do {                                                                 \
		const char *why_ = NULL;                                     \
		int rc_ = vmremap_available(&why_);                          \
		ck_assert_msg(rc_ == -(error), "available: %s, expected %s", \
			      strerror(-rc_), strerror(error));              \
		ck_assert_ptr_nonnull(why_);                                 \
		ck_assert_ptr_nonnull(strstr(why_, VMREMAP_DEVICE));         \
	} while (0)

/* Ends with its parent, so that a failed test leaves no users behind. */
static pid_t fork_user(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void kill_user(pid_t pid)
{
	int status;

	ck_sys(kill(pid, SIGKILL));
	ck_assert_msg(ends_within(pid, 30, &status), "it hangs");
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Who keeps the module */

START_TEST(it_goes_and_comes_back)
{
	int i;

	for (i = 0; i < rounds(20); i++) {
		ck_unload();
		ck_assert_int_ne(access(VMREMAP_DEVICE, F_OK), 0);
		ck_assert_int_eq(unload_module("vmremap"), -ENOENT);
		ck_load();
	}
}
END_TEST

START_TEST(it_is_loaded_only_once)
{
	struct module_image image = read_image();

	open_device();
	ck_assert_int_eq(load_module(""), -EEXIST);
	ck_assert_int_eq(load_image(image), -EEXIST);
	close_device();
	ck_assert_int_eq(load_module(""), -EEXIST);
	ck_assert_int_eq(vmremap_available(NULL), 0);
	ck_unload();
	ck_assert_int_eq(load_image(image), 0);
	ck_assert_int_eq(load_image(image), -EEXIST);
	ck_assert_int_eq(vmremap_available(NULL), 0);
	free(image.bytes);
}
END_TEST

START_TEST(unknown_parameters_are_passed_over)
{
	ck_unload();
	ck_assert_int_eq(load_module("nonsense=1 more"), 0);
	ck_assert_int_eq(vmremap_available(NULL), 0);
}
END_TEST

START_TEST(every_open_descriptor_keeps_it)
{
	int copy, other;

	open_device();
	ck_kept();
	copy = dup(dev);
	other = vmremap_open();
	ck_assert(copy >= 0 && other >= 0);
	close_device();
	ck_kept();
	ck_sys(close(copy));
	ck_kept();
	ck_sys(close(other));
	ck_unload();
}
END_TEST

START_TEST(inherited_descriptor_keeps_it)
{
	pid_t pid;

	open_device();
	pid = fork_user();
	if (pid == 0) {
		for (;;)
			pause();
	}
	close_device();
	ck_kept();
	kill_user(pid);
	ck_unload();
}
END_TEST

START_TEST(descriptor_given_to_another_program_keeps_it)
{
	int status, ends[2];
	char byte;
	pid_t pid;

	open_device();
	ck_sys(fcntl(dev, F_SETFD, 0));
	/* The program has begun when the kernel has closed this for it. */
	ck_sys(pipe2(ends, O_CLOEXEC));
	pid = fork_user();
	if (pid == 0) {
		execl("/bin/busybox", "sleep", "1000", NULL);
		_exit(1);
	}
	close_device();
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
	ck_kept();
	kill_user(pid);
	ck_unload();
}
END_TEST

static void ck_send(int socket, int fd)
{
	ck_assert(send_descriptor(socket, fd, 0));
}

static int ck_receive(int socket)
{
	int fd = receive_descriptor(socket, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(descriptor_on_its_way_keeps_it)
{
	int sockets[2];

	ck_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	open_device();
	ck_send(sockets[0], dev);
	close_device();
	ck_kept();
	dev = ck_receive(sockets[1]);
	ck_kept();
	close_device();
	ck_unload();
}
END_TEST

START_TEST(descriptor_lost_on_its_way_lets_it_go)
{
	int sockets[2];

	ck_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	open_device();
	ck_send(sockets[0], dev);
	/* Only the kernel's collector finds a socket that is sent to itself. */
	ck_send(sockets[0], sockets[1]);
	close_device();
	ck_kept();
	ck_sys(close(sockets[0]));
	ck_sys(close(sockets[1]));
	/* Any other socket that closes starts it. */
	ck_sys(close(socket(AF_UNIX, SOCK_STREAM, 0)));
	ck_unload_soon();
}
END_TEST

START_TEST(descriptor_registered_with_io_uring_keeps_it)
{
	struct io_uring ring;

	open_device();
	ck_assert_int_eq(io_uring_queue_init(2, &ring, 0), 0);
	ck_assert_int_eq(io_uring_register_files(&ring, &dev, 1), 0);
	close_device();
	ck_kept();
	ck_assert_int_eq(io_uring_unregister_files(&ring), 0);
	io_uring_queue_exit(&ring);
	ck_unload_soon();
}
END_TEST

START_TEST(name_of_the_device_does_not_keep_it)
{
	int name = open(VMREMAP_DEVICE, O_PATH | O_CLOEXEC);
	char path[40];

	ck_assert_int_ge(name, 0);
	ck_unload();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", name);
	ck_assert_int_eq(open(path, O_RDWR | O_CLOEXEC), -1);
	ck_assert(errno == ENODEV || errno == ENXIO);
	ck_load();
	ck_sys(close(name));
}
END_TEST

/* Calls in progress */

struct caller {
	pthread_t thread;
	int uffd;
	struct vmremap_query *request;
	int error;
};

static void *call_with_a_missing_request(void *argument)
{
	struct caller *caller = argument;
	int rc = ioctl(dev, VMREMAP_IOC_QUERY, caller->request);

	caller->error = rc ? errno : 0;
	return NULL;
}

/* The kernel waits in the middle of the call, until the page is served. */
static void begin_call(struct caller *caller)
{
	caller->request = (void *)map_pages(1, 0, SMALL);
	caller->uffd = uffd_open(0);
	uffd_watch(caller->uffd, caller->request, 1,
		   UFFDIO_REGISTER_MODE_MISSING);
	ck_assert_int_eq(pthread_create(&caller->thread, NULL,
					call_with_a_missing_request, caller),
			 0);
	ck_assert_ptr_eq(uffd_next_fault(caller->uffd, 30000),
			 (char *)caller->request);
}

START_TEST(call_in_progress_keeps_it)
{
	struct caller caller;
	int i;

	open_device();
	begin_call(&caller);
	close_device();
	for (i = 0; i < 20; i++) {
		ck_kept();
		usleep(5000);
	}
	ck_assert_int_eq(uffd_zeropage(caller.uffd, caller.request, 1), 0);
	pthread_join(caller.thread, NULL);
	ck_assert_int_eq(caller.error, EINVAL);
	ck_unload();
}
END_TEST

START_TEST(killed_call_lets_it_go)
{
	int ends[2], i;
	char byte;

	for (i = 0; i < rounds(10); i++) {
		pid_t pid;

		ck_sys(pipe(ends));
		pid = fork_user();
		if (pid == 0) {
			struct caller caller;

			open_device();
			begin_call(&caller);
			if (write(ends[1], "b", 1) == 1)
				pthread_join(caller.thread, NULL);
			_exit(1);
		}
		ck_sys(close(ends[1]));
		ck_assert_int_eq(read(ends[0], &byte, 1), 1);
		ck_sys(close(ends[0]));
		ck_kept();
		kill_user(pid);
		ck_unload();
		ck_load();
	}
}
END_TEST

static char *src, *dst;

static void make_ranges(size_t dst_phase)
{
	src = map_pages(PAGES, 0, SMALL);
	dst = map_pages(PAGES, dst_phase, SMALL);
	fill(src, PAGES, TAG);
}

static void *move_until_closed(void *argument)
{
	char *swap;
	int rc;

	for (;;) {
		rc = vmremap_move(dev, dst, src, PAGES * PAGE, REPLACE, NULL);
		if (rc)
			break;
		swap = src;
		src = dst;
		dst = swap;
	}
	*(int *)argument = rc;
	return NULL;
}

START_TEST(it_goes_when_the_last_move_ends)
{
	uint64_t seed = 1;
	int i, rc;

	make_ranges(9);
	for (i = 0; i < rounds(25); i++) {
		pthread_t thread;

		open_device();
		ck_assert_int_eq(pthread_create(&thread, NULL,
						move_until_closed, &rc),
				 0);
		usleep(1000 + random_below(&seed, 20000));
		/* The mover goes on with the number, which opens no more. */
		ck_sys(close(dev));
		ck_unload_soon();
		pthread_join(thread, NULL);
		ck_assert_msg(rc == -EBADF, "move: %s", strerror(-rc));
		ck_holds(src, PAGES, TAG);
		ck_load();
	}
}
END_TEST

static bool move_for_ever(void *unused)
{
	(void)unused;
	make_ranges(3);
	for (;;) {
		vmremap_move(dev, dst, src, PAGES * PAGE, HOLES | REPLACE,
			     NULL);
		vmremap_move(dev, src, dst, PAGES * PAGE, HOLES | REPLACE,
			     NULL);
	}
	return false;
}

START_TEST(descriptor_outlives_the_process_that_opened_it)
{
	int sockets[2], i;

	ck_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	make_ranges(9);
	for (i = 0; i < rounds(10); i++) {
		pid_t pid = fork_user();

		if (pid == 0) {
			open_device();
			ck_send(sockets[0], dev);
			move_for_ever(NULL);
		}
		dev = ck_receive(sockets[1]);
		usleep(50000 + i * 3001);
		kill_user(pid);
		ck_kept();
		ck_move(dst, src, PAGES, UNSHARE);
		ck_arrived(dst, src, PAGES, TAG);
		ck_move(src, dst, PAGES, REPLACE);
		close_device();
		ck_unload();
		ck_load();
	}
}
END_TEST

/* Users that race with loading and unloading */

#define USERS 3
#define USER_PAGES 40

/* In memory that all processes share. */
struct race {
	bool over;
	/* What no user should see: a negative errno, or 1 for wrong memory. */
	int wrong;
	size_t opened, missed;
};

static struct race *race;

static void start_race(void)
{
	race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(race, MAP_FAILED);
}

static void use_once(char *a, char *b)
{
	size_t length = USER_PAGES * PAGE;
	struct vmremap_query query;
	int rc;

	dev = vmremap_open();
	if (dev == -ENOENT || dev == -ENODEV || dev == -ENXIO) {
		__atomic_fetch_add(&race->missed, 1, __ATOMIC_RELAXED);
		return;
	}
	if (dev < 0) {
		race->wrong = dev;
		return;
	}
	rc = vmremap_query(dev, &query);
	if (!rc)
		rc = vmremap_move(dev, b, a, length, UNSHARE, NULL);
	if (!rc && !holds(b, USER_PAGES, TAG))
		rc = 1;
	if (!rc)
		rc = vmremap_move(dev, a, b, length, UNSHARE, NULL);
	vmremap_close(dev);
	/* Reclaim may keep a page for longer than the module waits. */
	if (!rc)
		__atomic_fetch_add(&race->opened, 1, __ATOMIC_RELAXED);
	else if (rc != -EAGAIN)
		race->wrong = rc;
}

static void use_again_and_again(uint64_t seed)
{
	char *a = map_pages(USER_PAGES, 0, SMALL);
	char *b = map_pages(USER_PAGES, 7, SMALL);

	fill(a, USER_PAGES, TAG);
	while (!race->over && !race->wrong) {
		use_once(a, b);
		usleep(random_below(&seed, 4000));
	}
}

/* What udev, lsmod and the like do meanwhile. */
static void look_again_and_again(uint64_t seed)
{
	struct stat st;

	while (!race->over) {
		read_whole("/proc/modules");
		read_whole("/proc/misc");
		read_whole("/sys/module/vmremap/refcnt");
		read_whole("/sys/module/vmremap/version");
		read_whole("/sys/class/misc/vmremap/uevent");
		stat(VMREMAP_DEVICE, &st);
		usleep(random_below(&seed, 3000));
	}
}

static int load_or_unload(struct module_image image, uint64_t *seed)
{
	switch (random_below(seed, 3)) {
	case 0:
		return unload_module("vmremap");
	case 1:
		return load_module("");
	default:
		return load_image(image);
	}
}

static bool is_usual(int rc)
{
	return rc == 0 || rc == -EEXIST || rc == -ENOENT || rc == -EBUSY ||
	       rc == -EWOULDBLOCK;
}

static void load_again_and_again(uint64_t seed)
{
	struct module_image image = read_image();

	while (!race->over && !race->wrong) {
		int rc = load_or_unload(image, &seed);

		if (!is_usual(rc))
			race->wrong = rc;
		usleep(random_below(&seed, 2000));
	}
}

static pid_t start_racer(void (*body)(uint64_t seed), uint64_t seed)
{
	pid_t pid = fork_user();

	if (pid == 0) {
		body(seed);
		_exit(0);
	}
	return pid;
}

static void end_race(pid_t *racers, size_t nr)
{
	int status;
	size_t i;

	race->over = true;
	for (i = 0; i < nr; i++) {
		ck_assert_msg(ends_within(racers[i], 30, &status), "it hangs");
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	ck_assert_msg(race->wrong == 0, "a user found: %s",
		      race->wrong < 0 ? strerror(-race->wrong)
				      : "memory that is not its own");
}

START_TEST(opens_race_with_unloads)
{
	size_t unloads = 0, refusals = 0, i;
	pid_t racers[USERS + 1];
	double deadline;

	start_race();
	for (i = 0; i < USERS; i++)
		racers[i] = start_racer(use_again_and_again, i);
	racers[i] = start_racer(look_again_and_again, i);
	deadline = now() + race_seconds(3);
	while (now() < deadline && !race->wrong) {
		int rc = unload_module("vmremap");

		if (rc == -EWOULDBLOCK) {
			refusals++;
			sched_yield();
			continue;
		}
		ck_assert_msg(rc == 0, "unloading: %s", strerror(-rc));
		unloads++;
		ck_assert_int_ne(access(VMREMAP_DEVICE, F_OK), 0);
		usleep(unloads % 4 * 500);
		rc = load_module("");
		ck_assert_msg(rc == 0, "loading: %s", strerror(-rc));
	}
	end_race(racers, USERS + 1);
	fprintf(stderr, "%zu unloads, %zu refused; %zu opens, %zu missed\n",
		unloads, refusals, race->opened, race->missed);
	ck_assert_uint_gt(unloads, 1);
	ck_assert_uint_gt(refusals, 1);
	ck_assert_uint_gt(race->opened, 1);
	ck_assert_uint_gt(race->missed, 0);
	ck_assert_int_eq(vmremap_available(NULL), 0);
	ck_unload();
}
END_TEST

START_TEST(loads_race_with_unloads)
{
	pid_t racers[5];
	size_t i;
	int rc;

	start_race();
	for (i = 0; i < 3; i++)
		racers[i] = start_racer(load_again_and_again, i);
	racers[i++] = start_racer(use_again_and_again, 17);
	racers[i++] = start_racer(look_again_and_again, 18);
	sleep(race_seconds(2));
	end_race(racers, i);
	fprintf(stderr, "%zu opens, %zu missed\n", race->opened, race->missed);
	ck_assert_uint_gt(race->opened, 0);
	ck_assert_uint_gt(race->missed, 0);
	rc = load_module("");
	ck_assert(rc == 0 || rc == -EEXIST);
	ck_assert_int_eq(vmremap_available(NULL), 0);
	ck_unload();
}
END_TEST

/* What was moved, once the module has gone */

static bool copies_on_write(void *base)
{
	bool right = holds(base, PAGES, TAG);

	fill(base, PAGES, OLD);
	return right && holds(base, PAGES, OLD);
}

/* All that may happen to memory: swap, fork, compaction, new places, an end. */
static void live_on(char *base)
{
	char *new = map_pages(PAGES, 5, SMALL);

	ck_holds(base, PAGES, TAG);
	ck_assert(page_out(base, PAGES));
	ck_holds(base, PAGES, TAG);
	ck_assert(in_child(copies_on_write, base));
	ck_holds(base, PAGES, TAG);
	write_knob("/proc/sys/vm/compact_memory", "1");
	madvise(base, PAGES * PAGE, MADV_COLLAPSE);
	ck_holds(base, PAGES, TAG);
	ck_sys(mprotect(page_at(base, 100), 100 * PAGE, PROT_READ));
	ck_sys(mprotect(page_at(base, 100), 100 * PAGE,
			PROT_READ | PROT_WRITE));
	ck_assert(mremap(base, PAGES * PAGE, PAGES * PAGE,
			 MREMAP_MAYMOVE | MREMAP_FIXED, new) == new);
	ck_holds(new, PAGES, TAG);
	fill(new, PAGES, OLD);
	ck_assert(page_out(new, PAGES));
	ck_holds(new, PAGES, OLD);
	unmap_pages(new, PAGES);
}

static void module_goes(void)
{
	close_device();
	ck_unload();
}

static void small_pages_outlive_it(size_t dst_phase)
{
	make_ranges(dst_phase);
	open_device();
	ck_move(dst, src, PAGES, 0);
	module_goes();
	ck_holes(src, PAGES);
	live_on(dst);
	/* The source is memory like any other. */
	fill(src, PAGES, TAG);
	live_on(src);
	ck_load();
}

START_TEST(moved_pages_outlive_it)
{
	small_pages_outlive_it(0);
	small_pages_outlive_it(9);
}
END_TEST

static void huge_pages_outlive_it(size_t dst_phase)
{
	src = map_thp(2, 0, TAG);
	dst = map_pages(2 * BLOCK_PAGES, dst_phase, HUGE);
	open_device();
	ck_move(dst, src, 2 * BLOCK_PAGES, 0);
	module_goes();
	ck_holds(page_at(dst, PAGES), 2 * BLOCK_PAGES - PAGES, TAG + PAGES);
	live_on(dst);
	ck_holds(page_at(dst, PAGES), 2 * BLOCK_PAGES - PAGES, TAG + PAGES);
	ck_load();
}

START_TEST(moved_huge_pages_outlive_it)
{
	huge_pages_outlive_it(0);
	huge_pages_outlive_it(9);
}
END_TEST

START_TEST(scattered_pages_outlive_it)
{
	struct vmremap_range ranges[PAGES];
	size_t i, moved, done;

	make_ranges(9);
	ck_assert(page_out(page_at(src, 100), 200));
	for (i = 0; i < PAGES; i++)
		ranges[i] = range_of(page_at(dst, (i * 77 + 5) % PAGES),
				     page_at(src, i), 1);
	open_device();
	ck_assert_int_eq(vmremap_movev(dev, ranges, PAGES, 0, &moved, &done),
			 0);
	module_goes();
	ck_holes(src, PAGES);
	ck_assert(page_out(dst, PAGES));
	for (i = 0; i < PAGES; i++)
		ck_holds(page_at(dst, (i * 77 + 5) % PAGES), 1, TAG + i);
	fill(dst, PAGES, TAG);
	live_on(dst);
}
END_TEST

/* Each part stays where the call left it. */
static void halves_outlive_it(size_t at)
{
	module_goes();
	ck_holds(dst, at, TAG);
	ck_holes(src, at);
	ck_holds(page_at(src, at), PAGES - at, TAG + at);
	ck_assert(page_out(src, PAGES));
	fill(src, at, TAG);
	live_on(src);
	fill(page_at(dst, at), PAGES - at, TAG + at);
	live_on(dst);
}

START_TEST(move_that_ended_half_way_outlives_it)
{
	make_ranges(9);
	fill(page_at(dst, 300), 1, OLD);
	open_device();
	ck_move_ends(dst, src, PAGES, 0, EEXIST, 300);
	halves_outlive_it(300);
}
END_TEST

START_TEST(part_of_a_huge_page_outlives_it)
{
	src = map_thp(2, 0, TAG);
	dst = map_pages(PAGES, 0, SMALL);
	fill(page_at(dst, 100), 1, OLD);
	open_device();
	ck_move_ends(dst, src, PAGES, 0, EEXIST, 100);
	halves_outlive_it(100);
}
END_TEST

START_TEST(pin_that_ended_a_move_outlives_it)
{
	struct pin pin;

	make_ranges(9);
	ck_assert(pin_pages(&pin, page_at(src, 250), 1));
	open_device();
	ck_move_ends(dst, src, PAGES, 0, EBUSY, 250);
	module_goes();
	unpin_pages(&pin);
	ck_load();
	open_device();
	halves_outlive_it(250);
}
END_TEST

static bool still_has_its_own(void *base)
{
	return copies_on_write(base) && page_out(base, PAGES) &&
	       holds(base, PAGES, OLD);
}

START_TEST(copies_of_shared_pages_outlive_it)
{
	struct child child;

	make_ranges(9);
	child = child_waits(still_has_its_own, src);
	open_device();
	ck_move(dst, src, PAGES, UNSHARE);
	module_goes();
	ck_holds(dst, PAGES, TAG);
	ck_assert(child_ends(&child));
	live_on(dst);
}
END_TEST

START_TEST(child_of_a_mover_outlives_it)
{
	struct child child;

	make_ranges(9);
	open_device();
	ck_move(dst, src, PAGES, 0);
	close_device();
	child = child_waits(still_has_its_own, dst);
	ck_unload();
	unmap_pages(dst, PAGES);
	ck_assert(child_ends(&child));
}
END_TEST

START_TEST(merged_pages_outlive_it)
{
	size_t i;

	make_ranges(9);
	for (i = 0; i < 64; i++)
		fill(page_at(src, i), 1, OLD);
	ck_assert(merge_by_ksm(src, 64));
	open_device();
	ck_move(dst, src, PAGES, UNSHARE);
	module_goes();
	ck_assert(merge_by_ksm(dst, 64));
	for (i = 0; i < 64; i++)
		ck_holds(page_at(dst, i), 1, OLD);
	fill(dst, 64, TAG);
	ck_assert(page_out(dst, PAGES));
	ck_holds(dst, PAGES, TAG);
}
END_TEST

static bool moves_unloads_and_ends(void *phase)
{
	size_t moved = 0;

	make_ranges(*(size_t *)phase);
	open_device();
	return vmremap_move(dev, dst, src, PAGES * PAGE, 0, &moved) == 0 &&
	       vmremap_close(dev) == 0 && unload_module("vmremap") == 0 &&
	       holds(dst, PAGES, TAG);
}

START_TEST(process_ends_after_it_has_gone)
{
	size_t phase;

	for (phase = 0; phase < (size_t)rounds(10); phase++) {
		ck_assert(in_child(moves_unloads_and_ends, &phase));
		ck_assert(!module_is_loaded("vmremap"));
		ck_load();
	}
}
END_TEST

struct faulter {
	pthread_t thread;
	char *page;
	bool zero;
};

static void *read_page(void *argument)
{
	struct faulter *faulter = argument;

	faulter->zero = first_not_zero(faulter->page, 1) < 0;
	return NULL;
}

START_TEST(userfaultfd_outlives_it)
{
	struct faulter faulter;
	int uffd = uffd_open(0);

	make_ranges(9);
	uffd_watch(uffd, dst, PAGES, UFFDIO_REGISTER_MODE_MISSING);
	open_device();
	ck_move(dst, src, 300, WAKE_LATER);
	module_goes();
	ck_holds(dst, 300, TAG);
	ck_assert_ptr_null(uffd_next_fault(uffd, 0));
	faulter.page = page_at(dst, 301);
	ck_assert_int_eq(
		pthread_create(&faulter.thread, NULL, read_page, &faulter), 0);
	ck_assert_ptr_eq(uffd_next_fault(uffd, 30000), faulter.page);
	ck_assert_int_eq(uffd_zeropage(uffd, faulter.page, 1), 0);
	pthread_join(faulter.thread, NULL);
	ck_assert(faulter.zero);
	uffd_unwatch(uffd, dst, PAGES);
	fill(page_at(dst, 300), PAGES - 300, TAG + 300);
	live_on(dst);
}
END_TEST

START_TEST(thread_waits_for_a_page_over_a_reload)
{
	struct faulter faulter;
	int uffd = uffd_open(0);

	make_ranges(9);
	fill(page_at(src, 17), 1, 0);
	uffd_watch(uffd, dst, PAGES, UFFDIO_REGISTER_MODE_MISSING);
	faulter.page = page_at(dst, 17);
	ck_assert_int_eq(
		pthread_create(&faulter.thread, NULL, read_page, &faulter), 0);
	ck_assert_ptr_eq(uffd_next_fault(uffd, 30000), faulter.page);
	ck_unload();
	ck_load();
	open_device();
	ck_move(dst, src, PAGES, WAKE_LATER);
	uffd_wake(uffd, dst, PAGES);
	pthread_join(faulter.thread, NULL);
	ck_assert(faulter.zero);
}
END_TEST

START_TEST(next_load_moves_on)
{
	int i;

	make_ranges(9);
	for (i = 0; i < rounds(10); i++) {
		open_device();
		ck_move(dst, src, PAGES, REPLACE);
		module_goes();
		ck_load();
		open_device();
		ck_move(src, dst, PAGES, REPLACE);
		ck_arrived(src, dst, PAGES, TAG);
		module_goes();
		ck_load();
	}
}
END_TEST

/* What is where the device should be */

static dev_t device_number(void)
{
	struct stat st;

	ck_sys(stat(VMREMAP_DEVICE, &st));
	return st.st_rdev;
}

static void make_node(dev_t number)
{
	ck_sys(mknod(VMREMAP_DEVICE, S_IFCHR | 0660, number));
}

static void remove_node(void)
{
	if (unlink(VMREMAP_DEVICE))
		rmdir(VMREMAP_DEVICE);
}

static void start_with_the_node(void)
{
	if (!module_is_loaded("vmremap"))
		remove_node();
	start_loaded();
}

START_TEST(without_the_module_there_is_no_device)
{
	ck_unload();
	ck_unavailable(ENOENT);
	ck_assert_int_eq(vmremap_open(), -ENOENT);
}
END_TEST

START_TEST(removed_node_is_no_device)
{
	dev_t number = device_number();

	make_ranges(9);
	open_device();
	remove_node();
	ck_unavailable(ENOENT);
	ck_assert_int_eq(vmremap_open(), -ENOENT);
	ck_move(dst, src, PAGES, 0);
	ck_kept();
	make_node(number);
	ck_assert_int_eq(vmremap_available(NULL), 0);
	close_device();
	remove_node();
	ck_unload();
	ck_load();
}
END_TEST

START_TEST(stale_node_has_no_device_behind_it)
{
	dev_t number = device_number();

	ck_unload();
	make_node(number);
	ck_unavailable(ENODEV);
	ck_assert_int_eq(vmremap_open(), -ENODEV);
	remove_node();
	ck_load();
}
END_TEST

START_TEST(node_of_no_driver_has_no_device_behind_it)
{
	ck_unload();
	make_node(makedev(4000, 1));
	ck_unavailable(ENXIO);
	ck_assert_int_eq(vmremap_open(), -ENXIO);
	remove_node();
	ck_load();
}
END_TEST

/* The kernel leaves alone what it has not made itself. */
static void foreign_device(void (*make)(void), int error)
{
	ck_unload();
	make();
	ck_unavailable(error);
	ck_assert_int_eq(load_module(""), 0);
	ck_unavailable(error);
	ck_unload();
	ck_unavailable(error);
	remove_node();
	ck_load();
}

static void make_null(void)
{
	make_node(makedev(1, 3));
}

static void make_file(void)
{
	int fd = open(VMREMAP_DEVICE, O_CREAT | O_EXCL | O_WRONLY, 0600);

	ck_assert_int_ge(fd, 0);
	ck_sys(close(fd));
}

static void make_directory(void)
{
	ck_sys(mkdir(VMREMAP_DEVICE, 0700));
}

START_TEST(foreign_device_is_told_from_the_module)
{
	foreign_device(make_null, ENOTTY);
	foreign_device(make_file, ENOTTY);
	foreign_device(make_directory, EISDIR);
}
END_TEST

START_TEST(dangling_link_is_no_device)
{
	ck_unload();
	ck_sys(symlink("/dev/nowhere", VMREMAP_DEVICE));
	ck_unavailable(ENOENT);
	remove_node();
	ck_load();
}
END_TEST

/* Images that are refused */

static void start_with_image(void)
{
	start_loaded();
	ck_unload();
}

static void ck_refused_image(struct module_image image, int error)
{
	int rc = load_image(image);

	ck_assert_msg(rc == -error, "loading: %s, expected %s", strerror(-rc),
		      strerror(error));
	ck_assert(!module_is_loaded("vmremap"));
	ck_unavailable(ENOENT);
}

/* As the kernel's struct modversion_info has it. */
struct symbol_version {
	uint64_t crc;
	char name[56];
};

static void refuse_version(struct module_image image, const char *symbol,
			   int error)
{
	char *name = find_in_section(image, "__versions", symbol,
				     strlen(symbol) + 1);
	struct symbol_version *version =
		(void *)(name - offsetof(struct symbol_version, name));

	version->crc ^= 1;
	ck_refused_image(image, error);
	version->crc ^= 1;
}

START_TEST(module_of_another_build_is_refused)
{
	struct module_image image = read_image();
	char *magic = find_in_section(image, ".modinfo", "vermagic=", 9);
	char *option = strstr(magic, " SMP ");

	ck_assert_ptr_nonnull(option);
	memcpy(option, " UP  ", 5);
	ck_refused_image(image, ENOEXEC);
	memcpy(option, " SMP ", 5);
	/* Where symbols have versions of their own, the release does not count. */
	if (section_of(image, "__versions")) {
		refuse_version(image, "module_layout", ENOEXEC);
		refuse_version(image, "misc_register", EINVAL);
	} else {
		memcpy(magic, "vermagic=0", 10);
		ck_refused_image(image, ENOEXEC);
	}
	free(image.bytes);
	ck_load();
}
END_TEST

START_TEST(module_that_needs_an_unknown_symbol_is_refused)
{
	struct module_image image = read_image();
	char *symbol = find_in_section(image, ".strtab", "\0misc_register", 15);

	memcpy(symbol + 1, "mist_register", 13);
	/* With versions for each symbol this one has none. */
	ck_refused_image(image, ENOENT);
	free(image.bytes);
	ck_load();
}
END_TEST

START_TEST(truncated_module_is_refused)
{
	struct module_image image = read_image();
	size_t whole = image.length;
	int i;

	for (i = 0; i < 64; i++) {
		image.length = whole * i / 64;
		ck_refused_image(image, ENOEXEC);
	}
	image.length = whole - 1;
	ck_refused_image(image, ENOEXEC);
	image.length = whole;
	ck_assert_int_eq(load_image(image), 0);
	free(image.bytes);
}
END_TEST

static void refuse_header(struct module_image image,
			  void (*spoil)(Elf64_Ehdr *header))
{
	Elf64_Ehdr *header = (Elf64_Ehdr *)image.bytes;
	Elf64_Ehdr right = *header;

	spoil(header);
	ck_refused_image(image, ENOEXEC);
	*header = right;
}

static void spoil_magic(Elf64_Ehdr *header)
{
	header->e_ident[1] = 'M';
}

static void make_program(Elf64_Ehdr *header)
{
	header->e_type = ET_EXEC;
}

static void change_processor(Elf64_Ehdr *header)
{
	header->e_machine = EM_AARCH64;
}

static void change_section_size(Elf64_Ehdr *header)
{
	header->e_shentsize = 1;
}

static void point_past_the_end(Elf64_Ehdr *header)
{
	header->e_shoff = 1UL << 40;
}

static void wrap_around(Elf64_Ehdr *header)
{
	header->e_shoff = -64UL;
}

static void multiply_sections(Elf64_Ehdr *header)
{
	header->e_shnum = 0xfff0;
}

static void misplace_names(Elf64_Ehdr *header)
{
	header->e_shstrndx = header->e_shnum + 1;
}

START_TEST(module_with_a_corrupt_header_is_refused)
{
	struct module_image image = read_image();

	refuse_header(image, spoil_magic);
	refuse_header(image, make_program);
	refuse_header(image, change_processor);
	refuse_header(image, change_section_size);
	refuse_header(image, point_past_the_end);
	refuse_header(image, wrap_around);
	refuse_header(image, multiply_sections);
	refuse_header(image, misplace_names);
	ck_assert_int_eq(load_image(image), 0);
	free(image.bytes);
}
END_TEST

START_TEST(module_with_a_corrupt_section_is_refused)
{
	const char *const names[] = { ".text", ".modinfo", ".strtab",
				      ".gnu.linkonce.this_module" };
	struct module_image image = read_image();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		Elf64_Shdr *section = section_of(image, names[i]);
		Elf64_Shdr right;

		ck_assert_ptr_nonnull(section);
		right = *section;
		section->sh_offset = image.length;
		ck_refused_image(image, ENOEXEC);
		*section = right;
		section->sh_size = -1UL;
		ck_refused_image(image, ENOEXEC);
		*section = right;
	}
	ck_assert_int_eq(load_image(image), 0);
	free(image.bytes);
}
END_TEST

START_TEST(what_is_no_module_is_refused)
{
	struct module_image image = read_image();

	memset(image.bytes, 0, image.length);
	ck_refused_image(image, ENOEXEC);
	memset(image.bytes, 0xff, image.length);
	ck_refused_image(image, ENOEXEC);
	free(image.bytes);
	image.bytes = (unsigned char *)PAGE;
	ck_refused_image(image, EFAULT);
	ck_load();
}
END_TEST

/*
 * The level of messages that have none of their own: the kernel shows the stack
 * of who registers a name twice, and that is no more than information here.
 */
static int set_default_level(int level)
{
	const char *knob = "/proc/sys/kernel/printk";
	int console, old, lowest, boot;
	FILE *file = fopen(knob, "re");
	char text[80];

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(
		fscanf(file, "%d %d %d %d", &console, &old, &lowest, &boot), 4);
	fclose(file);
	snprintf(text, sizeof(text), "%d %d %d %d", console, level, lowest,
		 boot);
	ck_assert(write_knob(knob, text));
	return old;
}

START_TEST(second_module_of_the_device_is_refused)
{
	struct module_image image = read_image();
	char *name = find_in_section(image, ".gnu.linkonce.this_module",
				     "vmremap", 8);
	int rc, level;

	ck_load();
	memcpy(name, "vmtwice", 8);
	level = set_default_level(7);
	rc = load_image(image);
	set_default_level(level);
	ck_assert_msg(rc == -EEXIST || rc == -EBUSY, "loading: %s",
		      strerror(-rc));
	ck_assert(!module_is_loaded("vmtwice"));
	ck_assert_int_eq(vmremap_available(NULL), 0);
	/* Alone it is as good as the first. */
	ck_unload();
	ck_assert_int_eq(load_image(image), 0);
	ck_assert_int_eq(vmremap_available(NULL), 0);
	ck_assert_int_eq(unload_module("vmtwice"), 0);
	free(image.bytes);
	ck_load();
}
END_TEST

static void add_users(Suite *s)
{
	TCase *c = add_case_without_device(s, "users");

	tcase_add_checked_fixture(c, start_loaded, NULL);
	tcase_add_test(c, it_goes_and_comes_back);
	tcase_add_test(c, it_is_loaded_only_once);
	tcase_add_test(c, unknown_parameters_are_passed_over);
	tcase_add_test(c, every_open_descriptor_keeps_it);
	tcase_add_test(c, inherited_descriptor_keeps_it);
	tcase_add_test(c, descriptor_given_to_another_program_keeps_it);
	tcase_add_test(c, descriptor_on_its_way_keeps_it);
	tcase_add_test(c, descriptor_lost_on_its_way_lets_it_go);
	tcase_add_test(c, descriptor_registered_with_io_uring_keeps_it);
	tcase_add_test(c, name_of_the_device_does_not_keep_it);
	tcase_add_test(c, call_in_progress_keeps_it);
	tcase_add_test(c, killed_call_lets_it_go);
	tcase_add_test(c, it_goes_when_the_last_move_ends);
	tcase_add_test(c, descriptor_outlives_the_process_that_opened_it);
	tcase_add_test(c, opens_race_with_unloads);
	tcase_add_test(c, loads_race_with_unloads);
}

static void add_remains(Suite *s)
{
	TCase *c = add_case_without_device(s, "remains");

	tcase_add_checked_fixture(c, start_loaded, NULL);
	tcase_add_test(c, moved_pages_outlive_it);
	tcase_add_test(c, moved_huge_pages_outlive_it);
	tcase_add_test(c, scattered_pages_outlive_it);
	tcase_add_test(c, move_that_ended_half_way_outlives_it);
	tcase_add_test(c, part_of_a_huge_page_outlives_it);
	tcase_add_test(c, pin_that_ended_a_move_outlives_it);
	tcase_add_test(c, copies_of_shared_pages_outlive_it);
	tcase_add_test(c, child_of_a_mover_outlives_it);
	tcase_add_test(c, merged_pages_outlive_it);
	tcase_add_test(c, process_ends_after_it_has_gone);
	tcase_add_test(c, userfaultfd_outlives_it);
	tcase_add_test(c, thread_waits_for_a_page_over_a_reload);
	tcase_add_test(c, next_load_moves_on);
}

static void add_nodes(Suite *s)
{
	TCase *c = add_case_without_device(s, "nodes");

	tcase_add_checked_fixture(c, start_with_the_node, NULL);
	tcase_add_test(c, without_the_module_there_is_no_device);
	tcase_add_test(c, removed_node_is_no_device);
	tcase_add_test(c, stale_node_has_no_device_behind_it);
	tcase_add_test(c, node_of_no_driver_has_no_device_behind_it);
	tcase_add_test(c, foreign_device_is_told_from_the_module);
	tcase_add_test(c, dangling_link_is_no_device);
}

static void add_images(Suite *s)
{
	TCase *c = add_case_without_device(s, "images");

	tcase_add_checked_fixture(c, start_with_image, NULL);
	tcase_add_test(c, module_of_another_build_is_refused);
	tcase_add_test(c, module_that_needs_an_unknown_symbol_is_refused);
	tcase_add_test(c, truncated_module_is_refused);
	tcase_add_test(c, module_with_a_corrupt_header_is_refused);
	tcase_add_test(c, module_with_a_corrupt_section_is_refused);
	tcase_add_test(c, what_is_no_module_is_refused);
	tcase_add_test(c, second_module_of_the_device_is_refused);
}

int main(void)
{
	Suite *s = suite_create("lifecycle");
	int status;

	add_users(s);
	add_remains(s);
	add_nodes(s);
	add_images(s);
	status = run_suite(s);
	/* The suites that follow, and the harness, find it as it was. */
	load_module("");
	return status;
}
