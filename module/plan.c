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

static bool same_block(unsigned long a, unsigned long b)
{
	return !((a ^ b) & PMD_MASK);
}

static struct vmremap_cached_pmd *cached(struct vmremap_batch *batch,
					 unsigned long addr)
{
	unsigned long block = addr >> PMD_SHIFT;
	struct vmremap_cached_pmd *entry =
		&batch->pmds[block % VMREMAP_CACHED_PMDS];

	/* PMD entries do not go away under the mmap lock; they may come. */
	if (!entry->pmd || entry->block != block) {
		entry->block = block;
		entry->pmd = vmremap_pmd(batch->mm, addr);
		entry->val = __pmd(0);
		entry->table = NULL;
	}
	return entry;
}

static pmd_t *cached_pmd(struct vmremap_batch *batch, unsigned long addr)
{
	return cached(batch, addr)->pmd;
}

/* Finds a run's entries at the destination; false if there is no page table. */
static bool find_destination(struct vmremap_batch *batch,
			     struct vmremap_run *run)
{
	struct vmremap_cached_pmd *entry = cached(batch, run->dst);
	pmd_t val = entry->pmd ? *entry->pmd : __pmd(0);

	if (unlikely(!pmd_same(val, entry->val))) {
		entry->val = val;
		entry->table = NULL;
		if (vmremap_pmd_is_table(val)) {
			entry->table = vmremap_table_of(val);
			entry->ptl = pte_lockptr(batch->mm, entry->pmd);
		}
	}
	run->dst_pmd = entry->pmd;
	run->dst_ptl = entry->ptl;
	run->dst_ptes = entry->table ? entry->table + pte_index(run->dst) :
				       NULL;
	return run->dst_ptes;
}

/*
 * Addresses that the runs of a plan touch, on each side; whether both sides
 * ascend, and whether a run is a whole block.
 */
struct hull {
	unsigned int pages;
	bool ascending;
	bool blocks;
	unsigned long src_start;
	unsigned long src_end;
	unsigned long dst_start;
	unsigned long dst_end;
};

static unsigned long blocks_between(unsigned long start, unsigned long end)
{
	return ((end - 1) >> PMD_SHIFT) - (start >> PMD_SHIFT) + 1;
}

/*
 * Whether runs can go together that must not depend on one another: because a
 * whole block trades its page table for the destination's, and no other run may
 * hold on to either; or because destinations are discarded before anything
 * moves, when the sources' tables are out of reach.
 */
static bool stay_apart(const struct vmremap_batch *batch,
		       const struct hull *hull)
{
	if (!(batch->flags & VMREMAP_MOVE_REPLACE) &&
	    !(hull->blocks && batch->nr_ranges > 1))
		return true;
	return hull->ascending &&
	       !blocks_meet(hull->src_start, hull->src_end, hull->dst_start,
			    hull->dst_end);
}

/*
 * Adds a run, if it may join the ones before it, and the span does not become
 * too wide.
 */
static bool join(const struct vmremap_batch *batch, struct hull *hull,
		 const struct vmremap_run *run)
{
	unsigned long src_end = run->src + run->nr * PAGE_SIZE;
	unsigned long dst_end = run->dst + run->nr * PAGE_SIZE;
	bool ascends = run->src >= hull->src_end && run->dst >= hull->dst_end;
	struct hull wide = *hull;

	/* A hole has nothing to take out of reach. */
	if (!run->hole) {
		wide.pages += run->nr;
		wide.src_start = min(wide.src_start, run->src);
		wide.src_end = max(wide.src_end, src_end);
	}
	wide.ascending &= ascends;
	wide.blocks |= run->nr == PTRS_PER_PTE;
	wide.dst_start = min(wide.dst_start, run->dst);
	wide.dst_end = max(wide.dst_end, dst_end);
	if (batch->nr_runs) {
		if (batch->nr_runs >= batch->try_runs ||
		    wide.pages > batch->max_pages ||
		    blocks_between(wide.src_start, wide.src_end) >
			    batch->span.max_blocks ||
		    !stay_apart(batch, &wide))
			return false;
	}
	*hull = wide;
	return true;
}

