/* SPDX-License-Identifier: GPL-2.0-only */
/* Moves with their whole result checked. Lengths are in pages. */
#ifndef MOVES_H
#define MOVES_H

#include "pagestate.h"

#define HOLES VMREMAP_MOVE_ALLOW_SRC_HOLES
#define REPLACE VMREMAP_MOVE_REPLACE
#define UNSHARE VMREMAP_MOVE_UNSHARE
#define WAKE_LATER VMREMAP_MOVE_WAKE_LATER

/* Never a count of bytes, so that one left unset is seen. */
#define UNSET ((size_t)-1)

#define ck_move_ends(dst, src, pages, flags, error, at)                        \
	do {                                                                   \
		size_t moved_ = UNSET, want_ = (at)*PAGE;                      \
		int rc_ = vmremap_move(dev, dst, src, (pages)*PAGE, flags,     \
				       &moved_);                               \
		ck_assert_msg(rc_ == -(error), "move: %s, expected %s",        \
			      strerror(-rc_), strerror(error));                \
		ck_assert_msg(moved_ == want_,                                 \
			      "moved %zu bytes, expected %zu", moved_, want_); \
	} while (0)

#define ck_move(dst, src, pages, flags) \
	ck_move_ends(dst, src, pages, flags, 0, pages)

/* Refused before anything has moved. */
#define ck_refused(dst, src, pages, flags, error) \
	ck_move_ends(dst, src, pages, flags, error, 0)

#define ck_movev_ends(ranges, nr, flags, error, pages, whole)            \
	do {                                                             \
		size_t moved_ = UNSET, done_ = UNSET;                    \
		size_t want_ = (pages)*PAGE, whole_ = (whole);           \
		int rc_ = vmremap_movev(dev, ranges, nr, flags, &moved_, \
					&done_);                         \
		ck_assert_msg(rc_ == -(error), "movev: %s, expected %s", \
			      strerror(-rc_), strerror(error));          \
		ck_assert_msg(moved_ == want_ && done_ == whole_,        \
			      "moved %zu bytes and %zu ranges, "         \
			      "expected %zu and %zu",                    \
			      moved_, done_, want_, whole_);             \
	} while (0)

/* The data is at the destination, and the source is as new. */
#define ck_arrived(dst, src, pages, first)   \
	do {                                 \
		ck_holds(dst, pages, first); \
		ck_holes(src, pages);        \
		ck_zero(src, pages);         \
	} while (0)

/* Nothing has happened: data at the source, holes at the destination. */
#define ck_untouched(dst, src, pages, first) \
	do {                                 \
		ck_holds(src, pages, first); \
		ck_holes(dst, pages);        \
	} while (0)

static inline struct vmremap_range range_of(void *dst, void *src, size_t pages)
{
	return (struct vmremap_range){
		.dst = (uintptr_t)dst,
		.src = (uintptr_t)src,
		.len = pages * PAGE,
	};
}

#endif
