// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables by hand, and page faults on behalf of the caller, where the
 * kernel exports no helper of its own. All of it runs under the mmap lock held
 * for writing, with the VMA write-locked.
 */
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include "compat.h"
#include "internal.h"

/* The PMD entry of an address, or NULL if the levels above have none. */
pmd_t *vmremap_pmd(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || !pud_present(*pud) || pud_trans_huge(*pud))
		return NULL;
	return pmd_offset(pud, addr);
}

static int leave_entry_alone(pte_t *pte, unsigned long addr, void *data)
{
	return 0;
}

/* Makes sure that an address has a page table, or a huge page. */
int vmremap_alloc_table(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = vmremap_pmd(mm, addr);

	if (pmd && !pmd_none(*pmd))
		return 0;
	return apply_to_page_range(mm, addr & PAGE_MASK, PAGE_SIZE,
				   leave_entry_alone, NULL);
}

/*
 * The flags without which GUP and page faults do not ask a userfaultfd about
 * what it protects against reading (and writing), and leave it protected: those
 * that make a mapping accessible. The flag for such protection has to stay. A
 * migration that ends meanwhile, anywhere in the VMA, looks for it, and holds
 * no lock that keeps us out.
 */
static vm_flags_t rwp_hidden_flags(struct vm_area_struct *vma)
{
	return userfaultfd_rwp(vma) ? vma->vm_flags & VM_ACCESS_FLAGS : VM_NONE;
}

/* Maps what a huge PMD entry maps by a page table; the folio stays whole. */
int vmremap_split_pmd(struct vm_area_struct *vma, unsigned long addr)
{
	const vm_flags_t hide = rwp_hidden_flags(vma);
	struct page *page;
	long got;

	vm_flags_clear(vma, hide);
	/* FOLL_FORCE: a mapping may be writable and not readable. */
	got = compat_gup_one(vma->vm_mm, addr, FOLL_SPLIT_PMD | FOLL_FORCE,
			     &page);
	vm_flags_set(vma, hide);
	if (got == 1) {
		put_page(page);
		return 0;
	}
	return got < 0 ? got : -EFAULT;
}

/*
 * Asks the kernel to split the large folio at an address into pages, which it
 * may not do. There is no export for it; but the first step of a migration to
 * device memory is to split, and a migration can be given up after that step.
 */
void vmremap_split_folio(struct vm_area_struct *vma, unsigned long addr)
{
	unsigned long src = 0, dst = 0;
	struct migrate_vma migration = {
		.vma = vma,
		.src = &src,
		.dst = &dst,
		.start = addr,
		.end = addr + PAGE_SIZE,
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};

	if (migrate_vma_setup(&migration))
		return;
	migrate_vma_pages(&migration);
	migrate_vma_finalize(&migration);
}

static int fault_errno(vm_fault_t fault)
{
	if (fault & VM_FAULT_OOM)
		return -ENOMEM;
	return fault & VM_FAULT_ERROR ? -EFAULT : 0;
}

/* Whether a userfaultfd protects the page at an address against reading too. */
static bool is_rwp_protected(struct vm_area_struct *vma, unsigned long addr)
{
	pmd_t *pmd;
	pte_t pte;

	if (!userfaultfd_rwp(vma))
		return false;
	pmd = vmremap_pmd(vma->vm_mm, addr);
	if (!pmd)
		return false;
	if (!vmremap_pmd_is_table(*pmd))
		return pmd_protnone(*pmd) && pmd_uffd(*pmd);
	pte = ptep_get(pte_offset_kernel(pmd, addr));
	return pte_protnone(pte) && pte_uffd(pte);
}

/*
 * Protects the page that a fault has put there, and mapped for nobody. False if
 * it is on its way to other memory, and will come back without protection.
 */
static bool rwp_protect(struct vm_area_struct *vma, unsigned long addr)
{
	pmd_t *pmd = vmremap_pmd(vma->vm_mm, addr);
	spinlock_t *ptl;
	pte_t *pte, old;

	if (!pmd || !vmremap_pmd_is_table(*pmd))
		return true;
	ptl = pte_lockptr(vma->vm_mm, pmd);
	pte = pte_offset_kernel(pmd, addr);
	spin_lock(ptl);
	old = ptep_get(pte);
	if (pte_protnone(old))
		set_pte_at(vma->vm_mm, addr & PAGE_MASK, pte, pte_mkuffd(old));
	spin_unlock(ptl);
	return pte_none(old) || pte_present(old) ||
	       !compat_pte_is_migration(old);
}

/*
 * The flags that a fault must not see. Only one for writing asks for write
 * protection; the others keep it.
 */
static vm_flags_t hidden_flags(struct vm_area_struct *vma, unsigned int fault)
{
	vm_flags_t watch = __VM_UFFD_FLAGS & ~VM_UFFD_RWP;

	if (!(fault & FAULT_FLAG_WRITE))
		watch &= ~VM_UFFD_WP;
	return (vma->vm_flags & watch) | rwp_hidden_flags(vma);
}

/* How often a page may be away, on a migration, when it is to be protected. */
#define MAX_RWP_TRIES 100

