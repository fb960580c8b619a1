# SPDX-License-Identifier: GPL-2.0-only
# Builds and runs the tests that need no device, under the address and
# undefined-behaviour sanitizers. Run in the bookworm tree by tests/static:
# make -f tests/host/programs.mk OUT=/build/host

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -Iuapi -Ilib \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SUITES := library example

.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: check
check: $(SUITES:%=$(OUT)/%)
	@for suite in $^; do $$suite || exit 1; done

$(OUT)/obj/lib/%: CFLAGS += -DVMREMAP_VERSION='"$(VERSION)"' -Dmain=compact_main
$(OUT)/obj/tests/%: CFLAGS += -D_GNU_SOURCE -DEXPECTED_VERSION='"$(VERSION)"'

$(OUT)/obj/%.o: %.c tests/host/programs.mk dkms.conf
	@mkdir -p $(@D)
	@echo '  CC    $<'
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(OUT)/obj/on-stand-in.o: $(OUT)/obj/lib/libvmremap.o
	@objcopy --redefine-sym open=device_open --redefine-sym close=device_close \
		--redefine-sym ioctl=device_ioctl $< $@

$(OUT)/example: $(OUT)/obj/lib/examples/compact.o
$(SUITES:%=$(OUT)/%): $(OUT)/%: $(OUT)/obj/tests/host/%.o \
		$(OUT)/obj/tests/host/device.o $(OUT)/obj/on-stand-in.o
	@echo '  LINK  $@'
	@$(CC) $(CFLAGS) -o $@ $^ -lcheck -lsubunit -lm -lrt -lpthread

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
