// SPDX-License-Identifier: GPL-2.0-only
/*
 * Teaches lockdep that reclaim takes anon_vma locks, so that it reports an
 * allocation under such a lock the first time, and not only once memory has
 * run short at just the right moment. Reclaim itself does not teach it that:
 * there, the lock is tried first, and a try cannot deadlock.
 *
 * With violate=1 it then makes that mistake, to show that it is reported.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

static bool violate;
module_param(violate, bool, 0);
MODULE_PARM_DESC(violate, "allocate memory under an anon_vma lock");

static void lock_in_reclaim(struct anon_vma *root)
{
	fs_reclaim_acquire(GFP_KERNEL);
	down_read(&root->rwsem);
	up_read(&root->rwsem);
	fs_reclaim_release(GFP_KERNEL);
}

static void allocate_under_lock(struct anon_vma *root)
{
	down_write(&root->rwsem);
	kfree(kmalloc(8, GFP_KERNEL));
	up_write(&root->rwsem);
}

static int __init prime_lockdep_init(void)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int err = -ENODATA;

	mmap_read_lock(mm);
	/* The stack of whoever loads this has been written to. */
	vma = find_vma(mm, mm->start_stack);
	if (vma && vma->anon_vma) {
		lock_in_reclaim(vma->anon_vma->root);
		if (violate)
			allocate_under_lock(vma->anon_vma->root);
		err = 0;
	}
	mmap_read_unlock(mm);
	return err;
}
module_init(prime_lockdep_init);

static void __exit prime_lockdep_exit(void)
{
}
module_exit(prime_lockdep_exit);

MODULE_DESCRIPTION("Makes lockdep know that reclaim takes anon_vma locks");
MODULE_LICENSE("GPL");