/* The same for what vectors are made of: close to the run before, in order. */
static bool join_close(const struct vmremap_batch *batch, struct hull *hull,
		       const struct vmremap_run *run)
{
	if (!batch->nr_runs || batch->flags & VMREMAP_MOVE_REPLACE ||
	    hull->blocks || run->nr == PTRS_PER_PTE || run->hole ||
	    run->src < hull->src_end || run->dst < hull->dst_end ||
	    !same_block(run->src, run[-1].src) ||
	    batch->nr_runs >= batch->try_runs ||
	    hull->pages + run->nr > batch->max_pages)
		return false;
	hull->pages += run->nr;
	hull->src_end = run->src + run->nr * PAGE_SIZE;
	hull->dst_end = run->dst + run->nr * PAGE_SIZE;
	return true;
}

/*
 * Whether destinations have to be marked as they are checked. In order, and
 * with sources and destinations apart, no move can depend on an earlier one.
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
	/* Page faults under the VMA's lock alone stop before a table is read. */
	vma_start_write(batch->src_vma);
	vma_start_write(batch->dst_vma);
	return true;
}

/*
 * Whether the page table, and with it what is known of it, is that of the run
 * before. Single pages close to one another are what vectors are made of.
 */
static bool same_source_table(const struct vmremap_batch *batch,
			      const struct vmremap_run *run)
{
	return batch->nr_runs && same_block(run->src, run[-1].src);
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

	run->paired = false;
	if (same_source_table(batch, run)) {
		run->hole = run[-1].hole;
		run->huge = run[-1].huge;
		return true;
	}
	pmd = cached_pmd(batch, run->src);
	run->hole = !pmd || pmd_none(*pmd);
	run->huge = !run->hole && pmd_trans_huge(*pmd);
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

/* How far a hole goes at least: where the upper levels are missing too, far. */
static unsigned long hole_length(struct vmremap_batch *batch,
				 const struct vmremap_cursor *at,
				 const struct vmremap_run *run)
{
	unsigned long len = batch->ranges[at->range].len - at->offset;

	if (cached_pmd(batch, run->src))
		return run->nr * PAGE_SIZE;
	len = min(len, PUD_SIZE - (run->src & ~PUD_MASK));
	len = min(len, batch->src_vma->vm_end - run->src);
	return min(len, batch->dst_vma->vm_end - run->dst);
}

static struct vmremap_cursor cursor_of(const struct vmremap_batch *batch,
				       const struct vmremap_run *run,
				       unsigned int page)
{
	return (struct vmremap_cursor){
		.range = run->range,
		.offset = run->src + page * PAGE_SIZE -
			  batch->ranges[run->range].src,
	};
}

/* Holes that need nothing are passed over; they count as moved. */
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
		unsigned long len;

		if (!next_run(batch, &at, run))
			break;
		len = run->nr * PAGE_SIZE;
		if (can_skip(batch, run)) {
			/* Let signals in now and then on very large holes. */
			if (++skipped > VMREMAP_BATCH_MAX_RUNS)
				break;
			len = hole_length(batch, &at, run);
		} else {
			run->first = hull.pages;
			if (!join_close(batch, &hull, run) &&
			    !join(batch, &hull, run))
				break;
			batch->nr_runs++;
		}
		advance(batch, &at, len);
	}
	batch->planned = at;
	if (batch->nr_runs)
		batch->at = cursor_of(batch, &batch->runs[0], 0);
	batch->span_start = hull.src_start;
	batch->span_end = hull.src_end;
	batch->reserve = may_depend(batch, &hull);
}

