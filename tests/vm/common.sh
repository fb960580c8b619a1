# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the scripts beside it: where things are kept and how they speak.
# shellcheck shell=bash

set -euo pipefail

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$VM_DIR/../.." && pwd)
BUILD=$(realpath -m "${BUILD:-$TOP/build}")
CACHE=${VMREMAP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vmremap}
ALL_KERNELS="6.1 6.12 7.2 7.3"
DEBUG_KERNELS="6.12-debug 7.2-debug 6.12-kcsan 7.2-kcsan"
export TOP BUILD CACHE ALL_KERNELS DEBUG_KERNELS
export PATH=$PATH:/usr/sbin:/sbin

say() { printf '[%s] %s\n' "$(date +%T)" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Quiet commands keep their output, and show its end only if they fail.
quietly() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	if ! "$@" >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		die "failed: $* (whole output in $log)"
	fi
}

need_root() {
	[ "$(id -u)" = 0 ] || die "this step needs root: run it with sudo"
}

# One writer for each part of the cache; a second run waits for the first.
lock_cache() {
	mkdir -p "$CACHE/locks"
	exec 9>"$CACHE/locks/$1"
	flock -n 9 || { say "waiting for another run that holds $1"; flock 9; }
}
unlock_cache() { exec 9>&-; }

# Which Debian release has a kernel series. After a dash: a variant of it that
# tests/vm/debug-kernel builds.
kernel_suite() {
	case ${1%%-*} in
	6.1 | 6.12) echo bookworm ;;
	7.2 | 7.3) echo trixie ;;
	*) die "unknown kernel series $1 (known: $ALL_KERNELS)" ;;
	esac
}

# The newest release of a series among the names of its headers' packages, one
# a line on standard input.
newest_release() {
	sed -nE "s/^linux-headers-(${1//./\\.}\.[0-9.]+([-+][0-9a-z.]+)?-amd64)\$/\1/p" |
		sort -V | tail -n 1
}

# Runs a command in a Debian tree with the checkout at /src, what is built at
# /build, and the debug kernels at /debug. The mounts live in a namespace of
# their own, so nothing stays mounted whatever happens.
in_tree() {
	local suite=$1
	shift
	local root=$CACHE/trees/$suite
	mkdir -p "$root/src" "$root/build" "$root/debug" "$CACHE/debug"
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		root=$1; top=$2; build=$3; debug=$4; shift 4
		mount -t proc proc "$root/proc"
		mount --bind "$top" "$root/src"
		mount --bind "$build" "$root/build"
		mount --bind "$debug" "$root/debug"
		exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			LC_ALL=C HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
	' in_tree "$root" "$TOP" "$BUILD" "$CACHE/debug" "$@"
}

# Puts packages into a tree that does not have them yet. NAME stands for the
# purpose that they are one set for; it names the log too.
install_in_tree() {
	local suite=$1 name=$2 packages=${*:3} stamp log
	stamp=$CACHE/trees/$suite/.vmremap-$name log=$CACHE/logs/$name-$suite.log
	lock_cache "tree-$suite"
	if [ "$(cat "$stamp" 2>/dev/null)" != "$packages" ]; then
		say "installing in the $suite tree: $packages"
		quietly "$log" in_tree "$suite" apt-get -q update
		# shellcheck disable=SC2086
		quietly "$log" in_tree "$suite" apt-get -q -y \
			--no-install-recommends install $packages
		echo "$packages" >"$stamp"
	fi
	unlock_cache
}

# Unpacks a linux-source package of a tree, or some PATHs of it, into a directory
# that it empties, less STRIP leading parts of each name.
unpack_kernel_sources() {
	local suite=$1 package=$2 dir=$3 strip=$4 log=$CACHE/logs/$2.log
	local download=$CACHE/trees/$1/tmp/$2
	shift 4
	rm -rf "$dir" "$download"
	mkdir -p "$dir"
	mkdir -m 1777 "$download"
	quietly "$log" in_tree "$suite" sh -c "cd /tmp/$package && apt-get -q download $package"
	dpkg-deb --fsys-tarfile "$download"/*.deb |
		tar -xO "./usr/src/$package.tar.xz" | xz -dc |
		tar -x -C "$dir" --strip-components="$strip" "$@"
	rm -rf "$download"
}

# The release of a series that the cache holds; fetched if there is none yet.
kernel_release() {
	local known=$CACHE/kernels/by-series/$1
	if [ -e "$known" ] && [ -e "$CACHE/kernels/$(cat "$known")/.complete" ]; then
		cat "$known"
	else
		"$VM_DIR/kernel" "$1"
	fi
}

# Where a tree has what modules for a kernel are built with.
kernel_headers() {
	case $1 in
	*-*) echo "/debug/$1" ;;
	*) echo "/usr/src/linux-headers-$(kernel_release "$1")" ;;
	esac
}

# What a caller may have set, and what must survive sudo and reach the guest.
CALLERS_VARIABLES="BUILD KERNELS SUITE TIME REFRESH CI ACCEL SMP MEM TIMEOUT ROUNDS MODES KERNEL"
CALLERS_VARIABLES+=" http_proxy https_proxy no_proxy"
GUEST_VARIABLES="VMREMAP_SEED VMREMAP_RANDOM_SECONDS VMREMAP_STRESS_SECONDS"
GUEST_VARIABLES+=" VMREMAP_FUZZ_SECONDS VMREMAP_FUZZ_WORKER VMREMAP_FUZZ_TRACE VMREMAP_FAULT_SECONDS"
GUEST_VARIABLES+=" SUITE_TIMEOUT CK_RUN_CASE CK_RUN_SUITE CK_VERBOSITY"

# Runs the calling script again as root, if it is not root already.
as_root() {
	local name settings=("VMREMAP_CACHE=$CACHE" "OWNER=$(id -u):$(id -g)")
	[ "$(id -u)" != 0 ] || return 0
	command -v sudo >/dev/null ||
		die "needs root, for the Debian trees, and there is no sudo"
	say "needs root, for apt and the Debian trees: going on with sudo"
	for name in $CALLERS_VARIABLES $GUEST_VARIABLES; do
		[ -z "${!name:-}" ] || settings+=("$name=${!name}")
	done
	exec sudo -- /usr/bin/env "${settings[@]}" "$(realpath "$0")" "$@"
}

# What root has built belongs to whoever called sudo.
give_back() {
	[ -z "${OWNER:-}" ] || chown -R "$OWNER" "$BUILD"
}
