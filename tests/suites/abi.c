// SPDX-License-Identifier: GPL-2.0-only
/* The interface itself: structs, sizes, flags, pointers, the device node. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "lib/child.h"
#include "lib/moves.h"

_Static_assert(sizeof(struct vmremap_query) == 128, "query has a fixed layout");
_Static_assert(sizeof(struct vmremap_range) == 24, "range has a fixed layout");
_Static_assert(sizeof(struct vmremap_move) == 40, "move has a fixed layout");
_Static_assert(sizeof(struct vmremap_movev) == 40, "movev has a fixed layout");

/*
 * One request of each operation, on the same two pages, in memory with room
 * behind it for what a later version may add.
 */
struct request {
	const char *name;
	unsigned long number;
	size_t size;
	size_t unknown_flags;
};

static const struct request query = {
	"QUERY",
	VMREMAP_IOC_QUERY,
	sizeof(struct vmremap_query),
	1,
};
static const struct request move = {
	"MOVE",
	VMREMAP_IOC_MOVE,
	sizeof(struct vmremap_move),
	VMREMAP_MOVE_FLAGS + 1,
};
static const struct request movev = {
	"MOVEV",
	VMREMAP_IOC_MOVEV,
	sizeof(struct vmremap_movev),
	VMREMAP_MOVE_FLAGS + 1,
};

#define DATA_PAGES 2
#define TAG 7

static char *src, *dst;
static struct vmremap_range whole;

static void make_data(void)
{
	src = map_pages(DATA_PAGES, 3, SMALL);
	dst = map_pages(DATA_PAGES, 5, SMALL);
	fill(src, DATA_PAGES, TAG);
	whole = range_of(dst, src, DATA_PAGES);
}

static void ck_nothing_moved(void)
{
	ck_untouched(dst, src, DATA_PAGES, TAG);
}

/* Puts a right request at `at`; every kind begins with size and flags. */
static void write_request(const struct request *kind, void *at)
{
	struct vmremap_move *m = at;
	struct vmremap_movev *v = at;

	memset(at, 0, kind->size);
	*(uint32_t *)at = kind->size;
	if (kind == &move) {
		m->range = whole;
	} else if (kind == &movev) {
		v->ranges = (uintptr_t)&whole;
		v->nr_ranges = 1;
	}
}

static void set_size(void *request, uint32_t size)
{
	*(uint32_t *)request = size;
}

static void set_flags(void *request, uint32_t flags)
{
	((uint32_t *)request)[1] = flags;
}

/* Two pages for a request, of zeros, with nothing mapped behind them. */
static char *request_room(void)
{
	return map_pages(2, 0, SMALL);
}

#define ck_ioctl_fails(kind, number, request, error)                       \
	do {                                                               \
		int rc_ = ioctl(dev, number, request);                     \
		ck_assert_msg(rc_ == -1 && errno == (error),               \
			      "%s gave %d, %s; expected %s", (kind)->name, \
			      rc_, strerror(errno), strerror(error));      \
	} while (0)

#define ck_ioctl_works(kind, number, request)                   \
	do {                                                    \
		int rc_ = ioctl(dev, number, request);          \
		ck_assert_msg(rc_ == 0, "%s: %s", (kind)->name, \
			      strerror(errno));                 \
	} while (0)

static void ck_moved_if_it_moves(const struct request *kind)
{
	if (kind == &query)
		ck_nothing_moved();
	else
		ck_arrived(dst, src, DATA_PAGES, TAG);
}

/* Each of these shows one case for one kind of request. */

static void short_struct_is_refused(const struct request *kind)
{
	char *request = request_room();
	uint32_t size;

	for (size = 0; size < kind->size; size += 4) {
		write_request(kind, request);
		set_size(request, size);
		ck_ioctl_fails(kind, kind->number, request, EINVAL);
	}
	write_request(kind, request);
	set_size(request, kind->size - 1);
	ck_ioctl_fails(kind, kind->number, request, EINVAL);
	ck_nothing_moved();
}

static void right_struct_works(const struct request *kind)
{
	char *request = request_room();

	write_request(kind, request);
	ck_ioctl_works(kind, kind->number, request);
	ck_moved_if_it_moves(kind);
}

