// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page-move engine: moves a batch of pages of private anonymous memory,
 * touching no VMA.
 *
 * Under the mmap lock held for writing, with both VMAs write-locked and the
 * source's anon_vma root held for writing:
 *
 *	open the span	no new user can reach a page through the source
 *	lock		every folio of the batch, and check that it may move
 *	flush		nor can any old user
 *	move		point folio->mapping and ->index at the destination, set
 *			the entry there, unlock the folio
 *	close the span	what does not move is put back
 *
 * Until the flush nothing has changed: if one page cannot move, all is put
 * back, and the batch is repaired or cut.
 *
 * The folio lock keeps out rmap walks that hold it, from before the mapping
 * changes until the entry is set: they would find the folio nowhere. The root
 * lock keeps out those that walk without it (folio_referenced() before 7.2).
 * Folios are only ever tried to be locked, because a whole batch of them is
 * held at once. Only one root is held at a time: there is no order among roots.
 */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <asm/pgalloc.h>
#include "compat.h"
#include "internal.h"

/* In a row without any progress, before the caller is told to try again. */
#define MAX_REPAIRS 200

/* Room for what the call needs, up to what one batch may have. */
static void set_limits(struct vmremap_batch *batch, unsigned int *max_blocks)
{
	u64 pages = 0, runs = 0;
	unsigned int i;

	for (i = 0; i < batch->nr_ranges; i++) {
		u64 nr = batch->ranges[i].len >> PAGE_SHIFT;

		pages += nr;
		/* Each side may begin and end inside of a table. */
		runs += min(nr, 2 * (nr / PTRS_PER_PTE) + 3);
	}
	batch->max_pages = min_t(u64, pages, VMREMAP_BATCH_MAX_PAGES);
	batch->max_runs = min_t(u64, runs, VMREMAP_BATCH_MAX_RUNS);
	batch->try_runs = batch->max_runs;
	/* One range has at least one run a block, but the first and last. */
	*max_blocks = min_t(u64, batch->nr_ranges > 1 ? U64_MAX : runs + 2,
			    VMREMAP_SPAN_MAX_BLOCKS);
}

int vmremap_batch_init(struct vmremap_batch *batch)
{
	unsigned int max_blocks;

	set_limits(batch, &max_blocks);
	batch->sentinel = vmremap_sentinel(0);
	batch->folios = kvmalloc_array(batch->max_pages, sizeof(void *),
				       VMREMAP_GFP_ARRAY);
	/* One more: a run is written before it is known to fit. */
	batch->runs = kvmalloc_array(batch->max_runs + 1, sizeof(*batch->runs),
				     VMREMAP_GFP_ARRAY);
	if (!batch->folios || !batch->runs)
		return -ENOMEM;
	return vmremap_span_init(&batch->span, max_blocks);
}

void vmremap_batch_free(struct vmremap_batch *batch)
{
	vmremap_span_free(&batch->span);
	kvfree(batch->swapped);
	kvfree(batch->runs);
	kvfree(batch->folios);
}

/*
 * A slot of @folios: a small folio; or, with a mark, a page of a large one; or
 * the mark alone, where there is a hole or the zero page.
 */
#define UNUSUAL_MARK 1UL
#define NO_FOLIO ((void *)UNUSUAL_MARK)

static void *large_slot(struct page *page)
{
	return (void *)((unsigned long)page | UNUSUAL_MARK);
}

static __always_inline bool slot_is_unusual(void *slot)
{
	return (unsigned long)slot & UNUSUAL_MARK;
}

static struct page *large_page(void *slot)
{
	return (struct page *)((unsigned long)slot & ~UNUSUAL_MARK);
}

/* A source entry, wherever it is kept while the span is open. */
static pte_t source_entry(struct vmremap_batch *batch, unsigned long addr)
{
	struct vmremap_block *block = vmremap_span_block(&batch->span, addr);

	if (!block || !block->ptes || addr < batch->span.start ||
	    addr >= batch->span.end)
		return __pte(0);
	return ptep_get(&block->ptes[pte_index(addr)]);
}

/*
 * A folio that was exclusive to this VMA all along carries the VMA's own
 * anon_vma; after a fork it may carry one of its parents', which has the same
 * root.
 */
static bool has_our_root(const struct vmremap_batch *batch, struct folio *folio)
{
	struct anon_vma *ours = batch->src_vma->anon_vma;

	return folio_test_anon(folio) && !folio_test_ksm(folio) && ours &&
	       compat_folio_anon_vma(folio)->root == ours->root;
}

/* Locks a folio that is known to be exclusive, if it may move. */
static enum vmremap_stop lock_exclusive(struct vmremap_batch *batch,
					struct folio *folio)
{
	if (!has_our_root(batch, folio))
		return VMREMAP_BAD;
	if (!folio_trylock(folio))
		return VMREMAP_LOCKED;
	if (folio_maybe_dma_pinned(folio)) {
		folio_unlock(folio);
		return VMREMAP_PINNED;
	}
	return VMREMAP_OK;
}