static void span_of_runs(struct vmremap_batch *batch)
{
	unsigned int i;

	batch->span_start = ULONG_MAX;
	batch->span_end = 0;
	for (i = 0; i < batch->nr_runs; i++) {
		const struct vmremap_run *run = &batch->runs[i];

		if (run->hole)
			continue;
		batch->span_start = min(batch->span_start, run->src);
		batch->span_end = max(batch->span_end,
				      run->src + run->nr * PAGE_SIZE);
	}
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

	batch->planned = cursor_of(batch, run, page);
	run->nr = page;
	run->paired = false;
	batch->nr_runs = page ? nr + 1 : nr;
	span_of_runs(batch);
}

/*
 * Whether a destination's table can be traded for the source's: it must be
 * empty, or going to be. What a zap may leave behind, markers for one, may not
 * get to the source.
 */
static bool can_trade_table(const struct vmremap_batch *batch, pmd_t pmd)
{
	pte_t *ptes = vmremap_table_of(pmd);
	unsigned int i;

	if (!(batch->flags & VMREMAP_MOVE_REPLACE))
		return !memchr_inv(ptes, 0, PAGE_SIZE);
	for (i = 0; i < PTRS_PER_PTE; i++)
		if (vmremap_pte_is_marker(ptep_get(ptes + i)))
			return false;
	return true;
}

/*
 * Whether a run's page table or huge page moves as one. Where a userfaultfd
 * protects pages, entries change on their way; those move one by one. A
 * destination inside the span is out of reach when its table would have to be
 * taken. A device that walks the page tables itself is told to forget the
 * source's addresses only, and would remember the destination's old table.
 */
static bool can_pair(struct vmremap_batch *batch, const struct vmremap_run *run)
{
	pmd_t *pmd;

	if (run->nr != PTRS_PER_PTE || userfaultfd_protected(batch->src_vma) ||
	    userfaultfd_rwp(batch->dst_vma))
		return false;
	if (!COMPAT_FLUSH_FORGETS_TABLES || compat_mm_has_device(batch->mm))
		return false;
	if (blocks_meet(run->dst, run->dst + PMD_SIZE, batch->span_start,
			batch->span_end))
		return false;
	pmd = cached_pmd(batch, run->dst);
	if (!pmd || pmd_none(*pmd))
		return true;
	return vmremap_pmd_is_table(*pmd) && can_trade_table(batch, *pmd);
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
		return vmremap_split_pmd(batch->src_vma, run->src);
	return 0;
}

static int prepare_source(struct vmremap_batch *batch, struct vmremap_run *run)
{
	pmd_t *pmd = cached_pmd(batch, run->src);

	if (!run->paired && pmd_trans_huge(*pmd))
		return split_source(batch, run);
	return 0;
}

/*
 * A huge page that is to be discarded is split before: a table has to remain,
 * and the zap takes a huge page in a mapping of /dev/zero for a special one.
 */
static int split_destination(struct vmremap_batch *batch,
			     const struct vmremap_run *run)
{
	pmd_t *pmd = cached_pmd(batch, run->dst);
	int err;

	if (!(batch->flags & VMREMAP_MOVE_REPLACE))
		return 0;
	if (!pmd || pmd_none(*pmd))
		return 0;
	/* One that is on its way to other memory is waited for. */
	if (!pmd_present(*pmd)) {
		err = vmremap_fault(batch->dst_vma, run->dst, 0);
		if (err)
			return err;
		if (!pmd_present(*pmd))
			return -EAGAIN;
	}
	if (!pmd_trans_huge(*pmd))
		return 0;
	return vmremap_split_pmd(batch->dst_vma, run->dst);
}

/* The first and the last table of a span stand in for the source's. */
static int prepare_destination(struct vmremap_batch *batch,
			       struct vmremap_run *run, bool edge)
{
	pmd_t *pmd = cached_pmd(batch, run->dst);
	int err = 0;

	if (!pmd || (pmd_none(*pmd) && !(run->paired && !edge)))
		err = vmremap_alloc_table(batch->mm, run->dst);
	find_destination(batch, run);
	return err;
}

