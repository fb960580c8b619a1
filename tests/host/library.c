// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library by itself, on the machine that builds it: what it asks of the
 * device, and what it makes of the answers, those included that the module
 * gives only when something is wrong.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "libvmremap.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Never a count, so that one left unset is seen. */
#define UNSET ((size_t)-1)

/* A name for each error, and for a few that the contract does not know. */
static const int errors[] = {
	EINVAL, ENOENT, EPERM,	ENOMEM, EEXIST, EBUSY,	EFAULT,
	EAGAIN, EINTR,	E2BIG,	ENOTTY, EBADF,	EIO,	ENODEV,
	ENXIO,	EACCES, EMFILE, ENFILE, ENOSYS, EPROTO,
};

static int fd;

static void open_device(void)
{
	device_reset();
	fd = vmremap_open();
	ck_assert_int_ge(fd, 0);
}

/* Opening and closing */

START_TEST(open_asks_for_the_device)
{
	ck_assert_uint_eq(asked.opened, 1);
	ck_assert_str_eq(asked.path, "/dev/vmremap");
	ck_assert_int_eq(asked.open_flags, O_RDWR | O_CLOEXEC);
	ck_assert_uint_eq(asked.nr_calls, 0);
}
END_TEST

START_TEST(open_returns_each_error)
{
	device.open_error = errors[_i];
	ck_assert_int_eq(vmremap_open(), -errors[_i]);
	ck_assert_uint_eq(asked.opened, 2);
}
END_TEST

START_TEST(open_without_the_device_fails)
{
	device.exists = false;
	ck_assert_int_eq(vmremap_open(), -ENOENT);
}
END_TEST

START_TEST(descriptor_may_be_zero)
{
	size_t moved = UNSET;

	close(STDIN_FILENO);
	ck_assert_int_eq(vmremap_open(), 0);
	ck_assert_int_eq(vmremap_move(0, NULL, NULL, 4096, 0, &moved), 0);
	ck_assert_uint_eq(moved, 4096);
	ck_assert_int_eq(vmremap_close(0), 0);
	ck_assert_int_eq(vmremap_available(NULL), 0);
}
END_TEST

