// SPDX-License-Identifier: GPL-2.0-only
/*
 * Planning a batch: from the caller's ranges to runs of pages that one flush
 * can cover, and all that has to be there before the first entry is touched.
 * What is done here may sleep and allocate, so it comes before the anon_vma
 * root lock, which reclaim takes too.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include "compat.h"
#include "internal.h"

static unsigned long up_to_table_end(unsigned long addr)
{
	return PMD_SIZE - (addr & ~PMD_MASK);
}

static bool blocks_meet(unsigned long a, unsigned long a_end, unsigned long b,
			unsigned long b_end)
{
	return (a & PMD_MASK) < ALIGN(b_end, PMD_SIZE) &&
	       (b & PMD_MASK) < ALIGN(a_end, PMD_SIZE);
}

static pmd_t *cached_pmd(struct vmremap_batch *batch, unsigned long addr)
{
	struct vmremap_cached_pmd *cached =
		&batch->pmds[(addr >> PMD_SHIFT) % VMREMAP_CACHED_PMDS];

	/* PMD entries do not go away under the mmap lock; they may come. */
	if (!cached->pmd || cached->block != addr >> PMD_SHIFT) {
		cached->block = addr >> PMD_SHIFT;
		cached->pmd = vmremap_pmd(batch->mm, addr);
	}
	return cached->pmd;
}

/* Addresses that the runs of a plan touch, on each side. */
struct hull {
	unsigned int pages;
	bool ascending;
	unsigned long src_start;
	unsigned long src_end;
	unsigned long dst_start;
	unsigned long dst_end;
};

/*
 * Adds a run, if it may join the ones before it: the span must not become too
 * wide, and where destinations are discarded first, they must be apart from all
 * sources (a source's tables are out of reach then) and from one another.
 */
static bool join(const struct vmremap_batch *batch, struct hull *hull,
		 const struct vmremap_run *run)
{
	unsigned long len = run->nr * PAGE_SIZE;
	unsigned long src_start = min(hull->src_start, run->src);
	unsigned long src_end = max(hull->src_end, run->src + len);
	unsigned long dst_start = min(hull->dst_start, run->dst);
	unsigned long dst_end = max(hull->dst_end, run->dst + len);
	unsigned int pages = hull->pages + (run->hole ? 0 : run->nr);
	bool dst_ascends = run->dst >= hull->dst_end;

	if (batch->nr_runs) {
		if (batch->nr_runs >= batch->try_runs ||
		    pages > batch->max_pages)
			return false;
		if (((src_end - 1) >> PMD_SHIFT) - (src_start >> PMD_SHIFT) >=
		    batch->span.max_blocks)
			return false;
		if (batch->flags & VMREMAP_MOVE_REPLACE &&
		    (!dst_ascends ||
		     blocks_meet(src_start, src_end, dst_start, dst_end)))
			return false;
	}
	hull->ascending &= dst_ascends && run->src >= hull->src_end;
	hull->src_start = src_start;
	hull->src_end = src_end;
	hull->dst_start = dst_start;
	hull->dst_end = dst_end;
	hull->pages = pages;
	return true;
}

/*
 * Whether destinations have to be marked as they are checked. In order, and with
 * sources and destinations apart, no move can depend on an earlier one.
 */
static bool may_depend(const struct vmremap_batch *batch,
		       const struct hull *hull)
{
	if (batch->nr_ranges == 1 || batch->flags & VMREMAP_MOVE_REPLACE)
		return false;
	return !hull->ascending || (hull->src_start < hull->dst_end &&
				    hull->dst_start < hull->src_end);
}

static bool is_in(const struct vm_area_struct *vma, unsigned long addr)
{
	return vma && addr >= vma->vm_start && addr < vma->vm_end;
}

/* The batch's VMAs are those of its first run; false if this one has others. */
static bool set_vmas(struct vmremap_batch *batch, const struct vmremap_run *run)
{
	if (likely(is_in(batch->src_vma, run->src) &&
		   is_in(batch->dst_vma, run->dst)))
		return true;
	if (batch->nr_runs)
		return false;
	batch->src_vma = find_vma(batch->mm, run->src);
	batch->dst_vma = find_vma(batch->mm, run->dst);
	return true;
}

/* The run that comes next; false if its mappings are not the batch's. */
static bool next_run(struct vmremap_batch *batch,
		     const struct vmremap_cursor *at, struct vmremap_run *run)
{
	const struct vmremap_range *range = &batch->ranges[at->range];
	unsigned long len = range->len - at->offset;
	pmd_t *pmd;

	run->src = range->src + at->offset;
	run->dst = range->dst + at->offset;
	run->range = at->range;
	if (!set_vmas(batch, run))
		return false;

	/* A single page is always inside of everything. */
	if (len > PAGE_SIZE) {
		len = min(len, up_to_table_end(run->src));
		len = min(len, up_to_table_end(run->dst));
		len = min(len, batch->src_vma->vm_end - run->src);
		len = min(len, batch->dst_vma->vm_end - run->dst);
	}
	run->nr = len >> PAGE_SHIFT;

	pmd = cached_pmd(batch, run->src);
	run->hole = !pmd || pmd_none(*pmd);
	run->paired = false;
	return true;
}

