echo "a
b" > f; while read -r l; do echo "$l" | tr a-z A-Z; done < f; echo done; cat -n f; cat -A f; cat f - <<< in