START_TEST(descriptor_is_closed_on_exec)
{
	int status;
	pid_t child = fork();
	char command[64];

	ck_assert_int_ge(child, 0);
	if (!child) {
		snprintf(command, sizeof(command), "[ ! -e /proc/self/fd/%d ]",
			 fd);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(EXIT_FAILURE);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}
END_TEST

START_TEST(close_closes)
{
	ck_assert_int_eq(vmremap_close(fd), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(vmremap_close(fd), -EBADF);
	ck_assert_int_eq(vmremap_close(-1), -EBADF);
}
END_TEST

START_TEST(close_returns_each_error)
{
	device.close_error = errors[_i];
	ck_assert_int_eq(vmremap_close(fd), -errors[_i]);
	ck_assert_uint_eq(asked.closed, 1);
}
END_TEST

/* The numbers that the module listens to, as the contract has them. */

START_TEST(operations_have_their_numbers)
{
	ck_assert_uint_eq(VMREMAP_IOC_QUERY, 0xC080F700);
	ck_assert_uint_eq(VMREMAP_IOC_MOVE, 0xC028F701);
	ck_assert_uint_eq(VMREMAP_IOC_MOVEV, 0xC028F702);
}
END_TEST

/* Query */

START_TEST(query_sends_its_size_alone)
{
	const struct vmremap_query only_size = { .size = 128 };
	struct vmremap_query query;

	memset(&query, 0xff, sizeof(query));
	ck_assert_int_eq(vmremap_query(fd, &query), 0);
	ck_assert_uint_eq(asked.nr_calls, 1);
	ck_assert_int_eq(asked.calls[0].fd, fd);
	ck_assert_uint_eq(asked.calls[0].operation, VMREMAP_IOC_QUERY);
	ck_assert_mem_eq(&asked.calls[0].request, &only_size,
			 sizeof(only_size));
}
END_TEST

START_TEST(query_returns_what_the_module_says)
{
	struct vmremap_query *query = malloc(sizeof(*query));

	ck_assert_ptr_nonnull(query);
	device.max_ranges = 77;
	ck_assert_int_eq(vmremap_query(fd, query), 0);
	ck_assert_uint_eq(query->abi_version, VMREMAP_ABI_VERSION);
	ck_assert_uint_eq(query->max_ranges, 77);
	ck_assert_uint_eq(query->op_flags[VMREMAP_OP_MOVEV],
			  VMREMAP_MOVE_FLAGS);
	ck_assert_str_eq(query->version, "stand-in");
	free(query);
}
END_TEST

START_TEST(query_returns_each_error)
{
	struct vmremap_query query;

	device.query_error = errors[_i];
	ck_assert_int_eq(vmremap_query(fd, &query), -errors[_i]);
	ck_assert_uint_eq(asked.nr_calls, 1);
}
END_TEST

/* Move */

#define LAST_PAGE ((void *)-4096L)

static const struct {
	void *dst, *src;
	size_t len;
	unsigned int flags;
} moves[] = {
	{ (void *)0x7f0000200000, (void *)0x7f0000400000, 1UL << 20, 0 },
	{ (void *)4096, LAST_PAGE, 4096, VMREMAP_MOVE_FLAGS },
	{ LAST_PAGE, (void *)4096, SIZE_MAX, UINT32_MAX },
	{ (void *)1, (void *)3, 5, 1U << 31 },
	{ NULL, NULL, 0, 0 },
};

/* What makes sense is for the module to say. */
START_TEST(move_sends_what_it_is_given)
{
	struct vmremap_move sent;

	ck_assert_int_eq(vmremap_move(fd, moves[_i].dst, moves[_i].src,
				      moves[_i].len, moves[_i].flags, NULL),
			 0);
	ck_assert_uint_eq(asked.nr_calls, 1);
	ck_assert_int_eq(asked.calls[0].fd, fd);
	ck_assert_uint_eq(asked.calls[0].operation, VMREMAP_IOC_MOVE);
	sent = asked.calls[0].request.move;
	ck_assert_uint_eq(sent.size, 40);
	ck_assert_uint_eq(sent.flags, moves[_i].flags);
	ck_assert_uint_eq(sent.range.dst, (uintptr_t)moves[_i].dst);
	ck_assert_uint_eq(sent.range.src, (uintptr_t)moves[_i].src);
	ck_assert_uint_eq(sent.range.len, moves[_i].len);
	ck_assert_uint_eq(sent.moved, 0);
}
END_TEST

START_TEST(move_tells_how_much_has_moved)
{
	size_t moved = UNSET;

	ck_assert_int_eq(vmremap_move(fd, NULL, NULL, 1UL << 40, 0, &moved), 0);
	ck_assert_uint_eq(moved, 1UL << 40);
}
END_TEST

static int error_of_move;

static int move_two_pages(union request *request)
{
	request->move.moved = 8192;
	return error_of_move;
}

/* Once, whatever the error: an EINTR or EAGAIN is for the caller. */
START_TEST(move_returns_each_error_and_its_progress)
{
	size_t moved = UNSET;

	error_of_move = errors[_i];
	device.move = move_two_pages;
	ck_assert_int_eq(vmremap_move(fd, NULL, NULL, 16384, 0, &moved),
			 -errors[_i]);
	ck_assert_uint_eq(moved, 8192);
	ck_assert_int_eq(vmremap_move(fd, NULL, NULL, 16384, 0, NULL),
			 -errors[_i]);
	ck_assert_uint_eq(asked.nr_calls, 2);
}
END_TEST

START_TEST(move_that_reached_no_module_has_moved_nothing)
{
	size_t moved = UNSET;

	ck_assert_int_eq(vmremap_move(-1, NULL, NULL, 4096, 0, &moved), -EBADF);
	ck_assert_uint_eq(moved, 0);
	device.is_foreign = true;
	moved = UNSET;
	ck_assert_int_eq(vmremap_move(fd, NULL, NULL, 4096, 0, &moved),
			 -ENOTTY);
	ck_assert_uint_eq(moved, 0);
}
END_TEST

/* Only a negative result is a failure. */
START_TEST(positive_result_is_success)
{
	struct vmremap_range range = {};
	struct vmremap_query query;

	device.result = 1;
	ck_assert_int_eq(vmremap_query(fd, &query), 0);
	ck_assert_int_eq(vmremap_move(fd, NULL, NULL, 4096, 0, NULL), 0);
	ck_assert_int_eq(vmremap_movev(fd, &range, 1, 0, NULL, NULL), 0);
	ck_assert_int_eq(vmremap_available(NULL), 0);
}
END_TEST

/* A vector */

#define PART 4

/*
 * Room for any number of ranges, that nobody may look at: the module reads them,
 * the library does not.
 */
static struct vmremap_range *unreadable_ranges(size_t nr)
{
	void *room = mmap(NULL, nr * sizeof(struct vmremap_range), PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(room, MAP_FAILED);
	return room;
}

/* How long the vectors were that were asked for, between the queries. */
static void ck_parts(const struct vmremap_range *ranges, const size_t *parts,
		     size_t nr)
{
	size_t i, at = 0;

	ck_assert_uint_eq(asked.nr_calls, nr);
	for (i = 0; i < nr; i++) {
		const struct call *call = &asked.calls[i];

		if (!parts[i]) {
			ck_assert_uint_eq(call->operation, VMREMAP_IOC_QUERY);
			at = 0;
			continue;
		}
		ck_assert_uint_eq(call->operation, VMREMAP_IOC_MOVEV);
		ck_assert_uint_eq(call->request.movev.nr_ranges, parts[i]);
		ck_assert_uint_eq(call->request.movev.ranges,
				  (uintptr_t)(ranges + at));
		at += parts[i];
	}
}

#define CK_PARTS(ranges, ...)                                   \
	do {                                                    \
		static const size_t parts_[] = { __VA_ARGS__ }; \
		ck_parts(ranges, parts_, ARRAY_SIZE(parts_));   \
	} while (0)

#define QUERY 0

START_TEST(vector_sends_what_it_is_given)
{
	struct vmremap_range *ranges = unreadable_ranges(3);
	const struct vmremap_movev expected = {
		.size = 40,
		.flags = UINT32_MAX,
		.ranges = (uintptr_t)ranges,
		.nr_ranges = 3,
	};

	ck_assert_int_eq(vmremap_movev(fd, ranges, 3, UINT32_MAX, NULL, NULL),
			 0);
	ck_assert_int_eq(asked.calls[0].fd, fd);
	ck_assert_mem_eq(&asked.calls[0].request.movev, &expected,
			 sizeof(expected));
	/* No query: most callers have few ranges. */
	CK_PARTS(ranges, 3);
}
END_TEST

static void ck_all_move(size_t max, size_t nr)
{
	struct vmremap_range *ranges = unreadable_ranges(nr);
	size_t moved = UNSET, done = UNSET;

	device.max_ranges = max;
	ck_assert_int_eq(vmremap_movev(fd, ranges, nr, 0, &moved, &done), 0);
	ck_assert_uint_eq(done, nr);
	ck_assert_uint_eq(moved, nr * 4096);
	munmap(ranges, nr * sizeof(*ranges));
}

START_TEST(vector_of_any_length_moves_whole)
{
	size_t nr;

	for (nr = 1; nr < 4 * PART; nr++)
		ck_all_move(PART, nr);
	ck_all_move(1, 20);
}
END_TEST

START_TEST(longest_vector_goes_in_one_call)
{
	struct vmremap_range *ranges = unreadable_ranges(PART);

	device.max_ranges = PART;
	ck_assert_int_eq(vmremap_movev(fd, ranges, PART, 0, NULL, NULL), 0);
	CK_PARTS(ranges, PART);
}
END_TEST

START_TEST(longer_vector_goes_in_parts)
{
	struct vmremap_range *ranges = unreadable_ranges(2 * PART + 1);

	device.max_ranges = PART;
	ck_assert_int_eq(vmremap_movev(fd, ranges, 2 * PART + 1,
				       VMREMAP_MOVE_REPLACE, NULL, NULL),
			 0);
	CK_PARTS(ranges, 2 * PART + 1, QUERY, PART, PART, 1);
	ck_assert_uint_eq(asked.calls[4].request.movev.flags,
			  VMREMAP_MOVE_REPLACE);
}
END_TEST

START_TEST(no_empty_part_follows_the_last)
{
	struct vmremap_range *ranges = unreadable_ranges(2 * PART);

	device.max_ranges = PART;
	ck_assert_int_eq(vmremap_movev(fd, ranges, 2 * PART, 0, NULL, NULL), 0);
	CK_PARTS(ranges, 2 * PART, QUERY, PART, PART);
}
END_TEST

/* More than the 32 bits of nr_ranges can say. */
START_TEST(count_beyond_32_bits_goes_in_parts)
{
	const size_t nr = 4UL * (1 << 30) + 5;
	struct vmremap_range *ranges = unreadable_ranges(nr);
	size_t moved = UNSET, done = UNSET;

	device.max_ranges = 1 << 30;
	ck_assert_int_eq(vmremap_movev(fd, ranges, nr, 0, &moved, &done), 0);
	CK_PARTS(ranges, UINT32_MAX, QUERY, 1 << 30, 1 << 30, 1 << 30, 1 << 30,
		 5);
	ck_assert_uint_eq(done, nr);
	ck_assert_uint_eq(moved, nr * 4096);
}
END_TEST

START_TEST(module_may_take_all_that_32_bits_can_say)
{
	const size_t nr = UINT32_MAX + 7UL;
	struct vmremap_range *ranges = unreadable_ranges(nr);
	size_t done = UNSET;

	device.max_ranges = UINT32_MAX;
	ck_assert_int_eq(vmremap_movev(fd, ranges, nr, 0, NULL, &done), 0);
	CK_PARTS(ranges, UINT32_MAX, 7);
	ck_assert_uint_eq(done, nr);
}
END_TEST

START_TEST(empty_vector_is_the_modules_to_refuse)
{
	size_t moved = UNSET, done = UNSET;

	ck_assert_int_eq(vmremap_movev(fd, NULL, 0, 0, &moved, &done), -EINVAL);
	ck_assert_uint_eq(moved, 0);
	ck_assert_uint_eq(done, 0);
}
END_TEST

static int error_of_movev;
static size_t parts_before_error;

/* Fails in the part after those, with one range done and one begun. */
static int movev_fails(union request *request)
{
	struct vmremap_movev *asks = &request->movev;

	if (parts_before_error) {
		parts_before_error--;
		asks->done = asks->nr_ranges;
		asks->moved = asks->nr_ranges * 4096ULL;
		return 0;
	}
	asks->done = 1;
	asks->moved = 4096 + 512;
	return error_of_movev;
}

START_TEST(vector_returns_each_error_and_its_progress)
{
	struct vmremap_range *ranges = unreadable_ranges(PART);
	size_t moved = UNSET, done = UNSET;

	error_of_movev = errors[_i];
	device.max_ranges = PART;
	device.movev = movev_fails;
	ck_assert_int_eq(vmremap_movev(fd, ranges, PART, 0, &moved, &done),
			 -errors[_i]);
	ck_assert_uint_eq(done, 1);
	ck_assert_uint_eq(moved, 4096 + 512);
	/* An EINVAL could be for the length: it asks once, and believes it. */
	ck_assert_uint_eq(asked.nr_calls, errors[_i] == EINVAL ? 2 : 1);
	ck_assert_int_eq(vmremap_movev(fd, ranges, PART, 0, NULL, NULL),
			 -errors[_i]);
}
END_TEST

START_TEST(error_in_a_later_part_keeps_the_earlier_ones)
{
	struct vmremap_range *ranges = unreadable_ranges(4 * PART);
	size_t moved = UNSET, done = UNSET;

	error_of_movev = errors[_i];
	parts_before_error = 2;
	device.max_ranges = PART;
	device.movev = movev_fails;
	ck_assert_int_eq(vmremap_movev(fd, ranges, 4UL * PART, 0, &moved,
				       &done),
			 -errors[_i]);
	CK_PARTS(ranges, 4 * PART, QUERY, PART, PART, PART);
	ck_assert_uint_eq(done, 2 * PART + 1);
	ck_assert_uint_eq(moved, (2 * PART + 1) * 4096 + 512);
}
END_TEST

START_TEST(refused_length_is_an_error_where_no_query_helps)
{
	struct vmremap_range *ranges = unreadable_ranges(2 * PART);
	size_t moved = UNSET, done = UNSET;

	device.max_ranges = PART;
	device.query_error = errors[_i];
	ck_assert_int_eq(vmremap_movev(fd, ranges, 2 * PART, 0, &moved, &done),
			 -EINVAL);
	CK_PARTS(ranges, 2 * PART, QUERY);
	ck_assert_uint_eq(moved, 0);
	ck_assert_uint_eq(done, 0);
}
END_TEST

START_TEST(module_that_takes_no_ranges_is_asked_once)
{
	struct vmremap_range *ranges = unreadable_ranges(PART);

	device.max_ranges = 0;
	ck_assert_int_eq(vmremap_movev(fd, ranges, PART, 0, NULL, NULL),
			 -EINVAL);
	CK_PARTS(ranges, PART, QUERY);
}
END_TEST

START_TEST(vector_that_reached_no_module_has_moved_nothing)
{
	struct vmremap_range range = {};
	size_t moved = UNSET, done = UNSET;

	ck_assert_int_eq(vmremap_movev(-1, &range, 1, 0, &moved, &done),
			 -EBADF);
	ck_assert_uint_eq(moved, 0);
	ck_assert_uint_eq(done, 0);
	device.is_foreign = true;
	ck_assert_int_eq(vmremap_movev(fd, &range, 1, 0, NULL, NULL), -ENOTTY);
}
END_TEST

/* Whether it can be used, and if not, why */

static const struct {
	int error;
	const char *advice;
} refusals[] = {
	{ ENOENT, "modprobe vmremap" },
	{ ENOENT, "container" },
	{ ENODEV, "modprobe vmremap" },
	{ ENXIO, "no module behind it" },
	{ EACCES, "group vmremap" },
	{ EPERM, "container or security policy" },
	{ EMFILE, "too many open files" },
	{ ENFILE, "too many open files" },
	{ ENOMEM, "the error number" },
	{ EINTR, "the error number" },
};

/* The answer is the same with a place for the reason and without one. */
static void ck_available(int expected, const char *words)
{
	const char *why = NULL, *again = NULL;
	size_t closed_before = asked.closed, opened = asked.opened;

	ck_assert_int_eq(vmremap_available(&why), expected);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, words), "\"%s\" has no \"%s\"", why, words);
	ck_assert_int_eq(vmremap_available(&again), expected);
	ck_assert_ptr_eq(again, why);
	ck_assert_int_eq(vmremap_available(NULL), expected);

	ck_assert_uint_eq(asked.opened, opened + 3);
	if (device.open_error || !device.exists)
		ck_assert_uint_eq(asked.closed, closed_before);
	else
		ck_assert_uint_eq(asked.closed, closed_before + 3);
}

START_TEST(available_says_why_it_cannot_open)
{
	device.open_error = refusals[_i].error;
	ck_available(-refusals[_i].error, refusals[_i].advice);
	ck_available(-refusals[_i].error, "/dev/vmremap");
}
END_TEST

START_TEST(available_is_right_without_the_device)
{
	device.exists = false;
	ck_available(-ENOENT, "there is no /dev/vmremap");
}
END_TEST

START_TEST(available_knows_a_foreign_device)
{
	device.is_foreign = true;
	ck_available(-ENOTTY, "not the vmremap module's device");
}
END_TEST

START_TEST(available_says_that_a_query_failed)
{
	const bool foreign = errors[_i] == ENOTTY;

	device.query_error = errors[_i];
	ck_available(-errors[_i], foreign ? "not the vmremap module's device"
					  : "does not answer a query");
}
END_TEST

START_TEST(available_tells_old_from_new)
{
	device.abi_version = VMREMAP_ABI_VERSION - 1;
	ck_available(-EPROTO, "too old for libvmremap: update the module");
	device.abi_version = VMREMAP_ABI_VERSION + 1;
	ck_available(-EPROTO, "too new for libvmremap: update the library");
	device.abi_version = UINT32_MAX;
	ck_available(-EPROTO, "too new");
}
END_TEST

START_TEST(available_where_all_is_well)
{
	ck_available(0, "is available");
	ck_assert_int_eq(asked.calls[0].fd, asked.calls[1].fd);
	ck_assert_uint_eq(asked.calls[0].operation, VMREMAP_IOC_QUERY);
}
END_TEST

START_TEST(failing_close_makes_nothing_unavailable)
{
	device.close_error = EINTR;
	ck_available(0, "is available");
}
END_TEST

START_TEST(version_is_that_of_the_sources)
{
	ck_assert_str_eq(vmremap_version(), EXPECTED_VERSION);
	ck_assert_ptr_eq(vmremap_version(), vmremap_version());
	ck_assert_uint_eq(asked.nr_calls, 0);
}
END_TEST

/* Threads */

#define THREADS 8
#define ROUNDS 2000

/* The error is told by the length, and the progress by both. */
static int move_by_length(union request *request)
{
	struct vmremap_move *asks = &request->move;

	asks->moved = asks->range.len / 2;
	return (int)(asks->range.len % 3 ? EBUSY : 0);
}

static void *call_by_turns(void *argument)
{
	const size_t len = 3000 + (size_t)(uintptr_t)argument;
	struct vmremap_range ranges[2 * PART] = {};
	size_t i, moved, done;

	for (i = 0; i < ROUNDS; i++) {
		size_t nr = 1 + (i + len) % (2 * PART);

		if (vmremap_move(fd, NULL, NULL, len, 0, &moved) !=
			    (len % 3 ? -EBUSY : 0) ||
		    moved != len / 2)
			return "a move has the result of another";
		if (vmremap_movev(fd, ranges, nr, 0, &moved, &done) ||
		    moved != nr * 4096 || done != nr)
			return "a vector has the result of another";
	}
	return NULL;
}

START_TEST(threads_share_a_descriptor)
{
	pthread_t threads[THREADS];
	size_t i;
	void *trouble;

	device.max_ranges = PART;
	device.move = move_by_length;
	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						call_by_turns, (void *)i),
				 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &trouble);
		ck_assert_msg(!trouble, "%s", (char *)trouble);
	}
}
END_TEST

