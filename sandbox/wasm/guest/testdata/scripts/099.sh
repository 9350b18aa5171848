seq 5 | awk '{s+=$1} END {print s}'; echo 'a b c' | awk '{print $2, NF}'; echo a:b | awk -F: '{print $2}'; seq 3 | awk 'NR==2'; awk 'BEGIN{printf "%05.2f\n", 3.14159}'