/* The part of the plan, around a run, that moves by the same distance. */
static void contiguous_source(const struct vmremap_batch *batch,
			      const struct vmremap_run *run,
			      unsigned long *start, unsigned long *end)
{
	const struct vmremap_range *range = &batch->ranges[run->range];

	*start = range->src;
	*end = range->src + range->len;
	if (run->range == batch->at.range)
		*start += batch->at.offset;
	if (run->range == batch->planned.range)
		*end = range->src + batch->planned.offset;
}

/*
 * Counts the entries in reach that map a large folio. Negative if one of them
 * is not exclusive, or another large folio lives among them (it could not be
 * told apart when the folios are unlocked).
 */
static int count_large(struct vmremap_batch *batch,
		       const struct vmremap_run *run, struct folio *folio,
		       unsigned long first_addr)
{
	unsigned long start, end, i, nr = folio_nr_pages(folio);
	unsigned long pfn = folio_pfn(folio);
	int count = 0;

	contiguous_source(batch, run, &start, &end);
	for (i = 0; i < nr; i++) {
		unsigned long addr = first_addr + i * PAGE_SIZE;
		struct page *page;
		pte_t pte;

		if (addr < start || addr >= end)
			continue;
		pte = source_entry(batch, addr);
		if (!pte_present(pte) || pte_special(pte))
			continue;
		page = pte_page(pte);
		if (pte_pfn(pte) == pfn + i) {
			if (!PageAnonExclusive(page))
				return -1;
			count++;
		} else if (PageCompound(page)) {
			return -1;
		}
	}
	return count;
}

/* The index that a large folio's first page gets at the destination. */
static bool large_index(const struct vmremap_batch *batch,
			const struct vmremap_run *run, unsigned long first_addr,
			pgoff_t *index)
{
	/* Its first pages may be unmapped, and lie before the VMA's start. */
	unsigned long lead = run->src > first_addr ?
			     (run->src - first_addr) >> PAGE_SHIFT : 0;
	unsigned long later = first_addr > run->src ?
			      (first_addr - run->src) >> PAGE_SHIFT : 0;
	pgoff_t at_run = linear_anon_page_index(batch->dst_vma, run->dst);

	*index = at_run + later - lead;
	return at_run + later >= lead;
}

/*
 * Whether all there is of a locked folio is the entries that were counted. Of
 * one that is in the swap cache a page without an entry may still have swap
 * entries, which would map it again where it was.
 */
static bool is_all_of(struct folio *folio, int count)
{
	return count == compat_folio_mapcount(folio) &&
	       (!folio_test_swapcache(folio) ||
		count == folio_nr_pages(folio));
}

/*
 * A large folio has one mapping and one index, so it moves if all that is
 * mapped of it is here, and by the same distance.
 */
static enum vmremap_stop lock_large(struct vmremap_batch *batch,
				    const struct vmremap_run *run,
				    unsigned long addr, struct page *page)
{
	struct folio *folio = page_folio(page);
	unsigned long first = addr - folio_page_idx(folio, page) * PAGE_SIZE;
	enum vmremap_stop stop;
	pgoff_t index;
	int count;

	if (folio == batch->large && run->range == batch->large_range)
		return VMREMAP_OK;
	count = count_large(batch, run, folio, first);
	if (!large_index(batch, run, first, &index))
		return VMREMAP_PARTIAL;
	stop = lock_exclusive(batch, folio);
	if (stop)
		return stop;
	if (!is_all_of(folio, count)) {
		folio_unlock(folio);
		return VMREMAP_PARTIAL;
	}
	batch->large = folio;
	batch->large_range = run->range;
	return VMREMAP_OK;
}

static noinline enum vmremap_stop why_not_present(pte_t pte)
{
	if (compat_pte_is_swap(pte))
		return VMREMAP_SWAPPED;
	if (compat_pte_is_migration(pte))
		return VMREMAP_MIGRATING;
	return VMREMAP_BAD;
}

static noinline enum vmremap_stop why_special(const struct vmremap_batch *batch,
					      pte_t pte)
{
	/* An earlier run's destination: this run has to wait for that one. */
	if (pte_same(pte, batch->sentinel))
		return VMREMAP_CHANGED;
	return is_zero_pfn(pte_pfn(pte)) ? VMREMAP_OK : VMREMAP_BAD;
}

/* The usual case: a small page that belongs to nobody but the source's VMA. */
static __always_inline bool lock_small(void *mapping, struct page *page)
{
	struct folio *folio = (struct folio *)page;

	return compat_exclusive_no_head(page) &&
	       (void *)folio->mapping == mapping &&
	       (unsigned int)folio_ref_count(folio) < GUP_PIN_COUNTING_BIAS &&
	       folio_trylock(folio);
}

/* All other present pages. */
static noinline enum vmremap_stop
lock_other(struct vmremap_batch *batch, const struct vmremap_run *run,
	   unsigned long addr, struct page *page, void **slot)
{
	if (!PageAnonExclusive(page))
		return PageAnon(page) ? VMREMAP_SHARED : VMREMAP_BAD;
	if (PageCompound(page)) {
		*slot = large_slot(page);
		return lock_large(batch, run, addr, page);
	}
	*slot = page;
	return lock_exclusive(batch, page_folio(page));
}

