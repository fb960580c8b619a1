// SPDX-License-Identifier: GPL-2.0-only
/*
 * A garbage collector that evacuates its heap by moves. The new space is watched
 * by a userfaultfd; mutators go on meanwhile, and what they touch first is moved
 * at their fault. Every page must keep what it holds, and every increment.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "stress.h"

#define SPACE_PAGES 3072
#define MUTATORS 2
#define CHUNK 8
#define CHUNKS (SPACE_PAGES / CHUNK)
#define WORDS (PAGE / sizeof(uint64_t))
#define TAG 1000

static char *heap, *old_space;
static uint64_t increments[SPACE_PAGES];
static int uffd;
static volatile bool handler_may_end;

static void userfault_call(unsigned long request, void *argument)
{
	if (ioctl(uffd, request, argument))
		complain("userfaultfd call %#lx: %s", request, strerror(errno));
}

static struct uffdio_range span(char *base, size_t pages)
{
	return (struct uffdio_range){ (uintptr_t)base, pages * PAGE };
}

static void watch(char *space)
{
	struct uffdio_register all = {
		.range = span(space, SPACE_PAGES),
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	userfault_call(UFFDIO_REGISTER, &all);
}

static void unwatch(char *space)
{
	struct uffdio_range all = span(space, SPACE_PAGES);

	userfault_call(UFFDIO_UNREGISTER, &all);
}

static void wake(char *base, size_t pages)
{
	struct uffdio_range range = span(base, pages);

	userfault_call(UFFDIO_WAKE, &range);
}

/* Where somebody waits, or NULL if nobody does in that time. */
static char *next_fault(int milliseconds)
{
	struct pollfd ready = { .fd = uffd, .events = POLLIN };
	struct uffd_msg message;

	if (poll(&ready, 1, milliseconds) != 1 ||
	    read(uffd, &message, sizeof(message)) != sizeof(message))
		return NULL;
	return (char *)(uintptr_t)message.arg.pagefault.address;
}

/* Held for reading by each access, for writing when the spaces change roles. */
static pthread_rwlock_t accesses;

/* Word 0 counts; the others say which page it is. */
static void check_page(const char *base, size_t page)
{
	const uint64_t *words = (const uint64_t *)(base + page * PAGE);
	size_t i;

	for (i = 1; i < WORDS; i++) {
		if (words[i] == tag_word(TAG + page, i))
			continue;
		complain("heap: page %zu is lost at word %zu: %#lx", page, i,
			 words[i]);
		return;
	}
	count(verified, 1);
}

static void *mutate(void *argument)
{
	uint64_t seed = (uintptr_t)argument;

	while (!tally->over) {
		size_t page = random_below(&seed, SPACE_PAGES);

		pthread_rwlock_rdlock(&accesses);
		check_page(heap, page);
		__atomic_fetch_add((uint64_t *)page_at(heap, page), 1,
				   __ATOMIC_RELAXED);
		__atomic_fetch_add(&increments[page], 1, __ATOMIC_RELAXED);
		pthread_rwlock_unlock(&accesses);
	}
	return NULL;
}

/*
 * A page may be at its new place already, and its old place be filled with zeros
 * again by khugepaged; that page is passed over.
 */
static void evacuate(struct vmremap_range *ranges, size_t nr)
{
	const unsigned int flags = HOLES | UNSHARE | WAKE_LATER;

	while (nr && !tally->wrong) {
		size_t moved = 0, done = 0, i, part;
		int rc = vmremap_movev(dev, ranges, nr, flags, &moved, &done);

		count(vectors, 1);
		count(pages, moved / PAGE);
		if (!count_end(rc, flags) || rc == 0)
			return;
		part = moved;
		for (i = 0; i < done; i++)
			part -= ranges[i].len;
		if (rc == -EEXIST)
			part += PAGE;
		ranges += done;
		nr -= done;
		ranges->dst += part;
		ranges->src += part;
		ranges->len -= part;
		if (!ranges->len) {
			ranges++;
			nr--;
		}
	}
}

static void serve(char *fault, uint64_t *seed)
{
	static const size_t sizes[] = { 1, 1, 16, BLOCK_PAGES };
	size_t pages = sizes[random_below(seed, ARRAY_SIZE(sizes))];
	size_t first = (fault - heap) / PAGE / pages * pages;
	struct vmremap_range range = range_of(page_at(heap, first),
					      page_at(old_space, first), pages);

	evacuate(&range, 1);
	wake(page_at(heap, first), pages);
	count(faults, 1);
}

static void *handle_faults(void *unused)
{
	uint64_t seed = 3;

	while (!handler_may_end) {
		char *fault = next_fault(100);

		if (fault)
			serve(fault, &seed);
	}
	return unused;
}

/* All that no fault has fetched, in an order that jumps about. */
static void evacuate_the_rest(uint64_t *seed)
{
	size_t i, nr = 0, start = random_below(seed, CHUNKS);
	struct vmremap_range ranges[48];

	for (i = 0; i < CHUNKS; i++) {
		size_t page = (start + i * 101) % CHUNKS * CHUNK;

		ranges[nr++] = range_of(page_at(heap, page),
					page_at(old_space, page), CHUNK);
		if (nr == ARRAY_SIZE(ranges) || i == CHUNKS - 1) {
			evacuate(ranges, nr);
			nr = 0;
			usleep(random_below(seed, 4000));
		}
	}
}

static void check_heap(void)
{
	size_t page;

	for (page = 0; page < SPACE_PAGES; page++) {
		uint64_t found = *(uint64_t *)page_at(heap, page);

		check_page(heap, page);
		if (found != increments[page])
			complain("heap: page %zu has %lu of %lu increments",
				 page, found, increments[page]);
	}
}

static void change_roles(void)
{
	char *full = heap;

	pthread_rwlock_wrlock(&accesses);
	check_heap();
	unwatch(heap);
	madvise(old_space, SPACE_PAGES * PAGE, MADV_DONTNEED);
	watch(old_space);
	heap = old_space;
	old_space = full;
	pthread_rwlock_unlock(&accesses);
}

static void make_heap(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	size_t page, i;

	heap = map_arena(SPACE_PAGES * PAGE, 0, MADV_HUGEPAGE);
	old_space = map_arena(SPACE_PAGES * PAGE, 0, MADV_HUGEPAGE);
	for (page = 0; page < SPACE_PAGES; page++) {
		uint64_t *words = (uint64_t *)page_at(heap, page);

		for (i = 1; i < WORDS; i++)
			words[i] = tag_word(TAG + page, i);
	}
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	userfault_call(UFFDIO_API, &api);
	watch(heap);
}

void collector(uint64_t seed)
{
	pthread_t mutators[MUTATORS], handler;
	pthread_rwlockattr_t kind;
	size_t i;

	pthread_rwlockattr_init(&kind);
	pthread_rwlockattr_setkind_np(
		&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&accesses, &kind);
	make_heap();
	pthread_create(&handler, NULL, handle_faults, NULL);
	for (i = 0; i < MUTATORS; i++)
		pthread_create(&mutators[i], NULL, mutate, (void *)(i + 1));
	while (!tally->over) {
		change_roles();
		usleep(random_below(&seed, 20000));
		evacuate_the_rest(&seed);
		count(collections, 1);
	}
	/* Mutators may wait for pages that nobody brings any more. */
	if (tally->wrong)
		_exit(1);
	for (i = 0; i < MUTATORS; i++)
		pthread_join(mutators[i], NULL);
	check_heap();
	handler_may_end = true;
	pthread_join(handler, NULL);
}
