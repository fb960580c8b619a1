/* SPDX-License-Identifier: GPL-2.0-only */
/* A userfaultfd, its watched ranges and its faults. */
#ifndef UFFD_H
#define UFFD_H

#include <linux/userfaultfd.h>

#include "memory.h"

/* Newer than the headers that the suites are built with. */
#define FEATURE_WP_UNPOPULATED (1ULL << 13)
#define FEATURE_POISON (1ULL << 14)
#define FEATURE_RWP (1ULL << 17)
#define MODE_RWP (1ULL << 3)

/* Protection against any access, since Linux 7.3. */
struct rwprotect_request {
	struct uffdio_range range;
	uint64_t mode;
};
#define IOC_RWPROTECT _IOWR(UFFDIO, 0x09, struct rwprotect_request)
#define RWPROTECT_MODE_RWP (1ULL << 0)

/* A new userfaultfd with these features, or -1 if the kernel lacks them. */
int uffd_open(uint64_t features);

void uffd_watch(int uffd, void *base, size_t pages, uint64_t mode);
void uffd_unwatch(int uffd, void *base, size_t pages);
void uffd_wake(int uffd, void *base, size_t pages);
void uffd_protect(int uffd, void *base, size_t pages, bool protect);
/* Against reading too; pagemap shows it like write protection. */
void uffd_rwprotect(int uffd, void *base, size_t pages, bool protect);
int uffd_poison(int uffd, void *base, size_t pages);
int uffd_zeropage(int uffd, void *base, size_t pages);

/* The page of the next fault, or NULL if none comes in that time. */
char *uffd_next_fault(int uffd, int milliseconds);

#endif