/*
 * Takes a page fault for an address of a VMA. A userfaultfd must not hear of
 * it (nobody could answer under the mmap lock), and it is to bring in one page
 * and not a huge one. What is protected against reading stays so throughout.
 * Protection keys do not count, as they do not for pages that are present.
 */
int vmremap_fault(struct vm_area_struct *vma, unsigned long addr,
		  unsigned int flags)
{
	const vm_flags_t hide = hidden_flags(vma, flags);
	const vm_flags_t show = VM_NOHUGEPAGE & ~vma->vm_flags;
	const bool rwp = is_rwp_protected(vma, addr);
	const pgprot_t prot = vma->vm_page_prot;
	unsigned int tries = 0;
	vm_fault_t fault;

	if (rwp)
		WRITE_ONCE(vma->vm_page_prot, vm_get_page_prot(VM_NONE));
	vm_flags_clear(vma, hide);
	vm_flags_set(vma, show);
	do {
		fault = handle_mm_fault(vma, addr, flags | FAULT_FLAG_REMOTE,
					NULL);
	} while (rwp && !rwp_protect(vma, addr) && ++tries < MAX_RWP_TRIES);
	vm_flags_clear(vma, show);
	vm_flags_set(vma, hide);
	if (rwp)
		WRITE_ONCE(vma->vm_page_prot, prot);
	return fault_errno(fault);
}

static pte_t entry_at(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = vmremap_pmd(mm, addr);

	if (!pmd || !vmremap_pmd_is_table(*pmd))
		return __pte(0);
	return ptep_get(pte_offset_kernel(pmd, addr));
}

/* A zero page belongs to nobody, so its entry alone brings it back. */
static void put_zero_page_back(struct vm_area_struct *vma, unsigned long addr,
			       pte_t old)
{
	pmd_t *pmd = vmremap_pmd(vma->vm_mm, addr);
	spinlock_t *ptl = pte_lockptr(vma->vm_mm, pmd);
	pte_t *pte = pte_offset_kernel(pmd, addr);

	spin_lock(ptl);
	/* A dirty one is KSM's, and not counted any more. */
	if (pte_none(ptep_get(pte)))
		set_pte_at(vma->vm_mm, addr, pte, pte_mkclean(old));
	spin_unlock(ptl);
}

/*
 * Gives a VMA an anon_vma, by a page fault whose page is discarded again. Other
 * threads must not write to that page meanwhile, so it is mapped for nobody. All
 * that can have been there before is the zero page.
 */
int vmremap_make_anon_vma(struct vm_area_struct *vma, unsigned long addr)
{
	const pte_t old = entry_at(vma->vm_mm, addr);
	const pgprot_t prot = vma->vm_page_prot;
	unsigned int tries;
	int err = 0;

	WRITE_ONCE(vma->vm_page_prot, vm_get_page_prot(VM_NONE));
	for (tries = 0; tries < 3 && !vma->anon_vma && !err; tries++)
		err = vmremap_fault(vma, addr, FAULT_FLAG_WRITE);
	WRITE_ONCE(vma->vm_page_prot, prot);
	vmremap_discard(vma, addr, PAGE_SIZE);
	if (pte_present(old) && pte_special(old))
		put_zero_page_back(vma, addr, old);
	if (err)
		return err;
	return vma->anon_vma ? 0 : -ENOMEM;
}

/* An entry that is neither a page nor on its way to become one again. */
bool vmremap_pte_is_marker(pte_t pte)
{
	return !pte_none(pte) && !pte_present(pte) &&
	       !compat_pte_is_swap(pte) && !compat_pte_is_migration(pte);
}

/* Discards the pages of a range, as MADV_DONTNEED does, and flushes it. */
void vmremap_discard(struct vm_area_struct *vma, unsigned long start,
		     unsigned long len)
{
	/* The exported zap asks for the flag; ordinary pages it treats as such. */
	vm_flags_set(vma, VM_PFNMAP);
	compat_zap_range(vma, start, len);
	vm_flags_clear(vma, VM_PFNMAP);
}

/*
 * Every huge PMD entry of anonymous memory has a page table deposited beside
 * it, so that splitting it never needs memory. The kernel keeps them in a list
 * headed in the PMD table; these two do what its own functions do.
 */
void vmremap_deposit_table(struct mm_struct *mm, pmd_t *pmd, pgtable_t table)
{
	pgtable_t first = pmd_huge_pte(mm, pmd);

	INIT_LIST_HEAD(&table->lru);
	if (first)
		list_add(&table->lru, &first->lru);
	pmd_huge_pte(mm, pmd) = table;
}

pgtable_t vmremap_withdraw_table(struct mm_struct *mm, pmd_t *pmd)
{
	pgtable_t table = pmd_huge_pte(mm, pmd);
	pgtable_t next = NULL;

	if (!list_empty(&table->lru)) {
		next = list_first_entry(&table->lru, struct page, lru);
		list_del_init(&table->lru);
	}
	pmd_huge_pte(mm, pmd) = next;
	return table;
}

pte_t vmremap_sentinel(unsigned long addr)
{
	return pte_mkspecial(pfn_pte(compat_zero_pfn(addr), PAGE_NONE));
}