static enum vmremap_stop lock_hole(const struct vmremap_batch *batch)
{
	return batch->flags & VMREMAP_MOVE_ALLOW_SRC_HOLES ? VMREMAP_OK :
							      VMREMAP_HOLE;
}

static noinline enum vmremap_stop
lock_unusual(struct vmremap_batch *batch, const struct vmremap_run *run,
	     unsigned long addr, pte_t pte, void **slot)
{
	*slot = NO_FOLIO;
	if (pte_none(pte))
		return lock_hole(batch);
	if (!pte_present(pte))
		return why_not_present(pte);
	if (pte_special(pte))
		return why_special(batch, pte);
	/* A NUMA hint, or protected by a userfaultfd. */
	return lock_other(batch, run, addr, pte_page(pte), slot);
}

/* Checks one source entry, locks its folio if it has one, and notes it. */
static __always_inline enum vmremap_stop
lock_entry(struct vmremap_batch *batch, const struct vmremap_run *run,
	   unsigned long addr, pte_t pte, void **slot)
{
	struct page *page;

	if (unlikely(!compat_pte_is_plain(pte)))
		return lock_unusual(batch, run, addr, pte, slot);
	page = compat_plain_pte_page(pte);
	if (unlikely(!lock_small(batch->src_mapping, page)))
		return lock_other(batch, run, addr, page, slot);
	*slot = page;
	return VMREMAP_OK;
}

/* A run of holes may not discard markers at its destination either. */
static enum vmremap_stop lock_hole_run(struct vmremap_batch *batch,
				       const struct vmremap_run *run)
{
	enum vmremap_stop stop = lock_hole(batch);
	unsigned int i;
	pmd_t *pmd;
	pte_t *pte;

	if (stop || !(batch->flags & VMREMAP_MOVE_REPLACE))
		return stop;
	pmd = vmremap_pmd(batch->mm, run->dst);
	if (!pmd || !vmremap_pmd_is_table(*pmd))
		return VMREMAP_OK;
	pte = pte_offset_kernel(pmd, run->dst);
	for (i = 0; i < run->nr; i++) {
		if (vmremap_pte_is_marker(ptep_get(pte + i))) {
			batch->stop_page = i;
			return VMREMAP_BAD;
		}
	}
	return VMREMAP_OK;
}

/* Undoes lock_entry(); a large folio was locked for its first page here. */
static void unlock_slot(struct vmremap_batch *batch, void *slot)
{
	struct folio *folio = slot;

	if (slot == NO_FOLIO)
		return;
	if (slot_is_unusual(slot)) {
		folio = page_folio(large_page(slot));
		if (folio == batch->large)
			return;
		batch->large = folio;
	}
	folio_unlock(folio);
}

/*
 * Whether there is a page at the destination. Where it is inside the span, its
 * entry may be among those that were copied out.
 */
static __always_inline bool is_occupied(struct vmremap_batch *batch,
					const struct vmremap_run *run,
					unsigned int i)
{
	if (!pte_none(ptep_get(run->dst_ptes + i)))
		return true;
	return unlikely(batch->src_vma == batch->dst_vma) &&
	       !pte_none(source_entry(batch, run->dst + i * PAGE_SIZE));
}

/*
 * Whether a run's table at the destination, or the huge page in its place, is
 * what it was. It may be out of reach, inside the span; it is still the same.
 * But an earlier run may have taken the table for its own, as a whole.
 */
static bool is_destination_there(const struct vmremap_batch *batch,
				 const struct vmremap_run *run)
{
	const struct vmremap_block *block = NULL;

	if (likely(!pmd_none(*run->dst_pmd)))
		return true;
	if (batch->src_vma == batch->dst_vma)
		block = vmremap_span_block(&batch->span, run->dst);
	return block && !block->pair_pmd && block->kind != VMREMAP_BLOCK_NONE;
}

/*
 * A hole among entries that were copied out may have become the destination of
 * an earlier run: the mark of that is in the page table.
 */
static bool is_reserved_hole(const struct vmremap_batch *batch,
			     const struct vmremap_block *block,
			     unsigned long addr)
{
	return batch->reserve && block->kind == VMREMAP_BLOCK_TAKEN &&
	       pte_same(ptep_get(pte_offset_kernel(block->pmd, addr)),
			batch->sentinel);
}

static void unlock_destination(struct vmremap_batch *batch)
{
	if (batch->held_ptl) {
		__acquire(batch->held_ptl);
		spin_unlock(batch->held_ptl);
	}
	batch->held_ptl = NULL;
}

/* Neighbouring runs mostly go to the same table: its lock is kept for them. */
static void lock_destination(struct vmremap_batch *batch,
			     const struct vmremap_run *run)
{
	if (batch->held_ptl == run->dst_ptl)
		return;
	unlock_destination(batch);
	batch->held_ptl = run->dst_ptl;
	spin_lock(batch->held_ptl);
	/* Sparse cannot follow it from one function to another. */
	__release(batch->held_ptl);
}

static void pause_between_runs(struct vmremap_batch *batch)
{
	if (likely(!need_resched()))
		return;
	unlock_destination(batch);
	cond_resched();
}

