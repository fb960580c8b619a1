/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * vmremap: remapping operations on a process's own memory, through
 * /dev/vmremap. This header is the contract; libvmremap and its manual follow
 * it.
 *
 * Every operation is one ioctl on a descriptor of /dev/vmremap. The descriptor
 * binds nothing: each call acts on the memory of the process that makes it.
 *
 * Structs
 *	Each begins with its own size, set by the caller to sizeof(struct), and
 *	with flags. A struct may grow at its end in later versions. A module
 *	that is older than the caller takes a longer struct as long as the part
 *	it does not know is zero; one that is newer takes a shorter struct and
 *	reads the missing part as zero. Fields called `reserved` must be zero.
 *	Addresses and lengths are in bytes.
 *
 * Errors common to all operations
 *	EFAULT	the struct, or what it points to, cannot be read or written
 *	E2BIG	the struct is longer than the module knows, and its tail is not
 *		zero; or it is longer than a page
 *	EINVAL	the struct is shorter than its first version, a flag is
 *		unknown, or a reserved field is not zero
 *	ENOTTY	this module has no such operation
 *	EINTR	a fatal signal came
 *
 * A call that is refused changes no memory. A call that fails half-way says in
 * its struct how far it came; all that it did not reach is as it was. Where the
 * struct itself is refused, for its size or flags, nothing is written to it.
 */
#ifndef _UAPI_VMREMAP_H
#define _UAPI_VMREMAP_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VMREMAP_DEVICE "/dev/vmremap"

/*
 * Changes only if a program written for an older value could go wrong; a new
 * operation, flag or field does not change it.
 */
#define VMREMAP_ABI_VERSION 1

/* Number of an operation: the ioctl's number, and its bit in a query's ops. */
#define VMREMAP_OP_QUERY 0
#define VMREMAP_OP_MOVE 1
#define VMREMAP_OP_MOVEV 2

#define VMREMAP_MAX_OPS 16

/**
 * struct vmremap_query - what this module can do on this kernel
 * @size: sizeof(struct vmremap_query)
 * @flags: must be zero
 * @abi_version: out: VMREMAP_ABI_VERSION of the module
 * @max_ranges: out: most ranges that one vector call takes
 * @ops: out: bit N is set where operation number N exists
 * @lacks: out: VMREMAP_LACKS_* of this kernel
 * @op_flags: out: for operation number N, the flags that it takes
 * @version: out: the module's version, a string that ends in a NUL
 */
struct vmremap_query {
	__u32 size;
	__u32 flags;
	__u32 abi_version;
	__u32 max_ranges;
	__u64 ops;
	__u64 lacks;
	__u32 op_flags[VMREMAP_MAX_OPS];
	char version[32];
};

/* The kernel was built without transparent huge pages. */
#define VMREMAP_LACKS_THP (1ULL << 0)
/* The kernel has no soft-dirty bit, so moved pages are not marked with it. */
#define VMREMAP_LACKS_SOFT_DIRTY (1ULL << 1)
/* The kernel has no UFFDIO_MOVE, the nearest thing to this module's move. */
#define VMREMAP_LACKS_UFFDIO_MOVE (1ULL << 2)

/**
 * struct vmremap_range - one range to move
 * @dst: where the pages go; page-aligned
 * @src: where they are; page-aligned
 * @len: how much, a multiple of the page size, not zero
 *
 * Both ranges lie wholly in mapped memory of the caller, and do not overlap.
 */
struct vmremap_range {
	__u64 dst;
	__u64 src;
	__u64 len;
};

/*
 * Pages that are missing in the source are skipped, whatever the destination has
 * there, and count as moved. Without it they end the call with ENOENT.
 */
#define VMREMAP_MOVE_ALLOW_SRC_HOLES (1U << 0)
/*
 * What the destination holds is discarded as far as the call comes; where the
 * source has a hole (with ALLOW_SRC_HOLES) the destination gets one. Without it
 * a page in the destination ends the call with EEXIST.
 */
#define VMREMAP_MOVE_REPLACE (1U << 1)
/*
 * Pages that are shared after a fork, or merged by KSM, are copied first, as a
 * write to them would do. Without it they end the call with EBUSY.
 */
#define VMREMAP_MOVE_UNSHARE (1U << 2)
/*
 * The destination may be watched by a userfaultfd. Threads that wait there for
 * a page are not woken: the caller does that, with UFFDIO_WAKE. Without the
 * flag such a destination is refused with EINVAL.
 */
#define VMREMAP_MOVE_WAKE_LATER (1U << 3)

