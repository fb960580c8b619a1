/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the module share. */
#ifndef VMREMAP_INTERNAL_H
#define VMREMAP_INTERNAL_H

#include <linux/gfp.h>
#include <linux/mm_types.h>
#include <linux/types.h>
#include <vmremap.h>

#define VMREMAP_MAX_RANGES 65536

/* For arrays as long as the caller likes: no news for the kernel's log. */
#define VMREMAP_GFP_ARRAY (GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/* Operations: each takes a zero-filled copy of its struct, and fills it. */
int vmremap_op_move(struct vmremap_move *args);
int vmremap_op_movev(struct vmremap_movev *args);

/* pgtable.c: page tables by hand, where the kernel exports no helper. */
pmd_t *vmremap_pmd(struct mm_struct *mm, unsigned long addr);
int vmremap_alloc_table(struct mm_struct *mm, unsigned long addr);
int vmremap_split_pmd(struct vm_area_struct *vma, unsigned long addr);
void vmremap_split_folio(struct vm_area_struct *vma, unsigned long addr);
int vmremap_fault(struct vm_area_struct *vma, unsigned long addr,
		  unsigned int flags);
int vmremap_make_anon_vma(struct vm_area_struct *vma, unsigned long addr);
bool vmremap_pte_is_marker(pte_t pte);
void vmremap_discard(struct vm_area_struct *vma, unsigned long start,
		     unsigned long len);
void vmremap_deposit_table(struct mm_struct *mm, pmd_t *pmd, pgtable_t table);
pgtable_t vmremap_withdraw_table(struct mm_struct *mm, pmd_t *pmd);

/* A page-table entry that points to a table of entries. */
static inline bool vmremap_pmd_is_table(pmd_t pmd)
{
	return pmd_present(pmd) && !pmd_trans_huge(pmd) && !pmd_bad(pmd);
}

static inline pte_t *vmremap_table_of(pmd_t pmd)
{
	return (pte_t *)pmd_page_vaddr(pmd);
}

/*
 * A present entry that nobody can use: the hardware faults on it, and then
 * waits for the mmap lock; lockless page-table walks leave it alone. The
 * kernel's zap clears it without touching a page.
 */
pte_t vmremap_sentinel(unsigned long addr);

/* span.c: see there. */
enum vmremap_block_kind {
	VMREMAP_BLOCK_NONE,	/* no table */
	VMREMAP_BLOCK_TAKEN,	/* entries copied out and cleared one by one */
	VMREMAP_BLOCK_TABLE,	/* whole table taken off its PMD entry */
	VMREMAP_BLOCK_HUGE,	/* huge page taken off its PMD entry */
	VMREMAP_BLOCK_ASIDE,	/* another entry, put aside */
	VMREMAP_BLOCK_GONE,	/* moved; nothing to put back */
};

/**
 * struct vmremap_block - 2 MiB of the source's addresses
 * @pmd: its PMD entry
 * @val: TABLE, HUGE: what @pmd held
 * @ptes: TABLE, TAKEN: its 512 entries, the table itself or a copy
 * @pair_pmd: the destination's PMD entry, where all of the block moves there
 * @soft_dirty: TABLE: each of its present pages is marked so already
 * @spare: what @pair_pmd held, an empty table or nothing
 * @took_spare: @spare is off @pair_pmd
 * @src_table: table to leave at @pmd, if any
 * @deposit: HUGE: table to deposit at @pair_pmd
 * @kind: what was found when the span was opened
 */
struct vmremap_block {
	pmd_t *pmd;
	pmd_t val;
	pte_t *ptes;
	pmd_t *pair_pmd;
	pmd_t spare;
	pgtable_t src_table;
	pgtable_t deposit;
	enum vmremap_block_kind kind;
	bool took_spare;
	bool soft_dirty;
};

#define VMREMAP_SPAN_MAX_BLOCKS 1024U

/**
 * struct vmremap_span - consecutive addresses of one VMA, being flushed
 * @vma: write-locked, as its mm is
 * @start: address of the first page
 * @end: address after the last page
 * @nr_blocks: how many blocks the addresses touch
 * @max_blocks: for how many of them there is room, at least 3
 * @blocks: the blocks
 * @taken: room for the copied entries of the first and the last block
 */