static void reserve(struct vmremap_batch *batch, const struct vmremap_run *run,
		    unsigned int i)
{
	set_pte_at(batch->mm, run->dst + i * PAGE_SIZE, run->dst_ptes + i,
		   batch->sentinel);
}

static void unreserve(struct vmremap_batch *batch,
		      const struct vmremap_run *run, unsigned int nr)
{
	unsigned int i;

	if (!batch->reserve || !run->dst_ptes)
		return;
	lock_destination(batch, run);
	for (i = 0; i < nr; i++) {
		pte_t *pte = run->dst_ptes + i;

		if (pte_same(ptep_get(pte), batch->sentinel))
			ptep_get_and_clear(batch->mm, run->dst + i * PAGE_SIZE,
					   pte);
	}
	unlock_destination(batch);
}

/*
 * The usual page: a small one, to a place that is free, in a batch whose runs
 * cannot depend on one another. Anything else gets a closer look.
 */
static __always_inline bool lock_plain_entry(void *mapping, pte_t pte,
					     void **slot)
{
	struct page *page;

	if (!compat_pte_is_plain(pte))
		return false;
	page = compat_plain_pte_page(pte);
	*slot = page;
	return lock_small(mapping, page);
}

/* Checks what the destination has, and then locks the source's page. */
static noinline enum vmremap_stop
lock_checked(struct vmremap_batch *batch, const struct vmremap_run *run,
	     struct vmremap_block *block, unsigned int i, void **slot)
{
	const unsigned int flags = batch->flags;
	unsigned long addr = run->src + i * PAGE_SIZE;
	pte_t pte = ptep_get(&block->ptes[pte_index(addr)]);
	enum vmremap_stop stop;

	/* Not even a hole takes the place of a marker. */
	if (flags & VMREMAP_MOVE_REPLACE && run->dst_ptes &&
	    vmremap_pte_is_marker(ptep_get(run->dst_ptes + i)))
		return VMREMAP_BAD;
	if (pte_none(pte) && flags & VMREMAP_MOVE_ALLOW_SRC_HOLES) {
		*slot = NO_FOLIO;
		return is_reserved_hole(batch, block, addr) ? VMREMAP_CHANGED :
							      VMREMAP_OK;
	}
	if (!run->dst_ptes)
		return VMREMAP_EXISTS;
	if (!(flags & VMREMAP_MOVE_REPLACE) && is_occupied(batch, run, i))
		return VMREMAP_EXISTS;
	if (batch->ends_here)
		return VMREMAP_CHANGED;
	stop = lock_entry(batch, run, addr, pte, slot);
	if (!stop && batch->reserve) {
		reserve(batch, run, i);
		batch->ends_here = *slot == NO_FOLIO;
	}
	return stop;
}

/* Locks the pages of a run; how many it managed is left in stop_page. */
static noinline enum vmremap_stop lock_run(struct vmremap_batch *batch,
					   struct vmremap_run *run)
{
	struct vmremap_block *block = vmremap_span_block(&batch->span, run->src);
	const bool simple = batch->simple && run->dst_ptes;
	void *const mapping = batch->src_mapping;
	void **slots = &batch->folios[run->first];
	enum vmremap_stop stop = VMREMAP_OK;
	pte_t *src, *dst = run->dst_ptes;
	unsigned int i;

	if (!block->ptes || !is_destination_there(batch, run))
		return VMREMAP_CHANGED;
	src = &block->ptes[pte_index(run->src)];
	if (batch->reserve && run->dst_ptes)
		lock_destination(batch, run);
	for (i = 0; i < run->nr; i++) {
		if (likely(simple) && pte_none(ptep_get(dst + i)) &&
		    lock_plain_entry(mapping, ptep_get(src + i), &slots[i]))
			continue;
		stop = lock_checked(batch, run, block, i, &slots[i]);
		if (stop)
			break;
	}
	batch->stop_page = i;
	return stop;
}

/* The same for a single page, which is what vectors are mostly made of. */
static __always_inline bool lock_single(struct vmremap_batch *batch,
					const struct vmremap_run *run)
{
	struct vmremap_block *block = vmremap_span_block(&batch->span, run->src);

	return run->nr == 1 && batch->simple && run->dst_ptes && block->ptes &&
	       !pmd_none(*run->dst_pmd) && pte_none(ptep_get(run->dst_ptes)) &&
	       lock_plain_entry(batch->src_mapping,
				ptep_get(&block->ptes[pte_index(run->src)]),
				&batch->folios[run->first]);
}

static noinline enum vmremap_stop
lock_table_entry(struct vmremap_batch *batch, const struct vmremap_run *run,
		 unsigned int i, pte_t pte)
{
	return lock_entry(batch, run, run->src + i * PAGE_SIZE, pte,
			  &batch->folios[run->first + i]);
}

/* A page table that moves as one. */
static noinline enum vmremap_stop lock_table(struct vmremap_batch *batch,
					     const struct vmremap_run *run,
					     struct vmremap_block *block)
{
	void **slots = &batch->folios[run->first];
	void *const mapping = batch->src_mapping;
	const pte_t *src = block->ptes;
	pte_t common = src[0];
	enum vmremap_stop stop;
	unsigned int i;