#define VMREMAP_MOVE_FLAGS                                        \
	(VMREMAP_MOVE_ALLOW_SRC_HOLES | VMREMAP_MOVE_REPLACE |    \
	 VMREMAP_MOVE_UNSHARE | VMREMAP_MOVE_WAKE_LATER)

/**
 * struct vmremap_move - move pages of private anonymous memory
 * @size: sizeof(struct vmremap_move)
 * @flags: VMREMAP_MOVE_*
 * @range: what to move, and where to
 * @moved: out: bytes done, from the start of the range; set on failure too
 *
 * The pages themselves go from source to destination; nothing is copied and no
 * mapping is changed. After the call the source reads as new memory. For every
 * other thread each page is either still at the source or already at the
 * destination: a write to the source either is seen at the destination or
 * lands in a new page of the source, never in both and never in neither.
 *
 * 2 MiB pages stay whole where source and destination are congruent modulo
 * 2 MiB, and other large folios wherever the range covers all of them. Swapped
 * pages are read in first. Pages keep their dirty and accessed state and are
 * marked soft-dirty. Semantics and errors follow UFFDIO_MOVE where it has them.
 *
 * What a userfaultfd protects in the source moves without that protection. A
 * destination that is watched for read-write protection (Linux 7.3) protects
 * each page that comes in. In both cases 2 MiB pages are split.
 *
 * Errors, before anything has moved
 *	EINVAL	an address or length is unaligned, zero, wraps or leaves the
 *		address space; the ranges overlap; a mapping is not private
 *		anonymous memory, not writable, or special (hugetlb, shadow
 *		stack, VM_IO, VM_PFNMAP, VM_MIXEDMAP, VM_DONTEXPAND); source and
 *		destination differ in protection, protection key, mlock or
 *		VM_DROPPABLE; the destination is watched by a userfaultfd and
 *		WAKE_LATER is not given
 *	ENOENT	part of a range is not mapped at all
 *	EPERM	a mapping is sealed (mseal)
 *	ENOMEM	no memory for what has to be prepared
 * Errors that end the call at a page; what came before has moved
 *	ENOENT	the source has no page here, and ALLOW_SRC_HOLES is not given
 *	EEXIST	the destination has a page here, and REPLACE is not given
 *	EBUSY	the page is pinned (DMA, io_uring); or it is a part of a large
 *		folio of which somebody keeps a reference without a pin
 *		(vmsplice, a long transfer of O_DIRECT); or it is shared, and
 *		UNSHARE is not given
 *	EFAULT	a guard, poison or write-protect marker (with REPLACE also in
 *		the destination), a page with a hardware error, or device memory
 *	EAGAIN	the kernel kept the page busy for too long; try again
 *	ENOMEM	no memory to read it in or to copy it
 *	EINTR	a fatal signal came
 * Swapped pages are read in without the lock that keeps the mappings as they
 * are, and a long call gives it to other threads that wait for it. If one of
 * them changes the mappings meanwhile, errors of the first kind may come after a
 * part has moved.
 */
struct vmremap_move {
	__u32 size;
	__u32 flags;
	struct vmremap_range range;
	__u64 moved;
};

/**
 * struct vmremap_movev - move many ranges in one call
 * @size: sizeof(struct vmremap_movev)
 * @flags: VMREMAP_MOVE_*
 * @ranges: address of an array of struct vmremap_range
 * @nr_ranges: its length, 1 to the max_ranges of a query
 * @reserved: must be zero
 * @moved: out: bytes done in all; set on failure too
 * @done: out: ranges done wholly; the one after them may be done in part
 * @reserved2: must be zero
 *
 * As if the ranges were moved one after the other in the array's order, but
 * in one call and, for ranges that lie together in one mapping, one TLB
 * flush. All mappings are checked before the first page moves. It is fastest
 * with the sources in ascending order.
 *
 * Errors are those of struct vmremap_move, and
 *	EINVAL	nr_ranges is zero or too large
 */
struct vmremap_movev {
	__u32 size;
	__u32 flags;
	__u64 ranges;
	__u32 nr_ranges;
	__u32 reserved;
	__u64 moved;
	__u32 done;
	__u32 reserved2;
};

#define VMREMAP_IOC_MAGIC 0xF7
#define VMREMAP_IOC_QUERY \
	_IOWR(VMREMAP_IOC_MAGIC, VMREMAP_OP_QUERY, struct vmremap_query)
#define VMREMAP_IOC_MOVE \
	_IOWR(VMREMAP_IOC_MAGIC, VMREMAP_OP_MOVE, struct vmremap_move)
#define VMREMAP_IOC_MOVEV \
	_IOWR(VMREMAP_IOC_MAGIC, VMREMAP_OP_MOVEV, struct vmremap_movev)

#endif /* _UAPI_VMREMAP_H */