static void longer_struct_works(const struct request *kind, size_t size)
{
	char *request = request_room();
	size_t i;

	write_request(kind, request);
	set_size(request, size);
	ck_ioctl_works(kind, kind->number, request);
	for (i = kind->size; i < size; i++)
		ck_assert_msg(!request[i], "byte %zu of the tail changed", i);
	ck_moved_if_it_moves(kind);
}

static void dirty_tail_is_too_big(const struct request *kind)
{
	const size_t dirty[] = { kind->size, kind->size + 7, 1024, PAGE - 1 };
	char *request = request_room();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirty); i++) {
		memset(request, 0, PAGE);
		write_request(kind, request);
		set_size(request, dirty[i] + 1);
		request[dirty[i]] = 1;
		ck_ioctl_fails(kind, kind->number, request, E2BIG);
	}
	ck_nothing_moved();
}

static void more_than_a_page_is_too_big(const struct request *kind)
{
	char *request = request_room();

	write_request(kind, request);
	set_size(request, PAGE + 1);
	ck_ioctl_fails(kind, kind->number, request, E2BIG);
	set_size(request, UINT32_MAX);
	ck_ioctl_fails(kind, kind->number, request, E2BIG);
	ck_nothing_moved();
}

static void unknown_flags_are_refused(const struct request *kind)
{
	char *request = request_room();
	uint64_t flag;

	for (flag = kind->unknown_flags; flag <= UINT32_MAX; flag <<= 1) {
		write_request(kind, request);
		set_flags(request, flag);
		ck_ioctl_fails(kind, kind->number, request, EINVAL);
	}
	ck_nothing_moved();
}

static void bad_pointers_fault(const struct request *kind)
{
	char *request = request_room();
	char *end = request + 2 * PAGE;
	char *cut = end - kind->size + 8;

	ck_ioctl_fails(kind, kind->number, NULL, EFAULT);
	ck_ioctl_fails(kind, kind->number, end, EFAULT);
	ck_ioctl_fails(kind, kind->number, (void *)~7UL, EFAULT);

	/* All but its last word is there. */
	write_request(kind, request);
	memcpy(cut, request, kind->size - 8);
	ck_ioctl_fails(kind, kind->number, cut, EFAULT);
	ck_nothing_moved();
}

static void struct_at_the_end_of_memory_works(const struct request *kind)
{
	char *request = request_room() + 2 * PAGE - kind->size;

	write_request(kind, request);
	ck_ioctl_works(kind, kind->number, request);
	ck_moved_if_it_moves(kind);
}

static void longer_struct_past_memory_faults(const struct request *kind)
{
	char *request = request_room() + 2 * PAGE - kind->size;

	write_request(kind, request);
	set_size(request, kind->size + 64);
	ck_ioctl_fails(kind, kind->number, request, EFAULT);
	ck_nothing_moved();
}

static void read_only_struct_faults(const struct request *kind)
{
	char *request = request_room();

	write_request(kind, request);
	ck_sys(mprotect(request, 2 * PAGE, PROT_READ));
	ck_ioctl_fails(kind, kind->number, request, EFAULT);
	ck_nothing_moved();
}

/* The number alone says which operation it is, so that structs can grow. */
static void encoded_size_is_not_minded(const struct request *kind)
{
	const size_t sizes[] = { 8, kind->size + 8, 4096 };
	unsigned int nr = _IOC_NR(kind->number);
	char *request = request_room();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned long number = _IOC(_IOC_READ | _IOC_WRITE,
					    VMREMAP_IOC_MAGIC, nr, sizes[i]);

		write_request(kind, request);
		ck_ioctl_works(kind, number, request);
		ck_moved_if_it_moves(kind);
		make_data();
	}
}

