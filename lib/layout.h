/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The layout of the structs that programs and module exchange, as both have
 * been built with. A program can include this too, in C11 or C++11; it is not
 * installed.
 */
#ifndef VMREMAP_LAYOUT_H
#define VMREMAP_LAYOUT_H

#include <stddef.h>

#include "vmremap.h"

#ifdef __cplusplus
#define LAYOUT_ASSERT static_assert
#else
#define LAYOUT_ASSERT _Static_assert
#endif

#define STRUCT_SIZE(name, bytes) \
	LAYOUT_ASSERT(sizeof(struct name) == (bytes), "size of " #name)
#define FIELD_AT(name, field, offset)                           \
	LAYOUT_ASSERT(offsetof(struct name, field) == (offset), \
		      "offset of " #name "." #field)

STRUCT_SIZE(vmremap_query, 128);
FIELD_AT(vmremap_query, size, 0);
FIELD_AT(vmremap_query, flags, 4);
FIELD_AT(vmremap_query, abi_version, 8);
FIELD_AT(vmremap_query, max_ranges, 12);
FIELD_AT(vmremap_query, ops, 16);
FIELD_AT(vmremap_query, lacks, 24);
FIELD_AT(vmremap_query, op_flags, 32);
FIELD_AT(vmremap_query, version, 96);

STRUCT_SIZE(vmremap_range, 24);
FIELD_AT(vmremap_range, dst, 0);
FIELD_AT(vmremap_range, src, 8);
FIELD_AT(vmremap_range, len, 16);

STRUCT_SIZE(vmremap_move, 40);
FIELD_AT(vmremap_move, size, 0);
FIELD_AT(vmremap_move, flags, 4);
FIELD_AT(vmremap_move, range, 8);
FIELD_AT(vmremap_move, moved, 32);

STRUCT_SIZE(vmremap_movev, 40);
FIELD_AT(vmremap_movev, size, 0);
FIELD_AT(vmremap_movev, flags, 4);
FIELD_AT(vmremap_movev, ranges, 8);
FIELD_AT(vmremap_movev, nr_ranges, 16);
FIELD_AT(vmremap_movev, reserved, 20);
FIELD_AT(vmremap_movev, moved, 24);
FIELD_AT(vmremap_movev, done, 32);
FIELD_AT(vmremap_movev, reserved2, 36);

#endif /* VMREMAP_LAYOUT_H */
