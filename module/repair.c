// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a page movable that cannot be moved as it is: reading it in, breaking
 * copy-on-write, waiting for whoever has it locked, taking it out of a large
 * folio. Works on the first page of a plan (and, where that is cheap, on all
 * the later ones), without the anon_vma root lock; the batch is then planned
 * anew.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "compat.h"
#include "internal.h"

/* Pages that are faulted in before the batch is tried again. */
#define MAX_FAULTS 8192

/* A page that is still unfit after so many faults is somebody else's too. */
#define MAX_FAULTS_A_PAGE 4

static bool pmd_needs_fault(pmd_t pmd, bool unshare)
{
	if (pmd_none(pmd))
		return false;
	if (pmd_trans_huge(pmd))
		return unshare && PageAnon(pmd_page(pmd)) &&
		       !PageAnonExclusive(pmd_page(pmd));
	/* A migration entry of a huge page. */
	return !pmd_present(pmd);
}

static bool pte_needs_fault(pte_t pte, bool unshare)
{
	if (pte_none(pte))
		return false;
	if (!pte_present(pte))
		return compat_pte_is_swap(pte) || compat_pte_is_migration(pte);
	return unshare && !pte_special(pte) && PageAnon(pte_page(pte)) &&
	       !PageAnonExclusive(pte_page(pte));
}

/*
 * Whether a page needs a fault, and which. One that unshares makes the page
 * exclusive, and leaves its write protection as it is: it may not move after
 * all.
 */
static bool needs_fault(struct mm_struct *mm, unsigned long addr, bool unshare,
			unsigned int *fault_flags)
{
	pmd_t *pmd = vmremap_pmd(mm, addr);
	bool needed, present;
	spinlock_t *ptl;
	pte_t pte;

	*fault_flags = 0;
	if (!pmd || pmd_none(*pmd))
		return false;
	/* Under the lock, or reclaim could free the page that is looked at. */
	if (vmremap_pmd_is_table(*pmd)) {
		ptl = pte_lockptr(mm, pmd);
		spin_lock(ptl);
		pte = ptep_get(pte_offset_kernel(pmd, addr));
		present = pte_present(pte);
		needed = pte_needs_fault(pte, unshare);
	} else {
		ptl = pmd_lock(mm, pmd);
		present = pmd_present(*pmd);
		needed = pmd_needs_fault(*pmd, unshare);
	}
	spin_unlock(ptl);
	if (present)
		*fault_flags = FAULT_FLAG_UNSHARE;
	return needed;
}

/* Faults until a page is present, and not shared; returns how many it took. */
static int fault_page(struct vmremap_batch *batch, unsigned long addr)
{
	const bool unshare = batch->flags & VMREMAP_MOVE_UNSHARE;
	unsigned int flags;
	int err, faults;

	for (faults = 0; faults < MAX_FAULTS_A_PAGE; faults++) {
		if (!needs_fault(batch->mm, addr, unshare, &flags))
			break;
		err = vmremap_fault(batch->src_vma, addr, flags);
		if (err)
			return err;
		cond_resched();
	}
	return faults;
}