	for (i = 0; i < PTRS_PER_PTE; i++) {
		pte_t pte = READ_ONCE(src[i]);

		common = compat_pte_common(common, pte);
		if (likely(lock_plain_entry(mapping, pte, &slots[i])))
			continue;
		stop = lock_table_entry(batch, run, i, pte);
		if (stop) {
			batch->stop_page = i;
			return stop;
		}
	}
	/* Holes and zero pages may hide it; then it is marked once more. */
	block->soft_dirty = pte_soft_dirty(common);
	return VMREMAP_OK;
}

static enum vmremap_stop lock_huge(struct vmremap_batch *batch,
				   const struct vmremap_block *block)
{
	struct page *page = pmd_page(block->val);

	if (!PageAnon(page))
		return VMREMAP_OK;	/* the huge zero page */
	if (!PageAnonExclusive(page))
		return VMREMAP_SHARED;
	return lock_exclusive(batch, page_folio(page));
}

static enum vmremap_stop lock_pair(struct vmremap_batch *batch,
				   struct vmremap_run *run)
{
	struct vmremap_block *block = vmremap_span_block(&batch->span, run->src);
	enum vmremap_stop stop = VMREMAP_CHANGED;

	unlock_destination(batch);
	/* With REPLACE it is not empty yet: commit() takes it. */
	if (!(batch->flags & VMREMAP_MOVE_REPLACE) &&
	    !vmremap_pair_take_spare(&batch->span, block))
		return VMREMAP_CHANGED;
	if (block->kind == VMREMAP_BLOCK_TABLE)
		stop = lock_table(batch, run, block);
	else if (block->kind == VMREMAP_BLOCK_HUGE)
		stop = lock_huge(batch, block);
	return stop;
}

static void unlock_run(struct vmremap_batch *batch, struct vmremap_run *run,
		       unsigned int nr)
{
	struct vmremap_block *block = vmremap_span_block(&batch->span, run->src);
	unsigned int i;

	if (run->hole || !nr)
		return;
	if (block->kind == VMREMAP_BLOCK_HUGE) {
		if (PageAnon(pmd_page(block->val)))
			folio_unlock(page_folio(pmd_page(block->val)));
		return;
	}
	for (i = 0; i < nr; i++)
		unlock_slot(batch, batch->folios[run->first + i]);
	if (!run->paired)
		unreserve(batch, run, nr);
}

static void unlock_pages(struct vmremap_batch *batch)
{
	unsigned int i;

	batch->large = NULL;
	for (i = 0; i < batch->stop_run; i++)
		unlock_run(batch, &batch->runs[i], batch->runs[i].nr);
	unlock_run(batch, &batch->runs[i], batch->stop_page);
	batch->large = NULL;
	for (i = 0; i < batch->span.nr_blocks; i++)
		vmremap_pair_put_spare(batch->mm, &batch->span.blocks[i]);
}

/* Locks every folio of the batch, or none. */
static enum vmremap_stop lock_pages(struct vmremap_batch *batch)
{
	enum vmremap_stop stop = VMREMAP_OK;
	unsigned int i;

	batch->large = NULL;
	batch->ends_here = false;
	for (i = 0; i < batch->nr_runs; i++) {
		struct vmremap_run *run = &batch->runs[i];

		batch->stop_run = i;
		batch->stop_page = 0;
		if (run->hole)
			stop = lock_hole_run(batch, run);
		else if (run->paired)
			stop = lock_pair(batch, run);
		else if (!lock_single(batch, run))
			stop = lock_run(batch, run);
		if (unlikely(stop))
			break;
		pause_between_runs(batch);
	}
	unlock_destination(batch);
	if (stop)
		unlock_pages(batch);
	return stop;
}

/*
 * A walker that trusts the mapping it read must have had a reference of its own
 * before that. Any reference beyond the ones that are accounted for may be such
 * a walker's. folio_unlock() orders the new mapping before this read.
 */
static __always_inline void note_walkers(struct vmremap_batch *batch,
					 struct folio *folio, int mapped)
{
	if (!COMPAT_RMAP_WALKERS_TRUST_OLD_MAPPING)
		return;
	/* The walker takes its reference, and then reads the mapping. */
	smp_mb__after_atomic();
	if (folio_ref_count(folio) >
	    mapped + (folio_test_swapcache(folio) ? folio_nr_pages(folio) : 0))
		batch->need_grace_period = true;
}

static __always_inline void rehome_folio(struct vmremap_batch *batch,
					 struct folio *folio, pgoff_t index)
{
	WRITE_ONCE(folio->mapping, batch->dst_mapping);
	folio->index = index;
}

/* One entry of a large folio: the first takes the folio along. */
static void rehome_large(struct vmremap_batch *batch,
			 const struct vmremap_run *run, struct page *page,
			 unsigned long addr)
{
	struct folio *folio = page_folio(page);
	pgoff_t index;

	if (folio == batch->large)
		return;
	batch->large = folio;
	batch->large_left = compat_folio_mapcount(folio);
	large_index(batch, run,
		    addr - folio_page_idx(folio, page) * PAGE_SIZE, &index);
	rehome_folio(batch, folio, index);
}