/* The usual case: page tables on both sides, and only entries to move. */
static bool is_ready(struct vmremap_batch *batch, struct vmremap_run *run,
		     unsigned int nr)
{
	const struct vmremap_run *last = nr ? run - 1 : NULL;

	if (run->nr == PTRS_PER_PTE || run->huge || run->hole)
		return false;
	if (!last || last->hole || !last->dst_ptes ||
	    !same_block(run->dst, last->dst))
		return find_destination(batch, run);
	run->dst_pmd = last->dst_pmd;
	run->dst_ptl = last->dst_ptl;
	run->dst_ptes = last->dst_ptes + ((long)(run->dst - last->dst) >>
					  PAGE_SHIFT);
	return true;
}

static int prepare_run(struct vmremap_batch *batch, struct vmremap_run *run)
{
	bool edge = same_block(run->src, batch->span_start) ||
		    same_block(run->src, batch->span_end - 1);
	int err;

	err = split_destination(batch, run);
	if (err || run->hole)
		return err;
	run->paired = can_pair(batch, run);
	err = prepare_source(batch, run);
	if (!err)
		err = prepare_destination(batch, run, edge);
	return err;
}

/* The first page of a run that could be faulted in without replacing one. */
static bool find_free_page(struct vmremap_batch *batch, struct vmremap_run *run,
			   unsigned long *addr)
{
	const bool replace = batch->flags & VMREMAP_MOVE_REPLACE;
	unsigned int i;

	if (!find_destination(batch, run))
		return false;
	for (i = 0; i < run->nr; i++) {
		pte_t pte = ptep_get(run->dst_ptes + i);

		*addr = run->dst + i * PAGE_SIZE;
		/* A page without an anon_vma reads as zeros, before and after. */
		if (pte_none(pte) || (replace && !vmremap_pte_is_marker(pte)))
			return true;
	}
	return false;
}

/*
 * The destination's VMA needs an anon_vma before pages can belong to it. Only
 * a page fault makes one; its page is discarded again. Where every page of the
 * destination is taken, none will move, and it can do without.
 */
static int prepare_anon_vma(struct vmremap_batch *batch)
{
	struct vm_area_struct *vma = batch->dst_vma;
	unsigned long addr;
	unsigned int i;
	int err = 0;

	if (vma->anon_vma || !batch->src_vma->anon_vma)
		return 0;
	for (i = 0; i < batch->nr_runs && !err; i++) {
		struct vmremap_run *run = &batch->runs[i];

		batch->stop_run = i;
		err = split_destination(batch, run);
		if (!err)
			err = vmremap_alloc_table(batch->mm, run->dst);
		if (!err && find_free_page(batch, run, &addr))
			return vmremap_make_anon_vma(vma, addr);
		cond_resched();
	}
	return err;
}

static void set_mappings(struct vmremap_batch *batch)
{
	batch->simple = !batch->reserve && batch->src_vma != batch->dst_vma &&
			!(batch->flags & VMREMAP_MOVE_REPLACE);
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
	}
}

/**
 * vmremap_plan_prepare - make everything ready that a plan needs
 * @batch: planned, perhaps cut
 *
 * Return: 0; or an errno, and the index of the run that it is for in
 * @batch->stop_run: -ENOMEM, -EFAULT for memory that cannot be read in, -EAGAIN
 * for a huge page that does not come back from a migration
 */
int vmremap_plan_prepare(struct vmremap_batch *batch)
{
	unsigned int i;
	int err;

	batch->span.nr_blocks = 0;
	if (!batch->nr_runs)
		return 0;
	batch->stop_run = 0;
	err = prepare_anon_vma(batch);
	if (err)
		return err;

	for (i = 0; i < batch->nr_runs; i++) {
		struct vmremap_run *run = &batch->runs[i];

		if (is_ready(batch, run, i))
			continue;
		err = prepare_run(batch, run);
		if (err) {
			batch->stop_run = i;
			return err;
		}
		cond_resched();
	}

	set_mappings(batch);
	if (batch->span_start < batch->span_end) {
		vmremap_span_set(&batch->span, batch->src_vma,
				 batch->span_start, batch->span_end);
		pair_blocks(batch);
	}
	return 0;
}
