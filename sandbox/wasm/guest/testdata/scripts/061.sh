seq 100000 | head -1; while :; do echo y; done | head -2
