// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flush engine: takes the entries of a span of one VMA out of the reach of
 * the hardware, flushes the TLB, and puts back what does not move.
 *
 * No function that flushes the TLB is exported. The exported zap of special
 * mappings is one in effect: it flushes from the first to the last entry that
 * it clears, and tells the MMU notifiers. So everything in the span is taken
 * away, a sentinel is put at each end, and the span is zapped: the zap finds
 * the two sentinels and flushes all between them. What it found besides it
 * would discard, so nothing may be left.
 *
 * Inside the span whole tables and huge pages are taken off their PMD entries,
 * at the cost of one store per 2 MiB; the zap skips what is empty there. In the
 * first and the last block a sentinel needs a table to stand in. Where all of
 * the block moves, the destination's empty table goes there (it stays, as the
 * source's new table). Otherwise the block's own table stays and its entries
 * are copied out one by one.
 *
 * Taking a whole table away also hides pages that do not move. Nobody can see
 * that: page faults and everything else under the mmap or VMA lock wait for
 * those, GUP-fast falls back to them, and rmap walks wait for the anon_vma
 * root lock, which the caller holds for writing.
 *
 * Once a table or an entry is away, a walk that started before may still use
 * it until the flush. So nothing is written through it, and what it says about
 * accessed and dirty is read after the flush.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include <asm/pgalloc.h>
#include "compat.h"
#include "internal.h"

int vmremap_span_init(struct vmremap_span *span, unsigned int max_blocks)
{
	span->max_blocks = max_blocks;
	span->blocks = kvmalloc_array(max_blocks, sizeof(*span->blocks),
				      VMREMAP_GFP_ARRAY);
	span->taken[0] = (pte_t *)__get_free_page(GFP_KERNEL_ACCOUNT);
	span->taken[1] = (pte_t *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!span->blocks || !span->taken[0] || !span->taken[1])
		return -ENOMEM;
	return 0;
}

void vmremap_span_free(struct vmremap_span *span)
{
	kvfree(span->blocks);
	free_page((unsigned long)span->taken[0]);
	free_page((unsigned long)span->taken[1]);
}

/* Sets the addresses; blocks that move as a whole may be paired after that. */
void vmremap_span_set(struct vmremap_span *span, struct vm_area_struct *vma,
		      unsigned long start, unsigned long end)
{
	span->vma = vma;
	span->start = start;
	span->end = end;
	span->nr_blocks = ((end - 1) >> PMD_SHIFT) - (start >> PMD_SHIFT) + 1;
	memset(span->blocks, 0, span->nr_blocks * sizeof(*span->blocks));
}

static bool is_edge(const struct vmremap_span *span, unsigned int i)
{
	return i == 0 || i == span->nr_blocks - 1;
}

static unsigned long block_addr(const struct vmremap_span *span, unsigned int i)
{
	return (span->start & PMD_MASK) + i * PMD_SIZE;
}

static void take_entries(struct vmremap_span *span, unsigned int i)
{
	struct mm_struct *mm = span->vma->vm_mm;
	struct vmremap_block *block = &span->blocks[i];
	unsigned long base = block_addr(span, i);
	unsigned long addr = max(base, span->start);
	unsigned long end = min(base + PMD_SIZE, span->end);
	pte_t *pte = pte_offset_kernel(block->pmd, addr);
	spinlock_t *ptl = pte_lockptr(mm, block->pmd);

	block->kind = VMREMAP_BLOCK_TAKEN;
	block->ptes = span->taken[i != 0];
	spin_lock(ptl);
	for (; addr < end; addr += PAGE_SIZE, pte++) {
		pte_t old = ptep_get(pte);

		if (!pte_none(old))
			old = ptep_get_and_clear(mm, addr, pte);
		block->ptes[pte_index(addr)] = old;
	}
	spin_unlock(ptl);
}

