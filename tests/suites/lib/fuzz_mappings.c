/* SPDX-License-Identifier: GPL-2.0-only */
#include "fuzz_mappings.h"

#include <fcntl.h>
#include <liburing.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "fuzz_arena.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define MADV_GUARD_INSTALL_ 102
#define MADV_GUARD_REMOVE_ 103
#define MAP_DROPPABLE_ 0x08

#define READ_WRITE (PROT_READ | PROT_WRITE)

/* Nothing that is written into the arena can be taken for a valid request. */
#define NO_REQUEST (1ULL << 63 | 1)

/* Some deeds leave things as they are, but most put them right again. */
static bool mostly(struct fuzzer *f)
{
	return percent(f, 75);
}

/* Access */

struct access {
	struct piece piece;
	size_t stride, word;
	uint64_t value;
};

static void write_pages(void *argument)
{
	const struct access *a = argument;
	size_t page;

	for (page = 0; page < a->piece.pages; page += a->stride) {
		volatile uint64_t *words =
			(uint64_t *)page_at(a->piece.at, page);

		words[a->word] = (a->value + page) | NO_REQUEST;
	}
}

static void read_pages(void *argument)
{
	const struct access *a = argument;
	size_t page;

	for (page = 0; page < a->piece.pages; page += a->stride)
		(void)*(volatile uint64_t *)page_at(a->piece.at, page);
}

/* Not so many pages that nothing else gets done. */
#define MOST_PAGES 40

static struct access access_to(struct fuzzer *f, struct piece piece)
{
	return (struct access){
		.piece = piece,
		.stride = 1 + piece.pages / MOST_PAGES +
			  (percent(f, 50) ? below(f, 40) : 0),
		.word = below(f, PAGE / sizeof(uint64_t)),
		.value = random_next(&f->state),
	};
}

void do_write(struct fuzzer *f)
{
	struct access access = access_to(f, pick_piece(f, ANY));

	touching(f, write_pages, &access);
}

void do_read(struct fuzzer *f)
{
	struct access access = access_to(f, pick_piece(f, ANY));

	touching(f, read_pages, &access);
}

/* Mappings */

static bool map_at(struct piece piece, int prot, int flags, int file)
{
	return mmap(piece.at, piece.pages * PAGE, prot, flags | MAP_FIXED, file,
		    0) != MAP_FAILED;
}

static void fill_some(struct fuzzer *f, struct piece piece)
{
	struct access access = access_to(f, piece);

	touching(f, write_pages, &access);
}