static void advance(const struct vmremap_batch *batch,
		    struct vmremap_cursor *at, unsigned long len)
{
	at->offset += len;
	if (at->offset == batch->ranges[at->range].len) {
		at->range++;
		at->offset = 0;
	}
}

/*
 * Holes that need nothing are passed over; but one that stands first in the
 * plan, where a hole is an error, has to be seen by whoever moves it.
 */
static bool can_skip(const struct vmremap_batch *batch,
		     const struct vmremap_run *run)
{
	return run->hole &&
	       (batch->flags & VMREMAP_MOVE_ALLOW_SRC_HOLES) &&
	       !(batch->flags & VMREMAP_MOVE_REPLACE);
}

/**
 * vmremap_plan - plan the next batch
 * @batch: its runs start at @batch->at
 *
 * Every range has been checked to lie in mapped memory.
 */
void vmremap_plan(struct vmremap_batch *batch)
{
	struct hull hull = {
		.ascending = true,
		.src_start = ULONG_MAX,
		.dst_start = ULONG_MAX,
	};
	struct vmremap_cursor at = batch->at;
	unsigned int skipped = 0;

	batch->nr_runs = 0;
	batch->src_vma = NULL;
	batch->dst_vma = NULL;
	while (at.range < batch->nr_ranges) {
		struct vmremap_run *run = &batch->runs[batch->nr_runs];

		if (!next_run(batch, &at, run))
			break;
		if (can_skip(batch, run)) {
			/* Let signals in now and then on very large holes. */
			if (++skipped > VMREMAP_BATCH_MAX_RUNS)
				break;
		} else {
			run->first = hull.pages;
			if (!join(batch, &hull, run))
				break;
			batch->nr_runs++;
		}
		advance(batch, &at, run->nr * PAGE_SIZE);
	}
	batch->planned = at;
	batch->reserve = may_depend(batch, &hull);
}

/**
 * vmremap_plan_cut - shorten a plan to what comes before a page
 * @batch: planned
 * @nr: index of the page's run
 * @page: index of the page in it
 */
void vmremap_plan_cut(struct vmremap_batch *batch, unsigned int nr,
		      unsigned int page)
{
	struct vmremap_run *run = &batch->runs[nr];

	batch->planned.range = run->range;
	batch->planned.offset = run->src + page * PAGE_SIZE -
				batch->ranges[run->range].src;
	run->nr = page;
	run->paired = false;
	batch->nr_runs = page ? nr + 1 : nr;
}

static void span_of_runs(const struct vmremap_batch *batch,
			 unsigned long *start, unsigned long *end)
{
	unsigned int i;

	*start = ULONG_MAX;
	*end = 0;
	for (i = 0; i < batch->nr_runs; i++) {
		const struct vmremap_run *run = &batch->runs[i];

		if (run->hole)
			continue;
		*start = min(*start, run->src);
		*end = max(*end, run->src + run->nr * PAGE_SIZE);
	}
}

/*
 * Whether a run's page table or huge page moves as one. Entries of a watched
 * mapping may hold write-protect bits that must not come along; those move one
 * by one. A destination inside the span is out of reach when its table would
 * have to be taken.
 */
static bool can_pair(struct vmremap_batch *batch,
		     const struct vmremap_run *run, unsigned long span_start,
		     unsigned long span_end)
{
	pmd_t *pmd;

	if (run->nr != PTRS_PER_PTE || userfaultfd_wp(batch->src_vma))
		return false;
	if (blocks_meet(run->dst, run->dst + PMD_SIZE, span_start, span_end))
		return false;
	pmd = cached_pmd(batch, run->dst);
	if (!pmd || pmd_none(*pmd))
		return true;
	if (!vmremap_pmd_is_table(*pmd))
		return false;
	return batch->flags & VMREMAP_MOVE_REPLACE ||
	       !memchr_inv(vmremap_table_of(*pmd), 0, PAGE_SIZE);
}

/* Splits a huge PMD entry: the whole folio where only a part of it moves. */
static int split_source(struct vmremap_batch *batch, struct vmremap_run *run)
{
	const struct vmremap_range *range = &batch->ranges[run->range];
	unsigned long block = run->src & PMD_MASK;
	pmd_t *pmd = vmremap_pmd(batch->mm, run->src);

	if (block < range->src || block + PMD_SIZE > range->src + range->len)
		vmremap_split_folio(batch->src_vma, run->src);
	if (pmd_trans_huge(*pmd))
		return vmremap_split_pmd(batch->mm, run->src);
	return 0;
}

static int prepare_source(struct vmremap_batch *batch, struct vmremap_run *run)
{
	pmd_t *pmd = cached_pmd(batch, run->src);

	if (!run->paired && pmd_trans_huge(*pmd))
		return split_source(batch, run);
	return 0;
}

