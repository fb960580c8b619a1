// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Compacts a sparse heap, as a garbage collector does. Live pages lie scattered
 * over one mapping; one call moves them side by side into another. No byte is
 * copied, and the old heap stays mapped and reads as new memory.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libvmremap.h>

#define HEAP_PAGES 4096
#define LIVE_EVERY 4
#define LIVE_PAGES (HEAP_PAGES / LIVE_EVERY)

static size_t page_size;

static void fail(const char *what, int err)
{
	fprintf(stderr, "compact: %s: %s\n", what, strerror(-err));
	exit(EXIT_FAILURE);
}

static char *new_memory(size_t pages)
{
	void *memory = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("compact: mmap");
		exit(EXIT_FAILURE);
	}
	return memory;
}

static int content_of(size_t live)
{
	return 1 + (int)(live % 255);
}

static int holds_only(const char *page, int value)
{
	return page[0] == (char)value && !memcmp(page, page + 1, page_size - 1);
}

static void scatter(char *heap, char *compacted, struct vmremap_range *ranges)
{
	for (size_t live = 0; live < LIVE_PAGES; live++) {
		char *page = heap + live * LIVE_EVERY * page_size;

		memset(page, content_of(live), page_size);
		ranges[live].src = (uintptr_t)page;
		ranges[live].dst = (uintptr_t)(compacted + live * page_size);
		ranges[live].len = page_size;
	}
}

static size_t count_wrong(const char *heap, const char *compacted)
{
	size_t wrong = 0;

	for (size_t live = 0; live < LIVE_PAGES; live++)
		if (!holds_only(compacted + live * page_size, content_of(live)))
			wrong++;
	for (size_t page = 0; page < HEAP_PAGES; page++)
		if (!holds_only(heap + page * page_size, 0))
			wrong++;
	return wrong;
}

int main(void)
{
	static struct vmremap_range ranges[LIVE_PAGES];
	size_t moved, done, wrong;
	char *heap, *compacted;
	const char *why;
	int fd, err;

	if (vmremap_available(&why)) {
		fprintf(stderr, "compact: %s\n", why);
		return EXIT_FAILURE;
	}
	fd = vmremap_open();
	if (fd < 0)
		fail("vmremap_open", fd);

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	heap = new_memory(HEAP_PAGES);
	compacted = new_memory(LIVE_PAGES);
	scatter(heap, compacted, ranges);
	printf("%d live pages of %zu bytes, scattered over %d\n", LIVE_PAGES,
	       page_size, HEAP_PAGES);

	err = vmremap_movev(fd, ranges, LIVE_PAGES, 0, &moved, &done);
	printf("moved %zu ranges, %zu bytes\n", done, moved);
	if (err)
		fail("vmremap_movev", err);

	wrong = count_wrong(heap, compacted);
	if (wrong)
		printf("%zu pages have the wrong content\n", wrong);
	else
		printf("all live pages are in place, the old heap is empty\n");

	munmap(heap, HEAP_PAGES * page_size);
	munmap(compacted, LIVE_PAGES * page_size);
	vmremap_close(fd);
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
