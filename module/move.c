// SPDX-License-Identifier: GPL-2.0-only
/*
 * move and its vector form: check the request, check the mappings, move batch
 * after batch, report. Semantics are in the uapi header.
 */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "internal.h"

static int check_range(const struct vmremap_range *range, u64 task_size)
{
	const u64 len = range->len;

	if (!len || (len | range->src | range->dst) & ~PAGE_MASK)
		return -EINVAL;
	if (len > task_size || range->src > task_size - len ||
	    range->dst > task_size - len)
		return -EINVAL;
	/* They overlap if one begins inside of the other. */
	if (range->src - range->dst < len || range->dst - range->src < len)
		return -EINVAL;
	return 0;
}

/* What source and destination must have in common, beside protection. */
#define VM_ALIKE (VM_ACCESS_FLAGS | VM_LOCKED | VM_DROPPABLE)

/* What no VMA may be. */
#define VM_UNFIT (VM_SPECIAL | VM_HUGETLB | VM_SHADOW_STACK | VM_SHARED)

static int check_vma(const struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_SEALED)
		return -EPERM;
	if (vma->vm_flags & VM_UNFIT || vma->vm_ops)
		return -EINVAL;
	if (!(vma->vm_flags & VM_WRITE))
		return -EINVAL;
	return 0;
}

static int check_vma_pair(const struct vm_area_struct *src,
			  const struct vm_area_struct *dst, unsigned int flags)
{
	int err;

	err = check_vma(src);
	if (!err)
		err = check_vma(dst);
	if (err)
		return err;
	if ((src->vm_flags ^ dst->vm_flags) & VM_ALIKE)
		return -EINVAL;
	/* Protection keys are in here. */
	if (pgprot_val(src->vm_page_prot) != pgprot_val(dst->vm_page_prot))
		return -EINVAL;
	if (dst->vm_flags & __VM_UFFD_FLAGS &&
	    !(flags & VMREMAP_MOVE_WAKE_LATER))
		return -EINVAL;
	return 0;
}

static bool covers(const struct vm_area_struct *vma, u64 addr, u64 len)
{
	return vma && addr >= vma->vm_start && addr + len <= vma->vm_end;
}

static struct vm_area_struct *vma_at(struct mm_struct *mm,
				     struct vm_area_struct *last,
				     unsigned long addr)
{
	if (!last || addr < last->vm_start || addr >= last->vm_end)
		last = find_vma(mm, addr);
	return last && last->vm_start <= addr ? last : NULL;
}

/* Checks all mappings of all that is left, so that nothing moves in vain. */
static int check_mappings(const struct vmremap_batch *batch)
{
	unsigned long done = batch->at.offset, step;
	struct vm_area_struct *src = NULL, *dst = NULL;
	unsigned int i;
	int err;

	for (i = batch->at.range; i < batch->nr_ranges; i++, done = 0) {
		const struct vmremap_range *range = &batch->ranges[i];

		/* These two have been checked against each other. */
		if (covers(src, range->src, range->len) &&
		    covers(dst, range->dst, range->len))
			continue;
		while (done < range->len) {
			struct vm_area_struct *last_src = src, *last_dst = dst;

			src = vma_at(batch->mm, src, range->src + done);
			dst = vma_at(batch->mm, dst, range->dst + done);
			if (!src || !dst)
				return -ENOENT;
			if (src != last_src || dst != last_dst) {
				err = check_vma_pair(src, dst, batch->flags);
				if (err)
					return err;
			}
			step = min(src->vm_end - (range->src + done),
				   dst->vm_end - (range->dst + done));
			done += step;
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	return 0;
}

/*
 * Whenever the lock was given away all mappings have to be checked again. So it
 * is kept for as long as that takes, and for a moment in any case: however many
 * wait, no more than half of the time goes into checks.
 */
static int check_mappings_and_keep_lock(struct vmremap_batch *batch)
{
	ktime_t start = ktime_get(), end;
	int err = check_mappings(batch);

	end = ktime_get();
	batch->keep_until = ktime_add_ms(ktime_add(end, ktime_sub(end, start)),
					 1);
	return err;
}

static int move_under_lock(struct vmremap_batch *batch)
{
	int err;

	if (mmap_write_lock_killable(batch->mm))
		return -EINTR;
	err = check_mappings_and_keep_lock(batch);
	if (!err)
		err = vmremap_batch_move_all(batch);
	/*
	 * A walker with an old anon_vma in hand must have got hold of it before
	 * the last VMA that keeps it alive can go.
	 */
	if (batch->need_grace_period)
		synchronize_rcu_expedited();
	batch->need_grace_period = false;
	mmap_write_unlock(batch->mm);
	return err;
}

static int move_all(struct vmremap_batch *batch)
{
	int err;

	do {
		err = move_under_lock(batch);
		if (err == VMREMAP_UNLOCK) {
			err = vmremap_repair_unlocked(batch);
			if (!err)
				err = VMREMAP_UNLOCK;
		}
	} while (err == VMREMAP_UNLOCK);
	return err;
}

static int move_ranges(const struct vmremap_range *ranges, unsigned int nr,
		       unsigned int flags, struct vmremap_cursor *done)
{
	const u64 task_size = TASK_SIZE;
	struct vmremap_batch *batch;
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++) {
		err = check_range(&ranges[i], task_size);
		if (err)
			return err;
	}
	batch = kzalloc(sizeof(*batch), GFP_KERNEL_ACCOUNT);
	if (!batch)
		return -ENOMEM;
	batch->mm = current->mm;
	batch->flags = flags;
	batch->ranges = ranges;
	batch->nr_ranges = nr;
	err = vmremap_batch_init(batch);
	if (!err)
		err = move_all(batch);
	*done = batch->at;
	vmremap_batch_free(batch);
	kfree(batch);
	return err;
}

int vmremap_op_move(struct vmremap_move *args)
{
	struct vmremap_cursor done = {};
	int err;

	err = move_ranges(&args->range, 1, args->flags, &done);
	args->moved = done.range ? args->range.len : done.offset;
	return err;
}

static u64 bytes_done(const struct vmremap_range *ranges,
		      const struct vmremap_cursor *done)
{
	u64 bytes = done->offset;
	unsigned int i;

	for (i = 0; i < done->range; i++)
		bytes += ranges[i].len;
	return bytes;
}

int vmremap_op_movev(struct vmremap_movev *args)
{
	struct vmremap_cursor done = {};
	struct vmremap_range *ranges;
	int err;

	args->moved = 0;
	args->done = 0;
	if (args->reserved || args->reserved2)
		return -EINVAL;
	if (!args->nr_ranges || args->nr_ranges > VMREMAP_MAX_RANGES)
		return -EINVAL;
	ranges = kvmalloc_array(args->nr_ranges, sizeof(*ranges), VMREMAP_GFP_ARRAY);
	if (!ranges)
		return -ENOMEM;

	err = -EFAULT;
	if (!copy_from_user(ranges, u64_to_user_ptr(args->ranges),
			    args->nr_ranges * sizeof(*ranges)))
		err = move_ranges(ranges, args->nr_ranges, args->flags, &done);
	args->moved = bytes_done(ranges, &done);
	args->done = done.range;
	kvfree(ranges);
	return err;
}
