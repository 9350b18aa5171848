n=0; while read x; do n=$((n+x)); done < <(printf '1\n2\n3\n'); echo $n
