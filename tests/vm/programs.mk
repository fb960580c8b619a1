# SPDX-License-Identifier: GPL-2.0-only
# Builds the test programs, static so that the guest needs no libraries. Run in
# the bookworm tree by tests/vm/build: make -f tests/vm/programs.mk OUT=/build
# [SUITES="NAME..."]

CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -Iuapi -Ilib -Itests/suites/lib \
	-Itests/bench/lib
VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)

objects = $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard $(1)))
library := $(call objects,lib/*.c)
helpers := $(call objects,tests/suites/lib/*.c)
suites := $(patsubst tests/suites/%.c,$(OUT)/tests/%,$(wildcard tests/suites/*.c))
work := $(call objects,tests/bench/lib/*.c)
demos := $(patsubst tests/demo/%.c,$(OUT)/tests/demo/%,$(wildcard tests/demo/*.c))
benches := $(patsubst tests/bench/%.c,$(OUT)/tests/demo/%,$(wildcard tests/bench/*.c))
stress := $(OUT)/tests/stress/stress
stress_parts := $(call objects,tests/stress/*.c tests/bench/lib/work.c \
	$(addprefix tests/suites/lib/,child.c memory.c suite.c))

.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all
all: $(if $(SUITES),$(SUITES:%=$(OUT)/tests/%),$(suites) $(demos) $(benches) $(stress))

$(library): CFLAGS += -DVMREMAP_VERSION='"$(VERSION)"'
$(OUT)/obj/tests/%: CFLAGS += -D_GNU_SOURCE

$(OUT)/obj/%.o: %.c tests/vm/programs.mk dkms.conf
	@mkdir -p $(@D)
	@echo '  CC    $<'
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(suites): $(OUT)/tests/%: $(OUT)/obj/tests/suites/%.o $(helpers) $(library)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) -static -o $@ $^ -lcheck_pic -lsubunit -luring -lm -lrt -lpthread

$(demos): $(OUT)/tests/demo/%: $(OUT)/obj/tests/demo/%.o $(work) $(library)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) -static -o $@ $^ -luring -lm -lrt -lpthread

$(benches): $(OUT)/tests/demo/%: $(OUT)/obj/tests/bench/%.o $(work) $(library)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) -static -o $@ $^ -luring -lm -lrt -lpthread

$(stress): $(stress_parts) $(library)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) -static -o $@ $^ -lcheck_pic -lsubunit -luring -lm -lrt -lpthread

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