static void add_open_tests(TCase *c)
{
	tcase_add_test(c, open_asks_for_the_device);
	tcase_add_loop_test(c, open_returns_each_error, 0, ARRAY_SIZE(errors));
	tcase_add_test(c, open_without_the_device_fails);
	tcase_add_test(c, descriptor_may_be_zero);
	tcase_add_test(c, descriptor_is_closed_on_exec);
	tcase_add_test(c, close_closes);
	tcase_add_loop_test(c, close_returns_each_error, 0, ARRAY_SIZE(errors));
}

static void add_query_tests(TCase *c)
{
	tcase_add_test(c, operations_have_their_numbers);
	tcase_add_test(c, query_sends_its_size_alone);
	tcase_add_test(c, query_returns_what_the_module_says);
	tcase_add_loop_test(c, query_returns_each_error, 0, ARRAY_SIZE(errors));
	tcase_add_test(c, version_is_that_of_the_sources);
}

static void add_move_tests(TCase *c)
{
	tcase_add_loop_test(c, move_sends_what_it_is_given, 0,
			    ARRAY_SIZE(moves));
	tcase_add_test(c, move_tells_how_much_has_moved);
	tcase_add_loop_test(c, move_returns_each_error_and_its_progress, 0,
			    ARRAY_SIZE(errors));
	tcase_add_test(c, move_that_reached_no_module_has_moved_nothing);
	tcase_add_test(c, positive_result_is_success);
	tcase_add_test(c, threads_share_a_descriptor);
}

