# SPDX-License-Identifier: GPL-2.0-only
# Turns a guest's verdict into one line a test: kernel, suite, test, result
# (pass, fail, skip) and reason, separated by tabs.
# awk -v kernel=RELEASE -v suites="NAME..." -v partial=0|1 -v lost=REASON
#	-f collect.awk SKIPS VERDICT
#
# SKIPS lists the tests that are expected to be skipped on this kernel, one
# "suite/test reason" a line. With "~" before it a test may be skipped or not:
# that depends on the machine. `partial` says that not all tests were run, and
# `lost` why there is no verdict, if there is none.

function result(suite, test, outcome, reason) {
	gsub(/[\t\r]/, " ", reason)
	printf "%s\t%s\t%s\t%s\t%s\n", kernel, suite, test, outcome, reason
	failures += outcome == "fail"
}

# The fields from the n-th on, whatever tabs are in them.
function rest(n,	i, line) {
	line = $0
	for (i = 1; i < n; i++)
		sub(/^[^\t]*\t/, "", line)
	return line
}

# "ok 3 - file.c:case:test: message"; a message may go on in further lines.
function tap(suite, line,	test, n) {
	if (line ~ /^1\.\.[0-9]+$/) {
		plan[suite] = substr(line, 4) + 0
		return
	}
	if (line !~ /^(not )?ok [0-9]+ - [^:]*:[^:]*:[^:]*: /) {
		if (tests[suite])
			message[suite, tests[suite]] = message[suite, tests[suite]] " | " line
		return
	}
	n = ++tests[suite]
	passed[suite, n] = line ~ /^ok/
	sub(/^[^-]*- [^:]*:[^:]*:/, "", line)
	test = line
	sub(/:.*/, "", test)
	sub(/^[^:]*: /, "", line)
	name[suite, n] = test
	message[suite, n] = line
	loops[suite, test]++
}

# A test that runs in a loop appears once for each turn.
function label(suite, n,	test) {
	test = name[suite, n]
	return loops[suite, test] > 1 ? test "[" turn[suite, test]++ "]" : test
}

function judge(suite, n,	key) {
	key = suite SUBSEP name[suite, n]
	if (!passed[suite, n])
		result(suite, label(suite, n), "fail", message[suite, n])
	else if (key in skipped && key in expected)
		result(suite, label(suite, n), "skip", skipped[key])
	else if (key in skipped)
		result(suite, label(suite, n), "fail", "unexpected skip: " skipped[key])
	else if (key in expected && !(key in optional))
		result(suite, label(suite, n), "fail", \
			"expected to be skipped, but it ran: " expected[key])
	else
		result(suite, label(suite, n), "pass", "")
}

function judge_suite(suite,	n, before, key, part) {
	before = failures
	for (n = 1; n <= tests[suite]; n++)
		judge(suite, n)
	if (!(suite in plan) || plan[suite] != tests[suite] + 0)
		result(suite, "completion", "fail", "ended with status " status[suite] \
			" before its end; its output ends with: " output[suite])
	else if (status[suite] != "0" && failures == before)
		result(suite, "completion", "fail", "status " status[suite] \
			"; its output ends with: " output[suite])
	for (key in skipped) {
		split(key, part, SUBSEP)
		if (part[1] == suite && !(key in loops))
			result(suite, part[2], "fail", "skipped, but not a test of this suite")
	}
	for (key in expected) {
		split(key, part, SUBSEP)
		if (part[1] == suite && !(key in loops) && !partial)
			result(suite, part[2], "fail", "in the list of skips, but not a test")
	}
	if (suite in messages)
		result(suite, "kernel_log", "fail", messages[suite])
	else
		result(suite, "kernel_log", "pass", "")
}

function judge_machine(phase) {
	if (phase in messages)
		why[phase] = why[phase] ": " messages[phase]
	if (phase in why)
		result("machine", phase, "fail", why[phase])
	else
		result("machine", phase, "pass", "")
}

BEGIN { FS = "\t" }

FILENAME == ARGV[1] {
	line = $0
	if (line !~ /^~?[^ \/#]+\/[^ ]+ +[^ ]/)
		next
	split(line, word, " ")
	key = word[1]
	sub(/^[^ ]+ +/, "", line)
	may = sub(/^~/, "", key)
	sub(/\//, SUBSEP, key)
	expected[key] = line
	if (may)
		optional[key] = 1
	next
}

$1 == "SUITE" { status[$2] = $3 }
$1 == "TAP" { tap($2, rest(3)) }
$1 == "SKIP" { skipped[$2, $3] = rest(4) }
$1 == "OUT" { output[$2] = rest(3) }
$1 == "LOG" { messages[$2] = messages[$2] (($2 in messages) && messages[$2] != "" ? " | " : "") rest(3) }
$1 == "FAIL" { why[$2] = why[$2] (why[$2] != "" ? ", " : "") rest(3) }
$1 == "VERDICT" { verdict = rest(2) }

END {
	if (verdict == "") {
		result("machine", "verdict", "fail", "no verdict: " lost)
		exit
	}
	judge_machine("load")
	count = split(suites, wanted, " ")
	for (i = 1; i <= count; i++)
		if (wanted[i] in status)
			judge_suite(wanted[i])
		else
			result(wanted[i], "completion", "fail", "it was not run")
	judge_machine("unload")
	judge_machine("leaks")
	if (verdict != "ok" && !failures)
		result("machine", "verdict", "fail", verdict)
}
