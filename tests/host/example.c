// SPDX-License-Identifier: GPL-2.0-only
/*
 * The example program, whole, on the stand-in: it must say what is wrong, and
 * notice memory that is not where it should be.
 */
#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

/* The main of lib/examples/compact.c, renamed by the build. */
int compact_main(void);

static char output[4096];

/* Runs it in a child; what it prints is in @output. Returns its status. */
static int run_example(void)
{
	FILE *file = tmpfile();
	size_t length;
	int status;
	pid_t child;

	ck_assert_ptr_nonnull(file);
	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		dup2(fileno(file), STDOUT_FILENO);
		dup2(fileno(file), STDERR_FILENO);
		exit(compact_main());
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	rewind(file);
	length = fread(output, 1, sizeof(output) - 1, file);
	output[length] = 0;
	fclose(file);
	return WEXITSTATUS(status);
}

#define ck_says(words) \
	ck_assert_msg(strstr(output, words), "it says \"%s\"", output)

/* Moves as a program can: by copying. */
static int move_ranges(union request *request)
{
	struct vmremap_movev *asks = &request->movev;
	const struct vmremap_range *range = (void *)(uintptr_t)asks->ranges;

	for (; asks->done < asks->nr_ranges; asks->done++, range++) {
		void *src = (void *)(uintptr_t)range->src;

		memcpy((void *)(uintptr_t)range->dst, src, range->len);
		madvise(src, range->len, MADV_DONTNEED);
		asks->moved += range->len;
	}
	return 0;
}

/* Says that it moves. */
static int move_nothing(union request *request)
{
	struct vmremap_movev *asks = &request->movev;

	asks->done = asks->nr_ranges;
	asks->moved = asks->nr_ranges * 4096ULL;
	return 0;
}

static int move_three(union request *request)
{
	request->movev.done = 3;
	request->movev.moved = 3 * 4096;
	return EBUSY;
}

START_TEST(example_compacts_a_heap)
{
	device.movev = move_ranges;
	ck_assert_int_eq(run_example(), EXIT_SUCCESS);
	ck_says("1024 live pages of 4096 bytes, scattered over 4096\n");
	ck_says("moved 1024 ranges, 4194304 bytes\n");
	ck_says("all live pages are in place, the old heap is empty\n");
}
END_TEST

START_TEST(example_notices_what_is_not_in_place)
{
	device.movev = move_nothing;
	ck_assert_int_eq(run_example(), EXIT_FAILURE);
	/* Each live page is missing at one side, and left over at the other. */
	ck_says("2048 pages have the wrong content\n");
}
END_TEST

START_TEST(example_tells_how_far_it_came)
{
	device.movev = move_three;
	ck_assert_int_eq(run_example(), EXIT_FAILURE);
	ck_says("moved 3 ranges, 12288 bytes\n");
	ck_says("compact: vmremap_movev: Device or resource busy\n");
}
END_TEST

START_TEST(example_says_what_is_in_the_way)
{
	device.exists = false;
	ck_assert_int_eq(run_example(), EXIT_FAILURE);
	ck_says("compact: there is no /dev/vmremap");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("example");
	TCase *c = tcase_create("compact");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(c, device_reset, NULL);
	tcase_add_test(c, example_compacts_a_heap);
	tcase_add_test(c, example_notices_what_is_not_in_place);
	tcase_add_test(c, example_tells_how_far_it_came);
	tcase_add_test(c, example_says_what_is_in_the_way);
	suite_add_tcase(s, c);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
