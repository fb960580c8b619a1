/* SPDX-License-Identifier: GPL-2.0-only */
#include "suite.h"

#include <fcntl.h>
#include <time.h>

/* Emulated machines are slow; a hang is still found by the harness. */
#define TEST_TIMEOUT 120

int dev = -1;

/*
 * Where every test starts: huge pages only where a test asks for them, and
 * nothing in the background that fills holes or merges pages.
 */
static void reset_knobs(void)
{
	write_knob(THP_DIR "enabled", "madvise");
	write_knob(THP_DIR "defrag", "madvise");
	write_knob(THP_DIR "khugepaged/max_ptes_none", "0");
	write_knob(THP_DIR "hugepages-64kB/enabled", "never");
	write_knob(KSM_DIR "run", "0");
}

static void open_device(void)
{
	dev = vmremap_open();
	ck_assert_msg(dev >= 0, "cannot open " VMREMAP_DEVICE ": %s",
		      strerror(-dev));
}

static void close_device(void)
{
	vmremap_close(dev);
	dev = -1;
}

TCase *add_case_without_device(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, TEST_TIMEOUT);
	tcase_add_checked_fixture(tcase, reset_knobs, NULL);
	suite_add_tcase(suite, tcase);
	return tcase;
}

TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = add_case_without_device(suite, name);

	tcase_add_checked_fixture(tcase, open_device, close_device);
	return tcase;
}

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	reset_knobs();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* START_TEST(name) makes a function called name_fn. */
void note_skip(const char *function, const char *reason)
{
	const char *path = getenv("VMREMAP_SKIPS");
	int length = strlen(function);
	FILE *file;

	if (length > 3 && !strcmp(function + length - 3, "_fn"))
		length -= 3;
	fprintf(stderr, "skipped %.*s: %s\n", length, function, reason);
	file = path ? fopen(path, "a") : NULL;
	if (!file)
		return;
	fprintf(file, "%.*s\t%s\n", length, function, reason);
	fclose(file);
}

unsigned int seconds_from(const char *variable, unsigned int otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

bool slow_kernel(void)
{
	const char *kernel = getenv("VMREMAP_KERNEL");

	return kernel && strchr(kernel, '-');
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

bool write_knob(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

long read_knob(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

void read_whole(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buffer[4096];

	if (fd < 0)
		return;
	while (read(fd, buffer, sizeof(buffer)) > 0)
		continue;
	close(fd);
}