static void map_plain(struct fuzzer *f, struct piece piece)
{
	map_at(piece, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (percent(f, 40))
		madvise(piece.at, piece.pages * PAGE, MADV_HUGEPAGE);
	fill_some(f, piece);
}

static void map_locked(struct fuzzer *f, struct piece piece)
{
	(void)f;
	map_at(piece, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1);
}

static void map_with_protection(struct fuzzer *f, struct piece piece)
{
	static const int prots[] = { PROT_NONE, PROT_READ,
				     READ_WRITE | PROT_EXEC };

	map_at(piece, prots[below(f, ARRAY_SIZE(prots))],
	       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

static void map_shared(struct fuzzer *f, struct piece piece)
{
	map_at(piece, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	fill_some(f, piece);
}

static void map_file(struct fuzzer *f, struct piece piece)
{
	map_at(piece, READ_WRITE, percent(f, 70) ? MAP_PRIVATE : MAP_SHARED,
	       worker->content);
	fill_some(f, piece);
}

static void map_dev_zero(struct fuzzer *f, struct piece piece)
{
	int file = open("/dev/zero", O_RDWR | O_CLOEXEC);

	map_at(piece, READ_WRITE, percent(f, 70) ? MAP_PRIVATE : MAP_SHARED,
	       file);
	close(file);
	fill_some(f, piece);
}

static void map_program(struct fuzzer *f, struct piece piece)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	map_at(piece, percent(f, 50) ? PROT_READ : READ_WRITE, MAP_PRIVATE,
	       file);
	close(file);
}

static void map_growing_down(struct fuzzer *f, struct piece piece)
{
	munmap(piece.at, piece.pages * PAGE);
	piece.at = page_at(piece.at, piece.pages / 2);
	piece.pages -= piece.pages / 2;
	map_at(piece, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN,
	       -1);
	fill_some(f, piece);
}

static void map_hugetlb(struct fuzzer *f, struct piece piece)
{
	uintptr_t first = ((uintptr_t)piece.at + BLOCK - 1) & ~(BLOCK - 1);

	piece.at = (char *)first;
	piece.pages = BLOCK_PAGES;
	if (!arena_has(first, BLOCK))
		return;
	map_at(piece, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
	       -1);
	fill_some(f, piece);
}

static void map_droppable(struct fuzzer *f, struct piece piece)
{
	map_at(piece, READ_WRITE, MAP_DROPPABLE_ | MAP_ANONYMOUS, -1);
	fill_some(f, piece);
}

static void map_sealed(struct fuzzer *f, struct piece piece)
{
	/* It stays for as long as the process. */
	piece.pages = 1;
	fill_some(f, piece);
	syscall(SYS_mseal, piece.at, PAGE, 0);
}

static void map_of_driver(struct fuzzer *f, struct piece piece)
{
	(void)f;
	piece.pages = 1;
	map_at(piece, READ_WRITE, MAP_SHARED | MAP_POPULATE, worker->ring);
}

struct sort {
	unsigned int weight;
	void (*map)(struct fuzzer *f, struct piece piece);
};

static const struct sort sorts[] = {
	{ 40, map_plain },
	{ 6, map_locked },
	{ 10, map_with_protection },
	{ 8, map_shared },
	{ 14, map_file },
	{ 6, map_dev_zero },
	{ 4, map_program },
	{ 6, map_growing_down },
	{ 4, map_hugetlb },
	{ 4, map_droppable },
	{ 1, map_sealed },
	{ 3, map_of_driver },
};

void sew_quilts(struct fuzzer *f)
{
	unsigned int i;

	for (i = 0; i < 15; i++)
		PICK(f, sorts)->map(f, pick_piece(f, QUILT));
}

void do_map(struct fuzzer *f)
{
	PICK(f, sorts)->map(f, pick_piece(f, QUILT));
}

/* Makes good what others have done to a tract. */
void do_renew(struct fuzzer *f)
{
	struct piece piece = percent(f, 5) ? pick_tract(f, PLAIN)
					   : pick_piece(f, PLAIN);

	map_plain(f, piece);
}

void do_unmap(struct fuzzer *f)
{
	struct piece piece = pick_piece(f, ANY);
	bool again = mostly(f);

	munmap(piece.at, piece.pages * PAGE);
	if (again)
		map_plain(f, piece);
}

void do_protect(struct fuzzer *f)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_WRITE,
				     READ_WRITE | PROT_EXEC };
	struct piece piece = pick_piece(f, ANY);
	int prot = prots[below(f, ARRAY_SIZE(prots))];
	bool back = mostly(f);

	mprotect(piece.at, piece.pages * PAGE, prot);
	if (back)
		mprotect(piece.at, piece.pages * PAGE, READ_WRITE);
}

void do_lock(struct fuzzer *f)
{
	struct piece piece = pick_piece(f, ANY);
	bool back = mostly(f);

	if (percent(f, 50))
		mlock(piece.at, piece.pages * PAGE);
	else
		mlock2(piece.at, piece.pages * PAGE, MLOCK_ONFAULT);
	if (back)
		munlock(piece.at, piece.pages * PAGE);
}

void do_remap(struct fuzzer *f)
{
	struct piece from = pick_piece(f, ANY);
	struct piece to = pick_piece_of(f, ANY, from.pages);
	int flags = MREMAP_FIXED | MREMAP_MAYMOVE;
	size_t length = (from.pages < to.pages ? from.pages : to.pages) * PAGE;
	bool shrink = percent(f, 20), back = mostly(f);

	if (percent(f, 30))
		flags |= MREMAP_DONTUNMAP;
	if (shrink)
		mremap(from.at, from.pages * PAGE, length / 2 & ~(PAGE - 1), 0);
	else
		mremap(from.at, length, length, flags, to.at);
	if (back)
		map_plain(f, from);
}

/* All but those that make a page bad for the whole machine. */
static const int advices[] = {
	MADV_NORMAL,	      MADV_RANDOM,	  MADV_SEQUENTIAL,
	MADV_WILLNEED,	      MADV_DONTNEED,	  MADV_FREE,
	MADV_REMOVE,	      MADV_DONTFORK,	  MADV_DOFORK,
	MADV_MERGEABLE,	      MADV_UNMERGEABLE,	  MADV_HUGEPAGE,
	MADV_NOHUGEPAGE,      MADV_DONTDUMP,	  MADV_DODUMP,
	MADV_WIPEONFORK,      MADV_KEEPONFORK,	  MADV_COLD,
	MADV_PAGEOUT,	      MADV_POPULATE_READ, MADV_POPULATE_WRITE,
	MADV_DONTNEED_LOCKED, MADV_COLLAPSE,	  MADV_GUARD_INSTALL_,
	MADV_GUARD_REMOVE_,
};

void do_advise(struct fuzzer *f)
{
	struct piece piece = pick_piece(f, ANY);

	madvise(piece.at, piece.pages * PAGE,
		advices[below(f, ARRAY_SIZE(advices))]);
}

/* What changes no content, for more than a tract, and canaries too. */
void do_advise_widely(struct fuzzer *f)
{
	static const int harmless[] = { MADV_COLD,	    MADV_PAGEOUT,
					MADV_HUGEPAGE,	    MADV_NOHUGEPAGE,
					MADV_MERGEABLE,	    MADV_UNMERGEABLE,
					MADV_POPULATE_READ, MADV_COLLAPSE };
	struct piece piece = pick_tract(f, ANY);

	madvise(piece.at - 2 * PAGE, (piece.pages + 4) * PAGE,
		harmless[below(f, ARRAY_SIZE(harmless))]);
}

void do_key(struct fuzzer *f)
{
	struct piece piece = pick_piece(f, ANY);
	bool back = mostly(f);

	if (worker->key < 0)
		return;
	pkey_mprotect(piece.at, piece.pages * PAGE, READ_WRITE, worker->key);
	if (back)
		pkey_mprotect(piece.at, piece.pages * PAGE, READ_WRITE, 0);
}

/* One piece at a time is pinned, until the next one is. */
void do_pin(struct fuzzer *f)
{
	struct piece piece = pick_piece(f, PLAIN);
	struct iovec buffer = { piece.at, piece.pages * PAGE };

	syscall(SYS_io_uring_register, worker->ring, IORING_UNREGISTER_BUFFERS,
		NULL, 0);
	if (percent(f, 60))
		syscall(SYS_io_uring_register, worker->ring,
			IORING_REGISTER_BUFFERS, &buffer, 1);
}

/* Forgets what was accessed, or what was written. */
void do_clear_refs(struct fuzzer *f)
{
	static const char *const kinds[] = { "1", "2", "3", "4" };

	write_knob("/proc/self/clear_refs", kinds[below(f, ARRAY_SIZE(kinds))]);
}

/* Migrates pages, of this process and all others. */
void do_compact(struct fuzzer *f)
{
	(void)f;
	write_knob("/proc/sys/vm/compact_memory", "1");
}

/* As tools do that look at a process from outside. */
void do_examine(struct fuzzer *f)
{
	struct piece piece = pick_piece(f, ANY);
	uint64_t entries[64];
	int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (pread(file, entries, sizeof(entries),
		  (uintptr_t)piece.at / PAGE * sizeof(*entries)) < 0)
		worker->examined_in_vain = true;
	close(file);
	file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	if (read(file, entries, sizeof(entries)) < 0)
		worker->examined_in_vain = true;
	close(file);
}

void open_for_mappings(void)
{
	struct io_uring_params params = { 0 };

	worker->ring = syscall(SYS_io_uring_setup, 2, &params);
	worker->key = pkey_alloc(0, 0);
}