struct vmremap_span {
	struct vm_area_struct *vma;
	unsigned long start;
	unsigned long end;
	unsigned int nr_blocks;
	unsigned int max_blocks;
	struct vmremap_block *blocks;
	pte_t *taken[2];
};

int vmremap_span_init(struct vmremap_span *span, unsigned int max_blocks);
void vmremap_span_free(struct vmremap_span *span);
void vmremap_span_set(struct vmremap_span *span, struct vm_area_struct *vma,
		      unsigned long start, unsigned long end);
int vmremap_span_open(struct vmremap_span *span);
bool vmremap_pair_take_spare(struct vmremap_span *span,
			     struct vmremap_block *block);
void vmremap_pair_put_spare(struct mm_struct *mm, struct vmremap_block *block);
void vmremap_span_flush(struct vmremap_span *span);
void vmremap_span_close(struct vmremap_span *span);

/* The block that covers an address; NULL if the span does not touch it. */
static inline struct vmremap_block *
vmremap_span_block(const struct vmremap_span *span, unsigned long addr)
{
	unsigned long nr = (addr >> PMD_SHIFT) - (span->start >> PMD_SHIFT);

	return nr < span->nr_blocks ? &span->blocks[nr] : NULL;
}

/* batch.c: see there. */

/* Why a page cannot be moved as it is. */
enum vmremap_stop {
	VMREMAP_OK = 0,
	VMREMAP_HOLE,		/* no page in the source */
	VMREMAP_EXISTS,		/* a page in the destination */
	VMREMAP_SWAPPED,
	VMREMAP_MIGRATING,
	VMREMAP_SHARED,		/* not exclusive: after a fork, or KSM */
	VMREMAP_PINNED,
	VMREMAP_LOCKED,		/* somebody holds the folio lock */
	VMREMAP_PARTIAL,	/* not all of a large folio is in the range */
	VMREMAP_CHANGED,	/* the page tables changed; look again */
	VMREMAP_BAD,		/* markers, hardware errors, device memory */
};

/**
 * struct vmremap_run - pages that stay inside one page table on both sides
 * @src: first address in the source
 * @dst: and in the destination
 * @nr: how many pages, 1 to 512
 * @range: index of the range that it is a part of
 * @first: index of its first page among the batch's @folios
 * @hole: the source has no page table here
 * @huge: the source had a huge page here when this was planned
 * @paired: 2 MiB on both sides: the page table or huge page moves as one
 * @dst_pmd: destination's PMD entry, once prepared
 * @dst_ptes: destination's entry of the first page, once prepared; NULL if
 *	there is no page table
 * @dst_ptl: lock of @dst_ptes
 */
struct vmremap_run {
	unsigned long src;
	unsigned long dst;
	unsigned int nr;
	unsigned int range;
	unsigned int first;
	bool hole;
	bool huge;
	bool paired;
	pmd_t *dst_pmd;
	pte_t *dst_ptes;
	spinlock_t *dst_ptl;
};

#define VMREMAP_BATCH_MAX_RUNS 8192U
#define VMREMAP_BATCH_MAX_PAGES 32768U

#define VMREMAP_CACHED_PMDS 64

/**
 * struct vmremap_cached_pmd - a PMD entry that was looked up
 * @block: its address, shifted by PMD_SHIFT
 * @pmd: the entry; NULL if this place in the cache is free
 * @val: what it held when the following were found
 * @table: the page table that it points to, if any
 * @ptl: and that table's lock
 */
struct vmremap_cached_pmd {
	unsigned long block;
	pmd_t *pmd;
	pmd_t val;
	pte_t *table;
	spinlock_t *ptl;
};

/* How far a call has come. */
struct vmremap_cursor {
	unsigned int range;	/* index of the current range */
	unsigned long offset;	/* bytes of it that are done */
};

/* Not an error: drop the mmap lock, do what has to be done without it, go on. */
#define VMREMAP_UNLOCK 1

#define VMREMAP_MAX_READ_IN 1024U