/* And the last one unlocks it. */
static void unlock_moved_large(struct vmremap_batch *batch)
{
	struct folio *folio = batch->large;

	if (--batch->large_left)
		return;
	batch->large = NULL;
	folio_unlock(folio);
	if (COMPAT_RMAP_WALKERS_TRUST_OLD_MAPPING)
		batch->need_grace_period = true;
}

/* As pte_modify(), which on x86 needs what is not exported. */
static pte_t with_prot(pte_t old, pgprot_t prot)
{
	pte_t pte = pte_mkold(pfn_pte(pte_pfn(old), prot));

	if (pte_young(old))
		pte = pte_mkyoung(pte);
	if (pte_dirty(old))
		pte = pte_mkdirty(pte);
	if (pte_soft_dirty(old))
		pte = pte_mksoft_dirty(pte);
	return pte_special(old) ? pte_mkspecial(pte) : pte;
}

/*
 * What a userfaultfd protects in the source is not protected any more; but a
 * destination with read-write protection takes in no page without it.
 */
static noinline pte_t changed_entry(const struct vmremap_batch *batch,
				    pte_t pte)
{
	if (userfaultfd_rwp(batch->src_vma) && pte_uffd(pte))
		pte = with_prot(pte, batch->dst_vma->vm_page_prot);
	pte = pte_clear_uffd(pte);
	if (!pte_special(pte)) {
		pte = pte_mksoft_dirty(pte);
		/* The page is exclusive, and its VMA writable. */
		if (!pte_protnone(pte))
			pte = compat_pte_mkwrite(pte);
	}
	if (userfaultfd_rwp(batch->dst_vma))
		pte = pte_mkuffd(with_prot(pte, vm_get_page_prot(VM_NONE)));
	return pte;
}

static __always_inline pte_t moved_entry(const struct vmremap_batch *batch,
					 pte_t pte)
{
	if (likely(compat_pte_is_ready(pte)) &&
	    !userfaultfd_rwp(batch->dst_vma))
		return pte;
	return changed_entry(batch, pte);
}

static noinline void move_unusual(struct vmremap_batch *batch,
				  struct vmremap_run *run, unsigned int i,
				  pte_t pte, void *slot)
{
	unsigned long dst = run->dst + i * PAGE_SIZE;
	bool large = slot != NO_FOLIO;

	if (large)
		rehome_large(batch, run, large_page(slot),
			     run->src + i * PAGE_SIZE);
	/* A hole may have been marked since: as a later run's destination. */
	if (!pte_none(pte) && !pte_same(pte, batch->sentinel))
		set_pte_at(batch->mm, dst, run->dst_ptes + i,
			   moved_entry(batch, pte));
	if (large)
		unlock_moved_large(batch);
}

/*
 * Takes an entry from where it was put out of reach, and flushed: nobody else
 * writes to it.
 */
static __always_inline pte_t
take_source_entry(struct vmremap_batch *batch,
		  const struct vmremap_block *block, unsigned long addr,
		  pte_t *src)
{
	pte_t pte;

	if (likely(block->kind == VMREMAP_BLOCK_TABLE))
		return ptep_get_and_clear_full(batch->mm, addr, src, 1);
	pte = *src;
	*src = __pte(0);
	return pte;
}

static __always_inline void move_page(struct vmremap_batch *batch,
				      struct vmremap_run *run, unsigned int i,
				      pgoff_t index, pte_t pte, void *slot)
{
	struct folio *folio = slot;

	if (unlikely(slot_is_unusual(slot))) {
		move_unusual(batch, run, i, pte, slot);
		return;
	}
	rehome_folio(batch, folio, index);
	set_pte_at(batch->mm, run->dst + i * PAGE_SIZE, run->dst_ptes + i,
		   moved_entry(batch, pte));
	folio_unlock(folio);
	note_walkers(batch, folio, 1);
}

static noinline void move_entries(struct vmremap_batch *batch,
				  struct vmremap_run *run)
{
	struct vmremap_block *block = vmremap_span_block(&batch->span, run->src);
	pgoff_t index = linear_anon_page_index(batch->dst_vma, run->dst);
	pte_t *src = &block->ptes[pte_index(run->src)];
	void **slots = &batch->folios[run->first];
	unsigned int i;

	for (i = 0; i < run->nr; i++) {
		pte_t pte = take_source_entry(batch, block,
					      run->src + i * PAGE_SIZE,
					      src + i);

		move_page(batch, run, i, index + i, pte, slots[i]);
	}
}

static void move_run(struct vmremap_batch *batch, struct vmremap_run *run)
{
	struct vmremap_block *block;
	pte_t pte;

	/* All holes, above a huge page. */
	if (unlikely(!run->dst_ptes))
		return;
	lock_destination(batch, run);
	if (run->nr > 1) {
		move_entries(batch, run);
		return;
	}
	block = vmremap_span_block(&batch->span, run->src);
	pte = take_source_entry(batch, block, run->src,
				&block->ptes[pte_index(run->src)]);
	move_page(batch, run, 0,
		  linear_anon_page_index(batch->dst_vma, run->dst), pte,
		  batch->folios[run->first]);
}

