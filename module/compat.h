/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place that knows kernel versions. Everything here exists under its
 * own name on the newest kernel, or says why it does not.
 */
#ifndef VMREMAP_COMPAT_H
#define VMREMAP_COMPAT_H

#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/rmap.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/userfaultfd_k.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "vmremap supports Linux 6.1 and newer"
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
#include <linux/leafops.h>
#endif

/* What marks an entry that nobody can use, and makes a zap pass it over. */
#ifndef CONFIG_ARCH_HAS_PTE_SPECIAL
#error "vmremap needs an architecture with special page-table entries"
#endif

/* VMA flags that older kernels do not know: no VMA has them there. */
#ifndef VM_SEALED
#define VM_SEALED VM_NONE
#endif
#ifndef VM_DROPPABLE
#define VM_DROPPABLE VM_NONE
#endif
#ifndef VM_SHADOW_STACK
#define VM_SHADOW_STACK VM_NONE
#endif
#ifndef VM_UFFD_RWP
#define VM_UFFD_RWP VM_NONE
#endif

/* UFFDIO_MOVE came with 6.8. */
#define COMPAT_HAS_UFFDIO_MOVE \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0))

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	mmap_assert_write_locked(vma->vm_mm);
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	mmap_assert_write_locked(vma->vm_mm);
	vma->vm_flags &= ~flags;
}

/* Before per-VMA locks the mmap lock alone keeps page faults out. */
static inline void vma_start_write(struct vm_area_struct *vma)
{
	mmap_assert_write_locked(vma->vm_mm);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
/*
 * Since 7.3 one bit of an entry serves write protection by a userfaultfd and
 * its new read-write protection, which no VMA has before.
 */
static __always_inline int pte_uffd(pte_t pte)
{
	return pte_uffd_wp(pte);
}

static __always_inline pte_t pte_mkuffd(pte_t pte)
{
	return pte_mkuffd_wp(pte);
}

static __always_inline pte_t pte_clear_uffd(pte_t pte)
{
	return pte_clear_uffd_wp(pte);
}

static __always_inline int pmd_uffd(pmd_t pmd)
{
	return pmd_uffd_wp(pmd);
}

static __always_inline bool userfaultfd_rwp(const struct vm_area_struct *vma)
{
	return false;
}

static inline bool userfaultfd_protected(struct vm_area_struct *vma)
{
	return userfaultfd_wp(vma);
}

/*
 * Since 7.3 anonymous pages of a private file mapping have indices of their
 * own, and MAP_PRIVATE of /dev/zero is such a mapping.
 */
static __always_inline pgoff_t
linear_anon_page_index(const struct vm_area_struct *vma, unsigned long addr)
{
	return linear_page_index((struct vm_area_struct *)vma, addr);
}
#endif

static inline void compat_zap_range(struct vm_area_struct *vma,
				    unsigned long start, unsigned long len)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	zap_special_vma_range(vma, start, len);
#else
	zap_vma_ptes(vma, start, len);
#endif
}

static inline unsigned long compat_zero_pfn(unsigned long addr)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	return zero_pfn(addr);
#else
	return my_zero_pfn(addr);
#endif
}

static inline void *compat_anon_mapping(struct anon_vma *anon_vma)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	return (void *)anon_vma + FOLIO_MAPPING_ANON;
#else
	return (void *)anon_vma + PAGE_MAPPING_ANON;
#endif
}

/* Inverse of compat_anon_mapping(); for folios known to be anonymous. */
static inline struct anon_vma *compat_folio_anon_vma(struct folio *folio)
{
	return (void *)folio->mapping - (compat_anon_mapping(NULL) - NULL);
}

static inline long compat_gup_one(struct mm_struct *mm, unsigned long addr,
				  unsigned int flags, struct page **page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	return get_user_pages_remote(mm, addr, 1, flags, page, NULL);
#else
	return get_user_pages_remote(mm, addr, 1, flags, page, NULL, NULL);
#endif
}

/* How many page-table entries, in all processes, map a part of the folio. */
static inline int compat_folio_mapcount(struct folio *folio)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return folio_mapcount(folio);
#else
	/* folio_mapcount() is not exported here. */
	int count = atomic_read(folio_mapcount_ptr(folio)) + 1;
	long i, nr = folio_nr_pages(folio);

	for (i = 0; i < nr; i++)
		count += atomic_read(&folio_page(folio, i)->_mapcount) + 1;
	return count;
#endif
}

/*
 * Marks an exclusive page as shared, unless it may be pinned. Its entry must
 * have been cleared and flushed.
 */
static inline int compat_try_share(struct folio *folio, struct page *page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return folio_try_share_anon_rmap_pte(folio, page);
#else
	return page_try_share_anon_rmap(page);
#endif
}