static int fault_run(struct vmremap_batch *batch, const struct vmremap_run *run,
		     unsigned int *budget)
{
	unsigned int i;

	for (i = 0; i < run->nr && *budget; i++) {
		int faults = fault_page(batch, run->src + i * PAGE_SIZE);

		if (faults < 0)
			return faults;
		*budget -= min_t(unsigned int, faults, *budget);
		if (faults && fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/*
 * Faults in whatever in the plan needs it. Trouble with a later page is not
 * reported here: by the time that page's turn comes it may be gone.
 */
static int fault_plan(struct vmremap_batch *batch)
{
	unsigned int i, budget = MAX_FAULTS;
	int err = fault_page(batch, batch->runs[0].src);

	if (err < 0)
		return err;
	err = 0;
	for (i = 0; i < batch->nr_runs && budget && !err; i++) {
		if (!batch->runs[i].hole)
			err = fault_run(batch, &batch->runs[i], &budget);
		cond_resched();
	}
	return err == -EINTR ? err : 0;
}

/* Tries without the mmap lock, before pages are read in under it. */
#define MAX_READ_INS 3

static void note_swapped(struct vmremap_batch *batch,
			 const struct vmremap_run *run)
{
	pmd_t *pmd = vmremap_pmd(batch->mm, run->src);
	unsigned int i;
	pte_t *pte;

	if (!pmd || !vmremap_pmd_is_table(*pmd))
		return;
	pte = pte_offset_kernel(pmd, run->src);
	for (i = 0; i < run->nr; i++) {
		if (batch->nr_swapped == VMREMAP_MAX_READ_IN)
			return;
		if (!pte_none(pte[i]) && !pte_present(pte[i]) &&
		    compat_pte_is_swap(pte[i]))
			batch->swapped[batch->nr_swapped++] =
				run->src + i * PAGE_SIZE;
	}
}

/*
 * Reading from a disk under the mmap lock would keep all other threads from
 * faulting. So the pages are noted, and read in without it; only if they go
 * out again faster than that is the lock kept. Where a userfaultfd watches, a
 * page that vanishes meanwhile would make the caller wait for its handler,
 * which may be the caller itself.
 */
static bool can_read_in_unlocked(struct vmremap_batch *batch)
{
	unsigned int i;

	if (batch->repairs > MAX_READ_INS ||
	    batch->src_vma->vm_flags & __VM_UFFD_FLAGS)
		return false;
	if (!batch->swapped)
		batch->swapped = kvmalloc_array(VMREMAP_MAX_READ_IN,
						sizeof(*batch->swapped),
						VMREMAP_GFP_ARRAY);
	batch->nr_swapped = 0;
	for (i = 0; batch->swapped && i < batch->nr_runs; i++)
		if (!batch->runs[i].hole)
			note_swapped(batch, &batch->runs[i]);
	return batch->nr_swapped;
}

/*
 * Takes a read fault for an address, if it is still memory of a kind that could
 * move, and no userfaultfd has begun to watch it.
 */
static vm_fault_t read_in_page(struct mm_struct *mm, unsigned long addr,
			       unsigned int flags)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	if (!vma || addr < vma->vm_start || !vma_is_anonymous(vma) ||
	    !(vma->vm_flags & VM_WRITE) || vma->vm_flags & __VM_UFFD_FLAGS)
		return 0;
	return handle_mm_fault(vma, addr,
			       flags | FAULT_FLAG_ALLOW_RETRY |
				       FAULT_FLAG_KILLABLE | FAULT_FLAG_REMOTE,
			       NULL);
}

/*
 * For so long the lock is kept although others want it for writing. To get it
 * may take longer than to read in a page, behind a writer that has to wait for
 * a slow reader.
 */
#define READ_IN_MS 10

/*
 * Reads in pages from the one at @at on. The mmap lock is given up in the end,
 * in any case where a fault has to wait: so every page is looked up anew.
 */
static void read_in_pages(struct vmremap_batch *batch, unsigned int *at,
			  unsigned int *flags)
{
	ktime_t end = ktime_add_ms(ktime_get(), READ_IN_MS);
	struct mm_struct *mm = batch->mm;
	vm_fault_t fault;

	do {
		fault = read_in_page(mm, batch->swapped[*at], *flags);
		if (fault & VM_FAULT_RETRY) {
			*flags = FAULT_FLAG_TRIED;
			return;
		}
		*flags = 0;
		++*at;
		if (fault & VM_FAULT_COMPLETED)
			return;
		cond_resched();
	} while (*at < batch->nr_swapped && !fatal_signal_pending(current) &&
		 (!mmap_lock_is_contended(mm) || ktime_before(ktime_get(), end)));
	mmap_read_unlock(mm);
}

/**
 * vmremap_repair_unlocked - what a repair has left to be done
 * @batch: the mmap lock is not held
 *
 * Reads in the pages that were noted. What goes wrong with one does not matter:
 * it may be gone, and its mapping too. Whoever looks next will see.
 *
 * Return: 0 or -EINTR
 */
int vmremap_repair_unlocked(struct vmremap_batch *batch)
{
	unsigned int at = 0, flags = 0;

	while (at < batch->nr_swapped) {
		if (fatal_signal_pending(current) ||
		    mmap_read_lock_killable(batch->mm))
			return -EINTR;
		read_in_pages(batch, &at, &flags);
	}
	if (batch->let_go)
		schedule_timeout_killable(1);
	return 0;
}

/* The folio that is mapped at an address, with a reference; or NULL. */
static struct folio *get_folio_at(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = vmremap_pmd(mm, addr);
	struct folio *folio = NULL;
	spinlock_t *ptl;
	pte_t pte;

	if (!pmd || pmd_none(*pmd))
		return NULL;
	ptl = pmd_lock(mm, pmd);
	if (pmd_trans_huge(*pmd)) {
		folio = page_folio(pmd_page(*pmd));
		folio_get(folio);
	}
	spin_unlock(ptl);
	if (folio || !vmremap_pmd_is_table(*pmd))
		return folio;

	ptl = pte_lockptr(mm, pmd);
	spin_lock(ptl);
	pte = ptep_get(pte_offset_kernel(pmd, addr));
	if (pte_present(pte) && !pte_special(pte)) {
		folio = page_folio(pte_page(pte));
		folio_get(folio);
	}
	spin_unlock(ptl);
	return folio;
}

static int wait_for_folio(struct vmremap_batch *batch, unsigned long addr)
{
	struct folio *folio = get_folio_at(batch->mm, addr);
	int err = 0;

	if (folio) {
		err = folio_wait_locked_killable(folio);
		folio_put(folio);
	}
	return err ? -EINTR : 0;
}

/*
 * The addresses at which a large folio may be: in the first page's table, in
 * its range and VMA.
 */
static void reach_of_folio(const struct vmremap_batch *batch,
			   struct folio *folio, unsigned long page_addr,
			   pte_t pte, unsigned long *start, unsigned long *end)
{
	const struct vmremap_range *range = &batch->ranges[batch->runs[0].range];
	const struct vm_area_struct *vma = batch->src_vma;
	unsigned long first = page_addr -
		(pte_pfn(pte) - folio_pfn(folio)) * PAGE_SIZE;
	unsigned long last = first + folio_size(folio);

	first = max(first, page_addr & PMD_MASK);
	last = min(last, (page_addr & PMD_MASK) + PMD_SIZE);
	*start = max3((unsigned long)range->src, vma->vm_start, first);
	*end = min3((unsigned long)(range->src + range->len), vma->vm_end, last);
}

/*
 * Marks the entries of a folio in an open and flushed span as shared and
 * read-only, so that the next write fault copies the page.
 */
static int share_entries(struct vmremap_batch *batch, struct folio *folio)
{
	struct vmremap_span *span = &batch->span;
	unsigned long addr;

	for (addr = span->start; addr < span->end; addr += PAGE_SIZE) {
		struct vmremap_block *block = vmremap_span_block(span, addr);
		pte_t *pte = &block->ptes[pte_index(addr)];
		struct page *page;

		if (!pte_present(*pte) || pte_special(*pte))
			continue;
		page = pte_page(*pte);
		if (page_folio(page) != folio || !PageAnonExclusive(page))
			continue;
		if (compat_try_share(folio, page))
			return -EBUSY;
		*pte = pte_wrprotect(*pte);
		__set_bit(pte_index(addr), batch->shared);
	}
	return 0;
}

/*
 * Takes back what share_entries() has marked and nobody has copied: a page that
 * looks shared would not move any more. Nobody can have come to share it, the
 * mmap lock has been held; and who has the folio lock finds no entry replaced
 * for a migration, which the caller's reference makes fail. An entry that was
 * replaced for a swap-out stays so; the next write to it settles the matter, as
 * after a fork.
 */
static void unshare_entries(struct vmremap_batch *batch, struct folio *folio,
			    unsigned long start, unsigned long end)
{
	pmd_t *pmd = vmremap_pmd(batch->mm, start);
	spinlock_t *ptl = pte_lockptr(batch->mm, pmd);
	unsigned long addr;

	if (bitmap_empty(batch->shared, PTRS_PER_PTE))
		return;
	folio_lock(folio);
	spin_lock(ptl);
	for (addr = start; addr < end; addr += PAGE_SIZE) {
		pte_t pte = ptep_get(pte_offset_kernel(pmd, addr));

		if (test_bit(pte_index(addr), batch->shared) &&
		    pte_present(pte) && !pte_special(pte) &&
		    page_folio(pte_page(pte)) == folio)
			SetPageAnonExclusive(pte_page(pte));
	}
	spin_unlock(ptl);
	folio_unlock(folio);
}

/*
 * Whether somebody has got hold of the folio to read or write its memory, or
 * may have: any reference that is not accounted for. What is being read into it
 * from a disk would not get into a copy. The caller has a reference, and the
 * lock, which keeps the folio from entering the swap cache.
 */
static bool is_in_use(struct folio *folio)
{
	int mapcount = compat_folio_mapcount(folio), references;

	/*
	 * A mapping comes after its reference and goes before it. So there are
	 * never fewer references, and one that is not a mapping's can be hidden
	 * only if a mapping is missing just while they are counted.
	 */
	smp_rmb();
	references = folio_ref_count(folio) - 1;
	if (folio_test_swapcache(folio))
		references -= folio_nr_pages(folio);
	/* Counts the mappings once more, after the references. */
	smp_rmb();
	return references != mapcount ||
	       compat_folio_mapcount(folio) != mapcount;
}

static int share_unused(struct vmremap_batch *batch, struct folio *folio)
{
	int err = -EAGAIN;

	if (!folio_trylock(folio))
		return err;
	/* After the flush nobody can come to use it through these addresses. */
	if (folio_maybe_dma_pinned(folio))
		err = -EBUSY;
	else if (!is_in_use(folio))
		err = share_entries(batch, folio);
	folio_unlock(folio);
	return err;
}

static int share_folio(struct vmremap_batch *batch, struct folio *folio,
		       unsigned long start, unsigned long end)
{
	struct anon_vma *root = batch->src_vma->anon_vma->root;
	int err;

	err = down_write_killable(&root->rwsem);
	if (err)
		return err;
	vmremap_span_set(&batch->span, batch->src_vma, start, end);
	err = vmremap_span_open(&batch->span);
	if (!err) {
		vmremap_span_flush(&batch->span);
		err = share_unused(batch, folio);
	}
	vmremap_span_close(&batch->span);
	up_write(&root->rwsem);
	return err;
}

/* A page that migrates is not there to be copied, but comes back. */
static int copy_page_out(struct vmremap_batch *batch, struct folio *folio,
			 unsigned long addr)
{
	unsigned int tries, flags;
	int err = 0;

	for (tries = 0; tries < MAX_FAULTS_A_PAGE && !err; tries++) {
		struct folio *now = get_folio_at(batch->mm, addr);

		if (now)
			folio_put(now);
		if (now && now != folio)
			break;
		if (!needs_fault(batch->mm, addr, true, &flags))
			break;
		err = vmremap_fault(batch->src_vma, addr, flags);
		cond_resched();
	}
	return err;
}

/* Copies what is in reach of a large folio, each page to one of its own. */
static int copy_out(struct vmremap_batch *batch, struct folio *folio,
		    unsigned long start, unsigned long end)
{
	unsigned long addr;
	int err;

	bitmap_zero(batch->shared, PTRS_PER_PTE);
	/* The caller's reference keeps the fault from reusing the page. */
	err = share_folio(batch, folio, start, end);
	for (addr = start; addr < end && !err; addr += PAGE_SIZE)
		if (test_bit(pte_index(addr), batch->shared))
			err = copy_page_out(batch, folio, addr);
	/* What has not been copied, whatever the reason. */
	unshare_entries(batch, folio, start, end);
	return err;
}

/*
 * Only a part of a large folio is to move. The kernel may split the folio;
 * where it does not (before 7.2 there is no way to ask for one that is mapped
 * by single entries), the pages are copied as for a write after fork.
 */
static int break_folio_once(struct vmremap_batch *batch, unsigned long addr)
{
	unsigned long start, end;
	struct folio *folio;
	pte_t pte = __pte(0);
	pmd_t *pmd;
	int err = 0;

	vmremap_split_folio(batch->src_vma, addr);
	folio = get_folio_at(batch->mm, addr);
	if (!folio)
		return 0;
	pmd = vmremap_pmd(batch->mm, addr);
	if (vmremap_pmd_is_table(*pmd))
		pte = ptep_get(pte_offset_kernel(pmd, addr));
	if (folio_test_large(folio) && pte_present(pte) &&
	    page_folio(pte_page(pte)) == folio) {
		reach_of_folio(batch, folio, addr, pte, &start, &end);
		err = copy_out(batch, folio, start, end);
	}
	folio_put(folio);
	return err;
}

/*
 * References come and go: with migrations, with lists that each CPU keeps, with
 * the transfers of O_DIRECT. One that stays for so many ticks may be the
 * caller's own, which another try would wait for in vain.
 */
#define MAX_WAITS 100

/*
 * Whoever holds a reference may want the mmap lock before letting go of it, as
 * get_user_pages() does for its later pages; so it is waited for without.
 */
static int break_folio(struct vmremap_batch *batch, unsigned long addr)
{
	int err;

	if (wait_for_folio(batch, addr))
		return -EINTR;
	err = break_folio_once(batch, addr);
	if (err != -EAGAIN)
		return err;
	if (++batch->waits > MAX_WAITS)
		return -EBUSY;
	batch->let_go = true;
	return VMREMAP_UNLOCK;
}

/*
 * What looks like a part of a folio may be all of it, with pages that are still
 * in the swap cache.
 */
static bool can_complete(struct vmremap_batch *batch, unsigned long addr)
{
	struct folio *folio = get_folio_at(batch->mm, addr);
	bool swapcache = folio && folio_test_swapcache(folio);

	if (folio)
		folio_put(folio);
	return swapcache && can_read_in_unlocked(batch);
}

/* Something in the plan is not what it was when the plan was made. */
static int settle_plan(struct vmremap_batch *batch)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < batch->nr_runs && !err; i++) {
		pmd_t *pmd = vmremap_pmd(batch->mm, batch->runs[i].src);

		if (pmd && !pmd_none(*pmd) && !pmd_present(*pmd))
			err = vmremap_fault(batch->src_vma,
					    batch->runs[i].src, 0);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return err;
}

/**
 * vmremap_repair - make the first page of a plan movable
 * @batch: planned; the mmap lock is held, the VMAs are write-locked
 * @why: what kept that page from moving
 *
 * Return: 0 if it is worth another try, VMREMAP_UNLOCK if that is to come after
 * vmremap_repair_unlocked(), or an errno: -ENOMEM, -EFAULT, -EBUSY, -EAGAIN,
 * -EINTR
 */
int vmremap_repair(struct vmremap_batch *batch, enum vmremap_stop why)
{
	unsigned long addr = batch->runs[0].src;

	switch (why) {
	case VMREMAP_SWAPPED:
		if (can_read_in_unlocked(batch))
			return VMREMAP_UNLOCK;
		return fault_plan(batch);
	case VMREMAP_MIGRATING:
	case VMREMAP_SHARED:
		return fault_plan(batch);
	case VMREMAP_LOCKED:
		return wait_for_folio(batch, addr);
	case VMREMAP_PARTIAL:
		if (can_complete(batch, addr))
			return VMREMAP_UNLOCK;
		return break_folio(batch, addr);
	default:
		return settle_plan(batch);
	}
}