static void put_entries_back(struct vmremap_span *span, unsigned int i)
{
	struct mm_struct *mm = span->vma->vm_mm;
	struct vmremap_block *block = &span->blocks[i];
	unsigned long base = block_addr(span, i);
	unsigned long addr = max(base, span->start);
	unsigned long end = min(base + PMD_SIZE, span->end);
	pte_t *pte = pte_offset_kernel(block->pmd, addr);
	spinlock_t *ptl = pte_lockptr(mm, block->pmd);

	spin_lock(ptl);
	for (; addr < end; addr += PAGE_SIZE, pte++) {
		pte_t old = block->ptes[pte_index(addr)];

		if (!pte_none(old))
			set_pte_at(mm, addr, pte, old);
	}
	spin_unlock(ptl);
}

static int take_block(struct vmremap_span *span, unsigned int i)
{
	struct mm_struct *mm = span->vma->vm_mm;
	struct vmremap_block *block = &span->blocks[i];
	unsigned long addr = block_addr(span, i);
	bool keep_table = is_edge(span, i) && !block->pair_pmd;
	spinlock_t *ptl;
	int err = 0;

	block->pmd = vmremap_pmd(mm, addr);
	if (!block->pmd || pmd_none(*block->pmd))
		return is_edge(span, i) ? -EAGAIN : 0;

	ptl = pmd_lock(mm, block->pmd);
	block->val = *block->pmd;
	if (vmremap_pmd_is_table(block->val)) {
		if (!keep_table) {
			block->kind = VMREMAP_BLOCK_TABLE;
			block->ptes = vmremap_table_of(block->val);
			pmd_clear(block->pmd);
		}
	} else if (pmd_trans_huge(block->val) && !keep_table) {
		block->kind = VMREMAP_BLOCK_HUGE;
		block->val = pmdp_huge_get_and_clear(mm, addr, block->pmd);
	} else if (!is_edge(span, i)) {
		/* A huge page that migrates; its rmap walk waits for us. */
		block->kind = VMREMAP_BLOCK_ASIDE;
		pmd_clear(block->pmd);
	} else {
		err = -EAGAIN;
	}
	spin_unlock(ptl);

	if (!err && block->kind == VMREMAP_BLOCK_NONE)
		take_entries(span, i);
	return err;
}

/**
 * vmremap_span_open - take a span's entries out of reach
 * @span: set, and its blocks paired where they move as a whole
 *
 * The caller holds the mmap lock and the VMA write-locked, and the write side
 * of the VMA's anon_vma root. After it no new user can find a page through the
 * span: a pin that is not there yet cannot come any more.
 *
 * Return: 0, or -EAGAIN if a block is no longer what the caller thought; then
 * some blocks are open, and vmremap_span_close() is due all the same.
 */
int vmremap_span_open(struct vmremap_span *span)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < span->nr_blocks && !err; i++) {
		err = take_block(span, i);
		cond_resched();
	}
	/* Clear the entries before reading pin counts; pairs with GUP-fast. */
	smp_mb();
	return err;
}

/**
 * vmremap_pair_take_spare - take a destination's table away
 * @span: open
 * @block: one of its blocks, paired
 *
 * Before the flush a CPU may remember that the destination's PMD entry points
 * to this table, so until then nothing may be put into it. The flush covers the
 * source's addresses; but it is at least a whole table long, which makes the
 * CPUs forget all tables (COMPAT_FLUSH_FORGETS_TABLES).
 *
 * Return: false if there is something else than a table, or nothing where the
 * span's edge needs a table to stand in
 */
bool vmremap_pair_take_spare(struct vmremap_span *span,
			     struct vmremap_block *block)
{
	spinlock_t *ptl = pmd_lock(span->vma->vm_mm, block->pair_pmd);

	block->spare = *block->pair_pmd;
	block->took_spare = vmremap_pmd_is_table(block->spare) ||
			    (pmd_none(block->spare) &&
			     !is_edge(span, block - span->blocks));
	if (block->took_spare)
		pmd_clear(block->pair_pmd);
	spin_unlock(ptl);
	return block->took_spare;
}

/* Undoes vmremap_pair_take_spare(), if it was done. */
void vmremap_pair_put_spare(struct mm_struct *mm, struct vmremap_block *block)
{
	spinlock_t *ptl;

	if (!block->took_spare)
		return;
	ptl = pmd_lock(mm, block->pair_pmd);
	set_pmd(block->pair_pmd, block->spare);
	spin_unlock(ptl);
	block->took_spare = false;
}