#define TESTS_OF(kind)                                                        \
	START_TEST(kind##_short_struct_is_refused)                            \
	{                                                                     \
		short_struct_is_refused(&kind);                               \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_right_struct_works)                                 \
	{                                                                     \
		right_struct_works(&kind);                                    \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_longer_struct_with_zero_tail_works)                 \
	{                                                                     \
		longer_struct_works(&kind, kind.size + 64);                   \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_struct_of_a_page_works)                             \
	{                                                                     \
		longer_struct_works(&kind, PAGE);                             \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_dirty_tail_is_too_big)                              \
	{                                                                     \
		dirty_tail_is_too_big(&kind);                                 \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_more_than_a_page_is_too_big)                        \
	{                                                                     \
		more_than_a_page_is_too_big(&kind);                           \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_unknown_flags_are_refused)                          \
	{                                                                     \
		unknown_flags_are_refused(&kind);                             \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_bad_pointers_fault)                                 \
	{                                                                     \
		bad_pointers_fault(&kind);                                    \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_struct_at_the_end_of_memory_works)                  \
	{                                                                     \
		struct_at_the_end_of_memory_works(&kind);                     \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_longer_struct_past_memory_faults)                   \
	{                                                                     \
		longer_struct_past_memory_faults(&kind);                      \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_read_only_struct_faults)                            \
	{                                                                     \
		read_only_struct_faults(&kind);                               \
	}                                                                     \
	END_TEST                                                              \
	START_TEST(kind##_encoded_size_is_not_minded)                         \
	{                                                                     \
		encoded_size_is_not_minded(&kind);                            \
	}                                                                     \
	END_TEST                                                              \
	static void add_tests_of_##kind(Suite *s)                             \
	{                                                                     \
		TCase *c = add_case(s, #kind);                                \
		tcase_add_checked_fixture(c, make_data, NULL);                \
		tcase_add_test(c, kind##_short_struct_is_refused);            \
		tcase_add_test(c, kind##_right_struct_works);                 \
		tcase_add_test(c, kind##_longer_struct_with_zero_tail_works); \
		tcase_add_test(c, kind##_struct_of_a_page_works);             \
		tcase_add_test(c, kind##_dirty_tail_is_too_big);              \
		tcase_add_test(c, kind##_more_than_a_page_is_too_big);        \
		tcase_add_test(c, kind##_unknown_flags_are_refused);          \
		tcase_add_test(c, kind##_bad_pointers_fault);                 \
		tcase_add_test(c, kind##_struct_at_the_end_of_memory_works);  \
		tcase_add_test(c, kind##_longer_struct_past_memory_faults);   \
		tcase_add_test(c, kind##_read_only_struct_faults);            \
		tcase_add_test(c, kind##_encoded_size_is_not_minded);         \
	}

TESTS_OF(query)
TESTS_OF(move)
TESTS_OF(movev)

/* What a query says */

static struct vmremap_query ask(void)
{
	struct vmremap_query q = { .size = sizeof(q) };

	ck_assert_int_eq(ioctl(dev, VMREMAP_IOC_QUERY, &q), 0);
	return q;
}

START_TEST(query_tells_the_abi_version)
{
	ck_assert_uint_eq(ask().abi_version, VMREMAP_ABI_VERSION);
}
END_TEST

START_TEST(query_lists_the_operations)
{
	const uint64_t all = 1ULL << VMREMAP_OP_QUERY |
			     1ULL << VMREMAP_OP_MOVE | 1ULL << VMREMAP_OP_MOVEV;
	struct vmremap_query q = ask();

	ck_assert_uint_eq(q.ops & all, all);
	ck_assert_uint_eq(q.ops >> VMREMAP_MAX_OPS, 0);
}
END_TEST

START_TEST(query_lists_the_flags_of_each_operation)
{
	struct vmremap_query q = ask();
	int i;

	ck_assert_uint_eq(q.op_flags[VMREMAP_OP_QUERY], 0);
	ck_assert_uint_eq(q.op_flags[VMREMAP_OP_MOVE], VMREMAP_MOVE_FLAGS);
	ck_assert_uint_eq(q.op_flags[VMREMAP_OP_MOVEV], VMREMAP_MOVE_FLAGS);
	for (i = 0; i < VMREMAP_MAX_OPS; i++) {
		if (!(q.ops & 1ULL << i))
			ck_assert_uint_eq(q.op_flags[i], 0);
	}
}
END_TEST

START_TEST(query_allows_4096_ranges)
{
	ck_assert_uint_ge(ask().max_ranges, 4096);
}
END_TEST

static bool kernel_is_6_1(void)
{
	struct utsname name;

	uname(&name);
	return !strncmp(name.release, "6.1.", 4);
}

START_TEST(query_tells_what_this_kernel_lacks)
{
	uint64_t lacks = kernel_is_6_1() ? VMREMAP_LACKS_UFFDIO_MOVE : 0;

	ck_assert_uint_eq(ask().lacks, lacks);
}
END_TEST

START_TEST(query_gives_the_version_of_the_library_beside_it)
{
	struct vmremap_query q = ask();

	ck_assert_ptr_nonnull(memchr(q.version, 0, sizeof(q.version)));
	ck_assert_str_eq(q.version, vmremap_version());
}
END_TEST

START_TEST(query_overwrites_what_it_answers)
{
	struct vmremap_query clean = ask(), dirty;

	memset(&dirty, 0xff, sizeof(dirty));
	dirty.size = sizeof(dirty);
	dirty.flags = 0;
	ck_assert_int_eq(ioctl(dev, VMREMAP_IOC_QUERY, &dirty), 0);
	ck_assert_mem_eq(&clean, &dirty, sizeof(clean));
}
END_TEST

/* Numbers that mean nothing */

START_TEST(unknown_operations_are_no_operations)
{
	const struct request unknown = { .name = "unknown number" };
	uint64_t ops = ask().ops;
	char *request = request_room();
	unsigned int nr;

	for (nr = 0; nr < 256; nr++) {
		if (nr < 64 && ops & 1ULL << nr)
			continue;
		set_size(request, 64);
		ck_ioctl_fails(&unknown, _IOWR(VMREMAP_IOC_MAGIC, nr, char[64]),
			       request, ENOTTY);
	}
}
END_TEST

START_TEST(unknown_operation_with_bad_pointer_is_no_operation)
{
	const struct request unknown = { .name = "unknown number" };

	ck_ioctl_fails(&unknown, _IOWR(VMREMAP_IOC_MAGIC, 200, char[64]), NULL,
		       ENOTTY);
}
END_TEST

START_TEST(other_magic_is_no_operation)
{
	const struct request other = { .name = "other magic" };
	char *request = request_room();

	write_request(&move, request);
	ck_ioctl_fails(&other,
		       _IOWR(0xF6, VMREMAP_OP_MOVE, struct vmremap_move),
		       request, ENOTTY);
	ck_nothing_moved();
}
END_TEST

/* Fields of the vector call */

/* What fails here fails before anything has moved, and says so. */
static int call_movev(struct vmremap_movev v)
{
	int error;

	v.size = sizeof(v);
	v.moved = v.done = 77;
	error = ioctl(dev, VMREMAP_IOC_MOVEV, &v) ? errno : 0;
	if (error) {
		ck_assert_uint_eq(v.moved, 0);
		ck_assert_uint_eq(v.done, 0);
	}
	return error;
}

START_TEST(movev_reserved_fields_must_be_zero)
{
	struct vmremap_movev v = {
		.ranges = (uintptr_t)&whole,
		.nr_ranges = 1,
	};

	v.reserved = 1;
	ck_assert_int_eq(call_movev(v), EINVAL);
	v.reserved = 0;
	v.reserved2 = 1U << 31;
	ck_assert_int_eq(call_movev(v), EINVAL);
	ck_nothing_moved();
}
END_TEST

START_TEST(movev_of_no_ranges_is_refused)
{
	struct vmremap_movev v = { .ranges = (uintptr_t)&whole };

	ck_assert_int_eq(call_movev(v), EINVAL);
}
END_TEST

START_TEST(movev_of_too_many_ranges_is_refused)
{
	struct vmremap_movev v = { .ranges = (uintptr_t)&whole };

	v.nr_ranges = ask().max_ranges + 1;
	ck_assert_int_eq(call_movev(v), EINVAL);
	v.nr_ranges = UINT32_MAX;
	ck_assert_int_eq(call_movev(v), EINVAL);
	ck_nothing_moved();
}
END_TEST

START_TEST(movev_takes_as_many_ranges_as_it_says)
{
	uint32_t i, nr = ask().max_ranges;
	struct vmremap_range *ranges = calloc(nr, sizeof(*ranges));
	struct vmremap_movev v = {
		.size = sizeof(v),
		.flags = VMREMAP_MOVE_ALLOW_SRC_HOLES,
		.ranges = (uintptr_t)ranges,
		.nr_ranges = nr,
	};

	ck_assert_ptr_nonnull(ranges);
	dst = map_pages(4, 0, SMALL);
	for (i = 0; i < nr - 1; i++)
		ranges[i] = range_of(page_at(dst, 2), page_at(dst, 3), 1);
	ranges[nr - 1] = range_of(dst, src, DATA_PAGES);
	ck_assert_int_eq(ioctl(dev, VMREMAP_IOC_MOVEV, &v), 0);
	ck_assert_uint_eq(v.done, nr);
	ck_assert_uint_eq(v.moved, (nr - 1 + DATA_PAGES) * PAGE);
	ck_arrived(dst, src, DATA_PAGES, TAG);
}
END_TEST

START_TEST(movev_bad_array_faults)
{
	char *room = request_room();
	struct vmremap_range *edge = (void *)(room + 2 * PAGE - 24);
	struct vmremap_movev v = { .nr_ranges = 1 };

	ck_assert_int_eq(call_movev(v), EFAULT);
	v.ranges = (uintptr_t)room + 2 * PAGE;
	ck_assert_int_eq(call_movev(v), EFAULT);
	v.ranges = ~7ULL;
	ck_assert_int_eq(call_movev(v), EFAULT);

	*edge = whole;
	v.ranges = (uintptr_t)edge;
	v.nr_ranges = 2;
	ck_assert_int_eq(call_movev(v), EFAULT);
	ck_nothing_moved();
}
END_TEST

START_TEST(movev_array_may_be_read_only)
{
	struct vmremap_range *array = (void *)request_room();
	struct vmremap_movev v = {
		.ranges = (uintptr_t)array,
		.nr_ranges = 1,
	};

	*array = whole;
	ck_sys(mprotect(array, 2 * PAGE, PROT_READ));
	ck_assert_int_eq(call_movev(v), 0);
	ck_arrived(dst, src, DATA_PAGES, TAG);
}
END_TEST

/* What comes back */

START_TEST(move_reports_progress_on_failure)
{
	struct vmremap_move m = { .size = sizeof(m), .moved = 12345 };

	m.range = whole;
	fill(page_at(dst, 1), 1, 99);
	ck_assert_int_eq(ioctl(dev, VMREMAP_IOC_MOVE, &m), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_uint_eq(m.moved, PAGE);
	ck_assert_uint_eq(m.range.dst, whole.dst);
	ck_assert_uint_eq(m.range.src, whole.src);
	ck_assert_uint_eq(m.range.len, whole.len);
}
END_TEST

START_TEST(move_reports_nothing_moved_when_refused)
{
	struct vmremap_move m = { .size = sizeof(m), .moved = 12345 };

	m.range = whole;
	m.range.len++;
	ck_assert_int_eq(ioctl(dev, VMREMAP_IOC_MOVE, &m), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(m.moved, 0);
}
END_TEST

START_TEST(movev_reports_nothing_moved_when_refused)
{
	struct vmremap_range bad[2] = { whole, whole };
	struct vmremap_movev v = {
		.size = sizeof(v),
		.ranges = (uintptr_t)bad,
		.nr_ranges = 2,
		.moved = 12345,
		.done = 12345,
	};

	bad[1].dst++;
	ck_assert_int_eq(ioctl(dev, VMREMAP_IOC_MOVEV, &v), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(v.moved, 0);
	ck_assert_uint_eq(v.done, 0);
	ck_nothing_moved();
}
END_TEST

/* The device */

START_TEST(device_is_for_root_and_its_group_only)
{
	struct stat st;

	ck_sys(stat(VMREMAP_DEVICE, &st));
	ck_assert(S_ISCHR(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
}
END_TEST

START_TEST(device_opens_many_times)
{
	int other = vmremap_open();

	ck_assert_int_ge(other, 0);
	ck_assert_int_ne(other, dev);
	ck_assert_int_eq(
		vmremap_move(other, dst, src, DATA_PAGES * PAGE, 0, NULL), 0);
	ck_assert_int_eq(vmremap_close(other), 0);
	ck_move(src, dst, DATA_PAGES, 0);
	ck_holds(src, DATA_PAGES, TAG);
}
END_TEST

START_TEST(library_finds_the_device)
{
	const char *why = NULL;

	ck_assert_int_eq(vmremap_available(&why), 0);
	ck_assert_ptr_nonnull(why);
	ck_assert_int_eq(vmremap_available(NULL), 0);
}
END_TEST

START_TEST(library_returns_negative_errnos)
{
	struct vmremap_query q;
	int closed = vmremap_open();

	ck_assert_int_ge(closed, 0);
	ck_assert_int_eq(vmremap_close(closed), 0);
	ck_assert_int_eq(vmremap_close(closed), -EBADF);
	ck_assert_int_eq(vmremap_query(closed, &q), -EBADF);
	ck_assert_int_eq(vmremap_move(closed, dst, src, PAGE, 0, NULL), -EBADF);
	ck_assert_int_eq(vmremap_movev(closed, &whole, 1, 0, NULL, NULL),
			 -EBADF);
	ck_nothing_moved();
}
END_TEST

START_TEST(library_descriptor_is_closed_on_exec)
{
	ck_assert_int_eq(fcntl(dev, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}
END_TEST

START_TEST(library_query_matches_the_ioctl)
{
	struct vmremap_query ours = ask(), theirs;

	ck_assert_int_eq(vmremap_query(dev, &theirs), 0);
	ck_assert_mem_eq(&ours, &theirs, sizeof(ours));
}
END_TEST

#define CHILD_TAG 4000

/* Works on what the child itself wrote, at addresses both processes have. */
static bool child_moves_its_own(void *unused)
{
	size_t moved = UNSET;

	(void)unused;
	fill(src, DATA_PAGES, CHILD_TAG);
	if (vmremap_move(dev, dst, src, DATA_PAGES * PAGE, 0, &moved))
		return false;
	return moved == DATA_PAGES * PAGE &&
	       holds(dst, DATA_PAGES, CHILD_TAG) &&
	       count_holes(src, DATA_PAGES) == DATA_PAGES;
}

START_TEST(descriptor_kept_over_fork_acts_on_the_child)
{
	ck_assert(in_child(child_moves_its_own, NULL));
	ck_nothing_moved();
}
END_TEST

static void add_other_tests(Suite *s)
{
	TCase *c = add_case(s, "answers");

	tcase_add_checked_fixture(c, make_data, NULL);
	tcase_add_test(c, query_tells_the_abi_version);
	tcase_add_test(c, query_lists_the_operations);
	tcase_add_test(c, query_lists_the_flags_of_each_operation);
	tcase_add_test(c, query_allows_4096_ranges);
	tcase_add_test(c, query_tells_what_this_kernel_lacks);
	tcase_add_test(c, query_gives_the_version_of_the_library_beside_it);
	tcase_add_test(c, query_overwrites_what_it_answers);
	tcase_add_test(c, unknown_operations_are_no_operations);
	tcase_add_test(c, unknown_operation_with_bad_pointer_is_no_operation);
	tcase_add_test(c, other_magic_is_no_operation);
	tcase_add_test(c, movev_reserved_fields_must_be_zero);
	tcase_add_test(c, movev_of_no_ranges_is_refused);
	tcase_add_test(c, movev_of_too_many_ranges_is_refused);
	tcase_add_test(c, movev_takes_as_many_ranges_as_it_says);
	tcase_add_test(c, movev_bad_array_faults);
	tcase_add_test(c, movev_array_may_be_read_only);
	tcase_add_test(c, move_reports_progress_on_failure);
	tcase_add_test(c, move_reports_nothing_moved_when_refused);
	tcase_add_test(c, movev_reports_nothing_moved_when_refused);
}

static void add_device_tests(Suite *s)
{
	TCase *c = add_case(s, "device");

	tcase_add_checked_fixture(c, make_data, NULL);
	tcase_add_test(c, device_is_for_root_and_its_group_only);
	tcase_add_test(c, device_opens_many_times);
	tcase_add_test(c, library_finds_the_device);
	tcase_add_test(c, library_returns_negative_errnos);
	tcase_add_test(c, library_descriptor_is_closed_on_exec);
	tcase_add_test(c, library_query_matches_the_ioctl);
	tcase_add_test(c, descriptor_kept_over_fork_acts_on_the_child);
}

int main(void)
{
	Suite *s = suite_create("abi");

	add_tests_of_query(s);
	add_tests_of_move(s);
	add_tests_of_movev(s);
	add_other_tests(s);
	add_device_tests(s);
	return run_suite(s);
}
