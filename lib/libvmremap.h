/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvmremap: a thin layer over /dev/vmremap. What each operation does, its
 * flags and its errors are in vmremap.h, which this header includes.
 *
 * Functions that can fail return a negative errno; none reports through errno
 * itself. The library keeps no state, so any number of threads may use it at
 * once, on one descriptor or many. It never prints, aborts or retries.
 *
 * All of it is available since 0.1.
 */
#ifndef LIBVMREMAP_H
#define LIBVMREMAP_H

#include <stddef.h>

/* Installed beside this header; in the source tree it is in uapi/. */
#include "vmremap.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vmremap_available() - can this process use vmremap here and now?
 * @why: where to put the answer in plain words, or NULL; the string says what
 *	 is in the way and what to do about it, is static, and never NULL
 *
 * Opens the device, asks for its ABI version and closes it again. For whether
 * a single operation or flag exists, use vmremap_query().
 *
 * Return: 0 if it can, otherwise
 *	-ENOENT		there is no device: the module is not loaded
 *	-ENODEV, -ENXIO	there is a device node, but no module behind it
 *	-EACCES		the process is not in the group that may use the device
 *	-EPERM		a container or security policy forbids the device
 *	-ENOTTY		the device node belongs to something else
 *	-EPROTO		module and library have different ABI versions
 *	or another error of open(2)
 */
int vmremap_available(const char **why);

/**
 * vmremap_open() - open the device
 *
 * The descriptor is not bound to the process that opened it: each call acts on
 * the memory of the process that makes it, so it stays usable after fork(). It
 * is closed on exec.
 *
 * Return: the descriptor, or a negative errno of open(2).
 */
int vmremap_open(void);

/**
 * vmremap_close() - close the device
 * @fd: a descriptor from vmremap_open()
 *
 * Return: 0, or a negative errno of close(2).
 */
int vmremap_close(int fd);

/**
 * vmremap_query() - ask what the module can do on this kernel
 * @fd: a descriptor from vmremap_open()
 * @query: filled in whole; nothing in it needs to be set before
 *
 * Return: 0, or a negative errno.
 */
int vmremap_query(int fd, struct vmremap_query *query);

/**
 * vmremap_move() - move the pages of one range
 * @fd: a descriptor from vmremap_open()
 * @dst: where the pages go; page-aligned
 * @src: where they are; page-aligned
 * @len: bytes, a multiple of the page size
 * @flags: VMREMAP_MOVE_*
 * @moved: where to put the number of bytes done, from the start of the range,
 *	   or NULL; set on failure too
 *
 * Return: 0 if all of the range has moved, otherwise a negative errno as
 * listed at struct vmremap_move.
 */
int vmremap_move(int fd, void *dst, void *src, size_t len, unsigned int flags,
		 size_t *moved);

/**
 * vmremap_movev() - move the pages of many ranges
 * @fd: a descriptor from vmremap_open()
 * @ranges: the ranges, moved in this order
 * @nr_ranges: how many, at least one
 * @flags: VMREMAP_MOVE_*
 * @moved: where to put the number of bytes done in all, or NULL; set on
 *	   failure too
 * @done: where to put the number of ranges done wholly, or NULL; set on
 *	  failure too. The range after them may be done in part.
 *
 * More ranges than the module takes at once go to it in several calls. The
 * totals are those of the whole, but the mappings of a later part are checked
 * only once the earlier parts have moved.
 *
 * Return: 0 if all ranges have moved, otherwise a negative errno as listed at
 * struct vmremap_move and struct vmremap_movev.
 */
int vmremap_movev(int fd, const struct vmremap_range *ranges, size_t nr_ranges,
		  unsigned int flags, size_t *moved, size_t *done);

/**
 * vmremap_version() - version of this library
 *
 * That of the module is in the result of vmremap_query().
 *
 * Return: a static string such as "0.1.0".
 */
const char *vmremap_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMREMAP_H */