static void prepare_pair(struct vmremap_span *span, unsigned int i)
{
	struct mm_struct *mm = span->vma->vm_mm;
	struct vmremap_block *block = &span->blocks[i];
	pgtable_t spare;
	spinlock_t *ptl;

	spare = pmd_none(block->spare) ? NULL : pmd_pgtable(block->spare);

	ptl = pmd_lock(mm, block->pmd);
	if (block->kind == VMREMAP_BLOCK_TABLE) {
		block->src_table = spare;
	} else {
		/*
		 * The huge page needs a deposited table at the destination. A
		 * table that a CPU may remember stays at its own address.
		 */
		block->deposit = vmremap_withdraw_table(mm, block->pmd);
		if (spare) {
			block->src_table = block->deposit;
			block->deposit = spare;
		}
	}
	if (is_edge(span, i)) {
		pmd_populate(mm, block->pmd, block->src_table);
		block->src_table = NULL;
	}
	spin_unlock(ptl);
}

static void put_sentinel(struct vmremap_span *span, unsigned long addr)
{
	struct vmremap_block *block = vmremap_span_block(span, addr);
	struct mm_struct *mm = span->vma->vm_mm;
	spinlock_t *ptl = pte_lockptr(mm, block->pmd);

	spin_lock(ptl);
	set_pte_at(mm, addr, pte_offset_kernel(block->pmd, addr),
		   vmremap_sentinel(addr));
	spin_unlock(ptl);
}

static bool is_empty_at(struct vmremap_span *span, unsigned long addr)
{
	struct vmremap_block *block = vmremap_span_block(span, addr);

	return pte_none(ptep_get(pte_offset_kernel(block->pmd, addr)));
}

/**
 * vmremap_span_flush - flush the TLB for an open span
 * @span: open; after this its paired blocks must be moved
 *
 * The order is: clear (open), flush (here), set the destination (the caller).
 * A destination that is set before the flush could be written through the old
 * address as well.
 */
void vmremap_span_flush(struct vmremap_span *span)
{
	unsigned int i;

	for (i = 0; i < span->nr_blocks; i++)
		if (span->blocks[i].pair_pmd)
			prepare_pair(span, i);

	put_sentinel(span, span->start);
	if (span->end - span->start > PAGE_SIZE)
		put_sentinel(span, span->end - PAGE_SIZE);
	vmremap_discard(span->vma, span->start, span->end - span->start);
	/* A zap that has left it there has not flushed either. */
	WARN_ON_ONCE(!is_empty_at(span, span->start));
}

static void put_block_back(struct vmremap_span *span, unsigned int i)
{
	struct mm_struct *mm = span->vma->vm_mm;
	struct vmremap_block *block = &span->blocks[i];
	spinlock_t *ptl = pmd_lock(mm, block->pmd);

	if (block->kind == VMREMAP_BLOCK_HUGE)
		set_pmd_at(mm, block_addr(span, i), block->pmd, block->val);
	else
		set_pmd(block->pmd, block->val);
	spin_unlock(ptl);
}

/**
 * vmremap_span_close - put back what did not move
 * @span: open; entries that moved have been cleared in its blocks
 *
 * Entries come back as they were, so this needs no flush, whether the span was
 * flushed or not.
 */
void vmremap_span_close(struct vmremap_span *span)
{
	unsigned int i;

	for (i = 0; i < span->nr_blocks; i++) {
		switch (span->blocks[i].kind) {
		case VMREMAP_BLOCK_TAKEN:
			put_entries_back(span, i);
			break;
		case VMREMAP_BLOCK_TABLE:
		case VMREMAP_BLOCK_HUGE:
		case VMREMAP_BLOCK_ASIDE:
			put_block_back(span, i);
			break;
		case VMREMAP_BLOCK_NONE:
		case VMREMAP_BLOCK_GONE:
			break;
		}
		cond_resched();
	}
}