/* Marks a whole table soft-dirty while it is out of reach. */
static void mark_soft_dirty(pte_t *ptes)
{
	unsigned int i;

	for (i = 0; i < PTRS_PER_PTE; i++) {
		pte_t pte = ptep_get(ptes + i);

		if (pte_present(pte) && !pte_special(pte) &&
		    !pte_soft_dirty(pte))
			set_pte(ptes + i, pte_mksoft_dirty(pte));
	}
}

static void hang_tables(struct vmremap_batch *batch,
			struct vmremap_block *block, pgtable_t dst_table)
{
	spinlock_t *ptl;

	if (dst_table) {
		ptl = pmd_lock(batch->mm, block->pair_pmd);
		pmd_populate(batch->mm, block->pair_pmd, dst_table);
		spin_unlock(ptl);
	}
	if (block->src_table) {
		ptl = pmd_lock(batch->mm, block->pmd);
		pmd_populate(batch->mm, block->pmd, block->src_table);
		spin_unlock(ptl);
	}
}

static noinline void move_table_unusual(struct vmremap_batch *batch,
					const struct vmremap_run *run,
					unsigned int i, void *slot)
{
	if (slot == NO_FOLIO)
		return;
	rehome_large(batch, run, large_page(slot), run->src + i * PAGE_SIZE);
	unlock_moved_large(batch);
}

static noinline void move_table(struct vmremap_batch *batch,
				struct vmremap_run *run,
				struct vmremap_block *block)
{
	pgoff_t index = linear_anon_page_index(batch->dst_vma, run->dst);
	void **slots = &batch->folios[run->first];
	void *const mapping = batch->dst_mapping;
	unsigned int i;

	if (!block->soft_dirty)
		mark_soft_dirty(block->ptes);
	/* The folios are locked and page faults wait: rmap may follow. */
	hang_tables(batch, block, pmd_pgtable(block->val));
	for (i = 0; i < PTRS_PER_PTE; i++) {
		struct folio *folio = slots[i];

		if (unlikely(slot_is_unusual(folio))) {
			move_table_unusual(batch, run, i, folio);
			continue;
		}
		WRITE_ONCE(folio->mapping, mapping);
		folio->index = index + i;
		folio_unlock(folio);
		note_walkers(batch, folio, 1);
	}
}

static void move_huge(struct vmremap_batch *batch, struct vmremap_run *run,
		      struct vmremap_block *block)
{
	struct page *page = pmd_page(block->val);
	struct folio *folio = PageAnon(page) ? page_folio(page) : NULL;
	pmd_t entry = block->val;
	spinlock_t *ptl;

	if (folio) {
		rehome_folio(batch, folio,
			     linear_anon_page_index(batch->dst_vma, run->dst));
		entry = pmd_mksoft_dirty(entry);
	}
	ptl = pmd_lock(batch->mm, block->pair_pmd);
	vmremap_deposit_table(batch->mm, block->pair_pmd, block->deposit);
	set_pmd_at(batch->mm, run->dst, block->pair_pmd, entry);
	spin_unlock(ptl);
	hang_tables(batch, block, NULL);
	if (folio) {
		folio_unlock(folio);
		note_walkers(batch, folio, 1);
	}
}

static void move_pair(struct vmremap_batch *batch, struct vmremap_run *run)
{
	struct vmremap_block *block = vmremap_span_block(&batch->span, run->src);

	unlock_destination(batch);
	if (block->kind == VMREMAP_BLOCK_TABLE)
		move_table(batch, run, block);
	else
		move_huge(batch, run, block);
	block->kind = VMREMAP_BLOCK_GONE;
	block->ptes = NULL;
}

/* Discards what the destination holds, neighbouring runs together. */
static void discard_destination(struct vmremap_batch *batch)
{
	unsigned int i = 0;

	while (i < batch->nr_runs) {
		unsigned long start = batch->runs[i].dst, end = start;

		for (; i < batch->nr_runs && batch->runs[i].dst == end; i++)
			end += batch->runs[i].nr * PAGE_SIZE;
		vmremap_discard(batch->dst_vma, start, end - start);
	}
}

static void take_emptied_tables(struct vmremap_batch *batch)
{
	struct vmremap_span *span = &batch->span;
	unsigned int i;

	for (i = 0; i < span->nr_blocks; i++) {
		struct vmremap_block *block = &span->blocks[i];

		if (block->pair_pmd)
			WARN_ON_ONCE(!vmremap_pair_take_spare(span, block));
	}
}

/* All pages are locked: from here on nothing can fail. */
static void commit(struct vmremap_batch *batch)
{
	unsigned int i;

	if (batch->flags & VMREMAP_MOVE_REPLACE) {
		discard_destination(batch);
		take_emptied_tables(batch);
	}
	if (batch->span.nr_blocks)
		vmremap_span_flush(&batch->span);
	batch->large = NULL;
	for (i = 0; i < batch->nr_runs; i++) {
		struct vmremap_run *run = &batch->runs[i];

		if (run->hole)
			continue;
		if (run->paired)
			move_pair(batch, run);
		else
			move_run(batch, run);
		pause_between_runs(batch);
	}
	unlock_destination(batch);
	WARN_ON_ONCE(batch->large);
}

