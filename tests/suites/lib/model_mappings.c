/* SPDX-License-Identifier: GPL-2.0-only */
/* Mappings come, go, move and change. */
#include "model_calls.h"

void change_page_size(void)
{
	struct piece piece;
	bool large = percent(50);
	size_t i;

	if (!find_piece(&piece, 1024, is_private))
		return;
	advise_surely(piece, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (i = 0; i < piece.pages; i++) {
		places_of(piece)[i].large = large;
		/* Collapsing copies what is shared. */
		if (large && cells_of(piece)[i].shared)
			cells_of(piece)[i].shared = MAYBE_SHARED;
	}
}

void change_protection(void)
{
	static const int some[] = { OPEN, OPEN, READABLE, PROT_NONE };
	int prot = some[below(ARRAY_SIZE(some))];
	struct piece piece;
	size_t i;

	/* Locked pages would be brought in. */
	if (!find_piece(&piece, prot == OPEN ? 300 : 30, is_unlocked))
		return;
	note(" to %d", prot);
	ck_model(mprotect(start_of(piece), length_of(piece), prot) == 0,
		 "mprotect: %s", strerror(errno));
	for (i = 0; i < piece.pages; i++)
		places_of(piece)[i].prot = prot;
}

/* A new mapping in a piece's place. */
static void map_anew(struct piece piece, bool large)
{
	char *at = mmap(start_of(piece), length_of(piece), OPEN,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	size_t i;

	ck_model(at == start_of(piece), "mmap: %s", strerror(errno));
	advise_surely(piece, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	make_holes(piece);
	for (i = 0; i < piece.pages; i++)
		places_of(piece)[i] = (struct place){
			.prot = OPEN,
			.large = large,
		};
}

void map_pages_anew(void)
{
	struct piece piece;

	if (find_piece(&piece, sometimes_many(400, 20), is_anything))
		map_anew(piece, percent(40));
}

/* A whole block, so that there is room, or huge pages. */
void renew_block(void)
{
	struct piece piece = {};
	uintptr_t start;

	piece.arena = &me->arenas[below(me->nr_arenas)];
	piece.first = below(piece.arena->pages);
	start = ((uintptr_t)start_of(piece) + BLOCK - 1) & ~(BLOCK - 1);
	piece.first = (start - (uintptr_t)piece.arena->base) / PAGE;
	piece.pages = BLOCK_PAGES;
	if (piece.first + piece.pages > piece.arena->pages) {
		piece.first = 0;
		if (piece.pages > piece.arena->pages)
			piece.pages = piece.arena->pages;
	}
	note(" %s %zu, %zu pages", piece.arena->name, piece.first, piece.pages);
	map_anew(piece, percent(60));
	if (percent(40))
		return;
	write_piece(piece, start_of(piece), 0);
	learn_filled_holes(piece.arena);
}

static void forget_mapping(struct piece piece)
{
	size_t i;

	make_holes(piece);
	for (i = 0; i < piece.pages; i++)
		places_of(piece)[i] = (struct place){ .mapping = NOT_MAPPED };
}

void unmap_piece(void)
{
	struct piece piece;

	if (!find_piece(&piece, 12, is_mapped))
		return;
	ck_model(munmap(start_of(piece), length_of(piece)) == 0, "munmap: %s",
		 strerror(errno));
	forget_mapping(piece);
}

/* What is not private anonymous memory stays as it is. */
#define CONTENT_PAGES 64
#define CONTENT_TAG (1ULL << 40)

static int content;

void begin_mappings(void)
{
	int fd = memfd_create("content", MFD_CLOEXEC);
	char page[PAGE];
	size_t i;

	for (i = 0; i < CONTENT_PAGES; i++) {
		fill(page, 1, CONTENT_TAG + i);
		ck_model(write(fd, page, PAGE) == (ssize_t)PAGE, "memfd: %s",
			 strerror(errno));
	}
	content = fd;
}

void map_otherwise(void)
{
	static const int some[] = { MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED,
				    MAP_PRIVATE };
	int flags = some[below(ARRAY_SIZE(some))];
	size_t i, first = below(CONTENT_PAGES / 2);
	bool has_tags = !(flags & MAP_ANONYMOUS);
	struct piece piece;
	char *at;

	if (!find_piece(&piece, 8, is_anything))
		return;
	note(" flags %x", flags);
	at = mmap(start_of(piece), length_of(piece), OPEN, flags | MAP_FIXED,
		  has_tags ? content : -1, has_tags ? first * PAGE : 0);
	ck_model(at == start_of(piece), "mmap: %s", strerror(errno));
	for (i = 0; i < piece.pages; i++) {
		cells_of(piece)[i] = (struct cell){
			.tag = has_tags ? CONTENT_TAG + first + i : 0,
		};
		places_of(piece)[i] = (struct place){
			.mapping = MAPPED_OTHERWISE,
			.prot = OPEN,
		};
	}
}

/* What is left of a piece in the mapping that its first page is in. */
static void clip_to_mapping(struct piece *piece)
{
	uintptr_t start, end, at = (uintptr_t)start_of(*piece);
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];

	ck_model(file, "maps: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) != 2 || end <= at)
			continue;
		ck_model(start <= at, "no mapping at %lx", at);
		if (piece->pages > (end - at) / PAGE)
			piece->pages = (end - at) / PAGE;
		break;
	}
	fclose(file);
}

static void take_along(struct piece to, struct piece from)
{
	memcpy(cells_of(to), cells_of(from), to.pages * sizeof(struct cell));
	memcpy(places_of(to), places_of(from), to.pages * sizeof(struct place));
}

void remap_piece(void)
{
	int keep = percent(40) ? MREMAP_DONTUNMAP : 0;
	struct piece from, to;
	struct picked p;
	size_t i;
	char *at;

	if (!find_piece(&from, sometimes_many(600, 40), is_unwatched))
		return;
	clip_to_mapping(&from);
	to.arena = &me->arenas[below(me->nr_arenas)];
	if (from.pages > to.arena->pages)
		from.pages = to.arena->pages;
	to.pages = from.pages;
	to.first = below(to.arena->pages - to.pages + 1);
	p = (struct picked){ to.arena, from.arena, to.first, from.first,
			     to.pages };
	if (percent(50))
		to.first = p.dst = congruent_dst(&p, to.first);
	if (overlaps(&p))
		return;
	note(" to %s %zu, %zu pages%s", to.arena->name, to.first, to.pages,
	     keep ? ", keeping it" : "");
	/* A signal ends the unmerging of KSM's pages that comes first. */
	do {
		at = mremap(start_of(from), length_of(from), length_of(from),
			    MREMAP_MAYMOVE | MREMAP_FIXED | keep, start_of(to));
	} while (at == MAP_FAILED && errno == EINTR);
	ck_model(at == start_of(to), "mremap: %s", strerror(errno));
	take_along(to, from);
	if (!keep) {
		forget_mapping(from);
		return;
	}
	make_holes(from);
	for (i = 0; i < from.pages; i++)
		places_of(from)[i].locked = false;
}

void shrink_mapping(void)
{
	struct piece piece;
	size_t keep;
	char *at;

	if (!find_piece(&piece, 16, is_private))
		return;
	clip_to_mapping(&piece);
	if (piece.pages < 2)
		return;
	keep = 1 + below(piece.pages - 1);
	note(" to %zu pages", keep);
	at = mremap(start_of(piece), length_of(piece), keep * PAGE, 0);
	ck_model(at == start_of(piece), "mremap: %s", strerror(errno));
	piece.first += keep;
	piece.pages -= keep;
	forget_mapping(piece);
}

static bool extends(const struct place *place, const struct place *next)
{
	return place->mapping == PRIVATE_ANONYMOUS && !place->locked &&
	       !place->watched && next->mapping == NOT_MAPPED;
}

/* The last page before what is not mapped, and how far that goes. */
static bool find_room(struct piece *piece, size_t *room)
{
	struct arena *arena;
	size_t page;

	piece->arena = arena = &me->arenas[below(me->nr_arenas)];
	for (page = below(arena->pages); page + 1 < arena->pages; page++) {
		const struct place *next = &arena->places[page + 1];

		if (!extends(next - 1, next))
			continue;
		piece->first = page;
		piece->pages = 1;
		for (*room = 0; page + 1 + *room < arena->pages; ++*room) {
			if (next[*room].mapping != NOT_MAPPED)
				break;
		}
		return true;
	}
	return false;
}

void grow_mapping(void)
{
	struct piece piece;
	size_t room, i, more;
	char *at;

	if (!find_room(&piece, &room))
		return;
	more = 1 + below(room);
	note(" %s %zu by %zu pages", piece.arena->name, piece.first, more);
	at = mremap(start_of(piece), PAGE, (1 + more) * PAGE, 0);
	ck_model(at == start_of(piece), "mremap: %s", strerror(errno));
	for (i = 1; i <= more; i++)
		places_of(piece)[i] = places_of(piece)[0];
}

static bool is_lockable(const struct cell *cell, const struct place *place)
{
	return is_unwatched(cell, place) && place->prot & READABLE &&
	       !cell->guard;
}

void lock_pages(void)
{
	struct piece piece;
	bool now = percent(60);
	size_t i;
	int rc;

	if (!find_piece(&piece, 60, is_lockable))
		return;
	note(now ? " now" : " on fault");
	rc = now ? mlock(start_of(piece), length_of(piece))
		 : mlock2(start_of(piece), length_of(piece), MLOCK_ONFAULT);
	ck_model(rc == 0, "mlock: %s", strerror(errno));
	for (i = 0; i < piece.pages; i++) {
		places_of(piece)[i].locked = true;
		if (now)
			cells_of(piece)[i].hole = false;
	}
	unsure_of_sharing(piece);
	learn_filled_holes(piece.arena);
}

static bool is_locked(const struct cell *cell, const struct place *place)
{
	return is_private(cell, place) && place->locked;
}

void unlock_pages(void)
{
	struct piece piece;
	size_t i;

	if (!find_piece(&piece, 300, is_locked))
		return;
	ck_model(munlock(start_of(piece), length_of(piece)) == 0, "munlock: %s",
		 strerror(errno));
	for (i = 0; i < piece.pages; i++)
		places_of(piece)[i].locked = false;
}

static void set_all_locked(bool locked)
{
	size_t i;

	for (i = 0; i < me->nr_cells; i++)
		me->places[i].locked = locked && me->places[i].mapping ==
							 PRIVATE_ANONYMOUS;
}

static bool is_anything_watched(void)
{
	size_t i;

	for (i = 0; i < me->nr_cells; i++) {
		if (me->places[i].watched)
			return true;
	}
	return false;
}

void lock_all(void)
{
	if (is_anything_watched())
		return;
	ck_model(mlockall(MCL_CURRENT | MCL_ONFAULT) == 0, "mlockall: %s",
		 strerror(errno));
	set_all_locked(true);
}

void unlock_all(void)
{
	ck_model(munlockall() == 0, "munlockall: %s", strerror(errno));
	set_all_locked(false);
}
