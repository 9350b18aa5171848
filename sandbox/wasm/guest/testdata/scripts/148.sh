diff <(printf '1\n2\n') <(printf '1\n3\n'); while read -r l; do n=$((n+1)); echo "$n:$l"; done < <(seq 3); echo "n=$n"; paste <(seq 2) <(seq 3 4)