/**
 * struct vmremap_batch - moves that share one flush
 * @mm: the caller's; its mmap lock is held for writing
 * @flags: VMREMAP_MOVE_*
 * @ranges: the whole call's
 * @nr_ranges: their number
 * @at: what has been moved
 * @planned: where @at will be once the batch is done
 * @src_vma: the one VMA that all its sources are in
 * @dst_vma: the one VMA that all its destinations are in
 * @src_mapping: folio->mapping of most pages of @src_vma
 * @dst_mapping: folio->mapping of all pages of @dst_vma
 * @pmds: PMD entries that were looked up, by the number of their 2 MiB
 * @runs: what it moves
 * @nr_runs: their number
 * @max_runs: for how many there is room
 * @try_runs: where to end the plan; small after trouble
 * @folios: one slot a page: the folio that is locked for it, if any; a page of
 *	a large folio instead carries a mark
 * @max_pages: how many slots there are
 * @span_start: first source address of the plan
 * @span_end: address after the last one
 * @span: the source's addresses, while they are out of reach
 * @reserve: mark destinations as they are checked, so that a second move to
 *	one of them, or from one of them, is found
 * @simple: two VMAs, nothing to replace, no marks: most checks need not be made
 * @sentinel: that mark
 * @ends_here: the last page was a zero page, which has no lock to tell a second
 *	move of it by; so no later move may join the batch
 * @held_ptl: lock of a destination's table that is held over several runs
 * @stop_run: where locking the pages stopped: index in @runs
 * @stop_page: and page of that run
 * @large: large folio whose pages are being locked or moved
 * @large_range: index of the range that @large was locked for
 * @large_left: its entries that are still to be moved
 * @repairs: how many there were since a page has moved
 * @waits: and how many of these waited for others to let go of a folio
 * @swapped: addresses of pages to be read in without the mmap lock
 * @nr_swapped: their number
 * @let_go: wait a moment without the mmap lock
 * @keep_until: until then who waits for the mmap lock does not get it
 * @shared: entries of a page table that were marked as shared, to be copied
 * @need_grace_period: rmap walkers may still carry an old anon_vma
 */
struct vmremap_batch {
	struct mm_struct *mm;
	unsigned int flags;
	const struct vmremap_range *ranges;
	unsigned int nr_ranges;
	struct vmremap_cursor at;
	struct vmremap_cursor planned;
	struct vm_area_struct *src_vma;
	struct vm_area_struct *dst_vma;
	void *src_mapping;
	void *dst_mapping;
	struct vmremap_cached_pmd pmds[VMREMAP_CACHED_PMDS];
	struct vmremap_run *runs;
	unsigned int nr_runs;
	unsigned int max_runs;
	unsigned int try_runs;
	void **folios;
	unsigned int max_pages;
	unsigned long span_start;
	unsigned long span_end;
	struct vmremap_span span;
	bool reserve;
	bool simple;
	bool ends_here;
	pte_t sentinel;
	spinlock_t *held_ptl;
	unsigned int stop_run;
	unsigned int stop_page;
	struct folio *large;
	unsigned int large_range;
	int large_left;
	unsigned int repairs;
	unsigned int waits;
	unsigned long *swapped;
	unsigned int nr_swapped;
	bool let_go;
	ktime_t keep_until;
	DECLARE_BITMAP(shared, PTRS_PER_PTE);
	bool need_grace_period;
};

int vmremap_batch_init(struct vmremap_batch *batch);
void vmremap_batch_free(struct vmremap_batch *batch);
int vmremap_batch_move_all(struct vmremap_batch *batch);

/* plan.c: what the next batch moves, and what that needs. */
void vmremap_plan(struct vmremap_batch *batch);
void vmremap_plan_cut(struct vmremap_batch *batch, unsigned int nr,
		      unsigned int page);
int vmremap_plan_prepare(struct vmremap_batch *batch);

/* repair.c: make a page movable that is not. */
int vmremap_repair(struct vmremap_batch *batch, enum vmremap_stop why);
int vmremap_repair_unlocked(struct vmremap_batch *batch);

#endif /* VMREMAP_INTERNAL_H */
