mapfile -t lines < <(seq 3); echo "${#lines[@]} ${lines[2]}"
