# SPDX-License-Identifier: GPL-2.0-only
# `make help` lists the targets and the variables they take.

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)

BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
UDEVDIR ?= $(PREFIX)/lib/udev/rules.d
DESTDIR ?=
KDIR ?= /lib/modules/$(shell uname -r)/build

CFLAGS ?= -O2 -g -Wall -Wextra
INSTALL ?= install

ifeq ($(V),1)
Q :=
say := @:
else
Q := @
say := @$(if $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS)))),:,printf '  %-7s %s\n')
endif

.SUFFIXES:
.DELETE_ON_ERROR:

.PHONY: all
all: lib module ## build the library and the module

# --- library ----------------------------------------------------------------

LIB := $(BUILD)/lib
STATIC := $(LIB)/libvmremap.a
SONAME := libvmremap.so.0
SHARED := $(LIB)/libvmremap.so.$(VERSION)
LINKS := $(LIB)/$(SONAME) $(LIB)/libvmremap.so
EXAMPLES := $(patsubst lib/examples/%.c,$(LIB)/examples/%,$(wildcard lib/examples/*.c))

lib_cflags := -std=gnu11 -fPIC -fvisibility=hidden -Ilib -Iuapi -MMD -MP \
	-DVMREMAP_VERSION='"$(VERSION)"'

.PHONY: lib
lib: $(STATIC) $(SHARED) $(LINKS) $(EXAMPLES) ## build the library, static and shared, and its examples

# Holds what all objects depend on besides their sources; rewritten only when
# that has changed.
flags := $(strip $(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(lib_cflags))
ifneq ($(flags),$(strip $(file <$(LIB)/flags)))
.PHONY: $(LIB)/flags
endif
$(LIB)/flags:
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(flags))' >$@

$(LIB)/libvmremap.o: lib/libvmremap.c $(LIB)/flags
	$(say) CC $@
	$(Q)$(CC) $(lib_cflags) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(STATIC): $(LIB)/libvmremap.o
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED): $(LIB)/libvmremap.o lib/libvmremap.map
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-soname,$(SONAME) \
		-Wl,--version-script,lib/libvmremap.map $(LDFLAGS) -o $@ $<

$(LINKS): $(SHARED)
	$(Q)ln -sf $(<F) $@

$(LIB)/examples/%: lib/examples/%.c $(STATIC) $(LIB)/flags
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(lib_cflags) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(STATIC)

-include $(LIB)/libvmremap.d $(EXAMPLES:=.d)

# --- module -----------------------------------------------------------------

# Each kernel gets a copy of the sources of its own, so that builds for several
# kernels neither mix nor write into the source tree. Its release is the one it
# says when it runs: Debian's 6.1 has another in include/config/kernel.release.
KRELEASE := $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KDIR)/include/generated/utsrelease.h 2>/dev/null)
MODULE := $(abspath $(BUILD))/module/$(KRELEASE)
MODULE_SOURCES := $(wildcard module/Kbuild module/*.[ch]) uapi/vmremap.h dkms.conf
MODULE_COPIES := $(addprefix $(MODULE)/src/,$(MODULE_SOURCES))

# Distributions keep their key to themselves; do not try to sign without one.
unsigned := $(if $(wildcard $(KDIR)/certs/signing_key.pem),,CONFIG_MODULE_SIG_ALL=)

kbuild = +$(Q)$(MAKE) --no-print-directory -C $(KDIR) M=$(MODULE)/src/module

.PHONY: module install-module uninstall-module
ifneq ($(KRELEASE),)

module: $(MODULE)/vmremap.ko ## build the module for the kernel of KDIR

$(MODULE_COPIES): $(MODULE)/src/%: %
	$(Q)$(INSTALL) -D -m 644 $< $@

$(MODULE)/vmremap.ko: $(MODULE_COPIES) $(wildcard $(KDIR)/include/generated/autoconf.h $(KDIR)/Module.symvers)
	$(say) KBUILD $(patsubst $(CURDIR)/%,%,$@)
	$(kbuild) modules
	$(Q)cp $(MODULE)/src/module/vmremap.ko $@

install-module: module ## install the module for the kernel of KDIR (not part of install)
	$(kbuild) INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=updates $(unsigned) modules_install

uninstall-module: ## remove what install-module has installed
	$(Q)rm -f $(DESTDIR)/lib/modules/$(KRELEASE)/updates/vmremap.ko*
	$(if $(DESTDIR),,$(Q)depmod $(KRELEASE))

else

module install-module uninstall-module:
	@echo 'There are no kernel headers in $(KDIR).' >&2
	@echo 'Install them (Debian: apt install linux-headers-$$(uname -r)), or name another' >&2
	@echo 'place with KDIR=...; "make lib" builds the library alone.' >&2
	@false

endif

# --- demo and tests ---------------------------------------------------------

.PHONY: demo check check-debug fuzz bench stress
demo: ## move real memory on a stock kernel in QEMU, and show what it took
	@tests/demo/run

check: ## run the tests on all kernels in QEMU (KERNELS="6.12" SUITE=move for a part)
	@KERNELS='$(KERNELS)' SUITE='$(SUITE)' tests/check

check-debug: ## the same on kernels with KASAN, lockdep, kmemleak, KCSAN (KERNELS="6.12-debug")
	@KERNELS='$(KERNELS)' SUITE='$(SUITE)' tests/check debug

fuzz: ## fault injection and fuzzers, each for TIME=600 seconds (KERNELS="6.12-debug")
	@KERNELS='$(KERNELS)' SUITE='$(SUITE)' TIME='$(TIME)' tests/check fuzz

bench: ## measure each operation beside its peers (KERNELS=, ROUNDS=9, MODES="wall icount")
	@KERNELS='$(KERNELS)' tests/bench/run

stress: ## move memory in a guest that swaps, merges, migrates all the time (TIME=600 KERNELS=6.12)
	@KERNELS='$(KERNELS)' TIME='$(TIME)' tests/stress/run

# --- installation -----------------------------------------------------------

MANUAL := $(wildcard lib/man/*.[1-9])
HEADERS := lib/libvmremap.h uapi/vmremap.h
HEADERDIR := $(INCLUDEDIR)/vmremap
RULES := 60-vmremap.rules

manual_path = $(MANDIR)/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))
installed := $(addprefix $(LIBDIR)/,$(notdir $(STATIC) $(SHARED) $(LINKS))) \
	$(LIBDIR)/pkgconfig/libvmremap.pc \
	$(addprefix $(HEADERDIR)/,$(notdir $(HEADERS))) \
	$(foreach page,$(MANUAL),$(call manual_path,$(page))) \
	$(UDEVDIR)/$(RULES)

fill_in := sed -e 's|@VERSION@|$(VERSION)|' -e 's|@PREFIX@|$(PREFIX)|' \
	-e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|'

.PHONY: install uninstall
install: lib ## install library, headers, manual and udev rule (DESTDIR, PREFIX, LIBDIR, ...)
	$(say) INSTALL $(DESTDIR)$(PREFIX)
	$(Q)$(INSTALL) -d $(sort $(addprefix $(DESTDIR),$(dir $(installed))))
	$(Q)$(INSTALL) -m 644 $(STATIC) $(DESTDIR)$(LIBDIR)
	$(Q)$(INSTALL) -m 755 $(SHARED) $(DESTDIR)$(LIBDIR)
	$(Q)cp -Pf $(LINKS) $(DESTDIR)$(LIBDIR)
	$(Q)$(INSTALL) -m 644 $(HEADERS) $(DESTDIR)$(HEADERDIR)
	$(Q)$(INSTALL) -m 644 lib/$(RULES) $(DESTDIR)$(UDEVDIR)
	$(Q)$(fill_in) lib/libvmremap.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/libvmremap.pc
	$(Q)$(foreach page,$(MANUAL),$(fill_in) $(page) >$(DESTDIR)$(call manual_path,$(page)) &&) :
	$(Q)chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/libvmremap.pc \
		$(foreach page,$(MANUAL),$(DESTDIR)$(call manual_path,$(page)))
	$(if $(DESTDIR),,@echo 'Now run "ldconfig", and once "groupadd --system vmremap".')

uninstall: ## remove what install has installed
	$(say) REMOVE $(DESTDIR)$(PREFIX)
	$(Q)rm -f $(addprefix $(DESTDIR),$(installed))
	$(Q)rmdir $(DESTDIR)$(HEADERDIR) 2>/dev/null || :

# --- the rest ---------------------------------------------------------------

.PHONY: clean help
clean: ## remove everything that was built
	$(say) CLEAN $(BUILD)
	$(Q)rm -rf $(BUILD)

help: ## show this
	@echo 'vmremap $(VERSION)'
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 18 | sort -u
	@echo
	@echo 'KDIR=dir    headers of the kernel to build for ($(KDIR))'
	@echo 'BUILD=dir   where everything is built ($(BUILD))'
	@echo 'V=1         show the commands'
	@echo 'also        CC CFLAGS LDFLAGS; DESTDIR PREFIX LIBDIR INCLUDEDIR MANDIR UDEVDIR'