/* Moves all that is planned, or nothing. */
static enum vmremap_stop move_planned(struct vmremap_batch *batch)
{
	enum vmremap_stop stop = VMREMAP_CHANGED;

	batch->stop_run = 0;
	batch->stop_page = 0;
	if (!vmremap_span_open(&batch->span))
		stop = lock_pages(batch);
	if (!stop)
		commit(batch);
	vmremap_span_close(&batch->span);
	return stop;
}

/*
 * Locks both roots, where that is needed. There is no order among roots, so
 * while one is held the other is only tried for.
 */
static int lock_two_roots(struct rw_semaphore *held,
			  struct rw_semaphore *wanted)
{
	for (;;) {
		int err = down_write_killable(held);

		if (err || down_write_trylock(wanted))
			return err;
		up_write(held);
		swap(held, wanted);
		cond_resched();
	}
}

static int lock_roots(struct rw_semaphore *src, struct rw_semaphore *dst)
{
	if (dst)
		return lock_two_roots(src, dst);
	return src ? down_write_killable(src) : 0;
}

static struct rw_semaphore *root_of(const struct vm_area_struct *vma)
{
	return vma->anon_vma ? &vma->anon_vma->root->rwsem : NULL;
}

static enum vmremap_stop move_batch(struct vmremap_batch *batch, int *err)
{
	struct rw_semaphore *src = root_of(batch->src_vma);
	struct rw_semaphore *dst = root_of(batch->dst_vma);
	enum vmremap_stop stop;

	if (!COMPAT_RMAP_TRUSTS_PMD || !src || src == dst)
		dst = NULL;
	*err = lock_roots(src, dst);
	if (*err)
		return VMREMAP_CHANGED;
	stop = move_planned(batch);
	if (dst)
		up_write(dst);
	if (src)
		up_write(src);
	return stop;
}

static int stop_errno(const struct vmremap_batch *batch, enum vmremap_stop stop)
{
	switch (stop) {
	case VMREMAP_HOLE:
		return -ENOENT;
	case VMREMAP_EXISTS:
		return -EEXIST;
	case VMREMAP_PINNED:
		return -EBUSY;
	case VMREMAP_SHARED:
		return batch->flags & VMREMAP_MOVE_UNSHARE ? 0 : -EBUSY;
	case VMREMAP_BAD:
		return -EFAULT;
	default:
		return 0;
	}
}

/* After trouble plans are short, so that they are not made in vain. */
static void adapt_plan_length(struct vmremap_batch *batch, bool trouble)
{
	if (trouble)
		batch->try_runs = min(max(batch->stop_run, 16U),
				      batch->max_runs);
	else
		batch->try_runs = min(batch->try_runs * 2, batch->max_runs);
}

/*
 * Moves what is planned. A page that cannot move ends the plan before it; if it
 * is the very first one, that is for the caller.
 */
static int move_up_to_trouble(struct vmremap_batch *batch,
			      enum vmremap_stop *stop)
{
	int err;

	for (;;) {
		err = vmremap_plan_prepare(batch);
		/* What comes before the trouble moves first. */
		if (err && batch->stop_run) {
			vmremap_plan_cut(batch, batch->stop_run, 0);
			continue;
		}
		if (err)
			return err;
		*stop = move_batch(batch, &err);
		if (err)
			return err;
		if (!*stop) {
			batch->at = batch->planned;
			batch->repairs = 0;
			batch->waits = 0;
		}
		adapt_plan_length(batch, *stop);
		if (!*stop || (!batch->stop_run && !batch->stop_page))
			return 0;
		vmremap_plan_cut(batch, batch->stop_run, batch->stop_page);
	}
}

/* A call may be long; who waits for the lock gets it between two batches. */
static int let_others_in(const struct vmremap_batch *batch)
{
	return batch->at.range < batch->nr_ranges &&
			       mmap_lock_is_contended(batch->mm) &&
			       ktime_after(ktime_get(), batch->keep_until) ?
		       VMREMAP_UNLOCK : 0;
}

/**
 * vmremap_batch_move_all - move all ranges, batch after batch
 * @batch: with its ranges set; those from @batch->at on have been checked since
 *	the mmap lock was taken
 *
 * Return: 0; VMREMAP_UNLOCK, to be called again after vmremap_repair_unlocked(); or
 * an errno for the page at @batch->at. What is before that has moved, the rest is
 * as it was.
 */
int vmremap_batch_move_all(struct vmremap_batch *batch)
{
	enum vmremap_stop stop;
	int err = 0;

	/* The page tables may have changed while the lock was not held. */
	memset(batch->pmds, 0, sizeof(batch->pmds));
	batch->nr_swapped = 0;
	batch->let_go = false;
	while (batch->at.range < batch->nr_ranges && !err) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		vmremap_plan(batch);
		err = move_up_to_trouble(batch, &stop);
		if (!err && !stop) {
			err = let_others_in(batch);
			continue;
		}
		if (!err)
			err = stop_errno(batch, stop);
		if (err && err != -EAGAIN)
			return err;
		if (++batch->repairs > MAX_REPAIRS)
			return -EAGAIN;
		if (!err)
			err = vmremap_repair(batch, stop);
		else
			err = 0;
	}
	return err;
}