/* The huge page goes later; a table has to remain. */
static int split_destination(struct vmremap_batch *batch,
			     const struct vmremap_run *run)
{
	pmd_t *pmd = cached_pmd(batch, run->dst);

	if (!pmd || !pmd_trans_huge(*pmd))
		return 0;
	return vmremap_split_pmd(batch->mm, run->dst);
}

/* The first and the last table of a span stand in for the source's. */
static int prepare_destination(struct vmremap_batch *batch,
			       struct vmremap_run *run, bool edge)
{
	pmd_t *pmd = cached_pmd(batch, run->dst);
	int err = 0;

	if (!pmd || (pmd_none(*pmd) && !(run->paired && !edge)))
		err = vmremap_alloc_table(batch->mm, run->dst);
	run->dst_pmd = cached_pmd(batch, run->dst);
	return err;
}

/* The usual case: page tables on both sides, and only entries to move. */
static bool is_ready(struct vmremap_batch *batch, struct vmremap_run *run)
{
	pmd_t *src = cached_pmd(batch, run->src);

	run->dst_pmd = cached_pmd(batch, run->dst);
	return run->nr != PTRS_PER_PTE && run->dst_pmd &&
	       vmremap_pmd_is_table(*run->dst_pmd) && !pmd_trans_huge(*src);
}

static int prepare_run(struct vmremap_batch *batch, struct vmremap_run *run,
		       unsigned long span_start, unsigned long span_end)
{
	unsigned long block = run->src & PMD_MASK;
	bool edge = block == (span_start & PMD_MASK) ||
		    block == ((span_end - 1) & PMD_MASK);
	int err = 0;

	if (batch->flags & VMREMAP_MOVE_REPLACE)
		err = split_destination(batch, run);
	if (err)
		return err;
	run->paired = can_pair(batch, run, span_start, span_end);
	err = prepare_source(batch, run);
	if (!err)
		err = prepare_destination(batch, run, edge);
	return err;
}

/*
 * The destination's VMA needs an anon_vma before pages can belong to it. Only
 * a page fault makes one; its page is discarded again.
 */
static int prepare_anon_vma(struct vmremap_batch *batch)
{
	struct vm_area_struct *vma = batch->dst_vma;
	unsigned long addr = batch->runs[0].dst;
	pmd_t *pmd;
	int err;

	if (vma->anon_vma || !batch->src_vma->anon_vma)
		return 0;

	err = vmremap_alloc_table(batch->mm, addr);
	if (err)
		return err;
	pmd = vmremap_pmd(batch->mm, addr);
	if (!(batch->flags & VMREMAP_MOVE_REPLACE) &&
	    (!vmremap_pmd_is_table(*pmd) ||
	     !pte_none(ptep_get(pte_offset_kernel(pmd, addr)))))
		return -EEXIST;

	/* What is there without an anon_vma reads as zeros, before and after. */
	err = vmremap_fault(vma, addr, FAULT_FLAG_WRITE);
	if (err)
		return err;
	vmremap_discard(vma, addr, PAGE_SIZE);
	return vma->anon_vma ? 0 : -ENOMEM;
}

static void set_mappings(struct vmremap_batch *batch)
{
	batch->src_mapping = compat_anon_mapping(batch->src_vma->anon_vma);
	batch->dst_mapping = compat_anon_mapping(batch->dst_vma->anon_vma);
}

static void pair_blocks(struct vmremap_batch *batch)
{
	unsigned int i;

	for (i = 0; i < batch->nr_runs; i++) {
		struct vmremap_run *run = &batch->runs[i];
		struct vmremap_block *block;

		if (!run->paired)
			continue;
		block = vmremap_span_block(&batch->span, run->src);
		/* Named twice: the second time it will not be there. */
		if (block->pair_pmd) {
			run->paired = false;
			continue;
		}
		block->pair_pmd = run->dst_pmd;
		block->pair_addr = run->dst;
	}
}

/**
 * vmremap_plan_prepare - make everything ready that a plan needs
 * @batch: planned, perhaps cut
 *
 * Return: 0, -ENOMEM, -EFAULT for memory that cannot be read in, -EEXIST
 */
int vmremap_plan_prepare(struct vmremap_batch *batch)
{
	unsigned long start, end;
	unsigned int i;
	int err;

	batch->span.nr_blocks = 0;
	if (!batch->nr_runs)
		return 0;
	vma_start_write(batch->src_vma);
	vma_start_write(batch->dst_vma);

	err = prepare_anon_vma(batch);
	if (err)
		return err;

	span_of_runs(batch, &start, &end);
	for (i = 0; i < batch->nr_runs; i++) {
		struct vmremap_run *run = &batch->runs[i];

		if (run->hole || is_ready(batch, run))
			continue;
		err = prepare_run(batch, run, start, end);
		if (err)
			return err;
		cond_resched();
	}

	set_mappings(batch);
	if (start < end) {
		vmremap_span_set(&batch->span, batch->src_vma, start, end);
		pair_blocks(batch);
	}
	return 0;
}
