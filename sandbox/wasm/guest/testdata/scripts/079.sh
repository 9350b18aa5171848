printf 'b\na\nc\na\n' | sort | uniq -c; printf '10\n9\n2\n' | sort -n; printf '1\n2\n' | sort -r