/*
 * Whether a page is exclusive and does not begin a large folio. The tail of one
 * passes too: it is told by its mapping, which is never that of a VMA.
 * PageAnonExclusive() would have to think of hugetlb.
 */
static __always_inline bool compat_exclusive_no_head(const struct page *page)
{
	const unsigned long mask = BIT(PG_anon_exclusive) | BIT(PG_head);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	unsigned long flags = READ_ONCE(page->flags.f);
#else
	unsigned long flags = READ_ONCE(page->flags);
#endif

	return (flags & mask) == BIT(PG_anon_exclusive);
}

/*
 * The page-table entry tests of the hot loops, each in one step. x86 has the
 * bits at hand; elsewhere the generic ones do.
 */
#ifdef CONFIG_X86
/* Maps a page that has a struct page, and not by PROT_NONE. */
static __always_inline bool compat_pte_is_plain(pte_t pte)
{
	return (native_pte_val(pte) & (_PAGE_PRESENT | _PAGE_SPECIAL)) ==
	       _PAGE_PRESENT;
}

static __always_inline struct page *compat_plain_pte_page(pte_t pte)
{
	return pfn_to_page((pte_val(pte) & PTE_PFN_MASK) >> PAGE_SHIFT);
}

/* Writable, soft-dirty, and not protected by a userfaultfd. */
static __always_inline bool compat_pte_is_ready(pte_t pte)
{
	pteval_t ready = _PAGE_RW | _PAGE_SOFT_DIRTY;
	pteval_t not_ready = 0;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
	not_ready = _PAGE_UFFD;
#elif defined(CONFIG_HAVE_ARCH_USERFAULTFD_WP)
	not_ready = _PAGE_UFFD_WP;
#endif
	return (native_pte_val(pte) & (ready | not_ready)) == ready;
}

static __always_inline pte_t compat_pte_common(pte_t a, pte_t b)
{
	return native_make_pte(native_pte_val(a) & native_pte_val(b));
}
#else
static __always_inline bool compat_pte_is_plain(pte_t pte)
{
	return pte_present(pte) && !pte_protnone(pte) && !pte_special(pte);
}

static __always_inline struct page *compat_plain_pte_page(pte_t pte)
{
	return pte_page(pte);
}

static __always_inline bool compat_pte_is_ready(pte_t pte)
{
	return pte_write(pte) && pte_soft_dirty(pte) && !pte_uffd(pte);
}

static __always_inline pte_t compat_pte_common(pte_t a, pte_t b)
{
	return __pte(pte_val(a) & pte_val(b));
}
#endif

static inline pte_t compat_pte_mkwrite(pte_t pte)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return pte_mkwrite_novma(pte);
#else
	return pte_mkwrite(pte);
#endif
}

static inline bool compat_pte_is_swap(pte_t pte)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	return softleaf_is_swap(softleaf_from_pte(pte));
#else
	return is_swap_pte(pte) && !non_swap_entry(pte_to_swp_entry(pte));
#endif
}

static inline bool compat_pte_is_migration(pte_t pte)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	return softleaf_is_migration(softleaf_from_pte(pte));
#else
	return is_swap_pte(pte) && is_migration_entry(pte_to_swp_entry(pte));
#endif
}

/*
 * Whether a flush of a whole page table's addresses makes the CPUs forget, for
 * all of the mm, which tables its upper levels point to. On x86 that many
 * addresses are never flushed one by one (unless someone raises a debugging
 * limit more than tenfold), and a CPU drops what it remembers of upper levels
 * with any flush. Other architectures flush leaves only.
 */
#define COMPAT_FLUSH_FORGETS_TABLES IS_ENABLED(CONFIG_X86)

/* Whether a device shares the process's page tables, by the IOMMU. */
static inline bool compat_mm_has_device(const struct mm_struct *mm)
{
#if defined(CONFIG_IOMMU_MM_DATA)
	return READ_ONCE(mm->iommu_mm);
#elif defined(CONFIG_IOMMU_SVA) && \
	LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	return READ_ONCE(mm->pasid) != (typeof(mm->pasid))-1;
#else
	return false;
#endif
}

/*
 * On 6.1 an rmap walk may look at a PMD entry, and then use it unlocked without
 * looking again. There, an entry that points to a table must not be cleared
 * while a walk of its VMA may be under way.
 */
#define COMPAT_RMAP_TRUSTS_PMD (LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0))

/*
 * On 6.1 an rmap walker without the folio lock may have read folio->mapping
 * before a move changed it, and take that old anon_vma for the folio's own as
 * long as the folio is mapped at all. It can only be there with a reference of
 * its own. Later kernels read folio->mapping again (6.12), or hold the folio
 * lock (7.2).
 */
#define COMPAT_RMAP_WALKERS_TRUST_OLD_MAPPING \
	(LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0))

#endif /* VMREMAP_COMPAT_H */