static void add_vector_tests(TCase *c)
{
	tcase_add_test(c, vector_sends_what_it_is_given);
	tcase_add_test(c, vector_of_any_length_moves_whole);
	tcase_add_test(c, longest_vector_goes_in_one_call);
	tcase_add_test(c, longer_vector_goes_in_parts);
	tcase_add_test(c, no_empty_part_follows_the_last);
	tcase_add_test(c, count_beyond_32_bits_goes_in_parts);
	tcase_add_test(c, module_may_take_all_that_32_bits_can_say);
	tcase_add_test(c, empty_vector_is_the_modules_to_refuse);
	tcase_add_loop_test(c, vector_returns_each_error_and_its_progress, 0,
			    ARRAY_SIZE(errors));
	tcase_add_loop_test(c, error_in_a_later_part_keeps_the_earlier_ones, 0,
			    ARRAY_SIZE(errors));
	tcase_add_loop_test(c, refused_length_is_an_error_where_no_query_helps,
			    0, ARRAY_SIZE(errors));
	tcase_add_test(c, module_that_takes_no_ranges_is_asked_once);
	tcase_add_test(c, vector_that_reached_no_module_has_moved_nothing);
}

static void add_available_tests(TCase *c)
{
	tcase_add_loop_test(c, available_says_why_it_cannot_open, 0,
			    ARRAY_SIZE(refusals));
	tcase_add_test(c, available_is_right_without_the_device);
	tcase_add_test(c, available_knows_a_foreign_device);
	tcase_add_loop_test(c, available_says_that_a_query_failed, 0,
			    ARRAY_SIZE(errors));
	tcase_add_test(c, available_tells_old_from_new);
	tcase_add_test(c, available_where_all_is_well);
	tcase_add_test(c, failing_close_makes_nothing_unavailable);
}

static void add_case(Suite *s, const char *name, void (*add_tests)(TCase *c))
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, open_device, NULL);
	add_tests(c);
	suite_add_tcase(s, c);
}

int main(void)
{
	Suite *s = suite_create("library");
	SRunner *runner = srunner_create(s);
	int failed;

	add_case(s, "open", add_open_tests);
	add_case(s, "query", add_query_tests);
	add_case(s, "move", add_move_tests);
	add_case(s, "vector", add_vector_tests);
	add_case(s, "available", add_available_tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
