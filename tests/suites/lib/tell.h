/* SPDX-License-Identifier: GPL-2.0-only */
/* What a suite wants to be known of a run that goes well, too. */
#ifndef TELL_H
#define TELL_H

/* A line for the suite's output and, under its name, the kernel log. */
__attribute__((format(printf, 1, 2))) void tell(const char *format, ...);

#endif
