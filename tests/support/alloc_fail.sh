#!/usr/bin/env bash
# Fails every kind of allocation of a test program once, in turn, one run each, and wants the program
# to pass all the same: alloc_fail.sh PROGRAM SECONDS
# A kind is what called base/mem or `new`, by the stack. Where the seconds do not suffice for all,
# kinds are drawn: ALLOC_FAIL_SEED=n draws the same ones again, ALLOC_FAIL_SECONDS=n is stronger than
# SECONDS. With SECONDS 0 nothing is done unless that is set: for programs that take long.
set -euo pipefail
program=$1
seconds=${ALLOC_FAIL_SECONDS:-$2}
seed=${ALLOC_FAIL_SEED:-$((RANDOM * 32768 + RANDOM))}
[ "$seconds" != 0 ] || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

status=0
ALLOC_FAIL_SITES=$folder/sites "$program" >"$folder/log" 2>&1 || status=$?
[ "$status" != 77 ] || exit 77 # nothing to talk to
if [ "$status" != 0 ]; then
    cat "$folder/log"
    echo "alloc_fail: the program does not pass when nothing fails"
    exit 1
fi

kinds=$(wc -l <"$folder/sites")
if [ "$kinds" = 0 ]; then
    echo "alloc_fail: it allocates nothing"
    exit 77
fi
sort -n "$folder/sites" | awk -v seed="$seed" 'BEGIN { srand(seed) } { print rand() "\t" $1 }' |
    sort -g | cut -f 2 >"$folder/drawn"
tried=0 failed=0 bad=0
end=$((SECONDS + seconds))
while read -r nth; do
    [ "$SECONDS" -lt "$end" ] || [ "$tried" = 0 ] || break
    tried=$((tried + 1))
    status=0
    ALLOC_FAIL_AT=$nth timeout -k 5 120 "$program" >"$folder/log" 2>&1 || status=$?
    ! grep -q '^alloc_fail: one has failed' "$folder/log" || failed=$((failed + 1))
    if [ "$status" != 0 ]; then
        bad=$((bad + 1))
        echo "--- ALLOC_FAIL_AT=$nth $program: status $status"
        tail -n 40 "$folder/log"
    fi
done <"$folder/drawn"
echo "alloc_fail: $tried of $kinds kinds tried (seed $seed), in $failed runs one failed," \
    "$bad runs did not pass"
# What is counted varies a little where keys are made or threads take turns; but not by much.
[ "$bad" = 0 ] && [ "$((failed * 2))" -ge "$tried" ]
